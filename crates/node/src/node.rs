//! A running node: the listeners of a resolved configuration, served until they are drained.
//! Started by `run` and, twice, by the demo. Knows nothing of files and signals.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hbone_tunnel::{
    ConnectConfig, Drain, DrainReport, Inbound, InboundConfig, InboundLimits, Outbound, OutboundConfig, Pool,
    PoolConfig, RelayLimits, Shutdown, drain,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::{error, info};

use crate::config::{self, Limits, Resolved};
use crate::exit::{Exit, Failure};

/// A node whose listeners accept connections.
#[derive(Debug)]
pub struct Node {
    listeners: Vec<Bound>,
    shutdown: Shutdown,
    pool: Pool,
    tasks: JoinSet<()>,
}

/// A listener and the address that it really has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Its name in the configuration.
    pub name: String,
    /// The address, with the port that the system chose if it was asked to.
    pub address: SocketAddr,
}

impl Node {
    /// Binds every listener and serves them on the current runtime; nothing is served when one cannot be bound.
    ///
    /// # Errors
    /// All listeners that cannot be bound, by name; an identity that TLS refuses.
    pub async fn start(config: &Resolved) -> Result<Self, Failure> {
        let captures = bind(config.captures.iter().map(|it| (it.name.as_str(), it.bind))).await;
        let inbounds = bind(config.inbounds.iter().map(|it| (it.name.as_str(), it.bind))).await;
        let (captures, inbounds) = match (captures, inbounds) {
            (Ok(captures), Ok(inbounds)) => (captures, inbounds),
            (captures, inbounds) => {
                let faults: Vec<_> =
                    [captures.err(), inbounds.err()].into_iter().flatten().flatten().collect();
                return Err(Failure::new(Exit::Failure, faults.join("\n")));
            }
        };
        let listeners: Vec<_> = captures.iter().chain(&inbounds).map(|(_, bound)| bound.clone()).collect();
        let own_ports: Vec<u16> = listeners.iter().map(|bound| bound.address.port()).collect();
        let (shutdown, drain) = drain();
        let pool = Pool::new(pool(&config.limits));
        let mut node = Self { listeners, shutdown, pool, tasks: JoinSet::new() };
        for (inbound, (listener, bound)) in config.inbounds.iter().zip(inbounds) {
            node.serve_inbound(config, inbound, listener, &bound, &own_ports, drain.clone())?;
        }
        for (capture, (listener, bound)) in config.captures.iter().zip(captures) {
            node.serve_capture(config, capture, listener, &bound, drain.clone());
        }
        Ok(node)
    }

    /// The listeners in the order of the configuration, those of kind `tcp` first.
    pub fn listeners(&self) -> &[Bound] {
        &self.listeners
    }

    /// The address of a listener.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.iter().find(|bound| bound.name == name).map(|bound| bound.address)
    }

    /// Waits until a listener has stopped by itself, which none does unless something is broken.
    pub async fn broken(&mut self) {
        match self.tasks.join_next().await {
            Some(ended) => error!(cause = ?ended.err(), "a listener has stopped"),
            None => std::future::pending().await,
        }
    }

    /// Accepts nothing more, lets live tunnels end until the deadline, then resets them.
    pub async fn drain(&mut self, deadline: Duration) -> DrainReport {
        self.shutdown.start(deadline);
        while self.tasks.join_next().await.is_some() {}
        let report = self.shutdown.finished().await;
        self.pool.close(FAREWELL).await;
        report
    }

    fn serve_inbound(
        &mut self,
        config: &Resolved,
        inbound: &config::Inbound,
        listener: TcpListener,
        bound: &Bound,
        own_ports: &[u16],
        drain: Drain,
    ) -> Result<(), Failure> {
        let limits = &config.limits;
        let (identity, policy) = (Arc::clone(&config.identity), Arc::clone(&config.policy));
        let mut settings = InboundConfig::new(&inbound.name, identity, policy);
        settings.own_ports = own_ports.to_vec();
        settings.baggage = config.baggage.clone();
        settings.istio_status = inbound.istio_status;
        settings.handshake_timeout = limits.handshake_timeout;
        settings.dial_timeout = limits.dial_timeout;
        settings.connection = connection(limits);
        settings.relay = relay(limits);
        let default = InboundLimits::default();
        let bounds = InboundLimits {
            unauthenticated: limits.unauthenticated.unwrap_or(default.unauthenticated),
            connections: default.connections,
            tunnels: limits.tunnels.unwrap_or(default.tunnels),
        };
        let inbound = Inbound::new(settings, bounds)
            .map_err(|error| Failure::new(Exit::Usage, format!("listener `{}`: {error}", bound.name)))?;
        info!(name = bound.name, kind = "hbone", address = %bound.address, "listening");
        self.tasks.spawn(async move { inbound.serve(listener, drain).await });
        Ok(())
    }

    fn serve_capture(
        &mut self,
        config: &Resolved,
        capture: &config::Capture,
        listener: TcpListener,
        bound: &Bound,
        drain: Drain,
    ) {
        let limits = &config.limits;
        let identity = Arc::clone(&config.identity);
        let mut settings = OutboundConfig::new(&capture.name, capture.route.clone(), identity);
        settings.baggage = config.baggage.clone();
        settings.setup_timeout = limits.setup_timeout;
        settings.relay = relay(limits);
        let tunnels = limits.tunnels.unwrap_or(InboundLimits::default().tunnels);
        let outbound = Outbound::new(settings, self.pool.clone(), tunnels);
        let (destination, peer) = (&capture.route.destination, &capture.peer);
        info!(name = bound.name, kind = "tcp", address = %bound.address, %destination, peer, "listening");
        self.tasks.spawn(async move { outbound.serve(listener, drain).await });
    }
}

/// Binds all or names every one that cannot be bound.
async fn bind<'a>(
    wanted: impl Iterator<Item = (&'a str, SocketAddr)>,
) -> Result<Vec<(TcpListener, Bound)>, Vec<String>> {
    let (mut bound, mut faults) = (Vec::new(), Vec::new());
    for (name, address) in wanted {
        let listener = TcpListener::bind(address).await;
        match listener.and_then(|listener| Ok((listener.local_addr()?, listener))) {
            Ok((address, listener)) => bound.push((listener, Bound { name: name.to_owned(), address })),
            Err(error) => {
                faults.push(format!("listener `{name}` cannot bind {address}: {}", bind_cause(&error)))
            }
        }
    }
    if faults.is_empty() { Ok(bound) } else { Err(faults) }
}

fn bind_cause(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let known = [
        (ErrorKind::AddrInUse, "the port is taken; stop the other program or choose another port"),
        (ErrorKind::AddrNotAvailable, "this machine has no such address; choose one of its own"),
        (ErrorKind::PermissionDenied, "not permitted; choose a port over 1023 or give the capability"),
    ];
    let cause = known.iter().find(|(kind, _)| *kind == error.kind());
    cause.map_or_else(|| error.to_string(), |(_, text)| (*text).to_owned())
}

/// What the limits mean for one HTTP/2 connection.
pub(crate) fn connection(limits: &Limits) -> hbone_conn::Config {
    let mut settings = hbone_conn::Config {
        keepalive_interval: Some(limits.keepalive_interval),
        keepalive_timeout: limits.keepalive_timeout,
        handshake_timeout: limits.handshake_timeout,
        ..hbone_conn::Config::default()
    };
    if let Some(streams) = limits.streams_per_connection {
        settings.max_concurrent_streams = streams;
    }
    settings
}

/// What the limits mean for reaching peers.
pub(crate) fn connect(limits: &Limits) -> ConnectConfig {
    ConnectConfig {
        dial_timeout: limits.dial_timeout,
        handshake_timeout: limits.handshake_timeout,
        connection: connection(limits),
        ..ConnectConfig::default()
    }
}

fn pool(limits: &Limits) -> PoolConfig {
    let default = PoolConfig::default();
    PoolConfig {
        streams_per_connection: limits.streams_per_connection.unwrap_or(default.streams_per_connection),
        max_connections: limits.connections_per_peer.unwrap_or(default.max_connections),
        idle: limits.pool_timeout,
        connect: connect(limits),
        ..default
    }
}

fn relay(limits: &Limits) -> RelayLimits {
    RelayLimits { idle: Some(limits.idle_timeout), half_closed_idle: Some(limits.half_closed_timeout) }
}

/// For the connections of the pool to say goodbye once no tunnel is left.
const FAREWELL: Duration = Duration::from_secs(1);
