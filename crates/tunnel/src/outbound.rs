//! The caller's side: a local listener whose connections go through a far node.
//!
//! Run by the node, one for each listener. A client is answered by nobody before the destination stands:
//! until then its octets wait in its socket. When no tunnel comes about, the client gets a RST and the log one
//! line. Decides no policy: the far node does.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UnixListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::authority::Authority;
use crate::drain::{Drain, Live};
use crate::error::TunnelError;
use crate::front::{Client, Front, FrontError, Origin, Wanted, check_loop, preamble, shake};
use crate::join::{End, join};
use crate::listener::{Listener, Seat};
use crate::metadata::traceparent::Traceparent;
use crate::metadata::{BAGGAGE, FORWARDED, TRACEPARENT, Told, forwarded};
use crate::network::{Network, canonical};
use crate::observe::{Record, Side};
use crate::open::{self, Opener, Passage};
use crate::outcome::{Break, RelayLimits};
use crate::pool::Pool;
use crate::route::Route;
use crate::sockets;
use crate::tls::Identity;
use crate::way::{Routes, Way};
use crate::web::{self, Connection, WebFront};

/// What a listener does with its connections. A snapshot: swapped as a whole by [`Outbound::replace`].
#[derive(Clone, Debug)]
pub struct OutboundConfig {
    /// The listener's name in records.
    pub name: Arc<str>,
    /// How clients say where they want to go.
    pub front: Front,
    /// Which way leads there.
    pub routes: Routes,
    /// The networks of clients; an empty list is everyone. A client of a unix socket is of this host.
    pub allow_from: Vec<Network>,
    /// Who this node is.
    pub identity: Arc<Identity>,
    /// The proxies in front, each of whose connections begins with a header of the PROXY protocol that says who calls;
    /// nobody else is taken. Empty: no headers.
    pub proxies: Vec<Network>,
    /// Ports of this node's own listeners: what was captured on its way to one of them on this host is a loop.
    pub own_ports: Vec<u16>,
    /// What is told of this workload (`baggage`); for telemetry only.
    pub baggage: Option<String>,
    /// Begin a trace (`traceparent`) with every tunnel.
    pub tracing: bool,
    /// Tell the far node the client's address (`forwarded`); for telemetry only.
    pub forwarded: bool,
    /// For clients to say where they want to go.
    pub front_timeout: Duration,
    /// For everything from then on until the tunnel stands. Under the connection's `keepalive_interval` and
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
    /// A listener whose connections all take one route. The defaults: `forwarded` is sent, no baggage; 60 s for setting up, which leaves room for noticing that a
    /// pooled connection has died (10 + 20 s), and for a new one.
    pub fn new(name: &str, route: Route, identity: Arc<Identity>) -> Self {
        let routes = Routes::all(Way::Node(route.via));
        Self::with_front(name, Front::Fixed(route.destination), routes, identity)
    }

    /// A listener whose clients say where they want to go; else as [`OutboundConfig::new`].
    pub fn with_front(name: &str, front: Front, routes: Routes, identity: Arc<Identity>) -> Self {
        Self {
            name: name.into(),
            front,
            routes,
            allow_from: Vec::new(),
            proxies: Vec::new(),
            identity,
            own_ports: Vec::new(),
            baggage: None,
            tracing: false,
            forwarded: true,
            front_timeout: Duration::from_secs(10),
            setup_timeout: Duration::from_secs(60),
            relay: RelayLimits::default(),
            unacknowledged: None,
        }
    }

    /// The address of one whom this listener is not for: where proxies announce its clients, of who is no proxy.
    fn stranger(&self, from: Origin) -> Option<IpAddr> {
        let callers = if self.proxies.is_empty() { &self.allow_from } else { &self.proxies };
        not_in(callers, from)
    }
}

/// The address, if it is in none of the networks; an empty list is everybody.
fn not_in(networks: &[Network], from: Origin) -> Option<IpAddr> {
    let address = canonical(from.address()?.ip());
    let known = networks.is_empty() || networks.iter().any(|it| it.contains(address));
    (!known).then_some(address)
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
                    sockets::guard(&tcp);
                    sockets::limit_unacknowledged(&tcp, self.config.borrow().unacknowledged);
                    let client = (Client::Tcp(tcp), Origin::Address(from), Some(seat));
                    self.take(&mut tunnels, client, &pool, &drain);
                }
                Some(_) = tunnels.join_next() => {}
                _ = drain.started() => break,
            }
        }
        drop(listener);
        while tunnels.join_next().await.is_some() {}
    }

    /// The same for a unix socket; see [`Outbound::serve`]. Its clients cannot be told a cut from an end, unless they
    /// have sent what nobody has read.
    pub async fn serve_unix(&self, listener: UnixListener, pool: Pool, drain: Drain) {
        let mut tunnels = JoinSet::new();
        loop {
            tokio::select! {
                (unix, pid) = sockets::accept_unix(&listener) => {
                    let client = (Client::Unix(unix), Origin::Process(pid), None);
                    self.take(&mut tunnels, client, &pool, &drain);
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
        (client, from, seat): (Client, Origin, Option<Seat>),
        pool: &Pool,
        drain: &Drain,
    ) {
        let config = Arc::clone(&self.config.borrow());
        let known = config.front.fixed().map(ToString::to_string).unwrap_or_default();
        let mut record = Record::start(Side::Outbound, &config.name, from, known.as_bytes());
        record.source(config.identity.id());
        if let Some(address) = config.stranger(from) {
            client.into_end().reset();
            record.failed(&TunnelError::Stranger { address });
            return;
        }
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            client.into_end().reset();
            record.failed(&TunnelError::TooManyTunnels { limit: self.max_tunnels });
            return;
        };
        let (live, drain) = (drain.enter(), drain.clone());
        let (pool, identity) = (pool.clone(), Arc::clone(&config.identity));
        let opener = Opener { pool, identity, after: config.setup_timeout };
        let tunnel = Tunnel { from, record, config, opener, live, drain, _place: (slot, seat) };
        tunnels.spawn(Box::new(tunnel).run(client));
    }
}

/// One connection of a client. Boxed while it runs: a task keeps a second place for what it is given.
struct Tunnel {
    from: Origin,
    record: Record,
    config: Arc<OutboundConfig>,
    opener: Opener,
    live: Live,
    drain: Drain,
    _place: (OwnedSemaphorePermit, Option<Seat>),
}

impl Tunnel {
    async fn run(mut self: Box<Self>, client: Client) {
        if let Front::Web(front) = &self.config.front {
            let front = front.clone();
            return Box::pin(self.serve_web(front, client)).await;
        }
        // Boxed: a tunnel is smaller without the ways to it.
        let (near, early, passage) = match Box::pin(self.stand(client)).await {
            Ok(standing) => standing,
            Err(error) => {
                if let TunnelError::Rejected { status, .. } = &error {
                    self.record.status(*status);
                }
                return self.record.failed(&error);
            }
        };
        let Passage { end, status, peer, lease } = passage;
        self.record.stands(status);
        if let Some(peer) = &peer {
            self.record.peer(peer);
        }
        self.live.stands();
        let stop = pin!(async {
            self.drain.expired().await;
            Break::Drained
        });
        let relayed = join(near, end, early, self.config.relay, stop).await;
        drop(lease);
        if relayed.broken.is_none() {
            self.live.finished();
        }
        self.record.ended(&relayed);
    }

    /// A client that sends requests, each of which has a tunnel and a record of its own.
    async fn serve_web(mut self: Box<Self>, front: WebFront, client: Client) {
        let (limit, drain) = (self.config.front_timeout, self.drain.clone());
        let shaking = async {
            let client = self.announced(client).await?;
            match &front.certificates {
                Some(certificates) => {
                    let (end, name) = shake(certificates, client).await?;
                    Ok((end, Some(name)))
                }
                None => Ok((client.into_end(), None)),
            }
        };
        let shaken = tokio::select! {
            shaken = timeout(limit, shaking) => shaken.unwrap_or(Err(FrontError::Timeout(limit).into())),
            () = drain.expired() => return,
        };
        let (near, sni) = match shaken {
            Ok(shaken) => shaken,
            // Strangers that knock and run are of every day.
            Err(TunnelError::Front(FrontError::Gone(_))) => return,
            Err(error) => return self.record.failed(&error),
        };
        let Self { from, config, opener, mut live, _place, .. } = *self;
        live.stands();
        let (listener, baggage, limits) = (Arc::clone(&config.name), config.baggage.clone(), config.relay);
        let connection = Connection { front, listener, from, sni, opener, baggage, limits, drain };
        if web::serve(near, connection).await {
            live.finished();
        }
    }

    /// Everything until the tunnel stands. A client that gets none has been told so and is gone.
    async fn stand(&mut self, client: Client) -> Result<(End, Bytes, Passage), TunnelError> {
        let Wanted { mut near, destination, early, reply } = self.hear(client).await?;
        if self.config.front.fixed().is_none() {
            self.record.destination(destination.to_string().as_bytes());
        }
        let told = self.told();
        let opening = tokio::select! {
            biased;
            _ = near.failure() => Err(TunnelError::ClientGone),
            opened = self.open(&destination, &told) => opened,
            () = self.drain.expired() => Err(TunnelError::Draining),
        };
        let passage = match opening {
            Ok(passage) => passage,
            Err(error) => {
                reply.refused(near, &error).await;
                return Err(error);
            }
        };
        if reply.granted(&mut near).await.is_err() {
            near.reset();
            passage.end.reset();
            return Err(TunnelError::ClientGone);
        }
        Ok((near, early, passage))
    }

    /// The client behind what a proxy says of it, if one stands before this listener.
    ///
    /// # Errors
    /// Also when this listener is not for that client.
    async fn announced(&mut self, mut client: Client) -> Result<Client, TunnelError> {
        if self.config.proxies.is_empty() {
            return Ok(client);
        }
        if let Some(address) = preamble::hear(&mut client).await? {
            self.from = Origin::Address(address);
            self.record.client(self.from);
        }
        match not_in(&self.config.allow_from, self.from) {
            Some(address) => {
                client.into_end().reset();
                Err(TunnelError::Stranger { address })
            }
            None => Ok(client),
        }
    }

    async fn hear(&mut self, client: Client) -> Result<Wanted, TunnelError> {
        let (limit, drain) = (self.config.front_timeout, self.drain.clone());
        let heard = async {
            let client = self.announced(client).await?;
            Ok(self.config.front.hear(client).await?)
        };
        tokio::select! {
            heard = timeout(limit, heard) => heard.unwrap_or(Err(FrontError::Timeout(limit).into())),
            () = drain.expired() => Err(TunnelError::Draining),
        }
    }

    async fn open(&self, destination: &Authority, told: &open::Told) -> Result<Passage, TunnelError> {
        let way = self.config.routes.find(destination);
        let way = way.ok_or_else(|| TunnelError::NoRoute { destination: destination.clone() })?;
        if self.config.front.is_transparent() {
            check_loop(destination, way, &self.config.own_ports)?;
        }
        self.opener.open(way, destination, told).await
    }

    fn told(&mut self) -> Vec<(&'static str, String)> {
        let mut told = Vec::new();
        if let Some(address) = self.from.address().filter(|_| self.config.forwarded) {
            told.push((FORWARDED, forwarded::write(address)));
        }
        if let Some(baggage) = &self.config.baggage {
            told.push((BAGGAGE, baggage.clone()));
        }
        if self.config.tracing {
            let trace = Traceparent::fresh();
            told.push((TRACEPARENT, trace.to_string()));
            self.record.told(Some(Box::new(Told { trace: Some(trace), ..Told::default() })));
        }
        told
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
