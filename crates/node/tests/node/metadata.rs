//! What nodes tell of a tunnel: baggage, the client and the trace go through a gateway and stand in every node's log.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::common::{Lab, id, identity_section};
use crate::fake;
use crate::process::{NodeProcess, PATIENCE};

fn peer(name: &str, node: &NodeProcess) -> String {
    let address = node.address("mesh");
    format!("[[peers]]\nname = \"{name}\"\naddress = \"{address}\"\nidentity = \"{}\"\n", id(name))
}

/// The line of the log that tells of the only tunnel.
fn tunnel(node: &mut NodeProcess) -> Value {
    let line = node.process().line("a tunnel", |line| line.contains("\"message\":\"tunnel\""));
    serde_json::from_str(&line).unwrap()
}

#[test]
fn t23_what_is_told_of_a_tunnel_goes_through_a_gateway_stands_in_each_log_and_decides_nothing() {
    let (lab, behind) = (Lab::new(), fake::echo());
    for account in ["alice", "gate", "bob"] {
        lab.issue(account);
    }
    let mesh = "[[listeners]]\nname = \"mesh\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n";
    let open = format!("[[policies]]\nname = \"p\"\naction = \"allow\"\nto = \"{behind}\"\n");
    // Bob takes the gateway's word for nothing: alice's client is nobody whom he would let in by address.
    let bob_rules = format!("{open}not_source_ip = \"192.0.2.0/24\"\n");
    let text = format!("{}{mesh}{bob_rules}", identity_section("bob"));
    let mut bob = NodeProcess::start(&lab.write("bob.toml", &text));
    let route = "[[routes]]\nlistener = \"mesh\"\npeer = \"bob\"\n";
    let text = format!("{}{}{mesh}{route}{open}", identity_section("gate"), peer("bob", &bob));
    let mut gate = NodeProcess::start(&lab.write("gate.toml", &text));
    let node = "[node]\ntracing = true\nbaggage = { \"service.name\" = \"shop\", \"cloud.region\" = \"\" }\n";
    let capture = format!(
        "[[listeners]]\nname = \"to\"\nkind = \"tcp\"\nbind = \"127.0.0.1:0\"\ndestination = \"{behind}\"\npeer = \"gate\"\n"
    );
    let text = format!("{node}{}{}{capture}", identity_section("alice"), peer("gate", &gate));
    let mut alice = NodeProcess::start(&lab.write("alice.toml", &text));
    let mut client = TcpStream::connect(alice.address("to")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = format!("for=\"{}\"", client.local_addr().unwrap());
    client.write_all(b"word").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
    drop(client);
    let (first, middle, last) = (tunnel(&mut alice), tunnel(&mut gate), tunnel(&mut bob));
    for line in [&middle, &last] {
        assert_eq!(line["baggage"], "service.name=shop", "{line}");
        assert_eq!(line["forwarded"], told.as_str(), "{line}");
    }
    let traces = [&first, &middle, &last].map(|line| line["trace"].as_str().unwrap().to_owned());
    assert_eq!(traces[0], traces[1], "the gateway was told what alice wrote down");
    assert_eq!(traces[0][..36], traces[2][..36], "one trace");
    assert_ne!(traces[0], traces[2], "the gateway is the parent of what it asked for");
}
