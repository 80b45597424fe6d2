//! Without a signal: a running node takes up files that have changed, or keeps the last good ones and says why once.

use std::io::{ErrorKind, Read};
use std::os::unix::fs::symlink;

use crate::common::{Lab, id};
use crate::fake;
use crate::process::NodeProcess;
use crate::reload::{echoed, hang_up};
use crate::tunnels::Pair;

/// Waits for the line that says what came of a change.
fn taken(node: &mut NodeProcess, message: &str) {
    let mark = format!("\"message\":\"{message}");
    node.process().line(message, |line| line.contains(&mark));
}

/// How many lines so far begin with a message.
fn count(node: &mut NodeProcess, message: &str) -> usize {
    let mark = format!("\"message\":\"{message}");
    node.process().seen().iter().filter(|line| line.contains(&mark)).count()
}

/// Takes all destinations but the first from bob's policy.
fn forbid(lab: &Lab) {
    let text = std::fs::read_to_string(lab.path("bob.toml")).unwrap();
    let (head, tail) = text.split_once("to = [").unwrap();
    let (targets, tail) = tail.split_once(']').unwrap();
    let first = targets.split(',').next().unwrap();
    lab.write("bob.toml", &format!("{head}to = [{first}]{tail}"));
}

/// Changes a configuration without a change of meaning, and waits until it is taken up.
fn touched(lab: &Lab, name: &str, node: &mut NodeProcess) {
    let text = std::fs::read_to_string(lab.path(name)).unwrap();
    lab.write(name, &(text + "# touched\n"));
    taken(node, "reloaded");
}

#[test]
fn a_policy_that_changes_in_the_file_resets_the_tunnels_that_it_denies_and_no_other() {
    let pair = Pair::start(&[fake::echo(), fake::echo()]);
    let (mut kept, mut denied) = (pair.connect(0), pair.connect(1));
    echoed(&mut kept).unwrap();
    echoed(&mut denied).unwrap();
    forbid(&pair.lab);
    let error = denied.read(&mut [0; 1]).expect_err("must be a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    echoed(&mut kept).unwrap();
    assert!(echoed(&mut pair.connect(1)).is_err(), "a new tunnel is still allowed");
    echoed(&mut pair.connect(0)).unwrap();
}

#[test]
fn a_new_certificate_behind_a_link_is_used_and_a_wrong_key_is_refused_and_told_once() {
    let mut pair = Pair::start(&[fake::echo()]);
    let mut live = pair.connect(0);
    echoed(&mut live).unwrap();
    for (folder, account) in [("v1", "alice"), ("v2", "mallory")] {
        std::fs::create_dir(pair.lab.path(folder)).unwrap();
        pair.lab.issue_as(&format!("{folder}/alice"), &id(account));
    }
    // As Kubernetes has it: files are links into a folder that is a link.
    symlink("v1", pair.lab.path("data")).unwrap();
    for name in ["alice.pem", "alice.key"] {
        symlink(format!("data/{name}"), pair.lab.path("new")).unwrap();
        std::fs::rename(pair.lab.path("new"), pair.lab.path(name)).unwrap();
    }
    taken(&mut pair.alice, "reloaded");
    echoed(&mut pair.connect(0)).unwrap();
    // Another account, which bob does not allow: what comes through was opened with the old certificate.
    symlink("v2", pair.lab.path("new")).unwrap();
    std::fs::rename(pair.lab.path("new"), pair.lab.path("data")).unwrap();
    taken(&mut pair.alice, "reloaded");
    assert!(echoed(&mut pair.connect(0)).is_err(), "a new tunnel still has the old certificate");
    let issued = pair.lab.authority().issue(&id("alice"), 30).unwrap();
    let before = count(&mut pair.alice, "not reloaded");
    pair.lab.write("v2/alice.pem", &issued.cert_pem);
    taken(&mut pair.alice, "not reloaded");
    // Bob's watch has looked at least twice when this is over, so has that of alice.
    touched(&pair.lab, "bob.toml", &mut pair.bob);
    pair.lab.write("v2/alice.key", &issued.key_pem);
    taken(&mut pair.alice, "reloaded");
    assert_eq!(count(&mut pair.alice, "not reloaded"), before + 1);
    assert!(pair.alice.process().seen().join("\n").contains("does not belong"));
    echoed(&mut pair.connect(0)).unwrap();
    echoed(&mut live).unwrap();
}

#[test]
fn a_node_that_does_not_watch_waits_for_the_signal() {
    let mut pair = Pair::start(&[fake::echo(), fake::echo()]);
    let text = std::fs::read_to_string(pair.lab.path("bob.toml")).unwrap();
    pair.lab.write("bob.toml", &format!("[node]\nwatch = false\n{text}"));
    hang_up(&mut pair.bob, "reloaded");
    let mut denied = pair.connect(1);
    echoed(&mut denied).unwrap();
    let before = count(&mut pair.bob, "reloaded");
    forbid(&pair.lab);
    // The watch of alice has taken up two changes since: that of bob would have taken up one.
    touched(&pair.lab, "alice.toml", &mut pair.alice);
    touched(&pair.lab, "alice.toml", &mut pair.alice);
    echoed(&mut denied).unwrap();
    hang_up(&mut pair.bob, "reloaded");
    assert_eq!(count(&mut pair.bob, "reloaded"), before + 1);
    let error = denied.read(&mut [0; 1]).expect_err("must be a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
