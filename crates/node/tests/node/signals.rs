//! The end of a node: drained by the first signal, at once by the second; the exit code says which.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::common::{Lab, code, identity_section, run, stderr};
use crate::fake;
use crate::process::{NodeProcess, PATIENCE};
use crate::tunnels::Pair;

#[test]
fn a_node_without_tunnels_ends_with_success_on_either_signal() {
    for signal in ["TERM", "INT"] {
        let mut pair = Pair::start(&[fake::echo()]);
        for node in [&mut pair.alice, &mut pair.bob] {
            node.process().signal(signal);
            assert_eq!(node.process().exit(), 0, "{signal}");
            assert!(node.process().seen().iter().any(|line| line.contains("drained")));
        }
    }
}

#[test]
fn f11_a_live_tunnel_may_end_in_peace_while_the_node_drains() {
    let mut pair = Pair::start(&[fake::echo()]);
    let mut stream = pair.connect(0);
    stream.write_all(b"before").unwrap();
    stream.read_exact(&mut [0; 6]).unwrap();
    pair.alice.process().signal("TERM");
    pair.alice.process().line("draining", |line| line.contains("draining"));
    // Nothing is reloaded any more, and nothing dies of it.
    pair.alice.process().signal("HUP");
    stream.write_all(b"during").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "during");
    assert_eq!(pair.alice.process().exit(), 0);
}

#[test]
fn f11_a_tunnel_that_outlives_the_deadline_is_reset_and_the_exit_code_says_so() {
    let mut pair = Pair::with_limits(&[fake::echo()], "drain_deadline = \"100ms\"");
    let mut stream = pair.connect(0);
    stream.write_all(b"before").unwrap();
    stream.read_exact(&mut [0; 6]).unwrap();
    pair.alice.process().signal("TERM");
    let error = stream.read(&mut [0; 16]).expect_err("must be a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(pair.alice.process().exit(), 1);
}

/// A live tunnel without an octet on its way: what both of its ends see next is told by the node beside them.
struct Idle {
    pair: Pair,
    client: TcpStream,
    server: Receiver<std::io::Result<usize>>,
}

impl Idle {
    fn start() -> Self {
        let (report, server) = channel();
        let address = fake::serve(move |mut stream| {
            stream.read_exact(&mut [0; 4]).unwrap();
            stream.write_all(b"back").unwrap();
            let _ = report.send(stream.read(&mut [0; 16]));
        });
        let pair = Pair::start(&[address]);
        let mut client = pair.connect(0);
        client.write_all(b"word").unwrap();
        client.read_exact(&mut [0; 4]).unwrap();
        Self { pair, client, server }
    }

    fn assert_both_ends_see_a_reset(mut self, what: &str) {
        let ends = [
            ("client", self.client.read(&mut [0; 16])),
            ("server", self.server.recv_timeout(PATIENCE).unwrap()),
        ];
        for (end, seen) in ends {
            let kind = seen.map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::ConnectionReset), "{what}: the {end} saw a clean end");
        }
    }
}

#[test]
fn f1_a_node_that_is_killed_is_a_reset_at_both_ends_of_its_tunnels() {
    let mut idle = Idle::start();
    idle.pair.alice.process().signal("KILL");
    idle.assert_both_ends_see_a_reset("alice is killed");
    let mut idle = Idle::start();
    idle.pair.bob.process().signal("KILL");
    idle.assert_both_ends_see_a_reset("bob is killed");
}

fn end_twice(node: &mut NodeProcess) {
    node.process().signal("TERM");
    node.process().line("draining", |line| line.contains("draining"));
    node.process().signal("TERM");
    assert_eq!(node.process().exit(), 130);
}

#[test]
fn f12_a_second_signal_ends_at_once_with_its_own_code_and_resets_live_tunnels() {
    let mut idle = Idle::start();
    end_twice(&mut idle.pair.alice);
    idle.assert_both_ends_see_a_reset("alice is ended");
    let mut idle = Idle::start();
    end_twice(&mut idle.pair.bob);
    idle.assert_both_ends_see_a_reset("bob is ended");
}

/// What a server has received, and whether it saw a clean end of it.
type Upload = (Vec<u8>, bool);

/// Sends octets to a server that has ended its own direction first, through a bob who has been stopped: they
/// stay with alice, who has seen the client's FIN. Gives back what the server sees in the end.
fn stuck_upload(limits: &str) -> (Pair, Vec<u8>, Receiver<Upload>) {
    let (report, server) = channel();
    let address = fake::serve(move |mut stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        let clean = stream.read_to_end(&mut all).is_ok();
        let _ = report.send((all, clean));
    });
    let mut pair = Pair::with_limits(&[address], limits);
    let mut client = pair.connect(0);
    client.read_to_end(&mut Vec::new()).unwrap();
    pair.bob.process().stop();
    let sent: Vec<u8> =
        (0..300_000_u32).map(|index| index.wrapping_mul(0x9e37_79b9).to_be_bytes()[0]).collect();
    client.write_all(&sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    (pair, sent, server)
}

#[test]
fn f11_octets_of_a_finished_tunnel_have_the_whole_deadline_to_leave() {
    let (mut pair, sent, server) = stuck_upload("drain_deadline = \"25s\"");
    pair.alice.process().signal("TERM");
    pair.alice.process().line("draining", |line| line.contains("draining"));
    // Longer than connections have for their goodbye: only the deadline may cut this short.
    std::thread::sleep(Duration::from_millis(1500));
    pair.bob.process().signal("CONT");
    let (all, clean) = server.recv_timeout(PATIENCE).unwrap();
    assert!(clean && all == sent, "{} of {} octets, clean {clean}", all.len(), sent.len());
    assert_eq!(pair.alice.process().exit(), 0);
}

#[test]
fn f11_octets_that_did_not_leave_until_the_deadline_are_a_reset_and_the_exit_code_says_so() {
    let (mut pair, sent, server) = stuck_upload("drain_deadline = \"300ms\"");
    pair.alice.process().signal("TERM");
    assert_eq!(pair.alice.process().exit(), 1);
    pair.bob.process().signal("CONT");
    let (all, clean) = server.recv_timeout(PATIENCE).unwrap();
    assert!(!clean && sent.starts_with(&all), "{} octets, clean {clean}", all.len());
}

#[test]
fn f11_a_tunnel_that_is_refused_during_the_drain_is_no_reset_one() {
    let mut pair = Pair::start(&[fake::echo(), fake::closed()]);
    let mut live = pair.connect(0);
    live.write_all(b"word").unwrap();
    live.read_exact(&mut [0; 4]).unwrap();
    pair.bob.process().stop();
    let mut refused = pair.connect(1);
    refused.write_all(b"word").unwrap();
    // A reload and back: by then the connection has been taken.
    pair.alice.process().signal("HUP");
    pair.alice.process().line("reloaded", |line| line.contains("reloaded"));
    pair.alice.process().signal("TERM");
    pair.alice.process().line("draining", |line| line.contains("draining"));
    pair.bob.process().signal("CONT");
    assert!(refused.read(&mut [0; 4]).is_err());
    live.shutdown(Shutdown::Write).unwrap();
    live.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(pair.alice.process().exit(), 0, "{}", pair.alice.process().seen().join("\n"));
}

#[test]
fn f1_a_far_node_that_is_killed_leaves_a_reset_and_no_clean_end() {
    let server = fake::serve(|mut stream| while stream.write_all(&[7; 4096]).is_ok() {});
    let mut pair = Pair::start(&[server]);
    let mut stream = pair.connect(0);
    stream.read_exact(&mut [0; 1 << 16]).unwrap();
    pair.bob.process().signal("KILL");
    let mut rest = Vec::new();
    let error = stream.read_to_end(&mut rest).expect_err("must be a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(rest.iter().all(|octet| *octet == 7), "other octets than were sent");
}

#[test]
fn listeners_that_cannot_be_bound_are_all_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let lab = Lab::new();
    lab.issue("alice");
    let config = format!(
        "{}[[listeners]]\nname = \"one\"\nkind = \"hbone\"\nbind = \"{address}\"\n\
         [[listeners]]\nname = \"two\"\nkind = \"hbone\"\nbind = \"192.0.2.1:1\"\n",
        identity_section("alice")
    );
    lab.write("node.toml", &config);
    let output = run(&["run", "-c", &lab.text("node.toml")]);
    assert_eq!(code(&output), 1);
    let text = stderr(&output);
    assert!(text.contains("listener `one`") && text.contains("is taken"), "{text}");
    assert!(text.contains("listener `two`") && text.contains("no such address"), "{text}");
}

#[test]
fn f14_the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let lab = Lab::new();
    lab.issue("bob");
    let config = format!(
        "{}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n",
        identity_section("bob")
    );
    let path = lab.write("bob.toml", &config);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -Sn 60 && ulimit -Hn 600 && exec \"$0\" run -c \"$1\""]);
    shell.arg(env!("CARGO_BIN_EXE_hbone")).arg(path).env_remove("RUST_LOG");
    let mut node = crate::process::Process::start(&mut shell, true);
    node.line("ready", |line| line.contains("ready"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", node.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("600"), "{line}");
    assert!(node.seen().iter().any(|line| line.contains("open files") && line.contains("600")));
    node.signal("TERM");
    assert_eq!(node.exit(), 0);
}
