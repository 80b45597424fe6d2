//! Who a caller is taken for: by the name that it calls, by the address that it comes from, and never by the words of
//! somebody else.

use std::net::SocketAddr;
use std::sync::Arc;

use hbone_conn::{Config, ErrorCode, Handle, Plain, Request, Response, Side, StreamError, Tls, establish};
use hbone_tunnel::{
    Action, Choice, Egress, EgressRule, Identity, InboundConfig, InboundLimits, PlainNode, Policy, Routes,
    Rule, Way, WebRoots,
};
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::captured;
use crate::common::{ALICE, BOB, Ca, Running, bind, echo, id, inbound_config, loopback_policy, within};
use crate::post::{enter, inner, nobody};
use crate::upstream::call;

const CAROL: &str = "spiffe://td/ns/a/sa/carol";
const DAVE: &str = "spiffe://td/ns/a/sa/dave";

/// A connection of a caller that names whom it calls.
async fn call_by_name(identity: &Identity, node: SocketAddr, name: &str) -> Handle {
    let tcp = TcpStream::connect(node).await.unwrap();
    let mut config = Arc::unwrap_or_clone(identity.client_config(&[id(BOB)]).unwrap());
    config.enable_sni = true;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let tls = within(Tls::connect(tcp, Arc::new(config), name)).await.unwrap();
    let (handle, _, driver) = establish(Side::Client, tls, Config::default());
    tokio::spawn(driver);
    handle
}

/// A connection without TLS from an address of this host.
async fn call_in_the_clear(node: SocketAddr, from: &str) -> Handle {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let tcp = socket.connect(node).await.unwrap();
    let (handle, _, driver) = establish(Side::Client, Plain::new(tcp), Config::default());
    tokio::spawn(driver);
    handle
}

async fn asked(handle: &Handle, request: Request) -> (Result<u16, StreamError>, hbone_conn::Stream) {
    let mut stream = within(handle.open(request)).await.unwrap();
    (within(stream.response()).await.map(|response| response.status()), stream)
}

/// Callers without identity may reach loopback; `trusted` are the networks that they come from.
fn clear(ca: &Ca, trusted: &str) -> InboundConfig {
    let mut config = inbound_config(ca);
    let rule = Rule {
        anonymous: true,
        networks: Choice { only: vec!["127.0.0.0/8".parse().unwrap()], except: Vec::new() },
        listeners: Choice { only: vec!["in".to_owned()], except: Vec::new() },
        targets: vec!["127.0.0.0/8".parse().unwrap()],
        ..Rule::new("nobody", Action::Allow)
    };
    config.policy = Arc::new(Policy::new(&id(BOB), vec![rule]).unwrap());
    config.trusted = Some(vec![trusted.parse().unwrap()]);
    config
}

#[tokio::test]
async fn the_name_that_a_caller_gives_in_its_client_hello_is_judged() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let mut config = inbound_config(&ca);
    let allow = Rule { targets: vec!["127.0.0.0/8".parse().unwrap()], ..Rule::new("all", Action::Allow) };
    let names = Choice { only: vec!["*.old.example".parse().unwrap()], except: Vec::new() };
    let deny = Rule { server_names: names, ..Rule::new("old", Action::Deny) };
    config.policy = Arc::new(Policy::new(&id(BOB), vec![allow, deny]).unwrap());
    let (node, _inbound) = running.inbound(config).await;
    let (destination, alice) = (echo().await, ca.identity(ALICE));
    let connect = || Request::connect(&destination.to_string());
    for (name, expected) in [("new.example", 200), ("a.old.example", 403), ("A.OLD.example", 403)] {
        let handle = call_by_name(&alice, node, name).await;
        assert_eq!(asked(&handle, connect()).await.0, Ok(expected), "{name}");
    }
    assert_eq!(asked(&call(&alice, node).await, connect()).await.0, Ok(200), "it named nobody");
    // Who is inside a stream is not known by the name that was called outside it.
    let handle = call_by_name(&alice, node, "a.old.example").await;
    let mut request = Request::new("POST", "https", "gate", "/");
    request.push("x-tun", &destination.to_string());
    let (status, stream) = asked(&handle, request).await;
    assert_eq!(status, Ok(200));
    let mut tls = within(inner(&alice, destination).connect(nobody(), stream)).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut tls, b"x").await.unwrap();
    within(tls.read_exact(&mut [0])).await.unwrap();
}

#[tokio::test]
async fn t24_the_destination_in_the_log_is_the_one_that_was_asked_for_and_dialled() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let mut config = inbound_config(&ca);
    let at = echo().await;
    config.services.insert("web".into(), at.try_into().unwrap());
    let (node, _inbound) = running.inbound(config).await;
    let handle = call(&ca.identity(ALICE), node).await;
    let mut connect = Request::connect(&at.to_string());
    connect.push("x-tun", "harmless:80");
    let mut denied = Request::connect("10.9.9.9:5432");
    denied.push("x-tun", "harmless:80");
    let mut service = Request::new("POST", "https", "harmless:80", "/");
    service.push("x-service", "web");
    for request in [connect, service] {
        let (status, mut stream) = asked(&handle, request).await;
        assert_eq!(status, Ok(200));
        stream.reset(ErrorCode::CANCEL);
    }
    assert_eq!(asked(&handle, denied).await.0, Ok(403));
    let told = within(captured::events("tunnel", 2)).await;
    let dialled = format!("destination={at} ");
    assert!(told.iter().all(|it| it.contains(&dialled) && !it.contains("harmless")), "{told:?}");
    let told = within(captured::events("no tunnel", 1)).await;
    assert!(told[0].contains("destination=10.9.9.9:5432 "), "{told:?}");
}

#[tokio::test]
async fn an_egress_rule_of_a_network_holds_for_a_name_that_leads_into_it() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let mut config = inbound_config(&ca);
    let roots = WebRoots::from_pem(ca.pem().as_bytes()).unwrap();
    let rule = EgressRule::new("127.0.0.0/8".parse().unwrap(), None, &roots, None).unwrap();
    config.egress = Egress::new(vec![rule]);
    let (node, _inbound) = running.inbound(config).await;
    let handle = call(&ca.identity(ALICE), node).await;
    let port = echo().await.port();
    // What does not speak TLS is never spoken to in the clear.
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(asked(&handle, Request::connect(&format!("{host}:{port}"))).await.0, Ok(503), "{host}");
    }
}

#[tokio::test]
async fn t23_the_fields_of_whoever_brings_a_stream_are_no_words_of_who_is_inside() {
    let (listener, next) = bind().await;
    let (report, seen) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let (_handle, mut incoming, driver) = establish(Side::Server, Plain::new(tcp), Config::default());
        tokio::spawn(driver);
        let (request, mut stream) = incoming.accept().await.unwrap();
        stream.respond(Response::new(200)).unwrap();
        let field = |name| request.field(name).map(<[u8]>::to_vec);
        report.send(["baggage", "forwarded", "hbone-hops"].map(field)).unwrap();
        std::future::pending::<()>().await;
    });
    let (ca, mut running) = (Ca::new(), Running::new());
    let mut config = inbound_config(&ca);
    config.routes = Routes::all(Way::Plain(PlainNode { address: next.try_into().unwrap(), unix: None }));
    let (node, _inbound) = running.inbound(config).await;
    let (alice, to) = (ca.identity(ALICE), echo().await);
    let handle = call(&alice, node).await;
    let mut request = Request::new("POST", "https", "gate", "/");
    for (name, value) in [
        ("x-tun", to.to_string().as_str()),
        ("baggage", "service.name=liar"),
        ("forwarded", "for=6.6.6.6"),
        ("hbone-hops", "1"),
    ] {
        request.push(name, value);
    }
    let (status, stream) = asked(&handle, request).await;
    assert_eq!(status, Ok(200));
    let tls = within(inner(&ca.identity(CAROL), to).connect(nobody(), stream)).await.unwrap();
    assert_eq!(within(seen).await.unwrap(), [None, None, Some(b"2".to_vec())]);
    drop((tls, handle));
    let told = within(captured::events("tunnel", 1)).await;
    assert!(told[0].contains(CAROL) && !told[0].contains("liar") && !told[0].contains("6.6.6.6"), "{told:?}");
}

#[tokio::test]
async fn t12_a_network_that_is_taken_out_of_the_trusted_ones_loses_what_it_has() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (node, inbound) = running.inbound(clear(&ca, "127.0.0.0/8")).await;
    let destination = echo().await.to_string();
    let (kept, lost) =
        (call_in_the_clear(node, "127.0.0.1").await, call_in_the_clear(node, "127.0.0.2").await);
    let (status, mut stays) = asked(&kept, Request::connect(&destination)).await;
    assert_eq!(status, Ok(200));
    let (status, mut cut) = asked(&lost, Request::connect(&destination)).await;
    assert_eq!(status, Ok(200));
    inbound.replace(clear(&ca, "127.0.0.1/32")).unwrap();
    let refused = Err(StreamError::Reset(ErrorCode::REFUSED_STREAM));
    assert_eq!(asked(&lost, Request::connect(&destination)).await.0, refused);
    assert!(within(cut.read_chunk()).await.is_err());
    assert_eq!(asked(&kept, Request::connect(&destination)).await.0, Ok(200));
    stays.write_chunk("octets".into()).await.unwrap();
    assert_eq!(within(stays.read_chunk()).await.unwrap().unwrap(), "octets");
}

#[tokio::test]
async fn t26_callers_without_identity_have_a_share_for_each_address() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (listener, node) = bind().await;
    let limits = InboundLimits { tunnels: 4, connections: 4, ..InboundLimits::default() };
    running.inbound_on(listener, clear(&ca, "127.0.0.0/8"), limits);
    let destination = echo().await.to_string();
    let mut kept = Vec::new();
    for from in ["127.0.0.1", "127.0.0.2"] {
        let handles = [call_in_the_clear(node, from).await, call_in_the_clear(node, from).await];
        for at in 0..3 {
            let (status, stream) = asked(&handles[at % 2], Request::connect(&destination)).await;
            let refused = Err(StreamError::Reset(ErrorCode::REFUSED_STREAM));
            assert_eq!(status, if at < 2 { Ok(200) } else { refused }, "{from}");
            kept.push(stream);
        }
        let third = call_in_the_clear(node, from).await;
        assert!(within(third.ready()).await.is_err(), "a third connection of {from}");
        kept.push(handles[0].open(Request::connect(&destination)).await.unwrap());
    }
}

#[tokio::test]
async fn t26_who_is_inside_a_stream_has_the_share_and_not_the_proxy_that_brings_it() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (listener, node) = bind().await;
    let mut config = inbound_config(&ca);
    config.policy = loopback_policy(BOB);
    config.tunnels_per_identity = Some(2);
    running.inbound_on(listener, config, InboundLimits::default());
    let (proxy, to) = (ca.identity(ALICE), echo().await);
    let mut kept = Vec::new();
    for who in [CAROL, DAVE] {
        let who = ca.identity(who);
        for at in 0..3 {
            let (mut tls, handle) = enter(&proxy, &who, node, to, to).await;
            let there_and_back = async {
                tokio::io::AsyncWriteExt::write_all(&mut tls, b"x").await?;
                tls.read_exact(&mut [0]).await
            };
            assert_eq!(within(there_and_back).await.is_ok(), at < 2, "{at}");
            kept.push((tls, handle));
        }
    }
    let told = within(captured::events("no tunnel", 2)).await;
    assert!(told[0].contains(CAROL) && told[0].contains("all 2 tunnels"), "{told:?}");
}
