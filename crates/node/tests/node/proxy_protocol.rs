//! The PROXY protocol in and out: who really called, from a proxy in front of alice to a server behind bob.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use hbone_node::config;

use crate::common::{Lab, id, identity_section, run, stderr, stdout};
use crate::fake;
use crate::process::{NodeProcess, PATIENCE, installed};

/// A server that tells every octet of a connection once it has ended, and answers then.
fn server() -> (SocketAddr, Receiver<Vec<u8>>) {
    let (report, heard) = channel();
    let server = fake::serve(move |mut stream| {
        let mut all = Vec::new();
        if stream.read_to_end(&mut all).is_ok() {
            report.send(all).unwrap();
            let _ = stream.write_all(b"heard");
        }
    });
    (server, heard)
}

/// Alice whose listener has these lines, bob whose has those.
fn nodes(server: SocketAddr, alice: &str, bob: &str) -> (Lab, NodeProcess, NodeProcess) {
    let lab = Lab::new();
    lab.issue("alice");
    lab.issue("bob");
    let config = format!(
        "{}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n{bob}\n\
         [[policies]]\nname = \"alice\"\naction = \"allow\"\nfrom = \"{}\"\nto = \"{server}\"\n",
        identity_section("bob"),
        id("alice"),
    );
    let bob = NodeProcess::start(&lab.write("bob.toml", &config));
    let mut config = identity_section("alice");
    let (peer, expected) = (bob.address("in"), id("bob"));
    let _ = writeln!(config, "[[peers]]\nname = \"bob\"\naddress = \"{peer}\"\nidentity = \"{expected}\"");
    let _ = writeln!(
        config,
        "[[listeners]]\nname = \"out\"\nkind = \"tcp\"\nbind = \"127.0.0.1:0\"\npeer = \"bob\"\n\
         destination = \"{server}\"\n{alice}"
    );
    let alice = NodeProcess::start(&lab.write("alice.toml", &config));
    (lab, alice, bob)
}

/// Sends octets through alice; the address that they came from, and how it ended.
fn sent(alice: &NodeProcess, octets: &[u8]) -> (SocketAddr, std::io::Result<Vec<u8>>) {
    let mut stream = TcpStream::connect(alice.address("out")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let own = stream.local_addr().unwrap();
    let mut answer = Vec::new();
    let talk = stream.write_all(octets).and_then(|()| stream.shutdown(Shutdown::Write));
    (own, talk.and_then(|()| stream.read_to_end(&mut answer)).map(|_| answer))
}

/// The header of version 2 that tells that client, then these octets.
fn introduced(client: SocketAddr, server: SocketAddr, octets: &[u8]) -> Vec<u8> {
    let (SocketAddr::V4(client), SocketAddr::V4(server), alice) = (client, server, id("alice")) else {
        panic!("{client} {server}")
    };
    let length = u16::try_from(12 + 3 + alice.len()).unwrap();
    let tlv = u16::try_from(alice.len()).unwrap();
    [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11"[..],
        &length.to_be_bytes(),
        &client.ip().octets(),
        &server.ip().octets(),
        &client.port().to_be_bytes(),
        &server.port().to_be_bytes(),
        &[0xd0],
        &tlv.to_be_bytes(),
        alice.as_bytes(),
        octets,
    ]
    .concat()
}

#[test]
fn the_destination_is_told_who_called_and_as_whom() {
    let (server, heard) = server();
    let (_lab, alice, bob) = nodes(server, "", "proxy_protocol = \"v2\"\ntrust_forwarded = true");
    for octets in [&b"hello"[..], b""] {
        let (client, answer) = sent(&alice, octets);
        assert_eq!(answer.unwrap(), b"heard");
        assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), introduced(client, server, octets));
    }
    drop((alice, bob));
    let (_lab, alice, _bob) = nodes(server, "", "proxy_protocol = \"v1\"");
    let (client, answer) = sent(&alice, b"hello");
    assert_eq!(answer.unwrap(), b"heard");
    let told = String::from_utf8(heard.recv_timeout(PATIENCE).unwrap()).unwrap();
    // Nobody is believed unless that is said: it is alice's own address.
    let (port, end) = (server.port(), format!(" {}\r\nhello", server.port()));
    assert!(told.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 ") && told.ends_with(&end), "{port} {told}");
    assert!(!told.contains(&format!(" {} {port}\r\n", client.port())), "{told}");
}

#[test]
fn a_proxy_in_front_tells_who_called_all_the_way_to_the_destination() {
    let (server, heard) = server();
    let (_lab, mut alice, _bob) = nodes(
        server,
        "proxy_protocol_from = \"127.0.0.0/8\"",
        "proxy_protocol = \"v2\"\ntrust_forwarded = true",
    );
    let client: SocketAddr = "192.0.2.7:4711".parse().unwrap();
    let two = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x12\x67\0\x50".to_vec();
    let one = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n".to_vec();
    for header in [one, two] {
        let (_, answer) = sent(&alice, &[&header[..], b"hello"].concat());
        assert_eq!(answer.unwrap(), b"heard");
        assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), introduced(client, server, b"hello"));
        let record = alice.process().line("its record", |line| line.contains("\"message\":\"tunnel\""));
        assert!(record.contains("\"client\":\"192.0.2.7:4711\""), "{record}");
    }
    let (own, answer) = sent(&alice, b"PROXY UNKNOWN\r\nhello");
    assert_eq!(answer.unwrap(), b"heard");
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), introduced(own, server, b"hello"));
}

#[test]
fn t22_a_header_counts_on_declared_listeners_and_from_declared_sources_only() {
    let (server, heard) = server();
    let header = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\nhello";
    // A listener that declares none hands it on like any other octets.
    let (_lab, alice, bob) = nodes(server, "", "proxy_protocol = \"v2\"\ntrust_forwarded = true");
    let (client, answer) = sent(&alice, header);
    assert_eq!(answer.unwrap(), b"heard");
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), introduced(client, server, header));
    drop((alice, bob));
    let (_lab, mut alice, bob) = nodes(server, "proxy_protocol_from = \"10.0.0.0/8\"", "");
    let (_, answer) = sent(&alice, header);
    assert!(answer.is_err(), "{answer:?}");
    alice.complaint("a stranger");
    drop((alice, bob));
    // From where one must come, what begins with none is refused, and every cut one.
    let (_lab, mut alice, _bob) = nodes(server, "proxy_protocol_from = \"127.0.0.1\"", "");
    let (_, answer) = sent(&alice, b"GET / HTTP/1.1\r\n\r\n");
    assert!(answer.is_err(), "{answer:?}");
    let complaint = alice.complaint("no header");
    assert!(complaint["cause"].as_str().unwrap().contains("PROXY protocol"), "{complaint}");
    for cut in 0..header.len() - 5 {
        let (_, answer) = sent(&alice, &header[..cut]);
        assert!(answer.is_err(), "cut at {cut}: {answer:?}");
    }
    assert!(heard.try_recv().is_err(), "something reached the destination");
}

#[test]
fn t22_behind_a_proxy_it_is_the_client_that_has_to_be_allowed() {
    let (server, heard) = server();
    let more = "proxy_protocol_from = \"127.0.0.1\"\nallow_from = \"192.0.2.0/24\"";
    let (_lab, mut alice, _bob) = nodes(server, more, "");
    let (_, answer) = sent(&alice, b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\nhello");
    assert_eq!(answer.unwrap(), b"heard");
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), b"hello");
    for header in [&b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 80\r\nhello"[..], b"PROXY UNKNOWN\r\nhello"] {
        let (_, answer) = sent(&alice, header);
        assert!(answer.is_err(), "{answer:?}");
        alice.complaint("a stranger");
    }
    assert!(heard.try_recv().is_err(), "something reached the destination");
}

#[test]
fn curl_speaks_it() {
    if !installed("curl") {
        return;
    }
    let server = fake::http1();
    let (_lab, mut alice, _bob) = nodes(server, "proxy_protocol_from = \"127.0.0.1\"", "");
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--haproxy-protocol"]);
    let output = curl.arg(format!("http://{}/", alice.address("out"))).output().unwrap();
    assert_eq!(output.stdout, b"400", "{}", stderr(&output));
    alice.process().line("its record", |line| line.contains("\"message\":\"tunnel\""));
}

#[test]
fn faults_of_the_proxy_protocol_are_named_with_their_places() {
    let lab = Lab::new();
    lab.issue("alice");
    let text = format!(
        "{}[[listeners]]\nname = \"a\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\nproxy_protocol = \"v3\"\n\
         [[peers]]\nname = \"bob\"\naddress = \"127.0.0.1:1\"\nidentity = \"{}\"\n\
         [[listeners]]\nname = \"b\"\nkind = \"socks5\"\nbind = \"127.0.0.1:0\"\npeer = \"bob\"\n\
         proxy_protocol_from = []\nproxy_protocol = \"v1\"\n\
         [[listeners]]\nname = \"c\"\nkind = \"socks5\"\nbind = \"unix:@c\"\npeer = \"bob\"\n\
         proxy_protocol_from = [\"10.0.0.1/8\"]\n",
        identity_section("alice"),
        id("bob")
    );
    let faults = config::load(&lab.write("node.toml", &text)).expect_err("there must be faults");
    let listing: Vec<_> = faults.iter().map(ToString::to_string).collect();
    let wanted = [
        ":9:18: `proxy_protocol = v3`",
        ":19:23: [[listeners]] \"b\": an empty list",
        ":20:18: `proxy_protocol` has no meaning",
        ":26:24: `proxy_protocol_from = 10.0.0.1/8`",
    ];
    assert_eq!(listing.len(), wanted.len(), "{listing:#?}");
    for (fault, wanted) in listing.iter().zip(wanted) {
        assert!(fault.contains(wanted), "{fault}");
    }
}

#[test]
fn t22_a_listener_of_peers_hears_headers_of_declared_proxies_and_judges_by_them() {
    let (server, heard) = server();
    let bob = "proxy_protocol_from = \"127.0.0.1\"\nproxy_protocol = \"v2\"";
    let (lab, mut alice, mut bob) = nodes(server, "", bob);
    // Alice sends none.
    let (_, answer) = sent(&alice, b"hello");
    assert!(answer.is_err(), "{answer:?}");
    bob.complaint("no header");
    alice.complaint("no tunnel");
    drop(alice);
    // A proxy between them that does.
    let node = bob.address("in");
    let proxy = fake::serve(move |mut stream| {
        let mut other = TcpStream::connect(node).unwrap();
        other.write_all(b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 15008\r\n").unwrap();
        let (mut up, mut down) = (stream.try_clone().unwrap(), other.try_clone().unwrap());
        let upward = std::thread::spawn(move || std::io::copy(&mut up, &mut other));
        let _ = std::io::copy(&mut down, &mut stream);
        let _ = upward.join();
    });
    let config = std::fs::read_to_string(lab.path("alice.toml")).unwrap();
    let config = config.replace(&node.to_string(), &proxy.to_string());
    let alice = NodeProcess::start(&lab.write("alice.toml", &config));
    let (_, answer) = sent(&alice, b"hello");
    assert_eq!(answer.unwrap(), b"heard");
    let client = "192.0.2.7:4711".parse().unwrap();
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), introduced(client, server, b"hello"));
}

#[test]
fn check_says_who_is_believed_and_who_is_told() {
    let lab = Lab::new();
    lab.issue("alice");
    let text = format!(
        "{}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\nproxy_protocol = \"v2\"\n\
         [[listeners]]\nname = \"out\"\nkind = \"redirect\"\nbind = \"127.0.0.1:15001\"\npeer = \"bob\"\n\
         [[listeners]]\nname = \"socks\"\nkind = \"socks5\"\nbind = \"127.0.0.1:0\"\npeer = \"bob\"\n\
         proxy_protocol_from = [\"10.0.0.0/8\", \"fd00::1\"]\n\
         [[peers]]\nname = \"bob\"\naddress = \"127.0.0.1:1\"\nidentity = \"{}\"\n",
        identity_section("alice"),
        id("bob")
    );
    lab.write("node.toml", &text);
    let said = stdout(&run(&["check", &lab.text("node.toml")]));
    for wanted in [
        "in: hbone 127.0.0.1:0, tells destinations who calls (PROXY v2)",
        "out: redirect 127.0.0.1:15001 to where its clients go through bob",
        "through bob, behind proxies at 10.0.0.0/8, fd00::1",
        "mark       1337",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}
