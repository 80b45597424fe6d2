//! Gateways between nodes: each ends the tunnel, asks its policy, and sends on over a connection of its own.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use crate::chain::{Chain, account, connect, file, serving};
use crate::common::{Lab, id, stdout};
use crate::fake;
use crate::process::NodeProcess;
use crate::reload::{echoed, hang_up};
use crate::tunnels::{capturing, octets};

#[test]
fn every_octet_comes_back_through_four_nodes_and_the_end_of_one_direction_leaves_the_other_open() {
    let chain = Chain::start(4, &[fake::echo()]);
    let mut stream = chain.connect(0);
    let sent = octets(3 << 20);
    let (mut writer, copy) = (stream.try_clone().unwrap(), sent.clone());
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received == sent, "{} octets came back, {} were sent", received.len(), sent.len());
}

#[test]
fn many_tunnels_through_a_gateway_share_its_connections_and_do_not_mix() {
    let chain = Chain::start(2, &[fake::echo()]);
    let talks: Vec<_> = (0..40_u8)
        .map(|number| {
            let mut stream = chain.connect(0);
            std::thread::spawn(move || {
                let sent = vec![number; 50_000];
                let mut received = vec![0; sent.len()];
                stream.write_all(&sent).unwrap();
                stream.read_exact(&mut received).unwrap();
                assert!(received == sent, "{number}");
            })
        })
        .collect();
    for talk in talks {
        talk.join().unwrap();
    }
}

/// What the nodes of a chain and the client's say of a tunnel that was not made: their statuses and causes.
fn complaints(mut chain: Chain) -> Vec<(u64, String)> {
    let error = chain.connect(0).read(&mut [0; 1]).expect_err("must be a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let nodes = std::iter::once(&mut chain.alice).chain(&mut chain.nodes);
    let told = |node: &mut NodeProcess| {
        let line = node.complaint("no tunnel");
        (line["status"].as_u64().unwrap(), line["cause"].as_str().unwrap().to_owned())
    };
    nodes.map(told).collect()
}

#[test]
fn a_destination_that_cannot_be_reached_is_a_503_at_every_node_and_its_address_stays_where_it_is_known() {
    let destination = fake::closed();
    let told = complaints(Chain::start(3, &[destination]));
    assert_eq!(told.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [503; 4]);
    let known: Vec<_> = told.iter().map(|(_, cause)| cause.contains("cannot connect to 127.")).collect();
    assert_eq!(known, [false, false, false, true], "{told:?}");
    assert!(told[..3].iter().all(|(_, cause)| cause.contains("nothing listens")), "{told:?}");
}

#[test]
fn a_refusal_of_a_later_node_is_a_403_at_every_node_before_it() {
    let mut chain = Chain::start(3, &[fake::echo()]);
    let text = std::fs::read_to_string(chain.lab.path(&file(2))).unwrap();
    chain.lab.write(&file(2), &text.replace("action = \"allow\"", "action = \"deny\""));
    hang_up(&mut chain.nodes[2], "reloaded");
    let told = complaints(chain);
    assert_eq!(told.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [403; 4], "{told:?}");
    let rule: Vec<_> = told.iter().map(|(_, cause)| cause.contains("'caller'")).collect();
    assert_eq!(rule, [false, false, false, true], "{told:?}");
}

#[test]
fn t12_a_policy_that_changes_at_a_gateway_resets_what_it_denies_at_both_ends_within_a_second() {
    let (report, seen) = std::sync::mpsc::channel();
    let server = fake::serve(move |mut stream| {
        stream.read_exact(&mut [0; 4]).unwrap();
        stream.write_all(b"back").unwrap();
        let _ = report.send(stream.read(&mut [0; 1]).map_err(|error| error.kind()));
    });
    let mut chain = Chain::start(3, &[server, fake::echo()]);
    let (mut denied, mut kept) = (chain.connect(0), chain.connect(1));
    echoed(&mut denied).unwrap();
    echoed(&mut kept).unwrap();
    let text = std::fs::read_to_string(chain.lab.path(&file(1))).unwrap();
    chain.lab.write(&file(1), &text.replace(&format!("\"{server}\", "), ""));
    hang_up(&mut chain.nodes[1], "reloaded");
    let start = Instant::now();
    assert_eq!(denied.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let server = seen.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(server, Err(ErrorKind::ConnectionReset));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    echoed(&mut kept).unwrap();
}

#[test]
fn f11_a_live_tunnel_may_end_in_peace_while_a_gateway_drains() {
    let mut chain = Chain::start(2, &[fake::echo()]);
    let mut stream = chain.connect(0);
    echoed(&mut stream).unwrap();
    chain.nodes[0].process().signal("TERM");
    chain.nodes[0].process().line("draining", |line| line.contains("draining"));
    stream.write_all(b"during").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "during");
    assert_eq!(chain.nodes[0].process().exit(), 0);
}

/// A gateway that sends everything on to an address; it may be called by `caller`.
fn gateway(
    lab: &Lab,
    own: &str,
    caller: &str,
    bind: SocketAddr,
    next: SocketAddr,
    to: SocketAddr,
) -> NodeProcess {
    let config = serving(own, caller, &[to], "").replace("127.0.0.1:0", &bind.to_string());
    let config = format!(
        "{config}[[peers]]\nname = \"next\"\naddress = \"{next}\"\nidentity = [\"{}\", \"{}\"]\n\
         [[routes]]\nlistener = \"in\"\npeer = \"next\"\n",
        id("one"),
        id("two")
    );
    NodeProcess::start(&lab.write(
        &format!("{own}.toml"),
        &config.replace(
            &format!("from = \"{}\"", id(caller)),
            &format!("from = [\"{}\", \"{}\", \"{}\"]", id("alice"), id("one"), id("two")),
        ),
    ))
}

#[test]
fn t32_gateways_that_send_in_a_circle_refuse_and_do_not_go_round_for_ever() {
    let lab = Lab::new();
    for account in ["alice", "one", "two"] {
        lab.issue(account);
    }
    let (at_one, at_two, to) = (fake::closed(), fake::closed(), fake::closed());
    let mut one = gateway(&lab, "one", "alice", at_one, at_two, to);
    let mut two = gateway(&lab, "two", "one", at_two, at_one, to);
    let config = capturing(at_one, &id("one"), &[to], "");
    let mut alice = NodeProcess::start(&lab.write("alice.toml", &config));
    let error = connect(alice.address("to0")).read(&mut [0; 1]).expect_err("must be a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let told = alice.complaint("no tunnel");
    assert_eq!(told["status"], 508, "{told}");
    assert!(told["cause"].as_str().unwrap().contains("circle"), "{told}");
    // The ninth gateway says so, all before it hand its status on.
    let first = one.complaint("no tunnel");
    assert!(first["cause"].as_str().unwrap().contains("8 gateways"), "{first}");
    assert_eq!(two.complaint("no tunnel")["status"], 508);
    let all = one.complaints().len() + two.complaints().len();
    assert_eq!(all, 9);
}

#[test]
fn a_gateway_dials_itself_what_no_route_sends_on() {
    let (near, far) = (fake::serve(|mut it| it.write_all(b"near").unwrap()), fake::echo());
    let mut chain = Chain::start(2, &[near, far]);
    let text = std::fs::read_to_string(chain.lab.path(&file(0))).unwrap();
    // The far node does not allow the near destination: it can only have come from the gateway.
    let last = std::fs::read_to_string(chain.lab.path(&file(1))).unwrap();
    chain.lab.write(&file(1), &last.replace(&format!("\"{near}\", "), ""));
    hang_up(&mut chain.nodes[1], "reloaded");
    let read = |chain: &Chain| {
        let mut text = String::new();
        chain.connect(0).read_to_string(&mut text).map(|_| text)
    };
    assert!(read(&chain).is_err(), "everything is sent on");
    let routes = [
        format!("[[routes]]\nlistener = \"in\"\ndestination = \"{near}\"\nlocal = true\n[[routes]]"),
        format!("[[routes]]\ndestination = \"{far}\""),
    ];
    for routes in routes {
        chain.lab.write(&file(0), &text.replace("[[routes]]", &routes));
        hang_up(&mut chain.nodes[0], "reloaded");
        assert_eq!(read(&chain).unwrap(), "near");
        echoed(&mut chain.connect(1)).unwrap();
    }
    let shown = stdout(&crate::common::run(&["check", &chain.lab.text(&file(0))]));
    assert!(shown.contains(&format!("in: hbone 127.0.0.1:0, {far} through next")), "{shown}");
}

#[test]
fn a_route_without_a_listener_sends_nothing_on() {
    let server = fake::echo();
    let chain = Chain::start(1, &[server]);
    let lab = &chain.lab;
    let text = std::fs::read_to_string(lab.path(&file(0))).unwrap();
    let nowhere = format!(
        "[[peers]]\nname = \"next\"\naddress = \"{}\"\nidentity = \"{}\"\n[[routes]]\npeer = \"next\"\n",
        fake::closed(),
        id(&account(0))
    );
    lab.write(&file(0), &format!("{text}{nowhere}"));
    let mut chain = chain;
    hang_up(&mut chain.nodes[0], "reloaded");
    echoed(&mut chain.connect(0)).unwrap();
}
