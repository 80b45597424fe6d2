//! TLS that is ended at a gateway: certificates by name, an end that is an end, and the server behind in the clear.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};

use crate::common::{Lab, stderr, stdout};
use crate::fake;
use crate::gateway::Gateway;
use crate::process::{PATIENCE, installed};
use crate::web::{PublicAuthority, curl, mirror, tls_client};

/// A gateway with two certificates, `a.example` and all of `b.example`.
fn gate(authority: &PublicAuthority, server: SocketAddr) -> Gateway {
    let files = |lab: &Lab| {
        authority.issue_to(lab, "a", &["a.example"]);
        authority.issue_to(lab, "b", &["*.b.example", "b.example"]);
        format!(
            "kind = \"tls\"\npeer = \"bob\"\ndestination = \"{server}\"\n\
             [[listeners.certificates]]\ncert = \"a.pem\"\nkey = \"a.key\"\n\
             [[listeners.certificates]]\ncert = \"b.pem\"\nkey = \"b.key\"\nnames = [\"*.b.example\"]\n"
        )
    };
    Gateway::start(&[server.to_string()], files)
}

#[test]
fn each_name_gets_its_certificate_and_another_name_an_alert() {
    if !installed("curl") {
        return;
    }
    let authority = PublicAuthority::new();
    let mut gateway = gate(&authority, fake::serve(|mut stream| mirror(&mut stream)));
    let roots = gateway.lab.path("public.pem");
    let port = gateway.address().port();
    let get = |name: &str| {
        let url = format!("https://{name}:{port}/here");
        curl(&roots, &["--resolve", &format!("{name}:{port}:127.0.0.1"), &url])
    };
    for name in ["a.example", "A.Example", "x.b.example"] {
        let output = get(name);
        assert!(stdout(&output).starts_with("GET /here HTTP/1.1\r\n"), "{name}: {}", stderr(&output));
    }
    // Its certificate would fit, `names` says otherwise.
    for name in ["b.example", "c.example"] {
        let output = get(name);
        assert_eq!(output.status.code(), Some(35), "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains("unrecognized name"), "{}", stderr(&output));
        let line = gateway.gate.complaint("a name without a certificate").to_string();
        assert!(line.contains(&format!("there is no certificate for {name}")), "{line}");
    }
}

#[test]
fn every_octet_passes_and_a_close_notify_is_an_end_of_one_direction_only() {
    let authority = PublicAuthority::new();
    let gateway = gate(&authority, fake::echo());
    let mut tls = tls_client(&authority, "a.example", gateway.connect());
    let sent: Vec<u8> =
        (0..1_u32 << 20).flat_map(|index| index.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut received = Vec::new();
    for piece in sent.chunks(64 << 10) {
        tls.write_all(piece).unwrap();
        let mut echoed = vec![0; piece.len()];
        tls.read_exact(&mut echoed).unwrap();
        received.extend(echoed);
    }
    assert!(received == sent);
    tls.write_all(b"the end").unwrap();
    tls.conn.send_close_notify();
    tls.flush().unwrap();
    let mut rest = Vec::new();
    // Only a close_notify is an end: without one this would be an error.
    tls.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"the end");
}

#[test]
fn t29_a_client_of_tls_that_is_cut_off_is_a_reset_at_the_server() {
    let (report, ended) = std::sync::mpsc::channel();
    let server = fake::serve(move |mut stream| {
        let mut octets = Vec::new();
        let end = stream.read_to_end(&mut octets).map_err(|error| error.kind());
        report.send((octets, end)).unwrap();
    });
    let authority = PublicAuthority::new();
    let gateway = gate(&authority, server);
    let mut tls = tls_client(&authority, "a.example", gateway.connect());
    tls.write_all(b"cut").unwrap();
    tls.sock.shutdown(Shutdown::Write).unwrap();
    let (octets, end) = ended.recv_timeout(PATIENCE).unwrap();
    assert_eq!(end, Err(ErrorKind::ConnectionReset), "{octets:?}");
}

#[test]
fn t29_a_reset_of_the_server_is_no_end_for_the_client_of_tls() {
    let server = fake::serve(|stream| {
        let mut octet = [0];
        let _ = (&stream).read(&mut octet);
        crate::tunnels::reset(stream);
    });
    let authority = PublicAuthority::new();
    let gateway = gate(&authority, server);
    let mut tls = tls_client(&authority, "a.example", gateway.connect());
    tls.write_all(b"x").unwrap();
    let error = tls.read(&mut [0; 16]).expect_err("must be a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn what_does_not_speak_tls_is_let_go_and_the_log_says_so() {
    let authority = PublicAuthority::new();
    let mut gateway = gate(&authority, fake::closed());
    let mut stream = gateway.connect();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    let line = gateway.gate.complaint("no TLS").to_string();
    assert!(line.contains("no TLS with the client"), "{line}");
}
