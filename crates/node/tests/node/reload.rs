//! SIGHUP: a running node takes up a new configuration, or keeps the last good one and says why.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use crate::common::{Lab, id};
use crate::fake;
use crate::process::NodeProcess;
use crate::tunnels::Pair;

/// Sends a word there and back.
pub(crate) fn echoed(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"word")?;
    stream.read_exact(&mut [0; 4])
}

/// Sends SIGHUP and waits for the line that says what came of it.
pub(crate) fn hang_up(node: &mut NodeProcess, message: &str) {
    node.process().signal("HUP");
    let mark = format!("\"message\":\"{message}");
    node.process().line(message, |line| line.contains(&mark));
}

/// Changes the text of a configuration in the lab.
fn change(lab: &Lab, name: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(lab.path(name)).unwrap();
    assert!(text.contains(from), "{from:?} is not in {name}");
    lab.write(name, &text.replace(from, to));
}

#[test]
fn t12_a_new_policy_resets_the_tunnels_that_it_denies_and_no_other() {
    let mut pair = Pair::start(&[fake::echo(), fake::echo()]);
    let (mut kept, mut denied) = (pair.connect(0), pair.connect(1));
    echoed(&mut kept).unwrap();
    echoed(&mut denied).unwrap();
    let text = std::fs::read_to_string(pair.lab.path("bob.toml")).unwrap();
    let (head, tail) = text.split_once("to = [").unwrap();
    let (targets, tail) = tail.split_once(']').unwrap();
    let first = targets.split(',').next().unwrap();
    pair.lab.write("bob.toml", &format!("{head}to = [{first}]{tail}"));
    hang_up(&mut pair.bob, "reloaded");
    let error = denied.read(&mut [0; 1]).expect_err("must be a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    echoed(&mut kept).unwrap();
    assert!(echoed(&mut pair.connect(1)).is_err(), "a new tunnel is still allowed");
    echoed(&mut pair.connect(0)).unwrap();
}

#[test]
fn t08_a_broken_file_keeps_the_last_good_configuration_and_names_every_fault() {
    let mut pair = Pair::start(&[fake::echo()]);
    let mut live = pair.connect(0);
    echoed(&mut live).unwrap();
    change(&pair.lab, "bob.toml", "action = \"allow\"", "action = \"alow\"\nform = 1");
    hang_up(&mut pair.bob, "not reloaded");
    let seen = pair.bob.process().seen().join("\n");
    assert!(seen.contains("bob.toml:11:10") && seen.contains("no such action"), "{seen}");
    assert!(seen.contains("did you mean `from`?"), "{seen}");
    echoed(&mut live).unwrap();
    echoed(&mut pair.connect(0)).unwrap();
}

#[test]
fn t14_a_new_certificate_is_used_and_one_with_a_wrong_key_is_refused() {
    let mut pair = Pair::start(&[fake::echo()]);
    let mut live = pair.connect(0);
    echoed(&mut live).unwrap();
    for name in ["alice.pem", "alice.key"] {
        std::fs::remove_file(pair.lab.path(name)).unwrap();
    }
    // Another account, which bob does not allow: what comes through was opened with the old certificate.
    pair.lab.issue_as("alice", &id("mallory"));
    hang_up(&mut pair.alice, "reloaded");
    echoed(&mut live).unwrap();
    assert!(echoed(&mut pair.connect(0)).is_err(), "a new tunnel still has the old certificate");
    let issued = pair.lab.authority().issue(&id("alice"), 30).unwrap();
    pair.lab.write("alice.pem", &issued.cert_pem);
    hang_up(&mut pair.alice, "not reloaded");
    let seen = pair.alice.process().seen().join("\n");
    assert!(seen.contains("does not belong"), "{seen}");
    pair.lab.write("alice.key", &issued.key_pem);
    hang_up(&mut pair.alice, "reloaded");
    echoed(&mut pair.connect(0)).unwrap();
    echoed(&mut live).unwrap();
}

#[test]
fn f10_a_hundred_reloads_disturb_no_tunnel() {
    let mut pair = Pair::start(&[fake::echo()]);
    let mut live = pair.connect(0);
    for _ in 0..100 {
        hang_up(&mut pair.bob, "reloaded");
        hang_up(&mut pair.alice, "reloaded");
        echoed(&mut live).unwrap();
    }
}

#[test]
fn a_destination_changes_without_a_restart_and_a_listener_does_not() {
    let (first, second) = (fake::echo(), fake::serve(|mut stream| stream.write_all(b"second").unwrap()));
    let mut pair = Pair::start(&[first, second]);
    change(&pair.lab, "alice.toml", &first.to_string(), &second.to_string());
    hang_up(&mut pair.alice, "reloaded");
    let mut text = String::new();
    pair.connect(0).read_to_string(&mut text).unwrap();
    assert_eq!(text, "second");
    change(&pair.lab, "alice.toml", "name = \"to1\"", "name = \"other\"");
    hang_up(&mut pair.alice, "not reloaded");
    let last = pair.alice.process().seen().last().unwrap();
    assert!(last.contains("`other`, `to1`") && last.contains("restart"), "{last}");
    pair.connect(1).read_to_string(&mut text).unwrap();
}
