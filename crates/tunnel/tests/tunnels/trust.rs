//! Who is let in: certificates, identities, policy, and what people read when it fails.

use std::sync::Arc;
use std::time::Duration;

use hbone_tunnel::{
    Authority, Class, ConnectConfig, Front, Identity, InboundConfig, OutboundConfig, Peer, PeerFault, Policy,
    Pool, PoolConfig, Route, Routes, Single, Step, TunnelError, Way, connect, probe,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{
    ALICE, BOB, Ca, End, LONG, Pair, Running, closed_port, echo, fin, id, inbound_config, read_end, route,
    service, within,
};
use crate::{captured, upstream};

async fn knock(
    identity: &Identity,
    peer: &Peer,
    destination: Option<&Authority>,
) -> Result<Vec<Step>, TunnelError> {
    let mut steps = Vec::new();
    within(probe(identity, peer, destination, &ConnectConfig::default(), |step| steps.push(step))).await?;
    Ok(steps)
}

/// A far node with this identity; who knocks as `alice` and expects `expected` gets that answer.
async fn meet(alice: &Identity, bob: Arc<Identity>, expected: &str) -> Result<Vec<Step>, TunnelError> {
    let mut running = Running::new();
    let policy = Arc::new(Policy::new(bob.id(), Vec::new()).unwrap());
    let (node, _) = running.inbound(InboundConfig::new("in", bob, policy)).await;
    knock(
        alice,
        &Peer { address: node.try_into().unwrap(), others: Vec::new(), expected: vec![id(expected)] },
        None,
    )
    .await
}

fn fault(result: Result<Vec<Step>, TunnelError>) -> PeerFault {
    match result {
        Err(TunnelError::PeerCertificate { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

/// What our own certificate was refused for.
fn refusal(result: Result<Vec<Step>, TunnelError>) -> String {
    match result {
        Err(error @ TunnelError::OwnCertificate { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_probe_walks_all_steps_to_the_destination() {
    let pair = Pair::to(echo().await).await;
    let destination = echo().await.try_into().unwrap();
    let peer = Peer { address: pair.node.try_into().unwrap(), others: Vec::new(), expected: vec![id(BOB)] };
    let steps = knock(&pair.ca.identity(ALICE), &peer, Some(&destination)).await.unwrap();
    assert!(
        matches!(
            &steps[..],
            [Step::Connected { address }, Step::Secured { peer, .. }, Step::Settings, Step::Ping { .. }, Step::Tunnel]
                if *address == pair.node && peer.as_str() == BOB
        ),
        "{steps:?}"
    );
}

#[tokio::test]
async fn one_tunnel_without_a_pool_carries_octets_and_says_goodbye() {
    let pair = Pair::to(echo().await).await;
    let destination = echo().await.try_into().unwrap();
    let peer = Peer { address: pair.node.try_into().unwrap(), others: Vec::new(), expected: vec![id(BOB)] };
    let (alice, config) = (pair.ca.identity(ALICE), ConnectConfig::default());
    let opened = within(connect(&alice, &peer, &destination, Some("service.name=a"), &config, LONG)).await;
    let Single { mut stream, peer: who, connection } = opened.unwrap();
    assert_eq!(who.as_str(), BOB);
    stream.write_chunk(b"hello"[..].into()).await.unwrap();
    stream.finish().unwrap();
    assert_eq!(within(stream.read_chunk()).await.unwrap().unwrap(), &b"hello"[..]);
    assert_eq!(within(stream.read_chunk()).await, Ok(None));
    drop(stream);
    assert_eq!(within(connection).await.unwrap(), hbone_conn::ConnectionError::Closed);
}

#[tokio::test]
async fn one_tunnel_without_a_pool_tells_refusals_of_every_kind() {
    let pair = Pair::to(echo().await).await;
    let alice = pair.ca.identity(ALICE);
    let (config, at) = (ConnectConfig::default(), pair.node.try_into().unwrap());
    let peer = Peer { address: at, others: Vec::new(), expected: vec![id(BOB)] };
    let closed = closed_port().await.try_into().unwrap();
    let refused = within(connect(&alice, &peer, &closed, None, &config, LONG)).await.unwrap_err();
    assert!(matches!(&refused, TunnelError::Rejected { status: 503, .. }), "{refused}");
    // The far node's verdict on our certificate comes after our handshake is done.
    let (certificate, key) = Ca::new().leaf(ALICE, 3600);
    let stranger = Identity::new(vec![certificate], key, vec![pair.ca.root()]).unwrap();
    let refused = within(connect(&stranger, &peer, &closed, None, &config, LONG)).await.unwrap_err();
    assert!(matches!(&refused, TunnelError::OwnCertificate { .. }), "{refused}");
    assert_eq!(refused.class(), Class::Refused);
    let (_silent, address) = crate::common::bind().await;
    let peer = Peer { address: address.try_into().unwrap(), ..peer };
    let late = connect(&alice, &peer, &closed, None, &config, Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(late, TunnelError::SetupTimeout { .. }), "{late}");
}

#[tokio::test]
async fn a_wrong_authority_is_named_on_either_side() {
    let (ca, other) = (Ca::new(), Ca::new());
    let alice = ca.identity(ALICE);
    assert_eq!(fault(meet(&alice, other.identity(BOB), BOB).await), PeerFault::UnknownAuthority);
    let (certificate, key) = ca.leaf(BOB, 3600);
    let bob = Identity::new(vec![certificate], key, vec![other.root()]).unwrap();
    let text = refusal(meet(&alice, Arc::new(bob), BOB).await);
    assert!(text.contains("does not know the authority of our certificate"), "{text}");
}

#[tokio::test]
async fn t07_a_far_node_of_another_trust_domain_is_named() {
    const FOREIGN: &str = "spiffe://td2/ns/a/sa/bob";
    let ca = Ca::new();
    let presented = id(FOREIGN);
    let here = fault(meet(&ca.identity(ALICE), ca.identity(FOREIGN), FOREIGN).await);
    assert_eq!(here, PeerFault::TrustDomain { presented, ours: "td".into() });
}

#[tokio::test]
async fn an_unexpected_identity_names_both() {
    let ca = Ca::new();
    let error = meet(&ca.identity(ALICE), ca.identity(BOB), "spiffe://td/ns/a/sa/carol").await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(BOB) && text.contains("spiffe://td/ns/a/sa/carol"), "{text}");
    assert_eq!(error.class().exit_code(), 3);
}

#[tokio::test]
async fn an_expired_certificate_is_named_on_either_side() {
    let ca = Ca::new();
    let fault = fault(meet(&ca.identity(ALICE), ca.identity_until(BOB, -3600), BOB).await);
    assert!(matches!(fault, PeerFault::Expired { .. }), "{fault:?}");
    let text = refusal(meet(&ca.identity_until(ALICE, -3600), ca.identity(BOB), BOB).await);
    assert!(text.contains("expired"), "{text}");
}

/// What a client of the outbound side hears, and what the log says.
async fn fail_through(far: std::net::SocketAddr) -> String {
    let pair = Pair::with(
        closed_port().await,
        |_| (),
        |config| {
            let Route { destination, via } = route(([127, 0, 0, 1], 9).into(), far, BOB);
            (config.front, config.routes) = (Front::Fixed(destination), Routes::all(Way::Node(via)));
        },
        PoolConfig::default(),
    )
    .await;
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset), "a failure is never an end-of-file");
    let mut events = within(captured::events("no tunnel", 1)).await;
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

#[tokio::test]
async fn a_far_node_that_does_not_listen_costs_a_rst_and_one_line() {
    let line = fail_through(closed_port().await).await;
    assert!(line.contains("WARN") && line.contains("connection refused; nothing listens there"), "{line}");
    assert!(line.contains("destination=127.0.0.1:9 ") && line.contains(ALICE), "{line}");
}

#[tokio::test]
async fn a_far_node_that_speaks_http_1_is_told() {
    let far = service(|mut tcp| async move {
        let _ = tcp.read(&mut [0; 100]).await;
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
    });
    let line = fail_through(far.await).await;
    assert!(line.contains("does not speak TLS, so it is no HBONE node; check the port"), "{line}");
}

#[tokio::test]
async fn h75_a_far_node_without_http_2_in_alpn_is_told() {
    for protocols in [vec![], vec![b"http/1.1".to_vec()]] {
        let ca = Ca::new();
        let mut config = (*ca.identity(BOB).server_config().unwrap()).clone();
        config.alpn_protocols = protocols;
        let config = Arc::new(config);
        let far = service(move |mut tcp| {
            let config = Arc::clone(&config);
            async move {
                let mut session = rustls::ServerConnection::new(config).unwrap();
                let mut tcp = SyncOver(&mut tcp);
                // Until the client has had enough.
                while session.is_handshaking() && tcp.turn(&mut session).await {}
            }
        })
        .await;
        let peer = Peer { address: far.try_into().unwrap(), others: Vec::new(), expected: vec![id(BOB)] };
        let error = knock(&ca.identity(ALICE), &peer, None).await.unwrap_err();
        assert_eq!(error, TunnelError::NotHttp2 { peer: peer.address });
    }
}

/// A handshake of rustls over tokio, one turn at a time.
struct SyncOver<'a>(&'a mut TcpStream);

impl SyncOver<'_> {
    async fn turn(&mut self, session: &mut rustls::ServerConnection) -> bool {
        let mut octets = vec![0; 20_000];
        let Ok(count @ 1..) = self.0.read(&mut octets).await else { return false };
        let mut rest = &octets[..count];
        let mut fine = true;
        while fine && !rest.is_empty() {
            fine = session.read_tls(&mut rest).is_ok() && session.process_new_packets().is_ok();
        }
        octets.clear();
        while session.wants_write() {
            session.write_tls(&mut octets).unwrap();
        }
        self.0.write_all(&octets).await.is_ok() && fine
    }
}

#[tokio::test]
async fn h70_a_far_node_that_is_silent_costs_the_handshake_timeout() {
    let far = service(|tcp| async move {
        let _tcp = tcp;
        std::future::pending::<()>().await;
    });
    let config = ConnectConfig { handshake_timeout: Duration::from_millis(50), ..ConnectConfig::default() };
    let peer = Peer { address: far.await.try_into().unwrap(), others: Vec::new(), expected: vec![id(BOB)] };
    let error = within(probe(&Ca::new().identity(ALICE), &peer, None, &config, |_| ())).await.unwrap_err();
    assert_eq!(error, TunnelError::HandshakeTimeout { peer: peer.address, after: Duration::from_millis(50) });
}

#[tokio::test]
async fn h70_a_silent_caller_is_turned_out_and_so_is_the_oldest_of_too_many() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let mut config = inbound_config(&ca);
    config.handshake_timeout = Duration::from_millis(50);
    let (node, _) = running.inbound(config).await;
    let mut silent = TcpStream::connect(node).await.unwrap();
    assert_eq!(read_end(&mut silent).await.0, b"");

    let (listener, node) = crate::common::bind().await;
    let limits = hbone_tunnel::InboundLimits { unauthenticated: 3, ..hbone_tunnel::InboundLimits::default() };
    running.inbound_on(listener, inbound_config(&ca), limits);
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(TcpStream::connect(node).await.unwrap());
    }
    for silent in &mut silent[..7] {
        assert_eq!(read_end(silent).await.0, b"", "the oldest go");
    }
    let peer = Peer { address: node.try_into().unwrap(), others: Vec::new(), expected: vec![id(BOB)] };
    knock(&ca.identity(ALICE), &peer, None).await.expect("an honest caller gets in");
}

#[tokio::test]
async fn strangers_cannot_fill_the_log() {
    let pair = Pair::to(echo().await).await;
    for _ in 0..40 {
        let mut stranger = TcpStream::connect(pair.node).await.unwrap();
        stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        // FIN or RST.
        let _ = within(stranger.read_to_end(&mut Vec::new())).await;
    }
    let events = within(captured::events("no connection", 40)).await;
    assert_eq!(events.iter().filter(|event| event.starts_with("WARN")).count(), 10, "{events:?}");
}

async fn drained(handle: &hbone_conn::Handle) {
    within(async {
        while handle.is_open() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn t13_the_destinations_node_drains_at_the_end_of_either_certificate_and_live_tunnels_go_on() {
    for (ours, theirs) in [(3600, 2), (2, 3600)] {
        let (ca, mut running) = (Ca::new(), Running::new());
        let mut config = inbound_config(&ca);
        config.identity = ca.identity_until(BOB, ours);
        let (node, _) = running.inbound(config).await;
        let handle = upstream::call(&ca.identity_until(ALICE, theirs), node).await;
        let request = hbone_conn::Request::connect(&echo().await.to_string());
        let mut stream = within(handle.open(request)).await.unwrap();
        assert_eq!(within(stream.response()).await.unwrap().status(), 200);
        assert!(handle.is_open(), "not before its time");
        drained(&handle).await;
        stream.write_chunk(b"still there"[..].into()).await.unwrap();
        stream.finish().unwrap();
        assert_eq!(within(stream.read_chunk()).await.unwrap().unwrap(), &b"still there"[..]);
        assert_eq!(within(stream.read_chunk()).await, Ok(None));
    }
}

#[tokio::test]
async fn t13_the_pool_leaves_a_connection_at_the_end_of_either_certificate() {
    for (ours, theirs) in [(3600, 2), (2, 3600)] {
        let (ca, mut running, pool) = (Ca::new(), Running::new(), Pool::new(PoolConfig::default()));
        // A far node that does not care.
        let (listener, node) = crate::common::bind().await;
        let config = ca.identity_until(BOB, theirs).server_config().unwrap();
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let tls = hbone_conn::Tls::accept(tcp, config).await.unwrap();
            let (_handle, mut incoming, driver) =
                hbone_conn::establish(hbone_conn::Side::Server, tls, hbone_conn::Config::default());
            tokio::spawn(driver);
            while let Some((_, mut stream)) = incoming.accept().await {
                stream.respond(hbone_conn::Response::new(200)).unwrap();
                tokio::spawn(async move {
                    while let Ok(Some(chunk)) = stream.read_chunk().await {
                        stream.write_chunk(chunk).await.unwrap();
                    }
                    let _ = stream.finish();
                });
            }
        });
        let identity = ca.identity_until(ALICE, ours);
        let config = OutboundConfig::new("out", route(closed_port().await, node, BOB), identity);
        let (entry, _) = running.outbound(config, pool.clone()).await;
        let mut client = TcpStream::connect(entry).await.unwrap();
        client.write_all(b"x").await.unwrap();
        fin(&client);
        assert_eq!(read_end(&mut client).await, (b"x".to_vec(), End::Fin));
        assert_eq!(pool.connections(), 1);
        within(async {
            while pool.connections() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
