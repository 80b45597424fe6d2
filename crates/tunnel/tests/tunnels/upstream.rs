//! What a caller may ask for and what it is answered: the inbound side, asked directly over HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hbone_conn::{Config, ErrorCode, Handle, Request, Side, StreamError, Tls, establish};
use hbone_tunnel::{HostName, Identity, Inbound, Policy, Resolve, Resolving, TunnelError};
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};

use crate::captured;
use crate::common::{
    ALICE, BOB, Ca, End, LONG, Pair, Running, closed_port, echo, id, inbound_config, read_end, within,
};

/// A caller's connection to a node.
pub(crate) async fn call(identity: &Identity, node: SocketAddr) -> Handle {
    let tcp = TcpStream::connect(node).await.unwrap();
    let config = identity.client_config(&[id(BOB)]).unwrap();
    let name = ServerName::IpAddress(node.ip().into());
    let tls = within(Tls::connect(tcp, config, name)).await.unwrap();
    let (handle, _, driver) = establish(Side::Client, tls, Config::default());
    tokio::spawn(driver);
    handle
}

async fn status(handle: &Handle, request: Request) -> u16 {
    let mut stream = within(handle.open(request)).await.unwrap();
    within(stream.response()).await.unwrap().status()
}

async fn node(
    change: impl FnOnce(&mut hbone_tunnel::InboundConfig),
) -> (Running, Handle, SocketAddr, Inbound) {
    let (ca, mut running) = (Ca::new(), Running::new());
    let mut config = inbound_config(&ca);
    change(&mut config);
    let (node, inbound) = running.inbound(config).await;
    let handle = call(&ca.identity(ALICE), node).await;
    (running, handle, node, inbound)
}

#[tokio::test]
async fn what_asks_for_no_tunnel_is_answered_405_and_what_is_no_destination_400() {
    let (_running, handle, ..) = node(|_| ()).await;
    assert_eq!(status(&handle, Request::new("GET", "https", "host:80", "/")).await, 405);
    for authority in
        ["host", "127.1:80", "user@host:80", "host.:80", "2130706433:80", "[::1]:080", "a%2eb:80"]
    {
        // The engine itself does not send what is no authority at all.
        let Ok(mut stream) = handle.open(Request::connect(authority)).await else { continue };
        let answer = within(stream.response()).await;
        let refused = match &answer {
            Ok(response) => response.status() == 400,
            Err(error) => *error == StreamError::Reset(ErrorCode::PROTOCOL_ERROR),
        };
        assert!(refused, "{authority}: {answer:?}");
    }
}

#[tokio::test]
async fn a_tunnel_is_answered_200_with_baggage_once_the_destination_stands() {
    let (_running, handle, ..) = node(|config| config.baggage = Some("service.name=bob".into())).await;
    let mut stream = handle.open(Request::connect(&echo().await.to_string())).await.unwrap();
    let response = within(stream.response()).await.unwrap();
    assert_eq!((response.status(), response.field("baggage")), (200, Some(&b"service.name=bob"[..])));
}

#[tokio::test]
async fn t29_a_rst_of_the_destination_is_connect_error_which_nobody_takes_for_a_clean_end() {
    let (_running, handle, ..) = node(|_| ()).await;
    let service = crate::common::service(|tcp| async move { crate::common::reset(tcp) }).await;
    let mut stream = handle.open(Request::connect(&service.to_string())).await.unwrap();
    let code = StreamError::Reset(ErrorCode::CONNECT_ERROR);
    // The destination may be gone before the answer was sent.
    if within(stream.response()).await.is_ok_and(|response| response.status() == 200) {
        assert_eq!(within(stream.read_chunk()).await, Err(code));
    }
}

#[tokio::test]
async fn t29_a_stream_that_its_caller_resets_is_a_rst_for_the_destination_whatever_the_code() {
    let (_running, handle, ..) = node(|_| ()).await;
    let (listener, service) = crate::common::bind().await;
    for code in [ErrorCode::CANCEL, ErrorCode::NO_ERROR, ErrorCode::CONNECT_ERROR] {
        let mut stream = handle.open(Request::connect(&service.to_string())).await.unwrap();
        let (mut tcp, _) = within(listener.accept()).await.unwrap();
        assert_eq!(within(stream.response()).await.unwrap().status(), 200);
        stream.reset(code);
        assert_eq!(read_end(&mut tcp).await, (Vec::new(), End::Reset), "{code:?}");
    }
}

#[tokio::test]
async fn n7_the_loss_of_the_connection_is_a_rst_for_every_destination() {
    let (_running, handle, ..) = node(|_| ()).await;
    let (listener, service) = crate::common::bind().await;
    let (mut streams, mut sockets) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let mut stream = handle.open(Request::connect(&service.to_string())).await.unwrap();
        sockets.push(within(listener.accept()).await.unwrap().0);
        assert_eq!(within(stream.response()).await.unwrap().status(), 200);
        streams.push(stream);
    }
    handle.close(ErrorCode::NO_ERROR);
    for tcp in &mut sockets {
        assert_eq!(read_end(tcp).await, (Vec::new(), End::Reset));
    }
}

#[tokio::test]
async fn a_destination_that_refuses_is_answered_503() {
    let (_running, handle, ..) = node(|_| ()).await;
    assert_eq!(status(&handle, Request::connect(&closed_port().await.to_string())).await, 503);
}

/// A port whose queue of connections is full: a further SYN is not answered.
fn silent_port() -> (tokio::net::TcpListener, Vec<std::net::TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    while let Ok(filler) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        fillers.push(filler);
    }
    (listener, fillers)
}

#[tokio::test]
async fn t25_a_destination_that_is_silent_is_answered_503_after_the_limit() {
    let (listener, _fillers) = silent_port();
    let (_running, handle, ..) = node(|config| config.dial_timeout = Duration::from_millis(50)).await;
    let destination = listener.local_addr().unwrap().to_string();
    assert_eq!(status(&handle, Request::connect(&destination)).await, 503);
}

#[tokio::test]
async fn t08_a_caller_of_another_namespace_is_answered_403_and_401_towards_istio() {
    for (istio, expected) in [(false, 403), (true, 401)] {
        let (ca, mut running) = (Ca::new(), Running::new());
        let mut config = inbound_config(&ca);
        config.policy = Arc::new(Policy::new(&id(BOB), Vec::new()).unwrap());
        config.istio_status = istio;
        let (node, _) = running.inbound(config).await;
        let handle = call(&ca.identity("spiffe://td/ns/other/sa/alice"), node).await;
        assert_eq!(status(&handle, Request::connect("10.0.0.1:80")).await, expected);
    }
}

#[tokio::test]
async fn t08_a_refusal_reaches_the_client_as_rst_and_the_log_with_the_next_step() {
    let refuse = |config: &mut hbone_tunnel::InboundConfig| {
        config.policy = Arc::new(Policy::new(&id(BOB), Vec::new()).unwrap());
    };
    let pair = Pair::with(echo().await, refuse, |_| (), hbone_tunnel::PoolConfig::default()).await;
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset));
    let events = within(captured::events("no tunnel", 2)).await;
    let line = |side: &str| events.iter().find(|event| event.contains(side)).unwrap().clone();
    assert!(
        line("side=inbound").contains("protected (loopback): an allow rule must name its address"),
        "{events:?}"
    );
    let outbound = line("side=outbound");
    assert!(outbound.contains("answered 403") && outbound.contains("status=403"), "{outbound}");
    assert!(outbound.contains("policy does not allow our identity there"), "{outbound}");
}

#[tokio::test]
async fn t01_protected_destinations_are_answered_403_in_every_form() {
    let policy = Arc::new(Policy::new(&id(BOB), Vec::new()).unwrap());
    let (_running, handle, ..) = node(|config| config.policy = policy).await;
    for authority in [
        "127.0.0.1:80",
        "[::1]:80",
        "[::ffff:127.0.0.1]:80",
        "[2002:7f00:1::]:80",
        "[64:ff9b::7f00:1]:80",
        "169.254.169.254:80",
        "0.0.0.0:80",
        "224.0.0.1:80",
        "localhost:80",
    ] {
        assert_eq!(status(&handle, Request::connect(authority)).await, 403, "{authority}");
    }
}

#[tokio::test]
async fn t32_a_tunnel_to_the_own_listener_is_refused() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (listener, address) = crate::common::bind().await;
    let mut config = inbound_config(&ca);
    config.own_ports = vec![address.port()];
    running.inbound_on(listener, config, hbone_tunnel::InboundLimits::default());
    let handle = call(&ca.identity(ALICE), address).await;
    assert_eq!(status(&handle, Request::connect(&address.to_string())).await, 403);
}

/// Answers with one address, however often it is asked; `None` never answers.
#[derive(Debug)]
struct Answers(Option<&'static str>);

impl Resolve for Answers {
    fn resolve(&self, _: &HostName) -> Resolving {
        match self.0 {
            Some(text) => Box::pin(async move { Ok(vec![text.parse().unwrap()]) }),
            None => Box::pin(std::future::pending()),
        }
    }
}

#[tokio::test]
async fn t11_a_field_that_decides_twice_is_answered_400_and_nothing_is_dialled() {
    let (_running, handle, ..) = node(|_| ()).await;
    let service = echo().await.to_string();
    for field in ["authorization", "x-service", "x-tun"] {
        let mut request = Request::connect(&service);
        request.push(field, "a");
        assert_eq!(status(&handle, request.clone()).await, 200, "{field}");
        request.push(field, "b");
        assert_eq!(status(&handle, request).await, 400, "{field}");
    }
}

#[tokio::test]
async fn t02_a_permitted_name_that_leads_to_metadata_is_refused() {
    let rule = hbone_tunnel::Rule {
        targets: vec!["*.example".parse().unwrap()],
        ..hbone_tunnel::Rule::new("names", hbone_tunnel::Action::Allow)
    };
    let policy = Arc::new(Policy::new(&id(BOB), vec![rule]).unwrap());
    let (_running, handle, ..) = node(|config| {
        config.policy = policy;
        config.resolver = Arc::new(Answers(Some("169.254.169.254")));
    })
    .await;
    assert_eq!(status(&handle, Request::connect("a.example:80")).await, 403);
}

#[tokio::test]
async fn h25_a_reset_of_the_caller_ends_the_dial() {
    let (running, handle, ..) = node(|config| {
        config.resolver = Arc::new(Answers(None));
        config.dial_timeout = LONG * 100;
    })
    .await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(handle.open(Request::connect("localhost:80")).await.unwrap());
    }
    let live = |count: u64| {
        let shutdown = &running.shutdown;
        within(async move {
            while shutdown.live() != count {
                tokio::task::yield_now().await;
            }
        })
    };
    live(20).await;
    for stream in &mut streams {
        stream.reset(ErrorCode::CANCEL);
    }
    live(0).await;
}

#[tokio::test]
async fn tunnels_over_the_limit_are_refused_so_that_they_may_go_elsewhere() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (listener, address) = crate::common::bind().await;
    let limits = hbone_tunnel::InboundLimits { tunnels: 1, ..hbone_tunnel::InboundLimits::default() };
    running.inbound_on(listener, inbound_config(&ca), limits);
    let handle = call(&ca.identity(ALICE), address).await;
    let destination = echo().await.to_string();
    let mut first = handle.open(Request::connect(&destination)).await.unwrap();
    assert_eq!(within(first.response()).await.unwrap().status(), 200);
    let mut second = handle.open(Request::connect(&destination)).await.unwrap();
    assert_eq!(within(second.response()).await, Err(StreamError::Reset(ErrorCode::REFUSED_STREAM)));
}

#[tokio::test]
async fn t26_one_identity_gets_its_share_of_the_tunnels_and_the_rest_is_for_others() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (listener, address) = crate::common::bind().await;
    let limits = hbone_tunnel::InboundLimits { tunnels: 4, ..hbone_tunnel::InboundLimits::default() };
    running.inbound_on(listener, inbound_config(&ca), limits);
    let destination = echo().await.to_string();
    let mut kept = Vec::new();
    let carol = "spiffe://td/ns/a/sa/carol";
    for who in [ALICE, carol] {
        // Two connections of one identity are one caller.
        let handles = [call(&ca.identity(who), address).await, call(&ca.identity(who), address).await];
        for at in 0..3 {
            let mut stream = handles[at % 2].open(Request::connect(&destination)).await.unwrap();
            let answer = within(stream.response()).await;
            let refused = Err(StreamError::Reset(ErrorCode::REFUSED_STREAM));
            assert_eq!(answer.map(|answer| answer.status()), if at < 2 { Ok(200) } else { refused }, "{who}");
            kept.push(stream);
        }
    }
}

#[tokio::test]
async fn t26_one_identity_gets_its_share_of_the_connections_and_the_rest_is_for_others() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (listener, address) = crate::common::bind().await;
    let mut config = inbound_config(&ca);
    config.connections_per_identity = Some(2);
    let limits = hbone_tunnel::InboundLimits { connections: 3, ..hbone_tunnel::InboundLimits::default() };
    running.inbound_on(listener, config, limits);
    let (first, second) =
        (call(&ca.identity(ALICE), address).await, call(&ca.identity(ALICE), address).await);
    within(first.ready()).await.unwrap();
    within(second.ready()).await.unwrap();
    let third = call(&ca.identity(ALICE), address).await;
    assert!(within(third.ready()).await.is_err());
    let text = within(captured::events("no connection", 1)).await.remove(0);
    assert!(text.contains(ALICE) && text.contains("all 2 connections"), "{text}");
    within(call(&ca.identity("spiffe://td/ns/a/sa/carol"), address).await.ready()).await.unwrap();
}

#[tokio::test]
async fn t24_a_destination_of_a_stranger_makes_one_line() {
    let (_running, handle, ..) = node(|_| ()).await;
    let long = format!("{}:80", "a".repeat(3000));
    let mut stream = handle.open(Request::connect(&long)).await.unwrap();
    assert_eq!(within(stream.response()).await.unwrap().status(), 400);
    let events = within(captured::events("no tunnel", 1)).await;
    assert!(events[0].len() < 1000 && events[0].contains("aaa…"), "{events:?}");
}

#[test]
fn errors_are_values() {
    fn is<T: std::error::Error + Clone + Send + Sync + 'static>() {}
    is::<TunnelError>();
}
