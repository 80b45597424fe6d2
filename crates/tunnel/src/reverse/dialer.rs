//! A node that cannot be dialled: it dials its gateway, serves the streams that the gateway opens, and comes back for
//! ever when the connection is lost.
//!
//! Run by the node, one for each name. What the streams ask for is judged and dialled by the inbound side, as if the
//! gateway had dialled us; the caller is the gateway. Opens no streams.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hbone_conn::{Config, ConnectionError, Handle, Side, establish};
use parking_lot::Mutex;
use rustls::pki_types::{DnsName, ServerName};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::authority::HostName;
use crate::chance::chance;
use crate::connect::{ConnectConfig, Settings, Shaken, shake};
use crate::drain::Drain;
use crate::error::TunnelError;
use crate::expiry;
use crate::hop::Hop;
use crate::identity::SpiffeId;
use crate::inbound::{Inbound, Met};
use crate::inbound_config::{InboundConfig, InboundLimits, Prepared};
use crate::judge::Who;
use crate::pool::Pool;
use crate::pool_plan::Backoff;
use crate::route::Peer;
use crate::tls::{Alpn, IdentityError};
use crate::watched::Watched;

use super::gateway::{REFUSED, settings};

/// What a node is to its gateway. A snapshot: swapped as a whole by [`ReverseDialer::replace`].
#[derive(Clone, Debug)]
pub struct ReverseConfig {
    /// The gateway.
    pub gateway: Peer,
    /// The name to ask for, by SNI; without one, every name that the gateway lets this identity hold.
    pub name: Option<HostName>,
    /// Serve on an ordinary connection, on which the gateway opens streams where both ends have announced that
    /// (docs/protocol.md, section 4), and which this node's own tunnels through the gateway share. No name is asked
    /// for.
    pub shared: bool,
    /// How the gateway is reached.
    pub connect: ConnectConfig,
    /// What is served to it, and the name in records: the identity here is the one to dial with.
    pub serving: InboundConfig,
    /// The pause after a connection was lost or could not be made; doubles with each failure, and a random part of up
    /// to a half is left out.
    pub backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
}

impl ReverseConfig {
    /// The defaults: no name is asked for, pauses of 100 ms to 5 s.
    pub fn new(gateway: Peer, serving: InboundConfig) -> Self {
        let (backoff, max_backoff) = (Duration::from_millis(100), Duration::from_secs(5));
        Self {
            gateway,
            name: None,
            shared: false,
            connect: ConnectConfig::default(),
            serving,
            backoff,
            max_backoff,
        }
    }
}

/// A configuration of which all that may fail is done: to be taken over by [`ReverseDialer::adopt`].
#[derive(Clone, Debug)]
pub struct PreparedReverse {
    config: Arc<ReverseConfig>,
    serving: Prepared,
}

impl PreparedReverse {
    /// Makes of a configuration what is dialled with and served.
    ///
    /// # Errors
    /// When the identity cannot be used for TLS.
    pub fn new(config: ReverseConfig) -> Result<Self, IdentityError> {
        Ok(Self { serving: Prepared::new(config.serving.clone())?, config: Arc::new(config) })
    }
}

/// The node's side of a reverse tunnel. Clones are the same.
#[derive(Clone, Debug)]
pub struct ReverseDialer {
    config: Arc<watch::Sender<Arc<ReverseConfig>>>,
    inbound: Inbound,
}

/// A connection to the gateway that stands.
struct Standing {
    handle: Handle,
    gateway: SpiffeId,
    since: Instant,
}

impl ReverseDialer {
    /// A dialer; nothing is dialled before [`ReverseDialer::run`].
    ///
    /// # Errors
    /// When the identity cannot be used for TLS.
    pub fn new(config: ReverseConfig, limits: InboundLimits) -> Result<Self, IdentityError> {
        let inbound = Inbound::new(config.serving.clone(), limits)?;
        let (config, _) = watch::channel(Arc::new(config));
        Ok(Self { config: Arc::new(config), inbound })
    }

    /// From now on this configuration holds: what is served at once; a new identity, gateway or name by a new
    /// connection, while the tunnels of the old one go on.
    ///
    /// # Errors
    /// When the identity cannot be used for TLS; the old configuration stays.
    pub fn replace(&self, config: ReverseConfig) -> Result<(), IdentityError> {
        self.adopt(PreparedReverse::new(config)?);
        Ok(())
    }

    /// The same, with what cannot fail any more: for several sides that change together or not at all.
    pub fn adopt(&self, prepared: PreparedReverse) {
        self.inbound.adopt(prepared.serving);
        self.config.send_replace(prepared.config);
    }

    /// Holds a connection to the gateway until the drain starts, then says GOAWAY and waits for the last tunnel, which
    /// the drain's deadline ends. A failure is told once, until there is another or it is over.
    /// Connections of `pool` lead to the nodes through which routes lead, if any are configured.
    pub async fn run(&self, pool: Pool, drain: Drain) {
        let mut changes = self.config.subscribe();
        let (mut serving, trouble) = (JoinSet::new(), Trouble::default());
        let first = Arc::clone(&changes.borrow_and_update());
        let mut backoff = Backoff::new(first.backoff, first.max_backoff);
        while !drain.is_draining() {
            let config = Arc::clone(&changes.borrow_and_update());
            let dialled = tokio::select! {
                dialled = self.dial(&config, &trouble, &mut serving, (&pool, &drain)) => dialled,
                _ = drain.started() => break,
            };
            match dialled {
                Ok(standing) => {
                    trouble.stands(&config, &standing.gateway);
                    stay(&standing.handle, &config, &mut changes, &drain).await;
                    if standing.since.elapsed() > config.max_backoff {
                        backoff.succeeded();
                        trouble.over();
                    }
                }
                Err(error) => trouble.tell(&config.serving.name, &error.to_string()),
            }
            backoff.failed(Instant::now(), chance());
            let pause = backoff.not_before().map(|at| at.saturating_duration_since(Instant::now()));
            tokio::select! {
                () = sleep(pause.unwrap_or_default()) => {}
                _ = drain.started() => {}
            }
            while serving.try_join_next().is_some() {}
        }
        while serving.join_next().await.is_some() {}
    }

    /// Dials, and serves in a task of its own: its tunnels go on when the next connection stands already.
    async fn dial(
        &self,
        config: &ReverseConfig,
        trouble: &Trouble,
        serving: &mut JoinSet<()>,
        (pool, drain): (&Pool, &Drain),
    ) -> Result<Standing, TunnelError> {
        let (gateway, connect) = (&config.gateway, &config.connect);
        let identity = &config.serving.identity;
        let (side, alpn) =
            if config.shared { (Side::Client, Alpn::Tunnels) } else { (Side::Server, Alpn::Reverse) };
        let name = config
            .name
            .as_ref()
            .filter(|_| !config.shared)
            .and_then(|name| DnsName::try_from(name.as_str().to_owned()).ok());
        let client = identity.client_config_for(&gateway.expected, alpn, name.is_some())?;
        let shaken = shake(identity, gateway, connect, client, name.map(ServerName::DnsName), |_| ()).await;
        let Shaken { tls, peer, not_after, address } = shaken.map_err(in_reverse)?;
        let (wire, verdict) = Watched::new(tls);
        let connection = Config { server_streams: config.shared, ..settings(&config.serving.connection) };
        let (handle, incoming, driver) = establish(side, wire, connection);
        let driver = tokio::spawn(driver);
        let settings = Settings::new(&handle, verdict, &gateway.address, connect.handshake_timeout);
        settings.arrive().await.map_err(in_reverse)?;
        let refusal = TunnelError::NotAdmitted { peer: gateway.address.clone() };
        let (hop, who) = (Hop::Node(gateway.clone()), (peer.clone(), not_after));
        let adopted = config.shared.then(|| pool.adopt(identity, &hop, handle.clone(), who));
        let met = Met { who: Who::new(Some(Arc::new(peer.clone())), address), not_after };
        let (inbound, pool) = (self.inbound.clone(), pool.clone());
        let (drain, trouble) = (drain.clone(), trouble.clone());
        let (own, section) = (handle.clone(), config.serving.name.clone());
        serving.spawn(async move {
            let _adopted = adopted;
            let end = inbound.attend((own, incoming, driver), met, pool, &drain).await;
            if end.is_some_and(|end| is_refusal(&end)) {
                trouble.tell(&section, &refusal.to_string());
            }
        });
        Ok(Standing { handle, gateway: peer, since: Instant::now() })
    }
}

/// What a fault means where it is the gateway's.
fn in_reverse(error: TunnelError) -> TunnelError {
    if let TunnelError::NotHttp2 { peer } = error {
        return TunnelError::NoReception { peer };
    }
    if let TunnelError::Connection { peer, error: end } = &error
        && is_refusal(end)
    {
        return TunnelError::NotAdmitted { peer: peer.clone() };
    }
    error
}

/// Whether the gateway has said that we may not hold the name.
fn is_refusal(end: &ConnectionError) -> bool {
    matches!(end, ConnectionError::Goaway { code, .. } if *code == REFUSED)
}

/// Resolves when there should be another connection.
async fn stay(
    handle: &Handle,
    config: &ReverseConfig,
    changes: &mut watch::Receiver<Arc<ReverseConfig>>,
    drain: &Drain,
) {
    let outdated = async {
        while changes.changed().await.is_ok() {
            let new = Arc::clone(&changes.borrow_and_update());
            let same = new.serving.identity.serial() == config.serving.identity.serial();
            if !same || new.gateway != config.gateway || new.name != config.name {
                return handle.drain(expiry::GRACE);
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        () = handle.draining() => {}
        () = outdated => {}
        _ = drain.started() => {}
    }
}

/// What was told last of what goes wrong: a gateway that is away for a day is one line.
#[derive(Clone, Debug, Default)]
struct Trouble(Arc<Mutex<Option<String>>>);

impl Trouble {
    fn tell(&self, name: &str, cause: &str) {
        let mut last = self.0.lock();
        if last.as_deref() != Some(cause) {
            tracing::warn!(target: TARGET, name, cause, "no reverse tunnel");
            *last = Some(cause.to_owned());
        }
    }

    fn stands(&self, config: &ReverseConfig, peer: &SpiffeId) {
        let (name, gateway) = (&*config.serving.name, &config.gateway.address);
        tracing::info!(target: TARGET, name, %gateway, %peer, "connected to the gateway");
    }

    fn over(&self) {
        *self.0.lock() = None;
    }
}

const TARGET: &str = "hbone::reverse";
