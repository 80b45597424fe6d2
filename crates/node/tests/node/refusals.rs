//! What a refused tunnel prints at both nodes: ten examples, which stand in docs/operations.md as they are printed here.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};

use crate::common::{Lab, TRUST_DOMAIN, identity_section};
use crate::fake;
use crate::process::{NodeProcess, PATIENCE};

/// A node of callers: its captures are named `to0`, `to1`, …
fn caller(lab: &Lab, account: &str, captures: &[(String, SocketAddr, &str)]) -> NodeProcess {
    let mut text = identity_section(account);
    for (number, (destination, address, expected)) in captures.iter().enumerate() {
        text += &format!(
            "[[peers]]\nname = \"p{number}\"\naddress = \"{address}\"\n\
             identity = \"spiffe://{TRUST_DOMAIN}/ns/test/sa/{expected}\"\n\
             [[listeners]]\nname = \"to{number}\"\nkind = \"tcp\"\nbind = \"127.0.0.1:0\"\n\
             destination = \"{destination}\"\npeer = \"p{number}\"\n"
        );
    }
    NodeProcess::start(&lab.write(&format!("{account}.toml"), &text))
}

/// The cause that the next complaint of a node names, with its status if there is one.
fn cause(node: &mut NodeProcess, case: &str) -> String {
    let line = node.complaint(case);
    let cause = line["cause"].as_str().unwrap_or_else(|| panic!("{case}: {line}"));
    match line["status"].as_u64() {
        Some(status) => format!("{status}: {cause}"),
        None => cause.to_owned(),
    }
}

/// A client of a capture gets a reset and no octet.
fn refused(node: &NodeProcess, capture: usize, case: &str) {
    let mut client = TcpStream::connect(node.address(&format!("to{capture}"))).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let error = client.read(&mut [0; 1]).expect_err(case);
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{case}");
}

fn serving(lab: &Lab, file: &str, policies: &str) -> NodeProcess {
    let listener = "[[listeners]]\nname = \"mesh\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n";
    NodeProcess::start(&lab.write(file, &format!("{}{listener}{policies}", identity_section("bob"))))
}

#[test]
fn t08_what_a_refused_tunnel_prints_at_both_nodes_is_as_documented() {
    let (lab, strangers) = (Lab::new(), Lab::new());
    lab.issue("alice");
    lab.issue("bob");
    lab.issue_as("eve", &format!("spiffe://{TRUST_DOMAIN}/ns/other/sa/eve"));
    strangers.issue("mallory");
    let (silent, gone) = (fake::closed(), fake::closed());
    let rules = format!(
        "[[policies]]\nname = \"not-the-vault\"\naction = \"deny\"\nto = \"10.0.0.9\"\n\
         [[policies]]\nname = \"shop\"\naction = \"allow\"\nto = [\"{silent}\", \"nowhere.invalid\", \"10.0.0.9\"]\n"
    );
    let mut bob = serving(&lab, "bob.toml", &rules);
    let mut plain = serving(&lab, "plain.toml", "");
    let (at, at_plain) = (bob.address("mesh"), plain.address("mesh"));
    let text = |it: &str| it.to_owned();
    let captures = [
        (text("10.0.0.9:443"), at, "bob"),
        (text("10.1.0.1:80"), at, "bob"),
        (text("169.254.169.254:80"), at, "bob"),
        (at.to_string(), at, "bob"),
        (silent.to_string(), at, "bob"),
        (text("nowhere.invalid:80"), at, "bob"),
        (silent.to_string(), at, "carol"),
        (silent.to_string(), gone, "bob"),
    ];
    let mut alice = caller(&lab, "alice", &captures);
    let mut eve = caller(&lab, "eve", &[(text("10.0.0.5:80"), at_plain, "bob")]);
    let mut mallory = caller(&strangers, "mallory", &[(text("10.0.0.5:80"), at_plain, "bob")]);
    let mut rows = Vec::new();
    let cases = [
        "a deny rule",
        "no allow rule",
        "a protected address",
        "the node's own listener",
        "nothing listens there",
        "no such name",
        "another identity than expected",
        "no node at the address",
    ];
    for (number, case) in cases.into_iter().enumerate() {
        refused(&alice, number, case);
        let near = cause(&mut alice, case);
        let far = if number < 7 { cause(&mut bob, case) } else { "nothing".to_owned() };
        rows.push((case, near, far));
    }
    for (node, case) in [(&mut eve, "no rules, another namespace"), (&mut mallory, "a foreign authority")] {
        refused(node, 0, case);
        rows.push((case, cause(node, case), cause(&mut plain, case)));
    }
    let table: String =
        rows.iter().map(|(case, near, far)| format!("| {case} | {near} | {far} |\n")).collect();
    let table = table
        .replace(&at_plain.to_string(), "192.0.2.7:15008")
        .replace(&at.to_string(), "192.0.2.7:15008")
        .replace(&gone.to_string(), "192.0.2.8:15008")
        .replace(&silent.to_string(), "10.0.0.5:5432");
    let documented = include_str!("../../../../docs/operations.md");
    assert!(documented.contains(&table), "docs/operations.md should have these lines:\n{table}");
}
