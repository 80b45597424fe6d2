//! An orderly end of both nodes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hbone_conn::{Config, Response, Side, Stream, Tls, establish};
use hbone_tunnel::{
    DrainReport, HostName, Outbound, OutboundConfig, Pool, PoolConfig, PoolReport, Resolve, Resolving, Route,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::common::{
    ALICE, BOB, Ca, End, LONG, Pair, Running, bind, closed_port, echo, fin, id, pattern, read_end, route,
    within,
};

async fn tunnel(pair: &Pair) -> TcpStream {
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    client.write_all(b"ping").await.unwrap();
    within(client.read_exact(&mut [0; 4])).await.unwrap();
    client
}

#[tokio::test]
async fn f11_live_tunnels_finish_and_new_connections_are_not_taken() {
    let mut pair = Pair::to(echo().await).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(tunnel(&pair).await);
    }
    pair.running.shutdown.start(LONG);
    within(async {
        // Until the listeners are closed.
        while TcpStream::connect(pair.entry).await.is_ok() || TcpStream::connect(pair.node).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for mut client in clients {
        client.write_all(b"still there").await.unwrap();
        fin(&client);
        assert_eq!(read_end(&mut client).await, (b"still there".to_vec(), End::Fin));
    }
    pair.running.ended().await;
    let report = within(pair.running.shutdown.finished()).await;
    // Each tunnel counts at both of its nodes.
    assert_eq!(report, DrainReport { finished: 40, reset: 0 });
    within(pair.pool.close(LONG)).await;
    assert_eq!(pair.pool.connections(), 0);
}

#[tokio::test]
async fn f11_what_is_live_at_the_deadline_is_reset() {
    let mut pair = Pair::to(echo().await).await;
    let (mut first, mut second) = (tunnel(&pair).await, tunnel(&pair).await);
    pair.running.shutdown.start(Duration::from_millis(100));
    for client in [&mut first, &mut second] {
        assert_eq!(read_end(client).await, (Vec::new(), End::Reset));
    }
    pair.running.ended().await;
    let report = within(pair.running.shutdown.finished()).await;
    assert_eq!(report, DrainReport { finished: 0, reset: 4 });
}

#[tokio::test]
async fn f12_a_second_signal_ends_at_once() {
    let mut pair = Pair::to(echo().await).await;
    let mut client = tunnel(&pair).await;
    pair.running.shutdown.start(LONG * 100);
    client.write_all(b"more").await.unwrap();
    within(client.read_exact(&mut [0; 4])).await.unwrap();
    pair.running.shutdown.start(Duration::ZERO);
    assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset));
    pair.running.ended().await;
}

/// A far node that answers 200 and hands out its streams; their windows are small.
async fn far(ca: &Ca) -> (std::net::SocketAddr, mpsc::UnboundedReceiver<Stream>) {
    let (listener, address) = bind().await;
    let config = ca.identity(BOB).server_config().unwrap();
    let (given, streams) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let tls = Tls::accept(tcp, config).await.unwrap();
        let small = Config { initial_window_size: 65_535, window_tuning: false, ..Config::default() };
        let (_handle, mut incoming, driver) = establish(Side::Server, tls, small);
        tokio::spawn(driver);
        while let Some((_, mut stream)) = incoming.accept().await {
            stream.respond(Response::new(200)).unwrap();
            given.send(stream).unwrap();
        }
    });
    (address, streams)
}

#[tokio::test]
async fn n2_a_drain_waits_for_octets_that_wait_for_the_far_window() {
    let (ca, mut near, pool) = (Ca::new(), Running::new(), Pool::new(PoolConfig::default()));
    let (node, mut streams) = far(&ca).await;
    let config = OutboundConfig::new("out", route(closed_port().await, node, BOB), ca.identity(ALICE));
    let (entry, _) = near.outbound(config, pool.clone()).await;
    let mut client = TcpStream::connect(entry).await.unwrap();
    // More than the window and less than what the near node queues: its FIN is read long before it may be sent.
    let sent = pattern(65_535 + 100_000);
    client.write_all(&sent).await.unwrap();
    fin(&client);
    let mut stream = within(streams.recv()).await.unwrap();
    stream.finish().unwrap();
    assert_eq!(read_end(&mut client).await, (Vec::new(), End::Fin));
    near.shutdown.start(LONG);
    let early = timeout(Duration::from_millis(200), near.shutdown.finished()).await;
    assert!(early.is_err(), "octets are unsent, but the tunnel counts as {early:?}");
    let mut received = Vec::new();
    while let Some(chunk) = within(stream.read_chunk()).await.unwrap() {
        received.extend_from_slice(&chunk);
    }
    assert!(received == sent);
    drop(stream);
    near.ended().await;
    assert_eq!(within(near.shutdown.finished()).await, DrainReport { finished: 1, reset: 0 });
    assert_eq!(within(pool.close(LONG)).await, PoolReport { finished: 1, cut: 0, streams: 0 });
}

#[tokio::test]
async fn f11_a_pool_that_is_closed_tells_what_it_cut() {
    let pair = Pair::to(echo().await).await;
    let (mut first, mut second) = (tunnel(&pair).await, tunnel(&pair).await);
    let report = within(pair.pool.close(Duration::from_millis(50))).await;
    assert_eq!(report, PoolReport { finished: 0, cut: 1, streams: 2 });
    for client in [&mut first, &mut second] {
        assert_eq!(read_end(client).await, (Vec::new(), End::Reset));
    }
}

/// Fails once it is told to.
#[derive(Debug)]
struct Fails(Arc<Notify>);

impl Resolve for Fails {
    fn resolve(&self, _: &HostName) -> Resolving {
        let told = Arc::clone(&self.0);
        Box::pin(async move {
            told.notified().await;
            Err(io::ErrorKind::NotFound.into())
        })
    }
}

#[tokio::test]
async fn f11_a_tunnel_that_is_refused_during_the_drain_is_neither_finished_nor_reset() {
    let fail = Arc::new(Notify::new());
    let resolver = Arc::new(Fails(Arc::clone(&fail)));
    let mut pair =
        Pair::with(echo().await, |config| config.resolver = resolver, |_| (), PoolConfig::default()).await;
    let named = Route::new("localhost:80".parse().unwrap(), pair.node.try_into().unwrap(), vec![id(BOB)]);
    let outbound: &Outbound = &pair.outbound;
    outbound.replace(OutboundConfig::new("out", named.unwrap(), pair.ca.identity(ALICE)));
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    within(async {
        while pair.running.shutdown.live() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    pair.running.shutdown.start(LONG);
    fail.notify_one();
    assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset));
    pair.running.ended().await;
    assert_eq!(within(pair.running.shutdown.finished()).await, DrainReport { finished: 0, reset: 0 });
}
