//! Everything that can be wrong on the way gives one line that names the cause and the next step, the right exit
//! code, and never a hang.

use std::net::{SocketAddr, TcpStream};
use std::process::{Output, Stdio};

use hbone_node::certs::Issued;

use crate::common::{Lab, code, hbone, id, stderr};
use crate::fake;
use crate::process::{NodeProcess, PATIENCE};
use crate::tunnels::{Pair, capturing};

/// `hbone dial` as alice to a destination through a peer that must be bob.
fn dial(lab: &Lab, peer: SocketAddr, destination: SocketAddr) -> Output {
    let (cert, key, ca) = (lab.text("alice.pem"), lab.text("alice.key"), lab.text("ca.pem"));
    let mut command = hbone();
    command.args(["dial", &destination.to_string(), "--peer", &peer.to_string(), "--expect", &id("bob")]);
    command.args(["--cert", &cert, "--key", &key, "--ca", &ca]).stdin(Stdio::null()).output().unwrap()
}

/// Checks the exit code and that one line says all of `parts`.
fn assert_says(output: &Output, exit: i32, parts: &[&str]) {
    let text = stderr(output);
    assert_eq!(code(output), exit, "{text}");
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

fn lab() -> Lab {
    let lab = Lab::new();
    lab.issue("alice");
    lab
}

/// Certificates of a bob who is not to be trusted, by what is wrong with each.
fn false_bobs(lab: &Lab) -> Vec<(&'static str, Issued)> {
    let now = time::OffsetDateTime::now_utc();
    let hour = time::Duration::hours(1);
    let authority = lab.authority();
    vec![
        ("another authority", Lab::new().authority().issue(&id("bob"), 1).unwrap()),
        ("another trust domain", authority.issue("spiffe://elsewhere.org/ns/test/sa/bob", 1).unwrap()),
        ("another account", authority.issue(&id("mallory"), 1).unwrap()),
        ("expired", authority.issue_between(&id("bob"), now - hour * 2, now - hour).unwrap()),
        ("not yet valid", authority.issue_between(&id("bob"), now + hour, now + hour * 2).unwrap()),
    ]
}

#[test]
fn a_peer_with_a_wrong_certificate_is_refused_with_three() {
    let lab = lab();
    for (what, issued) in false_bobs(&lab) {
        let output = dial(&lab, fake::tls(&issued, &[b"h2"]), fake::closed());
        assert_eq!(code(&output), 3, "{what}: {}", stderr(&output));
        assert_eq!(stderr(&output).trim_end().lines().count(), 1, "{what}: {}", stderr(&output));
    }
}

#[test]
fn a_peer_that_is_not_there_is_unreachable() {
    let peer = fake::closed();
    assert_says(&dial(&lab(), peer, fake::closed()), 4, &[&peer.to_string(), "refused"]);
}

#[test]
fn a_peer_that_speaks_tls_without_h2_is_named() {
    let lab = lab();
    let issued = lab.authority().issue(&id("bob"), 1).unwrap();
    for protocols in [&[][..], &[b"http/1.1".as_slice()][..]] {
        assert_says(&dial(&lab, fake::tls(&issued, protocols), fake::closed()), 4, &["HTTP/2"]);
    }
}

#[test]
fn a_peer_that_speaks_http1_is_named() {
    assert_says(&dial(&lab(), fake::http1(), fake::closed()), 4, &["TLS"]);
}

#[test]
fn a_caller_whom_the_peer_does_not_believe_is_refused_with_three() {
    let pair = Pair::start(&[fake::echo()]);
    let stranger = Lab::new();
    stranger.issue("alice");
    let (cert, key, ca) = (stranger.text("alice.pem"), stranger.text("alice.key"), pair.lab.text("ca.pem"));
    let peer = pair.bob.address("in").to_string();
    let mut command = hbone();
    command.args(["dial", "127.0.0.1:1", "--peer", &peer, "--expect", &id("bob"), "--cert", &cert]);
    let output = command.args(["--key", &key, "--ca", &ca]).stdin(Stdio::null()).output().unwrap();
    assert_says(&output, 3, &["certificate"]);
}

#[test]
fn a_destination_that_the_policy_does_not_allow_is_refused_with_three_at_both_ends() {
    let mut pair = Pair::start(&[fake::echo()]);
    let output = dial(&pair.lab, pair.bob.address("in"), fake::closed());
    assert_says(&output, 3, &["403"]);
    let complaint = pair.bob.complaint("the refusal").to_string();
    assert!(complaint.contains(&id("alice")), "{complaint}");
}

#[test]
fn a_destination_where_nothing_listens_is_unreachable() {
    let closed = fake::closed();
    let pair = Pair::start(&[closed]);
    assert_says(&dial(&pair.lab, pair.bob.address("in"), closed), 4, &["503", &closed.to_string()]);
}

#[test]
fn every_failure_of_a_captured_connection_is_a_reset_and_one_line_in_the_log() {
    let lab = lab();
    let good = lab.authority().issue(&id("bob"), 1).unwrap();
    let mut peers: Vec<_> =
        false_bobs(&lab).iter().map(|(what, issued)| (*what, fake::tls(issued, &[b"h2"]))).collect();
    peers.push(("not there", fake::closed()));
    peers.push(("without h2", fake::tls(&good, &[b"http/1.1"])));
    peers.push(("http/1.1", fake::http1()));
    for (what, peer) in peers {
        let config = capturing(peer, &id("bob"), &[fake::closed()], "");
        let mut alice = NodeProcess::start(&lab.write("alice.toml", &config));
        assert_reset(alice.address("to0"), what);
        alice.complaint(what);
        let complaints = alice.complaints();
        let [complaint] = complaints.as_slice() else { panic!("{what}: not one line but {complaints:#?}") };
        let cause = complaint["cause"].as_str().unwrap();
        assert!(cause.contains(&peer.to_string()) && cause.contains("; "), "{what}: {cause}");
        assert_eq!(complaint["listener"], "to0", "{what}");
    }
}

#[test]
fn an_upstream_that_refuses_is_a_reset_at_the_client() {
    let mut pair = Pair::start(&[fake::closed()]);
    assert_reset(pair.alice.address("to0"), "refused");
    pair.alice.complaint("the status 503");
    pair.bob.complaint("the refused connection");
}

#[test]
fn t28_an_upstream_that_stays_silent_ends_in_a_reset_never_in_a_clean_end() {
    let pair =
        Pair::with_limits(&[fake::silent()], "idle_timeout = \"300ms\"\nhalf_closed_timeout = \"300ms\"");
    assert_reset(pair.alice.address("to0"), "silent");
}

#[test]
fn a_peer_that_accepts_and_says_nothing_runs_into_the_time_limit() {
    let lab = lab();
    let limits = "handshake_timeout = \"200ms\"\nsetup_timeout = \"400ms\"";
    let config = capturing(fake::silent(), &id("bob"), &[fake::closed()], limits);
    let mut alice = NodeProcess::start(&lab.write("alice.toml", &config));
    assert_reset(alice.address("to0"), "silent peer");
    alice.complaint("the time limit");
}

/// The connection ends by a reset within bounded time; a clean end would be a lie.
fn assert_reset(address: SocketAddr, what: &str) {
    use std::io::Read;
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match stream.read(&mut [0; 16]) {
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{what}"),
        Ok(length) => panic!("{what}: {length} octets and no reset"),
    }
}

#[test]
fn dial_refuses_to_expect_a_foreign_trust_domain() {
    let lab = Lab::new();
    lab.issue("alice");
    let mut dial = hbone();
    dial.args(["dial", "127.0.0.1:1", "--peer", "127.0.0.1:1", "--expect", "spiffe://far/ns/a/sa/b"]);
    dial.args(["--cert", &lab.text("alice.pem"), "--key", &lab.text("alice.key")]);
    let output = dial.args(["--ca", &lab.text("ca.pem")]).output().unwrap();
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert!(stderr(&output).contains("the own trust domain, example.org"), "{}", stderr(&output));
}
