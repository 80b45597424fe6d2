//! The admin port of real nodes: what it counts, when it is ready, whom it answers.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::common::{Lab, id, identity_section, mode};
use crate::fake;
use crate::process::{NodeProcess, PATIENCE};
use crate::tunnels::{capturing, resetting};

const ADMIN: &str = "[admin]\nbind = \"127.0.0.1:0\"\n";

/// Two nodes with admin ports: alice has a listener for each destination, the last of which bob denies.
fn pair(destinations: &[SocketAddr], limits: &str) -> (Lab, NodeProcess, NodeProcess) {
    let lab = Lab::new();
    lab.issue("alice");
    lab.issue("bob");
    let (_, allowed) = destinations.split_last().unwrap();
    let allowed = allowed.iter().map(|it| format!("\"{it}\"")).collect::<Vec<_>>().join(", ");
    let config = format!(
        "{}{ADMIN}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n\
         [[policies]]\nname = \"alice\"\naction = \"allow\"\nfrom = \"{}\"\nto = [{allowed}]\n",
        identity_section("bob"),
        id("alice"),
    );
    let bob = NodeProcess::start(&lab.write("bob.toml", &config));
    let config = capturing(bob.address("in"), &id("bob"), destinations, limits);
    let alice = NodeProcess::start(&lab.write("alice.toml", &format!("{config}{ADMIN}")));
    (lab, alice, bob)
}

fn ask(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get(node: &NodeProcess, path: &str) -> String {
    let stream = TcpStream::connect(node.address("admin")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    ask(stream, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

/// Asks until a line stands there: a tunnel ends at its nodes a little after it has at its client.
fn counts(node: &NodeProcess, line: &str) {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = get(node, "/metrics");
        if answer.lines().any(|it| it == line) {
            return;
        }
        assert!(Instant::now() < until, "no line {line} in\n{answer}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn connect(alice: &NodeProcess, index: usize) -> TcpStream {
    let stream = TcpStream::connect(alice.address(&format!("to{index}"))).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn every_octet_and_every_end_is_counted_and_live_tunnels_go_up_and_down() {
    let answering = fake::serve(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&[7; 1000]).unwrap();
    });
    let (_lab, alice, bob) = pair(&[answering, resetting(), fake::echo()], "");
    let mut stream = connect(&alice, 0);
    stream.write_all(&[1; 70_000]).unwrap();
    let to0 = "side=\"outbound\",listener=\"to0\"";
    let served = "side=\"inbound\",listener=\"in\"";
    for (node, at) in [(&alice, to0), (&bob, served)] {
        counts(node, &format!("hbone_tunnels_live{{{at}}} 1"));
        counts(node, &format!("hbone_tunnels_opened_total{{{at}}} 1"));
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert_eq!(all, [7; 1000]);
    for (node, at) in [(&alice, to0), (&bob, served)] {
        counts(node, &format!("hbone_tunnels_live{{{at}}} 0"));
        counts(node, &format!("hbone_tunnels_whole_total{{{at}}} 1"));
        counts(node, &format!("hbone_tunnel_octets_total{{{at},direction=\"up\"}} 70000"));
        counts(node, &format!("hbone_tunnel_octets_total{{{at},direction=\"down\"}} 1000"));
    }
    let mut cut = connect(&alice, 1);
    cut.write_all(b"x").unwrap();
    assert!(cut.read(&mut [0; 1]).is_err());
    counts(&alice, "hbone_tunnels_broken_total{side=\"outbound\",listener=\"to1\",cause=\"stream\"} 1");
    counts(&bob, &format!("hbone_tunnels_broken_total{{{served},cause=\"tcp\"}} 1"));
    let mut denied = connect(&alice, 2);
    assert!(denied.read(&mut [0; 1]).is_err());
    counts(&alice, "hbone_tunnels_refused_total{side=\"outbound\",listener=\"to2\",class=\"denied\"} 1");
    counts(&bob, &format!("hbone_tunnels_refused_total{{{served},class=\"denied\"}} 1"));
    let text = get(&alice, "/metrics");
    assert!(!text.contains("abandoned"), "an end was counted twice:\n{text}");
    assert!(
        text.contains("application/openmetrics-text; version=1.0.0") && text.ends_with("# EOF\n"),
        "{text}"
    );
}

#[test]
fn a_node_is_ready_until_it_drains_and_other_requests_are_told_so() {
    let (_lab, mut alice, _bob) = pair(&[fake::echo(), fake::closed()], "drain_deadline = \"25s\"");
    assert!(get(&alice, "/ready").starts_with("HTTP/1.1 200 "));
    assert!(get(&alice, "/").starts_with("HTTP/1.1 404 "));
    let stream = TcpStream::connect(alice.address("admin")).unwrap();
    let post = ask(stream, "POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n");
    assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    let mut live = connect(&alice, 0);
    live.write_all(b"word").unwrap();
    live.read_exact(&mut [0; 4]).unwrap();
    alice.process().signal("TERM");
    alice.process().line("draining", |line| line.contains("draining"));
    let until = Instant::now() + PATIENCE;
    while !get(&alice, "/ready").starts_with("HTTP/1.1 503 ") {
        assert!(Instant::now() < until, "it drains and says that it is ready");
    }
    counts(&alice, "hbone_tunnels_live{side=\"outbound\",listener=\"to0\"} 1");
    drop(live);
    alice.process().exit();
}

#[test]
fn t34_the_admin_port_answers_nobody_who_came_by_the_name_of_a_stranger() {
    let (_lab, alice, _bob) = pair(&[fake::echo(), fake::closed()], "");
    let status = |target: &str, host: &str| {
        let stream = TcpStream::connect(alice.address("admin")).unwrap();
        let answer = ask(stream, &format!("GET {target} HTTP/1.1\r\n{host}\r\n"));
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    for host in ["localhost:15020", "LocalHost", "127.0.0.1", "[::1]:15020"] {
        assert_eq!(status("/metrics", &format!("Host: {host}\r\n")), "200", "{host}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:15020", "", "a b"] {
        assert_eq!(status("/metrics", &format!("Host: {host}\r\n")), "403", "{host}");
    }
    assert_eq!(status("/metrics", ""), "403");
    assert_eq!(status("/metrics", "Host: localhost\r\nHost: evil.example\r\n"), "403");
    assert_eq!(status("http://evil.example/metrics", "Host: localhost\r\n"), "403");
    assert_eq!(status("/ready", "Host: evil.example\r\n"), "403");
}

#[test]
fn the_admin_port_may_be_a_file_for_its_owner_and_stays_where_it_is_at_a_reload() {
    let lab = Lab::new();
    lab.issue("alice");
    let path = lab.text("admin.sock");
    let config = |admin: &str| {
        format!(
            "{}{admin}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n",
            identity_section("alice")
        )
    };
    let file = lab.write("node.toml", &config(&format!("[admin]\nbind = \"unix:{path}\"\n")));
    let mut node = NodeProcess::start(&file);
    assert_eq!(mode(path.as_ref()), 0o600);
    let ready = || ask(UnixStream::connect(&path).unwrap(), "GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(ready().starts_with("HTTP/1.1 200 "));
    fs::write(&file, config("")).unwrap();
    node.process().signal("HUP");
    let line = node.process().line("not reloaded", |line| line.contains("not reloaded"));
    assert!(line.contains("[admin]"), "{line}");
    assert!(ready().starts_with("HTTP/1.1 200 "));
}
