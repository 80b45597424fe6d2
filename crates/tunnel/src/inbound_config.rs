//! What an inbound listener is told: its configuration, its limits, and what is made of a configuration.
//!
//! Filled in by the node; read by inbound.rs for each connection and by serve.rs for each stream. Never
//! touches a socket, and decides nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hbone_conn::Config;
use rustls::ServerConfig;

use crate::authority::Authority;
use crate::egress::Egress;
use crate::network::{Network, canonical};
use crate::outcome::RelayLimits;
use crate::policy::Policy;
use crate::post::TokenRules;
use crate::proxy_header::ProxyVersion;
use crate::resolver::{Resolve, SystemResolver};
use crate::reverse::{Reception, Serves};
use crate::tls::{Alpn, Identity, IdentityError};
use crate::way::Routes;

/// What an inbound listener does. A snapshot: swapped as a whole by [`Inbound::replace`](crate::Inbound::replace).
#[derive(Clone, Debug)]
pub struct InboundConfig {
    /// The listener's name in records.
    pub name: Arc<str>,
    /// Who this node is; its roots decide which callers are known.
    pub identity: Arc<Identity>,
    /// Who may reach what.
    pub policy: Arc<Policy>,
    /// Ports of this node's own listeners: a tunnel to one of them on this host is a loop.
    pub own_ports: Vec<u16>,
    /// What is told of this workload in answers (`baggage`); for telemetry only.
    pub baggage: Option<String>,
    /// Begin a trace (`traceparent`) for what is sent on without one.
    pub tracing: bool,
    /// Destinations of a POST with `x-service`, by its value.
    pub services: BTreeMap<String, Authority>,
    /// The proxies in front, each of whose connections begins with a header of the PROXY protocol that says who calls;
    /// nobody else is taken. Empty: no headers.
    pub proxies: Vec<Network>,
    /// The header of the PROXY protocol in front of what destinations that are dialled from here get.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Callers are believed in what they say of their clients (`forwarded`): for that header, never for a decision.
    pub trust_forwarded: bool,
    /// Which tokens a POST with `x-tun` must show; `None` asks for none.
    pub tokens: Option<Arc<TokenRules>>,
    /// Where requests go that ask for no tunnel (HTTP/1.1); `None` refuses them.
    pub other_requests: Option<SocketAddr>,
    /// No TLS: connections from these networks only, whose callers are nobody. `None` for TLS.
    pub trusted: Option<Vec<Network>>,
    /// Say 401 where the policy refuses, as Istio's nodes expect; else 403.
    pub istio_status: bool,
    /// For the TLS handshake, from the accepted connection on.
    pub handshake_timeout: Duration,
    /// For resolving a destination and dialling it.
    pub dial_timeout: Duration,
    /// Destinations that are reached through another node; all others are dialled from here. Has a say only after the
    /// policy.
    pub routes: Routes,
    /// Destinations that are dialled from here and get TLS.
    pub egress: Egress,
    /// For a tunnel through another node to stand.
    pub onward_timeout: Duration,
    /// Gateways that a tunnel may have passed before this one sends it on: a circle ends there.
    pub max_hops: u8,
    /// What turns names into addresses.
    pub resolver: Arc<dyn Resolve>,
    /// Settings of HTTP/2.
    pub connection: Config,
    /// How long a tunnel may be silent.
    pub relay: RelayLimits,
    /// The longest that octets sent to the destination may stay unacknowledged, or its window shut:
    /// TCP_USER_TIMEOUT. It also ends destinations that merely do not read for so long. `None` leaves it to the
    /// system.
    pub unacknowledged: Option<Duration>,
    /// Which destination a CONNECT means.
    pub serves: Serves,
    /// Take reverse connections (ALPN `h2r`) too; `None` turns them away.
    pub reverse: Option<Reception>,
    /// Connections of one identity; `None` is half of [`InboundLimits::connections`].
    pub connections_per_identity: Option<usize>,
    /// Tunnels of one identity; `None` is half of [`InboundLimits::tunnels`].
    pub tunnels_per_identity: Option<usize>,
}

impl InboundConfig {
    /// The defaults: everything is dialled from here, 10 s for the handshake and for dialling, 403 for refusals.
    pub fn new(name: &str, identity: Arc<Identity>, policy: Arc<Policy>) -> Self {
        Self {
            name: name.into(),
            identity,
            policy,
            own_ports: Vec::new(),
            baggage: None,
            tracing: false,
            services: BTreeMap::new(),
            tokens: None,
            other_requests: None,
            trusted: None,
            istio_status: false,
            handshake_timeout: Duration::from_secs(10),
            dial_timeout: Duration::from_secs(10),
            proxies: Vec::new(),
            proxy_protocol: None,
            trust_forwarded: false,
            routes: Routes::default(),
            egress: Egress::default(),
            onward_timeout: Duration::from_secs(60),
            max_hops: 8,
            resolver: Arc::new(SystemResolver),
            connection: Config::default(),
            relay: RelayLimits::default(),
            unacknowledged: None,
            serves: Serves::Asked,
            reverse: None,
            connections_per_identity: None,
            tunnels_per_identity: None,
        }
    }
}

impl InboundConfig {
    /// Whether who comes from there may come without TLS, where there is none.
    pub(crate) fn takes(&self, from: IpAddr) -> bool {
        let known = |networks: &Vec<Network>| networks.iter().any(|it| it.contains(canonical(from)));
        self.trusted.as_ref().is_none_or(known)
    }
}

/// Limits that hold for a listener's whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundLimits {
    /// Connections whose caller is not authenticated yet; a newcomer turns out the oldest. Never more than a
    /// quarter of the files that this process may open.
    pub unauthenticated: usize,
    /// Connections of authenticated callers.
    pub connections: usize,
    /// Tunnels, dials in progress included; more are refused with REFUSED_STREAM.
    pub tunnels: usize,
}

impl Default for InboundLimits {
    /// 1024, 16 384 and 65 536.
    fn default() -> Self {
        Self { unauthenticated: 1024, connections: 16_384, tunnels: 65_536 }
    }
}

/// A configuration of which all that may fail is done: to be taken over by [`Inbound::adopt`](crate::Inbound::adopt).
#[derive(Clone, Debug)]
pub struct Prepared(pub(crate) Arc<Snapshot>);

impl Prepared {
    /// Makes of a configuration what is served.
    ///
    /// # Errors
    /// When the identity cannot be used for TLS.
    pub fn new(config: InboundConfig) -> Result<Self, IdentityError> {
        Snapshot::new(config).map(Self)
    }
}

/// A configuration and what was made of it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) config: InboundConfig,
    pub(crate) tls: Arc<ServerConfig>,
}

impl Snapshot {
    pub(crate) fn new(config: InboundConfig) -> Result<Arc<Self>, IdentityError> {
        let alpn = if config.reverse.is_some() { Alpn::Both } else { Alpn::Tunnels };
        let tls = config.identity.server_config_for(alpn)?;
        Ok(Arc::new(Self { config, tls }))
    }
}
