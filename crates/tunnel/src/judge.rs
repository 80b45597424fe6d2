//! What the policy of a listener says of one of its callers, and the log line of what a dry run would have said.
//!
//! Called by the inbound side for every tunnel, and again when its configuration is replaced. Gathers facts; the
//! policy decides.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::access::Access;
use crate::authority::Authority;
use crate::claims::Claims;
use crate::denial::Denial;
use crate::escape::Escaped;
use crate::identity::SpiffeId;
use crate::inbound_config::InboundConfig;
use crate::policy::Decision;
use crate::sockets;

/// What is known of a caller for as long as its tunnel lives.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// None without mutual TLS.
    pub(crate) source: Option<Arc<SpiffeId>>,
    pub(crate) from: SocketAddr,
    /// The name in its ClientHello, in lower case.
    pub(crate) server_name: Option<Arc<str>>,
    /// What its token says, if it had to show one.
    pub(crate) claims: Option<Arc<Claims>>,
}

impl Who {
    /// Who has dialled, or nobody, from an address; nothing else is known.
    pub(crate) const fn new(source: Option<Arc<SpiffeId>>, from: SocketAddr) -> Self {
        Self { source, from, server_name: None, claims: None }
    }

    /// With the name that it has called by TLS, if it has named one.
    pub(crate) fn naming(self, name: Option<&str>) -> Self {
        Self { server_name: name.map(|name| name.to_ascii_lowercase().into()), ..self }
    }

    /// Whether the caller may have it. `address` is what would be dialled, once it is known; `onward` that another
    /// node is asked for it.
    pub(crate) fn judge(
        &self,
        config: &InboundConfig,
        authority: &Authority,
        address: Option<IpAddr>,
        onward: bool,
    ) -> Result<(), Denial> {
        match config.policy.decide(&self.access(config, authority, address, onward)) {
            Decision::Allow { .. } => Ok(()),
            Decision::Deny(denial) => Err(denial),
        }
    }

    /// The same, for a new tunnel: what a dry run would have done is told once for what decides.
    pub(crate) fn admit(
        &self,
        config: &InboundConfig,
        authority: &Authority,
        address: Option<IpAddr>,
        onward: bool,
    ) -> Result<(), Denial> {
        let access = self.access(config, authority, address, onward);
        let decision = config.policy.decide(&access);
        if (address.is_some() || onward || !decision.allowed())
            && let Some(rehearsal) = config.policy.rehearse(&access, &decision)
        {
            let source = self.source.as_ref().map_or("-", |source| source.as_str());
            tracing::info!(
                target: TARGET,
                listener = &*config.name,
                source,
                client = %self.from,
                destination = %Escaped::new(authority.to_string().as_bytes()),
                rule = rehearsal.rule,
                would = %rehearsal.action,
                differs = rehearsal.differs,
                "dry run"
            );
        }
        match decision {
            Decision::Allow { .. } => Ok(()),
            Decision::Deny(denial) => Err(denial),
        }
    }

    fn access<'a>(
        &'a self,
        config: &'a InboundConfig,
        authority: &'a Authority,
        address: Option<IpAddr>,
        onward: bool,
    ) -> Access<'a> {
        let own_listener = is_own_listener(&config.own_ports, authority, address);
        Access {
            from: Some(self.from.ip()),
            server_name: self.server_name.as_deref(),
            listener: &config.name,
            claims: self.claims.as_deref(),
            address,
            own_listener,
            onward,
            ..Access::new(self.source.as_deref(), authority)
        }
    }
}

/// Whether a destination is a listener of this node, which listens on those ports: an address of this host, as it is
/// asked for or as it would be dialled.
pub fn is_own_listener(ports: &[u16], authority: &Authority, address: Option<IpAddr>) -> bool {
    let known = address.or_else(|| authority.address().map(|address| address.ip()));
    ports.contains(&authority.port()) && known.is_some_and(sockets::is_this_host)
}

/// Subscribers choose dry runs by this target.
const TARGET: &str = "hbone::policy";
