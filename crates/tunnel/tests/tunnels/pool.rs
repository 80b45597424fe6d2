//! How connections are shared: one dial for many, other connections when one goes away, and never two
//! identities on one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hbone_conn::{Config, ErrorCode, MemoryBudget, Plain, Request, Response, Side, Tls, establish};
use hbone_tunnel::{Identity, OutboundConfig, Pool, PoolConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::captured;
use crate::common::{
    ALICE, BOB, Ca, End, LONG, Pair, Running, bind, closed_port, echo, fin, read_end, route, within,
};

/// Counts connections and hands them on to a node.
async fn counting(node: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let address = crate::common::service(move |mut tcp| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut node = TcpStream::connect(node).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut tcp, &mut node).await;
        }
    })
    .await;
    (address, count)
}

async fn round_trip(entry: SocketAddr) {
    let mut client = TcpStream::connect(entry).await.unwrap();
    client.write_all(b"ping").await.unwrap();
    fin(&client);
    assert_eq!(read_end(&mut client).await, (b"ping".to_vec(), End::Fin));
}

#[tokio::test]
async fn tunnels_that_start_together_share_one_dial() {
    let service = echo().await;
    let pair = Pair::to(service).await;
    let (front, count) = counting(pair.node).await;
    let (mut running, pool) = (Running::new(), Pool::new(PoolConfig::default()));
    let config = OutboundConfig::new("front", route(service, front, BOB), pair.ca.identity(ALICE));
    let (entry, _) = running.outbound(config, pool.clone()).await;
    let rounds: Vec<_> = (0..60).map(|_| tokio::spawn(round_trip(entry))).collect();
    for round in rounds {
        round.await.unwrap();
    }
    round_trip(entry).await;
    assert_eq!((count.load(Ordering::SeqCst), pool.connections()), (1, 1));
}

#[tokio::test]
async fn tunnels_that_wait_for_one_dial_share_its_failure() {
    // Accepts and says nothing until the listener is dropped: the dial hangs, then fails for all.
    let (listener, front) = bind().await;
    let (mut running, ca) = (Running::new(), Ca::new());
    let config = OutboundConfig::new("out", route(closed_port().await, front, BOB), ca.identity(ALICE));
    let (entry, _) = running.outbound(config, Pool::new(PoolConfig::default())).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(TcpStream::connect(entry).await.unwrap());
    }
    within(async {
        while running.shutdown.live() < 10 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (accepted, _) = within(listener.accept()).await.unwrap();
    drop(accepted);
    for client in &mut clients {
        assert_eq!(read_end(client).await, (Vec::new(), End::Reset));
    }
    assert_eq!(within(captured::events("no tunnel", 10)).await.len(), 10);
    let another = tokio::time::timeout(Duration::from_millis(10), listener.accept()).await;
    assert!(another.is_err(), "nobody dialled for himself");
}

#[tokio::test]
async fn after_failures_a_peer_is_dialled_again_as_soon_as_somebody_asks() {
    let service = echo().await;
    let (ca, mut running) = (Ca::new(), Running::new());
    let front = closed_port().await;
    let config = OutboundConfig::new("out", route(service, front, BOB), ca.identity(ALICE));
    let (entry, _) = running.outbound(config, Pool::new(PoolConfig::default())).await;
    for _ in 0..3 {
        let mut client = TcpStream::connect(entry).await.unwrap();
        assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset));
    }
    let listener = TcpListener::bind(front).await.unwrap();
    running.inbound_on(listener, crate::common::inbound_config(&ca), hbone_tunnel::InboundLimits::default());
    round_trip(entry).await;
}

/// What a scripted node does with the first stream of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    /// GOAWAY before it is answered.
    Goaway,
    /// RST_STREAM(REFUSED_STREAM).
    Refuse,
    /// The same, and on all later connections too.
    RefuseAlways,
    /// The whole connection is lost.
    Lose,
}

/// A node whose first connection serves `good` streams and then does `first`; all later ones serve.
async fn scripted(identity: Arc<Identity>, good: usize, first: First) -> (SocketAddr, Arc<AtomicUsize>) {
    let (listener, address) = bind().await;
    let config = identity.server_config().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let number = counter.fetch_add(1, Ordering::SeqCst);
            let tls = Tls::accept(tcp, Arc::clone(&config)).await.unwrap();
            let (handle, mut incoming, driver) = establish(Side::Server, tls, Config::default());
            let driver = tokio::spawn(driver);
            tokio::spawn(async move {
                let mut served = 0;
                while let Some((_, mut stream)) = incoming.accept().await {
                    if served == good && (number == 0 || first == First::RefuseAlways) {
                        match first {
                            First::Goaway => handle.close(ErrorCode::NO_ERROR),
                            First::Refuse | First::RefuseAlways => stream.reset(ErrorCode::REFUSED_STREAM),
                            First::Lose => driver.abort(),
                        }
                        continue;
                    }
                    served += 1;
                    stream.respond(Response::new(200)).unwrap();
                    tokio::spawn(async move {
                        while let Ok(Some(chunk)) = stream.read_chunk().await {
                            stream.write_chunk(chunk).await.unwrap();
                        }
                        let _ = stream.finish();
                    });
                }
            });
        }
    });
    (address, count)
}

async fn through(ca: &Ca, front: SocketAddr, running: &mut Running) -> SocketAddr {
    let config = OutboundConfig::new("out", route(closed_port().await, front, BOB), ca.identity(ALICE));
    running.outbound(config, Pool::new(PoolConfig::default())).await.0
}

#[tokio::test]
async fn a_connect_that_the_far_node_did_not_process_goes_elsewhere() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (front, count) = scripted(ca.identity(BOB), 0, First::Refuse).await;
    let entry = through(&ca, front, &mut running).await;
    round_trip(entry).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_far_node_that_refuses_everything_is_dialled_twice_however_many_ask() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (front, count) = scripted(ca.identity(BOB), 0, First::RefuseAlways).await;
    let entry = through(&ca, front, &mut running).await;
    for _ in 0..20 {
        let mut client = TcpStream::connect(entry).await.unwrap();
        assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset));
    }
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

/// A connection of its own whose reader leaves `octets` unread at the expense of `budget`, for as long as it is held.
async fn hold(budget: &Arc<MemoryBudget>, octets: usize) -> impl Sized + use<> {
    let (near, far) = tokio::io::duplex(1 << 20);
    let config = Config { memory: Some(Arc::clone(budget)), ..Config::default() };
    let (client, _, driver) = establish(Side::Client, Plain::new(near), Config::default());
    tokio::spawn(driver);
    let (server, mut incoming, driver) = establish(Side::Server, Plain::new(far), config);
    tokio::spawn(driver);
    let mut stream = client.open(Request::connect("10.0.0.1:80")).await.unwrap();
    stream.write_chunk(vec![0; octets].into()).await.unwrap();
    let (_, unread) = within(incoming.accept()).await.unwrap();
    within(async {
        while budget.charged() < octets {
            tokio::task::yield_now().await;
        }
    })
    .await;
    (client, stream, server, incoming, unread)
}

#[tokio::test]
async fn f15_a_node_that_is_short_of_memory_dials_nobody_and_tries_nowhere_else() {
    for standing in [0, 1] {
        let (ca, mut running) = (Ca::new(), Running::new());
        let (front, count) = scripted(ca.identity(BOB), usize::MAX, First::Goaway).await;
        let budget = Arc::new(MemoryBudget::new(128 * 1024));
        let mut config = PoolConfig::default();
        config.connect.connection.memory = Some(Arc::clone(&budget));
        let out = OutboundConfig::new("out", route(closed_port().await, front, BOB), ca.identity(ALICE));
        let entry = running.outbound(out, Pool::new(config)).await.0;
        for _ in 0..standing {
            round_trip(entry).await;
        }
        let held = hold(&budget, 128 * 1024).await;
        for _ in 0..3 {
            let mut client = TcpStream::connect(entry).await.unwrap();
            assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset));
        }
        assert_eq!(count.load(Ordering::SeqCst), standing);
        drop(held);
        within(async {
            while budget.charged() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        round_trip(entry).await;
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_goaway_moves_new_tunnels_to_another_connection() {
    let service = echo().await;
    let mut first = Pair::to(service).await;
    let (listener, node) = {
        first.running.shutdown.start(LONG);
        let mut client = TcpStream::connect(first.entry).await;
        while client.is_ok() {
            client = TcpStream::connect(first.entry).await;
        }
        (TcpListener::bind(first.node).await.unwrap(), first.node)
    };
    first.running.ended().await;
    // A fresh outbound side whose connection is then drained by the far node while a tunnel is on it.
    let mut far = Running::new();
    far.inbound_on(
        listener,
        crate::common::inbound_config(&first.ca),
        hbone_tunnel::InboundLimits::default(),
    );
    let (mut near, pool) = (Running::new(), Pool::new(PoolConfig::default()));
    let config = OutboundConfig::new("out", route(service, node, BOB), first.ca.identity(ALICE));
    let (entry, _) = near.outbound(config, pool.clone()).await;
    let mut old = TcpStream::connect(entry).await.unwrap();
    old.write_all(b"ping").await.unwrap();
    within(old.read_exact(&mut [0; 4])).await.unwrap();
    far.shutdown.start(LONG);
    let mut again = Running::new();
    let listener = within(async {
        loop {
            if let Ok(listener) = TcpListener::bind(node).await {
                break listener;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    again.inbound_on(
        listener,
        crate::common::inbound_config(&first.ca),
        hbone_tunnel::InboundLimits::default(),
    );
    round_trip(entry).await;
    old.write_all(b"still there").await.unwrap();
    fin(&old);
    assert_eq!(read_end(&mut old).await, (b"still there".to_vec(), End::Fin));
}

#[tokio::test]
async fn a_pooled_connection_that_is_lost_under_a_connect_costs_another_one_and_no_tunnel() {
    for first in [First::Lose, First::Goaway] {
        let (ca, mut running) = (Ca::new(), Running::new());
        let (front, count) = scripted(ca.identity(BOB), 1, first).await;
        let entry = through(&ca, front, &mut running).await;
        round_trip(entry).await;
        round_trip(entry).await;
        assert_eq!(count.load(Ordering::SeqCst), 2, "{first:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_let_go() {
    let config = PoolConfig { idle: Duration::from_millis(50), ..PoolConfig::default() };
    let pair = Pair::with(echo().await, |_| (), |_| (), config).await;
    round_trip(pair.entry).await;
    within(async {
        while pair.pool.connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    round_trip(pair.entry).await;
}

#[tokio::test]
async fn t38_two_identities_never_share_a_connection() {
    let pair = Pair::to(echo().await).await;
    round_trip(pair.entry).await;
    round_trip(pair.entry).await;
    assert_eq!(pair.pool.connections(), 1);
    // The same name with a renewed certificate is another identity.
    let service = echo().await;
    let config = OutboundConfig::new("out", route(service, pair.node, BOB), pair.ca.identity(ALICE));
    pair.outbound.replace(config);
    round_trip(pair.entry).await;
    assert_eq!(pair.pool.connections(), 2);
}

#[tokio::test]
async fn a_node_with_several_addresses_is_reached_at_the_first_where_it_answers() {
    let service = echo().await;
    let pair = Pair::to(service).await;
    // Nothing listens at the first; at the second is no node; the third one hangs up.
    let web = crate::common::service(|mut tcp| async move {
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let gone = crate::common::service(|tcp| async move { drop(tcp) }).await;
    let mut route = route(service, closed_port().await, BOB);
    route.via.others = [web, gone, pair.node].map(|it| it.try_into().unwrap()).to_vec();
    let (mut running, pool) = (Running::new(), Pool::new(PoolConfig::default()));
    let config = OutboundConfig::new("front", route, pair.ca.identity(ALICE));
    let (entry, _) = running.outbound(config, pool.clone()).await;
    round_trip(entry).await;
    round_trip(entry).await;
    assert_eq!(pool.connections(), 1);
}

#[tokio::test]
async fn a_node_that_has_moved_to_its_other_address_is_found_there_by_the_next_tunnel() {
    let service = echo().await;
    let (ca, mut first) = (Ca::new(), Running::new());
    let (at, _) = first.inbound(crate::common::inbound_config(&ca)).await;
    let (listener, other) = bind().await;
    drop(listener);
    let mut route = route(service, at, BOB);
    route.via.others = vec![other.try_into().unwrap()];
    let (mut running, pool) = (Running::new(), Pool::new(PoolConfig::default()));
    let (entry, _) = running.outbound(OutboundConfig::new("out", route, ca.identity(ALICE)), pool).await;
    round_trip(entry).await;
    first.shutdown.start(Duration::ZERO);
    first.ended().await;
    drop(first);
    let mut second = Running::new();
    let listener = TcpListener::bind(other).await.unwrap();
    second.inbound_on(listener, crate::common::inbound_config(&ca), hbone_tunnel::InboundLimits::default());
    round_trip(entry).await;
}
