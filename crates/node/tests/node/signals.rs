//! The end of a node: drained by the first signal, at once by the second; the exit code says which.

use std::io::{ErrorKind, Read, Write};

use crate::common::{Lab, code, identity_section, run, stderr};
use crate::fake;
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
    stream.write_all(b"during").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
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

#[test]
fn f12_a_second_signal_ends_at_once_with_its_own_code() {
    let mut pair = Pair::start(&[fake::echo()]);
    let mut stream = pair.connect(0);
    stream.write_all(b"before").unwrap();
    stream.read_exact(&mut [0; 6]).unwrap();
    pair.alice.process().signal("TERM");
    pair.alice.process().line("draining", |line| line.contains("draining"));
    pair.alice.process().signal("TERM");
    assert_eq!(pair.alice.process().exit(), 130);
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
    assert!(text.contains("listener `one`") && text.contains("the port is taken"), "{text}");
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
