//! The caller's side: a local listener whose connections go through a far node.
//!
//! Run by the node, one for each listener. A client is answered by nobody before the destination stands:
//! until then its octets wait in its socket. When no tunnel comes about, the client gets a RST and the log one
//! line. Decides no policy: the far node does.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hbone_conn::Request;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::drain::{Drain, Live};
use crate::error::TunnelError;
use crate::listener::{Listener, Seat};
use crate::observe::{Record, Side};
use crate::outcome::{Break, RelayLimits};
use crate::pool::{Opened, Pool};
use crate::relay::relay;
use crate::route::Route;
use crate::sockets;
use crate::tls::Identity;

/// What a listener does with its connections. A snapshot: swapped as a whole by [`Outbound::replace`].
#[derive(Clone, Debug)]
pub struct OutboundConfig {
    /// The listener's name in records.
    pub name: String,
    /// Where its connections go.
    pub route: Route,
    /// Who this node is.
    pub identity: Arc<Identity>,
    /// What is told of this workload (`baggage`); for telemetry only.
    pub baggage: Option<String>,
    /// Tell the far node the client's address (`forwarded`); for telemetry only.
    pub forwarded: bool,
    /// For everything before the tunnel stands. Under the connection's `keepalive_interval` and
    /// `keepalive_timeout` together, a pooled connection that has died costs the tunnel that finds out.
    pub setup_timeout: Duration,
    /// How long a tunnel may be silent.
    pub relay: RelayLimits,
    /// The longest that octets sent to the client may stay unacknowledged, or its window shut: TCP_USER_TIMEOUT.
    /// It also ends clients that merely do not read for so long. `None` leaves it to the system (about 15 min
    /// for a host that is gone; a client that does not read may do so for ever).
    pub unacknowledged: Option<Duration>,
}

impl OutboundConfig {
    /// The defaults: `forwarded` is sent, no baggage; 60 s for setting up, which leaves room for noticing that a
    /// pooled connection has died (10 + 20 s), and for a new one.
    pub fn new(name: &str, route: Route, identity: Arc<Identity>) -> Self {
        Self {
            name: name.to_owned(),
            route,
            identity,
            baggage: None,
            forwarded: true,
            setup_timeout: Duration::from_secs(60),
            relay: RelayLimits::default(),
            unacknowledged: None,
        }
    }
}

/// The outbound side of one listener. Clones are the same.
#[derive(Clone, Debug)]
pub struct Outbound {
    config: Arc<watch::Sender<Arc<OutboundConfig>>>,
    max_tunnels: usize,
    slots: Arc<Semaphore>,
}

impl Outbound {
    /// A listener's side, with at most `max_tunnels` tunnels at a time.
    pub fn new(config: OutboundConfig, max_tunnels: usize) -> Self {
        let max_tunnels = max_tunnels.min(Semaphore::MAX_PERMITS);
        let (config, _) = watch::channel(Arc::new(config));
        Self { config: Arc::new(config), max_tunnels, slots: Arc::new(Semaphore::new(max_tunnels)) }
    }

    /// New tunnels follow this configuration; those that stand are left alone.
    pub fn replace(&self, config: OutboundConfig) {
        self.config.send_replace(Arc::new(config));
    }

    /// Takes connections until the drain starts, then waits for the last tunnel, which the drain's deadline
    /// ends. Clones may serve on other runtimes at the same time, each with the pool of its own.
    pub async fn serve(&self, mut listener: Listener, pool: Pool, drain: Drain) {
        // Clients in the listener's queue must not take our end for an empty answer.
        sockets::guard(&listener);
        let mut tunnels = JoinSet::new();
        loop {
            tokio::select! {
                (tcp, from, seat) = listener.accept(|| false) => {
                    self.take(&mut tunnels, (tcp, from, seat), &pool, &drain);
                }
                Some(_) = tunnels.join_next() => {}
                _ = drain.started() => break,
            }
        }
        drop(listener);
        while tunnels.join_next().await.is_some() {}
    }

    fn take(
        &self,
        tunnels: &mut JoinSet<()>,
        (tcp, from, seat): (TcpStream, SocketAddr, Seat),
        pool: &Pool,
        drain: &Drain,
    ) {
        sockets::guard(&tcp);
        let config = Arc::clone(&self.config.borrow());
        sockets::limit_unacknowledged(&tcp, config.unacknowledged);
        let destination = config.route.destination.to_string();
        let mut record = Record::start(Side::Outbound, &config.name, from, destination.as_bytes());
        record.source(config.identity.id());
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            sockets::reset(tcp);
            record.failed(&TunnelError::TooManyTunnels { limit: self.max_tunnels });
            return;
        };
        let (live, drain) = (drain.enter(), drain.clone());
        let pool = pool.clone();
        let tunnel = Tunnel { tcp, from, record, config, pool, live, drain, _place: (slot, seat) };
        tunnels.spawn(Box::new(tunnel).run());
    }
}

/// One connection of a client. Boxed while it runs: a task keeps a second place for what it is given.
struct Tunnel {
    tcp: TcpStream,
    from: SocketAddr,
    record: Record,
    config: Arc<OutboundConfig>,
    pool: Pool,
    live: Live,
    drain: Drain,
    _place: (OwnedSemaphorePermit, Seat),
}

impl Tunnel {
    async fn run(mut self: Box<Self>) {
        // Boxed: a tunnel is smaller without the ways to it.
        let opening = Box::pin(async {
            tokio::select! {
                biased;
                _ = sockets::failure(&self.tcp) => Err(TunnelError::ClientGone),
                opened = self.open() => opened,
                () = self.drain.expired() => Err(TunnelError::Draining),
            }
        });
        let (stream, lease) = match opening.await {
            Ok(Opened { stream, response, lease }) => {
                self.record.status(response.status());
                self.record.peer(lease.peer());
                (stream, lease)
            }
            Err(error) => {
                sockets::reset(self.tcp);
                if let TunnelError::Rejected { status, .. } = &error {
                    self.record.status(*status);
                }
                return self.record.failed(&error);
            }
        };
        self.live.stands();
        let stop = pin!(async {
            self.drain.expired().await;
            Break::Drained
        });
        let relayed = relay(self.tcp, stream, self.config.relay, stop).await;
        drop(lease);
        if relayed.broken.is_none() {
            self.live.finished();
        }
        self.record.ended(&relayed);
    }

    async fn open(&self) -> Result<Opened, TunnelError> {
        let (route, after) = (&self.config.route, self.config.setup_timeout);
        let request = self.request();
        let opened = timeout(after, self.pool.connect(&self.config.identity, &route.via, &request))
            .await
            .map_err(|_| TunnelError::SetupTimeout { peer: route.via.address.clone(), after })??;
        match opened.response.status() {
            // Exactly 200: any other answer to a CONNECT is no tunnel of HBONE.
            200 => Ok(opened),
            status => {
                let (peer, destination) = (route.via.address.clone(), route.destination.clone());
                Err(TunnelError::Rejected { peer, destination, status })
            }
        }
    }

    fn request(&self) -> Request {
        let mut request = Request::connect(&self.config.route.destination.to_string());
        if self.config.forwarded {
            request.push("forwarded", &format!("for=\"{}\"", self.from));
        }
        if let Some(baggage) = &self.config.baggage {
            request.push("baggage", baggage);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::ConnectConfig;
    use crate::testing::{Authority, Leaf};

    #[test]
    fn f02_setting_up_outlasts_the_discovery_that_a_pooled_connection_is_dead() {
        let id = "spiffe://td/ns/a/sa/alice";
        let identity = Arc::new(Authority::new().identity(&Leaf::of(id)).unwrap());
        let at = |text: &str| text.parse().unwrap();
        let route = Route::new(at("10.0.0.1:80"), at("10.0.0.2:15008"), vec![id.parse().unwrap()]).unwrap();
        let connect = ConnectConfig::default();
        let discovery = connect.connection.keepalive_interval.unwrap() + connect.connection.keepalive_timeout;
        let again = connect.dial_timeout + connect.handshake_timeout;
        assert!(OutboundConfig::new("out", route, identity).setup_timeout > discovery + again);
    }
}
