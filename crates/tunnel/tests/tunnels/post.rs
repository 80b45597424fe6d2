//! The POST mode: TLS end to end inside the stream, through a hop that sees ciphertext.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hbone_conn::{Config, ErrorCode, Plain, Request, Response, Side, StreamError, establish};
use hbone_tunnel::{
    Front, Hop, Identity, InboundConfig, OutboundConfig, Peer, PlainNode, Pool, PoolConfig, Post, Route,
    Routes, UnixPlace, Way,
};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::captured;
use crate::common::{
    ALICE, BOB, Ca, End, Pair, Running, bind, closed_port, echo, fin, id, inbound_config, pattern, read_end,
    reset, route, service, within,
};
use crate::upstream::call;

const MALLORY: &str = "spiffe://td/ns/b/sa/mallory";

/// A tunnel by POST; `expected` is who must be inside.
async fn by_post(to: SocketAddr, expected: &str, change: impl FnOnce(&mut InboundConfig)) -> Pair {
    Pair::with(
        to,
        change,
        |config| {
            let Way::Node(peer) = config.routes.find(&"x:1".parse().unwrap()).unwrap().clone() else {
                panic!()
            };
            config.routes = Routes::all(way(peer, expected));
        },
        PoolConfig::default(),
    )
    .await
}

fn way(proxy: Peer, expected: &str) -> Way {
    let authority = proxy.address.host().clone();
    let (hop, expected) = (Hop::Node(proxy), vec![id(expected)]);
    Way::Post(Box::new(Post { hop, authority, expected, service: None, token: None }))
}

#[tokio::test]
async fn every_octet_passes_and_each_direction_ends_by_itself() {
    let pair = by_post(echo().await, BOB, |_| ()).await;
    for length in [0, 1, 16_384, 3_000_000] {
        let (mut read, mut write) = TcpStream::connect(pair.entry).await.unwrap().into_split();
        let sent = pattern(length);
        let copy = sent.clone();
        let writing = tokio::spawn(async move {
            write.write_all(&copy).await.unwrap();
            write.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        within(read.read_to_end(&mut received)).await.unwrap();
        within(writing).await.unwrap();
        assert!(received == sent, "{} of {length}", received.len());
    }
    let ended = within(captured::events("tunnel", 8)).await;
    let whole = |line: &String| line.contains("up_end=fin") && line.contains("down_end=fin");
    assert!(ended.iter().all(|line| whole(line) && !line.contains("cause")), "{ended:?}");
    assert!(
        ended.iter().filter(|line| line.contains("side=inbound") || line.contains("inbound")).count() >= 4
    );
    assert!(ended.iter().all(|line| line.contains(ALICE)), "{ended:?}");
}

#[tokio::test]
async fn a_server_that_ends_first_gets_what_follows() {
    let (report, later) = tokio::sync::oneshot::channel();
    let report = Arc::new(std::sync::Mutex::new(Some(report)));
    let server = service(move |mut tcp| {
        let report = report.lock().unwrap().take();
        async move {
            tcp.write_all(b"first").await.unwrap();
            tcp.shutdown().await.unwrap();
            let end = read_end(&mut tcp).await;
            report.unwrap().send(end).unwrap();
        }
    })
    .await;
    let pair = by_post(server, BOB, |_| ()).await;
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    assert_eq!(read_end(&mut client).await, (b"first".to_vec(), End::Fin));
    client.write_all(b"later").await.unwrap();
    fin(&client);
    assert_eq!(within(later).await.unwrap(), (b"later".to_vec(), End::Fin));
}

#[tokio::test]
async fn t29_a_rst_passes_as_a_rst_both_ways() {
    let server = service(|mut tcp| async move {
        let _ = tcp.read(&mut [0]).await;
        reset(tcp);
    })
    .await;
    let pair = by_post(server, BOB, |_| ()).await;
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    client.write_all(b"x").await.unwrap();
    assert_eq!(read_end(&mut client).await.1, End::Reset);

    let (report, seen) = tokio::sync::oneshot::channel();
    let report = Arc::new(std::sync::Mutex::new(Some(report)));
    let server = service(move |mut tcp| {
        let report = report.lock().unwrap().take();
        async move {
            tcp.write_all(b"y").await.unwrap();
            report.unwrap().send(read_end(&mut tcp).await).unwrap();
        }
    })
    .await;
    let pair = by_post(server, BOB, |_| ()).await;
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    client.write_all(b"some").await.unwrap();
    client.read_exact(&mut [0]).await.unwrap();
    reset(client);
    assert_eq!(within(seen).await.unwrap().1, End::Reset);
}

#[tokio::test]
async fn t20_who_is_inside_is_judged_and_not_who_brought_it() {
    let (listener, destination) = bind().await;
    // The hop is alice, who may; inside is mallory, who may not.
    let (ca, mut running) = (Ca::new(), Running::new());
    let (node, _inbound) = running.inbound(inbound_config(&ca)).await;
    let (mut tls, _handle) =
        enter(&ca.identity(ALICE), &ca.identity(MALLORY), node, destination, destination).await;
    let end = within(tls.read(&mut [0])).await;
    assert!(end.is_err(), "{end:?}");
    let lines = within(captured::events("no tunnel", 1)).await;
    assert!(lines[0].contains(MALLORY) && lines[0].contains(&destination.to_string()), "{lines:?}");
    drop(running);
    let reached = tokio::time::timeout(std::time::Duration::from_millis(1), listener.accept()).await;
    assert!(reached.is_err(), "the destination was dialled");
}

#[tokio::test]
async fn t20_a_hop_that_changes_the_destination_breaks_the_handshake() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (node, _inbound) = running.inbound(inbound_config(&ca)).await;
    let (asked, other) = (echo().await, echo().await);
    let alice = ca.identity(ALICE);
    let (mut tls, _handle) = enter(&alice, &alice, node, asked, asked).await;
    tls.write_all(b"x").await.unwrap();
    within(tls.read_exact(&mut [0])).await.unwrap();
    let handle = call(&alice, node).await;
    let mut request = Request::new("POST", "https", "gate", "/");
    request.push("x-tun", &other.to_string());
    let mut stream = handle.open(request).await.unwrap();
    assert_eq!(within(stream.response()).await.unwrap().status(), 200);
    let error = within(inner(&alice, asked).connect(nobody(), stream)).await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error:?}");
}

#[tokio::test]
async fn a_far_end_that_is_not_expected_or_does_not_trust_us_is_told_as_such() {
    let pair = by_post(closed_port().await, MALLORY, |_| ()).await;
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset));
    let lines = within(captured::events("no tunnel", 1)).await;
    let line = lines.iter().find(|line| line.contains("outbound")).unwrap();
    assert!(line.contains("inside the stream is not trusted") && line.contains("expected is"), "{line}");
}

#[tokio::test]
async fn a_post_with_a_service_is_a_connect() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let mut config = inbound_config(&ca);
    let at = echo().await;
    config.services.insert("web".into(), at.try_into().unwrap());
    let (node, _inbound) = running.inbound(config).await;
    let handle = call(&ca.identity(ALICE), node).await;
    for (authority, service) in [("gate.example".to_owned(), "web"), (at.to_string(), "other")] {
        let mut request = Request::new("POST", "https", &authority, "/");
        request.push("x-service", service);
        let mut stream = handle.open(request).await.unwrap();
        assert_eq!(within(stream.response()).await.unwrap().status(), 200);
        stream.write_chunk("octets".into()).await.unwrap();
        stream.finish().unwrap();
        let mut received = Vec::new();
        within(stream.read_to_end(&mut received)).await.unwrap();
        assert_eq!(received, b"octets");
    }
    let mut request = Request::new("POST", "https", "gate.example", "/");
    request.push("x-service", "other");
    let mut stream = handle.open(request).await.unwrap();
    assert_eq!(within(stream.response()).await.unwrap().status(), 400);
}

#[tokio::test]
async fn t29_a_stream_that_is_cut_without_close_notify_is_a_reset_though_it_ended() {
    let (report, seen) = tokio::sync::oneshot::channel();
    let report = Arc::new(std::sync::Mutex::new(Some(report)));
    let server = service(move |mut tcp| {
        let report = report.lock().unwrap().take();
        async move { report.unwrap().send(read_end(&mut tcp).await).unwrap() }
    })
    .await;
    let (ca, mut running) = (Ca::new(), Running::new());
    let (node, _inbound) = running.inbound(inbound_config(&ca)).await;
    let alice = ca.identity(ALICE);
    let (mut tls, _handle) = enter(&alice, &alice, node, server, server).await;
    tls.write_all(b"half").await.unwrap();
    tls.flush().await.unwrap();
    // END_STREAM as a middle would say it, without the word of the far end.
    tls.get_mut().0.finish().unwrap();
    assert_eq!(within(seen).await.unwrap().1, End::Reset);
    let failed = within(tls.get_mut().0.reset_by_peer()).await;
    assert_eq!(failed, StreamError::Reset(ErrorCode::CONNECT_ERROR));
}

pub(crate) fn nobody() -> ServerName<'static> {
    ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into())
}

/// TLS to bob for a destination.
pub(crate) fn inner(identity: &Identity, destination: SocketAddr) -> TlsConnector {
    let mut config = Arc::unwrap_or_clone(identity.client_config(&[id(BOB)]).unwrap());
    config.alpn_protocols = vec![format!("x-tun/{destination}").into_bytes()];
    TlsConnector::from(Arc::new(config))
}

/// A tunnel by hand: `outer` brings it, `inside` is in it.
pub(crate) async fn enter(
    outer: &Identity,
    inside: &Identity,
    node: SocketAddr,
    told: SocketAddr,
    meant: SocketAddr,
) -> (tokio_rustls::client::TlsStream<hbone_conn::Stream>, hbone_conn::Handle) {
    let handle = call(outer, node).await;
    let mut request = Request::new("POST", "https", "gate", "/");
    request.push("x-tun", &told.to_string());
    let mut stream = handle.open(request).await.unwrap();
    assert_eq!(within(stream.response()).await.unwrap().status(), 200);
    (within(inner(inside, meant).connect(nobody(), stream)).await.unwrap(), handle)
}

#[tokio::test]
async fn a_node_without_tls_is_reached_over_a_unix_socket() {
    let folder = std::env::temp_dir().join(format!("hbone-plain-{}", std::process::id()));
    let _ = std::fs::remove_file(&folder);
    let listener = tokio::net::UnixListener::bind(&folder).unwrap();
    tokio::spawn(async move {
        let (unix, _) = listener.accept().await.unwrap();
        let (_handle, mut incoming, driver) = establish(Side::Server, Plain::new(unix), Config::default());
        tokio::spawn(driver);
        while let Some((request, mut stream)) = incoming.accept().await {
            assert_eq!(request.authority(), Some(&b"db.example:5432"[..]));
            stream.respond(Response::new(200)).unwrap();
            while let Some(octets) = stream.read_chunk().await.unwrap() {
                stream.write_chunk(octets).await.unwrap();
            }
            stream.finish().unwrap();
        }
    });
    let mut running = Running::new();
    let plain = PlainNode { address: "unix:1".parse().unwrap(), unix: Some(UnixPlace::Path(folder.clone())) };
    let front = Front::Fixed("db.example:5432".parse().unwrap());
    let config =
        OutboundConfig::with_front("out", front, Routes::all(Way::Plain(plain)), Ca::new().identity(ALICE));
    let (entry, _outbound) = running.outbound(config, Pool::new(PoolConfig::default())).await;
    let mut client = TcpStream::connect(entry).await.unwrap();
    client.write_all(b"octets").await.unwrap();
    fin(&client);
    assert_eq!(read_end(&mut client).await, (b"octets".to_vec(), End::Fin));
    std::fs::remove_file(folder).unwrap();
}

#[test]
fn a_way_by_post_says_so() {
    let Route { via, .. } = route(([127, 0, 0, 1], 9).into(), ([127, 0, 0, 1], 15008).into(), BOB);
    let text = way(via, ALICE).to_string();
    assert_eq!(text, format!("POST at 127.0.0.1:15008 as {BOB}, inside it {ALICE}"));
}
