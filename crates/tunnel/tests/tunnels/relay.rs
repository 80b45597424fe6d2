//! What goes through a tunnel comes out the same: octets, half-close, FIN and RST.

use std::time::Duration;

use hbone_conn::{Config, ErrorCode, Plain, Request, Response, Side, StreamError, establish};
use hbone_tunnel::{OutboundConfig, Pool, PoolConfig, RelayLimits, relay};

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{
    ALICE, BOB, Ca, End, Pair, Running, bind, echo, fin, inbound_config, pattern, read_end, reset, route,
    within,
};

/// A tunnel with both ends in hand.
async fn ends(listener: &TcpListener, pair: &Pair) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(pair.entry).await.unwrap();
    let (server, _) = within(listener.accept()).await.unwrap();
    (client, server)
}

async fn pair() -> (TcpListener, Pair) {
    let (listener, address) = bind().await;
    (listener, Pair::to(address).await)
}

/// Sends from one end to the other and waits until it has arrived.
async fn exchange(from: &mut TcpStream, to: &mut TcpStream, octets: &[u8]) {
    from.write_all(octets).await.unwrap();
    let mut received = vec![0; octets.len()];
    within(to.read_exact(&mut received)).await.unwrap();
    assert_eq!(received, octets);
}

#[tokio::test]
async fn an_echo_comes_back_and_the_half_close_goes_both_ways() {
    let pair = Pair::to(echo().await).await;
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let mut back = [0; 5];
    within(client.read_exact(&mut back)).await.unwrap();
    assert_eq!(&back, b"hello");
    client.write_all(b" and bye").await.unwrap();
    fin(&client);
    assert_eq!(read_end(&mut client).await, (b" and bye".to_vec(), End::Fin));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n1_many_mebibytes_arrive_as_they_were_sent_in_both_directions_at_once() {
    let pair = Pair::to(echo().await).await;
    let sent = pattern(24 << 20);
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    let (mut read, mut write) = client.split();
    let writing = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut received = Vec::with_capacity(sent.len());
    let ((), count) = within(async { tokio::join!(writing, read.read_to_end(&mut received)) }).await;
    assert_eq!(count.unwrap(), sent.len());
    assert!(received == sent);
}

#[tokio::test]
async fn n5_many_tunnels_at_once_do_not_mix() {
    let pair = Pair::to(echo().await).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..150_usize {
        let entry = pair.entry;
        tasks.spawn(async move {
            let octets: Vec<u8> =
                pattern(50_000 + number).iter().map(|octet| octet.wrapping_add(number as u8)).collect();
            let mut client = TcpStream::connect(entry).await.unwrap();
            let (mut read, mut write) = client.split();
            let mut received = Vec::new();
            let writing = async {
                write.write_all(&octets).await.unwrap();
                write.shutdown().await.unwrap();
            };
            let ((), count) = within(async { tokio::join!(writing, read.read_to_end(&mut received)) }).await;
            count.unwrap();
            assert!(received == octets);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(pair.pool.connections(), 2, "100 tunnels on a connection");
}

#[tokio::test]
async fn a_server_that_ends_first_still_gets_the_rest() {
    let (listener, pair) = pair().await;
    let (mut client, mut server) = ends(&listener, &pair).await;
    server.write_all(b"bye").await.unwrap();
    fin(&server);
    assert_eq!(read_end(&mut client).await, (b"bye".to_vec(), End::Fin));
    exchange(&mut client, &mut server, b"one more thing").await;
    fin(&client);
    assert_eq!(read_end(&mut server).await, (Vec::new(), End::Fin));
}

/// Where a FIN or RST happens.
#[derive(Clone, Copy, Debug)]
enum When {
    BeforeData,
    InTheMiddle,
    AfterAFin,
}

const MOMENTS: [When; 3] = [When::BeforeData, When::InTheMiddle, When::AfterAFin];

/// Brings a tunnel to a moment: `near` is the end that will act.
async fn bring(when: When, near: &mut TcpStream, far: &mut TcpStream) {
    match when {
        When::BeforeData => {}
        When::InTheMiddle => {
            exchange(near, far, &pattern(100_000)).await;
            exchange(far, near, &pattern(100_000)).await;
        }
        When::AfterAFin => {
            exchange(near, far, b"last words").await;
            fin(far);
            assert_eq!(read_end(near).await, (Vec::new(), End::Fin));
        }
    }
}

#[tokio::test]
async fn t29_a_fin_of_either_end_arrives_as_fin() {
    let (listener, pair) = pair().await;
    for when in MOMENTS {
        for client_acts in [true, false] {
            let (client, server) = ends(&listener, &pair).await;
            let (mut near, mut far) = if client_acts { (client, server) } else { (server, client) };
            bring(when, &mut near, &mut far).await;
            fin(&near);
            assert_eq!(read_end(&mut far).await, (Vec::new(), End::Fin), "{when:?} {client_acts}");
        }
    }
}

#[tokio::test]
async fn t29_a_rst_of_either_end_arrives_as_rst() {
    let (listener, pair) = pair().await;
    for when in MOMENTS {
        for client_acts in [true, false] {
            let (client, server) = ends(&listener, &pair).await;
            let (mut near, mut far) = if client_acts { (client, server) } else { (server, client) };
            bring(when, &mut near, &mut far).await;
            reset(near);
            // After the far end's own FIN it still hears of it.
            assert_eq!(read_end(&mut far).await, (Vec::new(), End::Reset), "{when:?} {client_acts}");
        }
    }
}

#[tokio::test]
async fn t29_a_rst_right_after_the_own_fin_arrives_as_rst_or_after_the_fin() {
    let (listener, pair) = pair().await;
    for client_acts in [true, false] {
        let (client, server) = ends(&listener, &pair).await;
        let (mut near, mut far) = if client_acts { (client, server) } else { (server, client) };
        exchange(&mut near, &mut far, b"x").await;
        fin(&near);
        assert_eq!(read_end(&mut far).await, (Vec::new(), End::Fin));
        reset(near);
        // The far end's direction is open: writing into it must fail in the end.
        let failed = within(async {
            loop {
                if let Err(error) = far.write_all(&[0; 1000]).await {
                    return error;
                }
                tokio::task::yield_now().await;
            }
        });
        let kind = failed.await.kind();
        let reset = [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::BrokenPipe];
        assert!(reset.contains(&kind), "{kind:?} {client_acts}");
    }
}

#[tokio::test]
async fn t29_a_rst_after_the_own_fin_reaches_an_end_that_neither_reads_nor_writes() {
    let (listener, pair) = pair().await;
    for client_acts in [true, false] {
        let (client, server) = ends(&listener, &pair).await;
        let (mut near, mut far) = if client_acts { (client, server) } else { (server, client) };
        exchange(&mut near, &mut far, b"x").await;
        fin(&near);
        assert_eq!(read_end(&mut far).await, (Vec::new(), End::Fin));
        assert!(far.take_error().unwrap().is_none());
        reset(near);
        within(far.ready(Interest::ERROR)).await.unwrap();
        assert!(far.take_error().unwrap().is_some(), "{client_acts}");
    }
}

#[tokio::test]
async fn t29_a_rst_is_heard_while_the_tunnel_is_stuffed() {
    let (listener, pair) = pair().await;
    for client_acts in [true, false] {
        let (client, server) = ends(&listener, &pair).await;
        let (near, far) = if client_acts { (client, server) } else { (server, client) };
        // Nobody reads at the far end: windows and buffers fill up.
        let chunk = pattern(64 << 10);
        let mut quiet = 0;
        while quiet < 20 {
            let more = tokio::time::timeout(Duration::from_millis(10), near.writable()).await;
            quiet = if more.is_ok() && near.try_write(&chunk).is_ok() { 0 } else { quiet + 1 };
        }
        reset(near);
        within(far.ready(Interest::ERROR)).await.unwrap();
        assert!(far.take_error().unwrap().is_some(), "{client_acts}");
    }
}

#[tokio::test]
async fn n2_what_the_kernel_still_holds_is_delivered_after_a_clean_end() {
    let (listener, pair) = pair().await;
    let (mut client, mut server) = ends(&listener, &pair).await;
    exchange(&mut client, &mut server, b"x").await;
    fin(&client);
    let sent = pattern(900_000);
    server.write_all(&sent).await.unwrap();
    fin(&server);
    // Both nodes are done with the tunnel while the client has read nothing.
    within(async {
        while pair.running.shutdown.live() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let (received, end) = read_end(&mut client).await;
    assert!(received == sent && end == End::Fin, "{} {end:?}", received.len());
}

#[tokio::test]
async fn f19_a_node_that_drops_its_tunnels_resets_both_neighbours() {
    for near_goes in [true, false] {
        let (listener, service) = bind().await;
        let (ca, mut near, mut far) = (Ca::new(), Running::new(), Running::new());
        let (node, _) = far.inbound(inbound_config(&ca)).await;
        let config = OutboundConfig::new("out", route(service, node, BOB), ca.identity(ALICE));
        let (entry, _) = near.outbound(config, Pool::new(PoolConfig::default())).await;
        let mut client = TcpStream::connect(entry).await.unwrap();
        let (mut server, _) = within(listener.accept()).await.unwrap();
        exchange(&mut client, &mut server, b"x").await;
        exchange(&mut server, &mut client, b"y").await;
        drop(if near_goes { near } else { far });
        assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset), "{near_goes}");
        assert_eq!(read_end(&mut server).await, (Vec::new(), End::Reset), "{near_goes}");
    }
}

#[tokio::test]
async fn f19_a_relay_that_panics_resets_its_tunnel_with_connect_error_and_no_other() {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let (client, _, driver) = establish(Side::Client, Plain::new(ours), Config::default());
    tokio::spawn(driver);
    let (_handle, mut incoming, driver) = establish(Side::Server, Plain::new(theirs), Config::default());
    tokio::spawn(driver);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let near = client.open(Request::connect("10.0.0.1:80")).await.unwrap();
        let (_, mut far) = within(incoming.accept()).await.unwrap();
        far.respond(Response::new(200)).unwrap();
        streams.push((near, far));
    }
    let (mut near, mut other) = (streams.remove(0), streams.remove(0));
    let (listener, address) = bind().await;
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let (leg, _) = listener.accept().await.unwrap();
    let stop = async { panic!("a fault in a stream's task") };
    let ended = tokio::spawn(relay(leg, near.1, RelayLimits::default(), stop)).await;
    assert!(ended.unwrap_err().is_panic());
    assert_eq!(read_end(&mut tcp).await, (Vec::new(), End::Reset));
    assert_eq!(within(near.0.response()).await.unwrap().status(), 200);
    assert_eq!(within(near.0.read_chunk()).await, Err(StreamError::Reset(ErrorCode::CONNECT_ERROR)));
    other.1.write_chunk(b"still here"[..].into()).await.unwrap();
    assert_eq!(within(other.0.response()).await.unwrap().status(), 200);
    assert_eq!(within(other.0.read_chunk()).await.unwrap().unwrap(), &b"still here"[..]);
}

#[tokio::test]
async fn n6_hundreds_of_tunnels_leave_nothing_behind() {
    let pair = Pair::to(echo().await).await;
    let sockets = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let round = async |count: usize| {
        for _ in 0..count {
            let mut client = TcpStream::connect(pair.entry).await.unwrap();
            client.write_all(b"x").await.unwrap();
            fin(&client);
            assert_eq!(read_end(&mut client).await, (b"x".to_vec(), End::Fin));
        }
    };
    round(10).await;
    within(async {
        while pair.running.shutdown.live() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let before = sockets();
    round(300).await;
    within(async {
        while pair.running.shutdown.live() > 0 || sockets() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
