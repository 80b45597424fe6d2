//! Clients that say by themselves where they want to go: SOCKS5 and HTTP CONNECT over real sockets, two nodes behind.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hbone_tunnel::{
    Front, HostName, InboundConfig, OutboundConfig, Pool, PoolConfig, Resolve, Resolving, Route, Routes, Way,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

use crate::common::{
    ALICE, BOB, Ca, End, Running, closed_port, echo, fin, id, inbound_config, read_end, reset, service,
    within,
};

/// A proxy through two nodes.
struct Proxy {
    _running: Running,
    entry: SocketAddr,
}

async fn proxy(front: Front, inbound: impl FnOnce(&mut InboundConfig)) -> Proxy {
    let (mut running, ca) = (Running::new(), Ca::new());
    let mut config = inbound_config(&ca);
    inbound(&mut config);
    let (node, _) = running.inbound(config).await;
    let nowhere = "unused.example:1".parse().unwrap();
    let route = Route::new(nowhere, node.try_into().unwrap(), vec![id(BOB)]).unwrap();
    let routes = Routes::all(Way::Node(route.via));
    let mut config = OutboundConfig::with_front("proxy", front, routes, ca.identity(ALICE));
    config.front_timeout = Duration::from_secs(5);
    let (entry, _) = running.outbound(config, Pool::new(PoolConfig::default())).await;
    Proxy { _running: running, entry }
}

fn socks_request(to: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(to) = to else { panic!("{to}") };
    [&[5, 1, 0, 5, 1, 0, 1][..], &to.ip().octets(), &to.port().to_be_bytes()].concat()
}

fn socks_name(name: &str, port: u16) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap();
    [&[5, 1, 0, 5, 1, 0, 3, length][..], name.as_bytes(), &port.to_be_bytes()].concat()
}

fn http_request(to: &str) -> Vec<u8> {
    format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").into_bytes()
}

async fn exact(client: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut octets = vec![0; length];
    within(client.read_exact(&mut octets)).await.unwrap();
    octets
}

/// Resolves every name to loopback, once it is let.
#[derive(Debug)]
struct Gate {
    asked: Arc<Notify>,
    open: watch::Receiver<bool>,
}

impl Resolve for Gate {
    fn resolve(&self, _: &HostName) -> Resolving {
        let (asked, mut open) = (Arc::clone(&self.asked), self.open.clone());
        Box::pin(async move {
            asked.notify_one();
            open.wait_for(|open| *open).await.map_err(io::Error::other)?;
            Ok(vec!["127.0.0.1".parse().unwrap()])
        })
    }
}

#[tokio::test]
async fn t31_the_reply_is_sent_after_the_far_end_has_connected() {
    let port = echo().await.port();
    let granted = b"HTTP/1.1 200 Connection established\r\n\r\n";
    let cases = [
        (
            Front::Socks5(None),
            socks_name("localhost", port),
            &[5, 0][..],
            &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0][..],
        ),
        (Front::HttpConnect(None), http_request(&format!("localhost:{port}")), b"", granted),
    ];
    for (front, request, before, after) in cases {
        let (opened, open) = watch::channel(false);
        let asked = Arc::new(Notify::new());
        let resolver = Arc::new(Gate { asked: Arc::clone(&asked), open });
        let proxy = proxy(front, |config| config.resolver = resolver).await;
        let mut client = TcpStream::connect(proxy.entry).await.unwrap();
        // The first octets for the destination come with the request.
        client.write_all(&[&request[..], b"early"].concat()).await.unwrap();
        assert_eq!(exact(&mut client, before.len()).await, before);
        within(asked.notified()).await;
        let waiting = tokio::time::timeout(Duration::from_millis(100), client.read(&mut [0; 1])).await;
        assert!(waiting.is_err(), "{waiting:?}");
        opened.send(true).unwrap();
        assert_eq!(exact(&mut client, after.len()).await, after);
        assert_eq!(exact(&mut client, 5).await, b"early");
        client.write_all(b"late").await.unwrap();
        fin(&client);
        assert_eq!(read_end(&mut client).await, (b"late".to_vec(), End::Fin));
    }
}

#[tokio::test]
async fn t31_a_talk_that_is_cut_at_any_octet_opens_nothing_whether_by_fin_or_by_rst() {
    let (counted, mut count) = watch::channel(0);
    let server = service(move |_| {
        counted.send_modify(|count| *count += 1);
        async {}
    })
    .await;
    let proxies =
        [(Front::Socks5(None), socks_request(server)), (Front::HttpConnect(None), http_request("a.b:1"))];
    for (front, request) in proxies {
        let proxy = proxy(front, |_| ()).await;
        for cut in 0..request.len() {
            for by_reset in [false, true] {
                let mut client = TcpStream::connect(proxy.entry).await.unwrap();
                client.write_all(&request[..cut]).await.unwrap();
                if by_reset {
                    reset(client);
                    continue;
                }
                fin(&client);
                let (said, end) = read_end(&mut client).await;
                assert!(said.len() <= 2 && end == End::Reset, "cut at {cut}: {said:?} {end:?}");
            }
        }
    }
    assert!(!count.has_changed().unwrap(), "somebody reached the destination");
    count.mark_unchanged();
}

#[tokio::test]
async fn t31_a_failure_has_its_code_and_the_connection_ends_cleanly() {
    let (closed, server) = (closed_port().await, echo().await);
    let proxy = proxy(Front::Socks5(None), |config| {
        config.resolver = Arc::new(Nowhere);
        config.dial_timeout = Duration::from_millis(200);
    })
    .await;
    let bind = [&[5, 1, 0, 5, 2, 0, 1][..], &[127, 0, 0, 1, 0, 80]].concat();
    let cases = [
        (socks_request(closed), 5, "nothing listens"),
        (socks_request("10.255.255.1:80".parse().unwrap()), 2, "refused by policy"),
        (socks_request("169.254.169.254:80".parse().unwrap()), 2, "metadata"),
        (socks_name("localhost", 80), 6, "a resolver that is silent"),
        (bind, 7, "BIND"),
        ([5, 1, 0, 5, 1, 0, 9, 0].to_vec(), 8, "an unknown type of address"),
    ];
    for (request, code, what) in cases {
        let mut client = TcpStream::connect(proxy.entry).await.unwrap();
        // What was sent in good faith behind the request does not turn the answer into a reset.
        client.write_all(&[&request[..], b"early"].concat()).await.unwrap();
        let wanted = [5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0].to_vec();
        assert_eq!(read_end(&mut client).await, (wanted, End::Fin), "{what}");
    }
    let mut client = TcpStream::connect(proxy.entry).await.unwrap();
    client.write_all(&socks_request(server)).await.unwrap();
    assert_eq!(exact(&mut client, 12).await[3], 0);
}

/// Never answers.
#[derive(Debug)]
struct Nowhere;

impl Resolve for Nowhere {
    fn resolve(&self, _: &HostName) -> Resolving {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn an_http_client_is_told_in_one_line_why_there_is_no_tunnel() {
    let closed = closed_port().await;
    let proxy = proxy(Front::HttpConnect(None), |config| {
        config.resolver = Arc::new(Nowhere);
        config.dial_timeout = Duration::from_millis(200);
    })
    .await;
    let cases = [
        (http_request(&closed.to_string()), 502, "nothing listens"),
        (http_request("10.255.255.1:80"), 403, "policy"),
        (http_request("localhost:80"), 504, "in time"),
        (b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec(), 405, "CONNECT"),
        (b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), 504, "in time"),
        (b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 400, "port"),
        (b"\x05\x01\x00".to_vec(), 400, "HTTP/1.1"),
    ];
    for (request, status, word) in cases {
        let mut client = TcpStream::connect(proxy.entry).await.unwrap();
        client.write_all(&request).await.unwrap();
        let (answer, end) = read_end(&mut client).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
        assert!(body.contains(word) && body.lines().count() == 1 && end == End::Fin, "{answer}");
    }
}

#[tokio::test]
async fn t25_a_client_that_says_nothing_is_reset_after_the_limit() {
    for (front, begun) in [(Front::Socks5(None), &b"\x05\x01"[..]), (Front::HttpConnect(None), b"CONNECT a")]
    {
        let (mut running, ca) = (Running::new(), Ca::new());
        let route =
            Route::new("a.b:1".parse().unwrap(), "127.0.0.1:1".parse().unwrap(), vec![id(BOB)]).unwrap();
        let routes = Routes::all(Way::Node(route.via));
        let mut config = OutboundConfig::with_front("proxy", front, routes, ca.identity(ALICE));
        config.front_timeout = Duration::from_millis(100);
        let (entry, _) = running.outbound(config, Pool::new(PoolConfig::default())).await;
        for begun in [b"", begun] {
            let mut client = TcpStream::connect(entry).await.unwrap();
            client.write_all(begun).await.unwrap();
            assert_eq!(read_end(&mut client).await.1, End::Reset);
        }
    }
}

/// Takes connections and says nothing.
async fn silent() -> SocketAddr {
    service(|tcp| async move {
        std::future::pending::<()>().await;
        drop(tcp);
    })
    .await
}

#[tokio::test]
async fn t25_each_phase_has_its_deadline_and_the_client_hears_of_it() {
    let short = Duration::from_millis(150);
    let (mut running, ca) = (Running::new(), Ca::new());
    let mut config = inbound_config(&ca);
    config.resolver = Arc::new(Nowhere);
    config.dial_timeout = crate::common::LONG;
    let (node, _) = running.inbound(config).await;
    // A far node that never shakes hands, and one that never answers the CONNECT.
    for (far, handshake, setup) in
        [(silent().await, short, crate::common::LONG), (node, crate::common::LONG, short)]
    {
        let route = Route::new("a.b:1".parse().unwrap(), far.try_into().unwrap(), vec![id(BOB)]).unwrap();
        let routes = Routes::all(Way::Node(route.via));
        let mut config = OutboundConfig::with_front("proxy", Front::Socks5(None), routes, ca.identity(ALICE));
        config.setup_timeout = setup;
        let mut pool = PoolConfig::default();
        pool.connect.handshake_timeout = handshake;
        let (entry, _) = running.outbound(config, Pool::new(pool)).await;
        let mut client = TcpStream::connect(entry).await.unwrap();
        client.write_all(&socks_name("localhost", 80)).await.unwrap();
        let wanted = [5, 0, 5, 6, 0, 1, 0, 0, 0, 0, 0, 0].to_vec();
        assert_eq!(read_end(&mut client).await, (wanted, End::Fin), "{far}");
    }
}
