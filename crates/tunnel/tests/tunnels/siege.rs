//! A node before which thousands stand that never shake hands, and callers that ask for another protocol.

use std::io::Read;
use std::process::Command;
use std::sync::Arc;

use hbone_tunnel::{ConnectConfig, InboundLimits, Peer, probe};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{ALICE, BOB, Ca, Pair, Running, echo, id, inbound_config, within};

/// Strangers, where there are descriptors for both of their ends and as many again.
const STRANGERS: usize = 5000;

/// In a process of its own, whose descriptors can be counted.
#[test]
fn h70_five_thousand_strangers_lock_nobody_out() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "siege::inside_a_siege", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && text.contains("1 passed"), "{child:?}");
}

#[tokio::test]
#[ignore = "run by the test above in a process of its own"]
async fn inside_a_siege() {
    let pair = Pair::to(echo().await).await;
    let honest = pair.ca.identity(ALICE);
    let peer = Peer { address: pair.node.try_into().unwrap(), others: Vec::new(), expected: vec![id(BOB)] };
    let config = ConnectConfig::default();
    let mut live = TcpStream::connect(pair.entry).await.unwrap();
    live.write_all(b"before").await.unwrap();
    within(live.read_exact(&mut [0; 6])).await.unwrap();
    let rest = held();

    let many = STRANGERS.min(descriptors() / 4);
    let mut strangers = Vec::new();
    for n in 0..many {
        let mut stranger = TcpStream::connect(pair.node).await.unwrap();
        if n % 2 == 0 {
            // The first octet of a ClientHello; who is turned out already does not hear it.
            let _ = stranger.write_all(&[22]).await;
        }
        strangers.push(stranger);
        if n % (many / 5) == 0 {
            within(probe(&honest, &peer, None, &config, |_| ())).await.expect("an honest caller gets in");
        }
    }
    within(probe(&honest, &peer, None, &config, |_| ())).await.expect("an honest caller gets in");
    live.write_all(b"behind").await.unwrap();
    within(live.read_exact(&mut [0; 6])).await.unwrap();
    // Both ends of a stranger; the node's is gone for all that were turned out.
    let room = InboundLimits::default().unauthenticated.min(descriptors() / 4);
    within(until(|| held().0 <= rest.0 + many + room)).await;

    drop(strangers);
    within(until(|| held().0 <= rest.0 && held().1 <= rest.1)).await;
}

/// Descriptors and tasks.
fn held() -> (usize, usize) {
    let files = std::fs::read_dir("/proc/self/fd").unwrap().count();
    (files, tokio::runtime::Handle::current().metrics().num_alive_tasks())
}

/// The files that this process may open.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX)
}

async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn h75_a_caller_without_http_2_in_alpn_is_closed() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (node, _) = running.inbound(inbound_config(&ca)).await;
    for offer in [vec![], vec![b"http/1.1".to_vec()]] {
        let mut config = (*ca.identity(ALICE).client_config(&[id(BOB)]).unwrap()).clone();
        config.alpn_protocols = offer;
        let caller = tokio::task::spawn_blocking(move || {
            let mut socket = std::net::TcpStream::connect(node).unwrap();
            let name = ServerName::IpAddress(node.ip().into());
            let mut session = ClientConnection::new(Arc::new(config), name).unwrap();
            let mut said = Vec::new();
            // However it ends: it ends.
            let _ = rustls::Stream::new(&mut session, &mut socket).read_to_end(&mut said);
            said
        });
        assert_eq!(within(caller).await.unwrap(), b"", "not one octet of HTTP/2 is said");
    }
    let peer = Peer { address: node.try_into().unwrap(), others: Vec::new(), expected: vec![id(BOB)] };
    within(probe(&ca.identity(ALICE), &peer, None, &ConnectConfig::default(), |_| ())).await.unwrap();
}
