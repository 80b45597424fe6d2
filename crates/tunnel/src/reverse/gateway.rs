//! The gateway's side of one reverse connection: who dialled is registered, and served tunnels, until it ends.
//!
//! Called by the inbound side once TLS stands and `h2r` was agreed on. Sends nothing down the connection itself: the
//! opener does, by way of the registry. Decides with `names` who may hold what.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hbone_conn::{Config, ErrorCode, Handle, Side, Tls, establish};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::drain::Drain;
use crate::expiry;
use crate::identity::SpiffeId;
use crate::inbound_config::InboundConfig;

use super::name::ReverseName;
use super::names::ReverseNames;
use super::registry::{Registration, Registry, Taken};

/// That a listener takes reverse connections, and what becomes of them.
#[derive(Clone, Debug)]
pub struct Reception {
    /// Where they are registered; of one node the same for all listeners.
    pub registry: Registry,
    /// Who may hold which name.
    pub names: Arc<ReverseNames>,
}

/// Who has dialled.
pub(crate) struct Dialled {
    pub(crate) tls: Tls<TcpStream>,
    pub(crate) source: Arc<SpiffeId>,
    pub(crate) from: SocketAddr,
    /// The last second in which its certificate is valid.
    pub(crate) not_after: SystemTime,
}

/// Why a connection is not registered.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    /// The name that it asks for is none.
    NoName(String),
    /// The name belongs to others.
    NotItsName(ReverseName),
    /// Another identity holds its names.
    Taken(Option<Taken>),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName(_) => f.write_str("it asks for a name that is none; check the names at the node"),
            Self::NotItsName(name) => {
                write!(f, "it may not hold the name {name}; bind the name to its identity, or check the node")
            }
            Self::Taken(Some(taken)) => taken.fmt(f),
            Self::Taken(None) => f.write_str("there is no name that it may hold; bind one to its identity"),
        }
    }
}

impl Reception {
    /// Registers who has dialled and stays with the connection to its end.
    pub(crate) async fn hold(&self, dialled: Dialled, config: &InboundConfig, drain: &Drain) {
        let Dialled { tls, source, from, not_after } = dialled;
        let asked = tls.server_name().map(str::to_owned);
        let (handle, _, driver) = establish(Side::Client, tls, settings(&config.connection));
        let mut driver = tokio::spawn(driver);
        if handle.ready().await.is_err() {
            tracing::debug!(target: TARGET, source = %source, client = %from, "no reverse connection");
            return;
        }
        let local = config.identity.id();
        let ended = match self.register(asked, &source, local, &handle, from) {
            Ok(registration) => {
                let leaves = async {
                    listed(registration, &source, from, &handle).await;
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = tend(&handle, not_after.min(config.identity.not_after()), drain) => false,
                    () = leaves => false,
                    _ = &mut driver => true,
                }
            }
            Err(refusal) => {
                tracing::warn!(
                    target: TARGET, listener = &*config.name, source = %source, client = %from, cause = %refusal,
                    "a node is not registered"
                );
                handle.close(REFUSED);
                false
            }
        };
        drop(handle);
        if ended {
            // What has ended must not be asked again.
            return;
        }
        let overdue = async {
            drain.expired().await;
            sleep(FAREWELL).await;
        };
        tokio::select! {
            _ = &mut driver => {}
            () = overdue => driver.abort(),
        }
    }

    /// Registers who has dialled an ordinary connection and takes streams on it (docs/protocol.md, section 4), for as
    /// long as it may. Never resolves.
    pub(crate) async fn share(
        &self,
        handle: Handle,
        source: &Arc<SpiffeId>,
        from: SocketAddr,
        local: &SpiffeId,
    ) {
        if handle.ready().await.is_ok() && handle.open_slots() > 0 {
            match self.register(None, source, local, &handle, from) {
                Ok(registration) => listed(registration, source, from, &handle).await,
                Err(cause) => {
                    tracing::debug!(target: TARGET, source = %source, client = %from, %cause, "a node is not registered")
                }
            }
        }
        drop(handle);
        std::future::pending().await
    }

    fn register(
        &self,
        asked: Option<String>,
        source: &Arc<SpiffeId>,
        local: &SpiffeId,
        handle: &Handle,
        from: SocketAddr,
    ) -> Result<Registration, Refusal> {
        let names = match asked {
            None => self.names.of(source, local),
            Some(text) => {
                let name: ReverseName = text.parse().map_err(|_| Refusal::NoName(text))?;
                if !self.names.may_hold(&name, source, local) {
                    return Err(Refusal::NotItsName(name));
                }
                vec![name]
            }
        };
        let may_hold = |name: &ReverseName, holder: &SpiffeId| self.names.may_hold(name, holder, local);
        let registered = self.registry.register(&names, source, handle, from, may_hold);
        let (registration, older) = registered.map_err(Refusal::Taken)?;
        for older in older {
            tokio::spawn(end_if_stale(older));
        }
        Ok(registration)
    }
}

/// Keeps the registration for as long as new tunnels may be opened.
async fn listed(registration: Registration, source: &SpiffeId, from: SocketAddr, handle: &Handle) {
    let names = registration.names().iter().map(ReverseName::as_str).collect::<Vec<_>>().join(", ");
    tracing::info!(target: TARGET, source = %source, client = %from, names, "a node is registered");
    handle.draining().await;
    drop(registration);
    tracing::info!(target: TARGET, source = %source, client = %from, names, "a registered node goes away");
}

/// What holds for these connections only: one without tunnels stays.
pub(super) fn settings(connection: &Config) -> Config {
    Config { idle_timeout: None, max_age: None, server_streams: false, ..connection.clone() }
}

/// Lets the connection go when the node shuts down or a certificate ends; pending until the connection has ended.
async fn tend(handle: &Handle, not_after: SystemTime, drain: &Drain) {
    let say_goodbye = async {
        handle.drain(drain.started().await);
        // A second, shorter deadline must reach the connection too.
        drain.expired().await;
        handle.drain(Duration::ZERO);
    };
    let expire = async {
        expiry::passed(not_after).await;
        handle.drain(expiry::GRACE);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = say_goodbye => {}
        () = expire => {}
    }
}

/// An older connection of a node that has come back: one that answers stays, and is a spare; one that does not is
/// ended now rather than when its keepalive has run out, and its tunnels are reset.
async fn end_if_stale(older: Handle) {
    if timeout(STALE, older.ping()).await.is_err() {
        older.close(ErrorCode::NO_ERROR);
    }
}

/// What a node that is not registered is told in GOAWAY.
pub(super) const REFUSED: ErrorCode = ErrorCode::REFUSED_STREAM;
const TARGET: &str = "hbone::reverse";
/// For the answer of a connection whose node has dialled again.
const STALE: Duration = Duration::from_secs(3);
/// For the last frames of a connection after the deadline of a drain.
const FAREWELL: Duration = Duration::from_secs(2);
