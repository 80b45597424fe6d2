//! Nodes behind gateways of another network: mTLS end to end inside a tunnel of the gateway (double HBONE).

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use crate::chain::{connect, serving};
use crate::common::{Lab, id, stdout};
use crate::fake;
use crate::process::NodeProcess;
use crate::reload::{echoed, hang_up};
use crate::tunnels::{capturing, octets};

/// Alice, who reaches bob through the gateway only. Bob knows alice and not the gateway; the gateway lets alice reach
/// bob's node and nothing behind it.
struct Far {
    lab: Lab,
    alice: NodeProcess,
    gateway: NodeProcess,
    bob: NodeProcess,
}

impl Far {
    fn start(destinations: &[SocketAddr]) -> Self {
        let lab = Lab::new();
        for account in ["alice", "gateway", "bob"] {
            lab.issue(account);
        }
        let bob = NodeProcess::start(&lab.write("bob.toml", &serving("bob", "alice", destinations, "")));
        let config = serving("gateway", "alice", &[bob.address("in")], "");
        let gateway = NodeProcess::start(&lab.write("gateway.toml", &config));
        let alice = Self::alice(&lab, &gateway, bob.address("in"), "bob", destinations);
        Self { lab, alice, gateway, bob }
    }

    fn alice(
        lab: &Lab,
        gateway: &NodeProcess,
        node: SocketAddr,
        who: &str,
        to: &[SocketAddr],
    ) -> NodeProcess {
        // One pool: how connections are shared among threads is another matter.
        let config = capturing(node, &id(who), to, "connections_per_peer = 1");
        let config =
            config.replace("[[peers]]\nname = \"bob\"", "[[peers]]\nname = \"bob\"\nthrough = \"gateway\"");
        let config = format!(
            "{config}[[peers]]\nname = \"gateway\"\naddress = \"{}\"\nidentity = \"{}\"\n",
            gateway.address("in"),
            id("gateway")
        );
        NodeProcess::start(&lab.write("alice.toml", &config))
    }

    fn connect(&self, index: usize) -> std::net::TcpStream {
        connect(self.alice.address(&format!("to{index}")))
    }
}

#[test]
fn t20_the_gateway_buys_the_way_only_and_the_caller_is_itself_at_the_far_node() {
    let far = Far::start(&[fake::echo()]);
    let mut stream = far.connect(0);
    let sent = octets(2 << 20);
    let (mut writer, copy) = (stream.try_clone().unwrap(), sent.clone());
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received == sent, "{} octets came back, {} were sent", received.len(), sent.len());
    let shown = stdout(&crate::common::run(&["check", &far.lab.text("alice.toml")]));
    assert!(shown.contains(&format!("bob: {} as {} inside", far.bob.address("in"), id("bob"))), "{shown}");
}

#[test]
fn many_tunnels_share_one_connection_in_one_tunnel_of_the_gateway() {
    let mut far = Far::start(&[fake::echo(), fake::echo()]);
    let mut streams: Vec<_> = (0..30).map(|number| far.connect(number % 2)).collect();
    for stream in &mut streams {
        echoed(stream).unwrap();
    }
    drop(streams);
    far.alice.process().signal("TERM");
    assert_eq!(far.alice.process().exit(), 0);
    far.gateway.process().signal("TERM");
    assert_eq!(far.gateway.process().exit(), 0);
    let carried =
        far.gateway.process().seen().iter().filter(|line| line.contains("\"message\":\"tunnel\"")).count();
    assert_eq!(carried, 1);
}

#[test]
fn t20_a_node_that_is_not_the_expected_one_behind_the_gateway_is_refused_by_the_caller() {
    let lab = Lab::new();
    for account in ["alice", "gateway", "mallory"] {
        lab.issue(account);
    }
    let to = fake::echo();
    let mallory = NodeProcess::start(&lab.write("mallory.toml", &serving("mallory", "alice", &[to], "")));
    let config = serving("gateway", "alice", &[mallory.address("in")], "");
    let gateway = NodeProcess::start(&lab.write("gateway.toml", &config));
    let mut alice = Far::alice(&lab, &gateway, mallory.address("in"), "bob", &[to]);
    assert!(echoed(&mut connect(alice.address("to0"))).is_err());
    let told = alice.complaint("no tunnel");
    let cause = told["cause"].as_str().unwrap();
    assert!(cause.contains("is not trusted") && cause.contains("mallory"), "{cause}");
}

#[test]
fn a_gateway_that_refuses_or_cannot_reach_the_far_node_is_named_with_its_status() {
    let mut far = Far::start(&[fake::echo()]);
    far.bob.process().signal("TERM");
    far.bob.process().exit();
    assert!(echoed(&mut far.connect(0)).is_err());
    let told = far.alice.complaint("no tunnel");
    let cause = told["cause"].as_str().unwrap().to_owned();
    let gateway = far.gateway.address("in");
    assert!(cause.contains(&format!("{gateway} answered 503 for {}", far.bob.address("in"))), "{cause}");
    let text = std::fs::read_to_string(far.lab.path("gateway.toml")).unwrap();
    far.lab.write("gateway.toml", &text.replace("\"allow\"", "\"deny\""));
    hang_up(&mut far.gateway, "reloaded");
    assert!(echoed(&mut far.connect(0)).is_err());
    let told = far.alice.complaint("no tunnel");
    assert!(told["cause"].as_str().unwrap().contains("answered 403"), "{told}");
}

#[test]
fn t12_a_gateway_that_lets_the_caller_pass_no_longer_resets_all_that_goes_through_it() {
    let mut far = Far::start(&[fake::echo()]);
    let mut streams: Vec<_> = (0..3).map(|_| far.connect(0)).collect();
    for stream in &mut streams {
        echoed(stream).unwrap();
    }
    let text = std::fs::read_to_string(far.lab.path("gateway.toml")).unwrap();
    far.lab.write("gateway.toml", &text.replace("\"allow\"", "\"deny\""));
    hang_up(&mut far.gateway, "reloaded");
    for stream in &mut streams {
        let error = stream.read(&mut [0; 1]).expect_err("must be a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn f1_a_gateway_that_is_killed_resets_what_goes_through_it_and_another_takes_its_place() {
    let mut far = Far::start(&[fake::echo()]);
    let mut stream = far.connect(0);
    echoed(&mut stream).unwrap();
    far.gateway.process().signal("KILL");
    let error = stream.read(&mut [0; 1]).expect_err("must be a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let (text, at) =
        (std::fs::read_to_string(far.lab.path("gateway.toml")).unwrap(), far.gateway.address("in"));
    let again = far.lab.write("gateway.toml", &text.replace("127.0.0.1:0", &at.to_string()));
    far.gateway = NodeProcess::start(&again);
    let mut back =
        (0..100).map(|_| far.connect(0)).find_map(|mut stream| echoed(&mut stream).ok().map(|()| stream));
    echoed(back.as_mut().expect("no tunnel comes back")).unwrap();
}
