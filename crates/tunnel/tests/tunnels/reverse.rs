//! Reverse tunnels: a node that nobody dials is reached through the gateway that it has dialled, by its name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hbone_tunnel::{
    Front, Inbound, InboundConfig, InboundLimits, OutboundConfig, Peer, Pool, PoolConfig, Reception,
    Registry, ReverseConfig, ReverseDialer, ReverseName, ReverseNames, ReversePeer, Routes, Serves, Shutdown,
    Way,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::captured;
use crate::common::{
    ALICE, BOB, Ca, End, Running, bind, echo, fin, id, loopback_policy, read_end, service, within,
};

const GATE: &str = "spiffe://td/ns/a/sa/gate";

/// A gateway with an entry whose connections go to who holds `home`.
struct Gateway {
    running: Running,
    inbound: Inbound,
    ca: Arc<Ca>,
    registry: Registry,
    /// Nodes dial here.
    node: SocketAddr,
    /// Clients connect here.
    entry: SocketAddr,
}

impl Gateway {
    async fn new() -> Self {
        let (listener, _) = bind().await;
        Self::on(listener, Arc::new(Ca::new())).await
    }

    async fn on(listener: TcpListener, ca: Arc<Ca>) -> Self {
        let (mut running, registry, node) =
            (Running::new(), Registry::default(), listener.local_addr().unwrap());
        let config = reception(&ca, &registry, BOB);
        let inbound = running.inbound_on(listener, config, InboundLimits::default());
        let way = Way::Reverse(ReversePeer { name: name("home"), expected: vec![id(BOB)] });
        let front = Front::Fixed("web.home:80".parse().unwrap());
        let out = OutboundConfig::with_front("out", front, Routes::all(way), ca.identity(GATE));
        let pool = Pool::new(PoolConfig { registry: registry.clone(), ..PoolConfig::default() });
        let (entry, _) = running.outbound(out, pool).await;
        Self { running, inbound, ca, registry, node, entry }
    }

    /// A node that serves one local service to this gateway, which it dials at `at`.
    fn node(&self, who: &str, at: SocketAddr, service: SocketAddr) -> Node {
        Node::start(&self.ca, who, at, Serves::One(service.try_into().unwrap()), None)
    }

    async fn registered(&self, count: usize) {
        within(async {
            while self.registry.connections(&name("home")) != count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    async fn round_trip(&self) {
        let mut client = TcpStream::connect(self.entry).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        fin(&client);
        assert_eq!(read_end(&mut client).await, (b"ping".to_vec(), End::Fin));
    }
}

/// A gateway's side where `home` is bound to one identity.
fn reception(ca: &Ca, registry: &Registry, holder: &str) -> InboundConfig {
    let mut names = ReverseNames::default();
    names.bind(name("home"), &[id(holder)]);
    let mut config = InboundConfig::new("gate", ca.identity(GATE), loopback_policy(GATE));
    config.reverse = Some(Reception { registry: registry.clone(), names: Arc::new(names) });
    config
}

/// A node behind the gateway.
struct Node {
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Node {
    fn start(ca: &Ca, who: &str, gateway: SocketAddr, serves: Serves, asks: Option<&str>) -> Self {
        let peer =
            Peer { address: gateway.try_into().unwrap(), others: Vec::new(), expected: vec![id(GATE)] };
        let own = loopback_policy(who);
        let policy = serves.policy(&own, "reverse", &peer.expected, &[]).unwrap();
        let mut serving = InboundConfig::new("home", ca.identity(who), Arc::new(policy));
        serving.serves = serves;
        let mut config = ReverseConfig::new(peer, serving);
        config.name = asks.map(|text| text.parse().unwrap());
        config.max_backoff = Duration::from_millis(200);
        Self::with(config, Pool::new(PoolConfig::default()))
    }

    fn with(config: ReverseConfig, pool: Pool) -> Self {
        let dialer = ReverseDialer::new(config, InboundLimits::default()).unwrap();
        let (shutdown, drain) = hbone_tunnel::drain();
        let task = tokio::spawn(async move { dialer.run(pool, drain).await });
        Self { shutdown, task }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn name(text: &str) -> ReverseName {
    text.parse().unwrap()
}

#[tokio::test]
async fn h2r_a_node_that_nobody_can_dial_is_reached_by_the_name_that_it_holds() {
    let (gateway, service) = (Gateway::new().await, echo().await);
    let _node = gateway.node(BOB, gateway.node, service);
    gateway.round_trip().await;
    for held in ["home", "bob", BOB] {
        assert_eq!(gateway.registry.connections(&name(held)), 1, "{held}");
    }
    let records = within(captured::events("tunnel", 2)).await;
    let inbound = records.iter().find(|it| it.contains("inbound")).unwrap();
    assert!(inbound.contains(GATE), "the caller is the gateway: {inbound}");
}

#[tokio::test]
async fn h2r_the_destinations_reset_and_end_arrive_as_such() {
    let gateway = Gateway::new().await;
    let service = service(|mut tcp| async move {
        let mut first = [0; 1];
        tcp.read_exact(&mut first).await.unwrap();
        match &first {
            b"r" => crate::common::reset(tcp),
            _ => {
                fin(&tcp);
                let mut rest = Vec::new();
                assert_eq!(tcp.read_to_end(&mut rest).await.unwrap(), 4);
            }
        }
    })
    .await;
    let _node = gateway.node(BOB, gateway.node, service);
    let mut client = TcpStream::connect(gateway.entry).await.unwrap();
    client.write_all(b"r").await.unwrap();
    assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset));
    // The server ends first; what the client sends after that still arrives.
    let mut client = TcpStream::connect(gateway.entry).await.unwrap();
    client.write_all(b"f").await.unwrap();
    assert_eq!(read_end(&mut client).await, (Vec::new(), End::Fin));
    client.write_all(b"late").await.unwrap();
    fin(&client);
}

#[tokio::test]
async fn t33_another_identity_is_refused_a_name_that_is_not_its_own_and_tries_on() {
    let (gateway, service) = (Gateway::new().await, echo().await);
    let serves = Serves::One(service.try_into().unwrap());
    let _thief = Node::start(&gateway.ca, ALICE, gateway.node, serves, Some("home"));
    let refusals = within(captured::events("a node is not registered", 2)).await;
    assert!(refusals.iter().all(|it| it.contains(ALICE) && it.contains("may not hold the name home")));
    assert_eq!(gateway.registry.connections(&name("home")), 0);
    let told = within(captured::events("no reverse tunnel", 1)).await;
    assert!(told[0].contains("does not let us hold the name"), "{told:?}");
    let _owner = gateway.node(BOB, gateway.node, service);
    gateway.round_trip().await;
}

#[tokio::test]
async fn t33_a_name_that_is_bound_anew_goes_to_its_new_holder_though_the_old_one_is_there() {
    let (gateway, service) = (Gateway::new().await, echo().await);
    let _old = gateway.node(BOB, gateway.node, service);
    gateway.registered(1).await;
    gateway.inbound.replace(reception(&gateway.ca, &gateway.registry, ALICE)).unwrap();
    let serves = Serves::One(service.try_into().unwrap());
    let _new = Node::start(&gateway.ca, ALICE, gateway.node, serves, Some("home"));
    let told = within(captured::events("a node is registered", 2)).await;
    assert!(told[1].contains(ALICE) && told[1].contains("names=home "), "{told:?}");
    assert_eq!(gateway.registry.connections(&name("home")), 1, "the old holder is out");
    assert_eq!(gateway.registry.connections(&name(BOB)), 1, "its own names are its own");
}

/// Hands connections on to a node until it freezes: then they stay open, and nothing passes.
async fn freezing(node: SocketAddr) -> (SocketAddr, tokio::sync::watch::Sender<bool>) {
    let (freeze, frozen) = tokio::sync::watch::channel(false);
    let address = service(move |mut tcp| {
        let mut frozen = frozen.clone();
        async move {
            let mut node = TcpStream::connect(node).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut tcp, &mut node) => {}
                () = async { drop(frozen.wait_for(|it| *it).await) } => {}
            }
            std::future::pending::<()>().await;
        }
    })
    .await;
    (address, freeze)
}

#[tokio::test]
async fn t33_the_same_identity_takes_over_its_stale_registration_at_once() {
    let (gateway, service) = (Gateway::new().await, echo().await);
    let (front, freeze) = freezing(gateway.node).await;
    let _lost = gateway.node(BOB, front, service);
    let mut stuck = TcpStream::connect(gateway.entry).await.unwrap();
    stuck.write_all(b"x").await.unwrap();
    stuck.read_exact(&mut [0]).await.unwrap();
    freeze.send_replace(true);
    let _back = gateway.node(BOB, gateway.node, service);
    gateway.registered(2).await;
    // The new one is asked, although the stale one still looks alive.
    for _ in 0..3 {
        gateway.round_trip().await;
    }
    // That one is found out by a PING, long before its keepalive has run out, and its tunnels are reset.
    assert_eq!(read_end(&mut stuck).await, (Vec::new(), End::Reset));
    gateway.registered(1).await;
}

#[tokio::test]
async fn t33_a_second_connection_of_the_holder_is_a_spare_while_both_live() {
    let (gateway, service) = (Gateway::new().await, echo().await);
    let first = gateway.node(BOB, gateway.node, service);
    gateway.registered(1).await;
    let second = gateway.node(BOB, gateway.node, service);
    gateway.registered(2).await;
    gateway.round_trip().await;
    second.shutdown.start(Duration::from_secs(5));
    gateway.registered(1).await;
    gateway.round_trip().await;
    drop((first, second));
}

#[tokio::test]
async fn h2r_the_tunnel_comes_back_by_itself_after_the_gateway_was_away() {
    let (listener, address) = bind().await;
    let (ca, service) = (Arc::new(Ca::new()), echo().await);
    let mut gateway = Gateway::on(listener, Arc::clone(&ca)).await;
    let _node = gateway.node(BOB, address, service);
    gateway.round_trip().await;
    gateway.running.shutdown.start(Duration::ZERO);
    gateway.running.ended().await;
    drop(gateway);
    within(captured::events("no reverse tunnel", 1)).await;
    let gateway = Gateway::on(TcpListener::bind(address).await.unwrap(), ca).await;
    gateway.round_trip().await;
}

#[tokio::test]
async fn h2r_a_node_that_drains_takes_no_new_tunnels_and_finishes_those_that_stand() {
    let (gateway, service) = (Gateway::new().await, echo().await);
    let mut node = gateway.node(BOB, gateway.node, service);
    let mut client = TcpStream::connect(gateway.entry).await.unwrap();
    client.write_all(b"a").await.unwrap();
    client.read_exact(&mut [0]).await.unwrap();
    node.shutdown.start(Duration::from_secs(20));
    let mut late = TcpStream::connect(gateway.entry).await.unwrap();
    late.write_all(b"l").await.unwrap();
    client.write_all(b"b").await.unwrap();
    fin(&client);
    assert_eq!(read_end(&mut client).await, (b"b".to_vec(), End::Fin));
    within(&mut node.task).await.unwrap();
    assert_eq!(node.shutdown.finished().await.finished, 1);
    // Who came too late waits for the node to come back.
    let _back = gateway.node(BOB, gateway.node, service);
    within(late.read_exact(&mut [0])).await.unwrap();
}

#[tokio::test]
async fn h2r_a_gateway_that_drains_lets_tunnels_finish() {
    let (mut gateway, service) = (Gateway::new().await, echo().await);
    let _node = gateway.node(BOB, gateway.node, service);
    let mut client = TcpStream::connect(gateway.entry).await.unwrap();
    client.write_all(b"a").await.unwrap();
    client.read_exact(&mut [0]).await.unwrap();
    gateway.running.shutdown.start(Duration::from_secs(20));
    client.write_all(b"b").await.unwrap();
    fin(&client);
    assert_eq!(read_end(&mut client).await, (b"b".to_vec(), End::Fin));
    gateway.running.ended().await;
}

#[tokio::test]
async fn h2r_only_what_is_given_away_is_reached() {
    let (gateway, service) = (Gateway::new().await, echo().await);
    let serves = Serves::Ports(vec![(81, service.try_into().unwrap())]);
    let _node = Node::start(&gateway.ca, BOB, gateway.node, serves, None);
    let mut client = TcpStream::connect(gateway.entry).await.unwrap();
    assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset));
    let told = within(captured::events("no tunnel", 2)).await;
    assert!(told.iter().any(|it| it.contains("no service is given away under that port")), "{told:?}");
    assert!(told.iter().any(|it| it.contains("answered 403")), "{told:?}");
}

#[tokio::test]
async fn h2r_a_listener_that_takes_no_reverse_tunnels_says_so() {
    let (mut running, ca, service) = (Running::new(), Ca::new(), echo().await);
    let (address, _) =
        running.inbound(InboundConfig::new("in", ca.identity(GATE), loopback_policy(GATE))).await;
    let serves = Serves::One(service.try_into().unwrap());
    let _node = Node::start(&ca, BOB, address, serves, None);
    let told = within(captured::events("no reverse tunnel", 1)).await;
    assert!(told[0].contains("takes no reverse tunnels"), "{told:?}");
}

#[tokio::test]
async fn h2r_on_an_ordinary_connection_both_ends_open_tunnels_where_both_have_announced_it() {
    let (gateway, near, far) = (Gateway::new().await, echo().await, echo().await);
    let peer =
        Peer { address: gateway.node.try_into().unwrap(), others: Vec::new(), expected: vec![id(GATE)] };
    let identity = gateway.ca.identity(BOB);
    let mut serving = InboundConfig::new("home", Arc::clone(&identity), loopback_policy(BOB));
    serving.serves = Serves::One(near.try_into().unwrap());
    let config = ReverseConfig { shared: true, ..ReverseConfig::new(peer.clone(), serving) };
    let pool = Pool::new(PoolConfig::default());
    let node = Node::with(config, pool.clone());
    gateway.registered(1).await;
    // Down, on a stream that the gateway opens; and up, on one of the node, on the same connection.
    gateway.round_trip().await;
    let mut running = Running::new();
    let front = Front::Fixed(far.try_into().unwrap());
    let out = OutboundConfig::with_front("up", front, Routes::all(Way::Node(peer)), identity);
    let (entry, _) = running.outbound(out, pool.clone()).await;
    let mut client = TcpStream::connect(entry).await.unwrap();
    client.write_all(b"up").await.unwrap();
    fin(&client);
    assert_eq!(read_end(&mut client).await, (b"up".to_vec(), End::Fin));
    assert_eq!(pool.connections(), 1, "no second one was dialled");
    gateway.round_trip().await;
    node.shutdown.start(Duration::from_secs(5));
    gateway.registered(0).await;
}

#[tokio::test]
async fn h2r_a_connection_that_is_lost_ends_in_order() {
    thread_local!(static PANICS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.set(PANICS.get() + 1);
        before(info);
    }));
    let mut gateway = Gateway::new().await;
    let (front, cut) = cutting(gateway.node).await;
    let _node = gateway.node(BOB, front, echo().await);
    gateway.registered(1).await;
    cut.send_replace(true);
    gateway.registered(0).await;
    gateway.running.shutdown.start(Duration::ZERO);
    gateway.running.ended().await;
    assert_eq!(PANICS.get(), 0, "all tasks of this test run on its thread");
}

/// Hands connections on to a node until they are cut.
async fn cutting(node: SocketAddr) -> (SocketAddr, tokio::sync::watch::Sender<bool>) {
    let (cut, is_cut) = tokio::sync::watch::channel(false);
    let address = service(move |mut tcp| {
        let mut is_cut = is_cut.clone();
        async move {
            let mut node = TcpStream::connect(node).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut tcp, &mut node) => {}
                () = async { drop(is_cut.wait_for(|it| *it).await) } => {}
            }
        }
    })
    .await;
    (address, cut)
}
