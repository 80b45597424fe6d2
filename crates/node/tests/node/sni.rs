//! The SNI gateway: what a TLS client says comes to the server that it names, octet for octet, or nowhere.

use std::io::{Read, Write};
use std::net::SocketAddr;

use crate::common::{stderr, stdout};
use crate::fake;
use crate::gateway::Gateway;
use crate::process::{PATIENCE, installed};
use crate::web::{PublicAuthority, curl, mirror, tls_server};

/// A gateway in front of bob, who dials the server and no other; `keys` are more keys of its listener.
fn gate(server: SocketAddr, keys: &str) -> Gateway {
    let port = server.port();
    Gateway::start(&[format!("localhost:{port}"), server.to_string()], |_| {
        format!("kind = \"sni\"\npeer = \"bob\"\nnames = [\"localhost:{port}\", \"*.listed:443\"]\n{keys}\n")
    })
}

#[test]
fn t21_sni_alice_gate_bob_curl_speaks_tls_with_the_server_that_it_names() {
    if !installed("curl") {
        return;
    }
    let authority = PublicAuthority::new();
    let named = |port: u16| format!("outbound_.{port}_._.localhost");
    let server = tls_server(|address| authority.issue(&[&named(address.port())]), mirror);
    let gateway = gate(server, "allow_from = [\"10.0.0.0/8\", \"127.0.0.0/8\"]");
    let roots = gateway.lab.write("public.pem", &authority.pem());
    let name = named(server.port());
    let port = gateway.address().port();
    let resolve = format!("{name}:{port}:127.0.0.1");
    let url = format!("https://{name}:{port}/through");
    // The server's certificate is judged by curl: nobody has ended TLS on the way.
    let output = curl(&roots, &["--resolve", &resolve, &url]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("GET /through HTTP/1.1\r\n"), "{}", stdout(&output));
}

#[test]
fn t21_a_name_that_is_not_listed_is_refused_by_an_alert_and_one_line() {
    if !installed("curl") {
        return;
    }
    let mut gateway = gate(fake::closed(), "");
    let port = gateway.address().port();
    let resolve = format!("elsewhere.example:{port}:127.0.0.1");
    let url = format!("https://elsewhere.example:{port}/");
    let output = curl(&gateway.lab.path("ca.pem"), &["--resolve", &resolve, &url]);
    assert_eq!(output.status.code(), Some(35), "{}", stderr(&output));
    assert!(stderr(&output).contains("unrecognized name"), "{}", stderr(&output));
    let line = gateway.gate.complaint("a name that is not listed").to_string();
    assert!(line.contains("elsewhere.example:443, which `names` does not list"), "{line}");
}

#[test]
fn t21_a_listed_name_without_a_port_means_443() {
    if !installed("curl") {
        return;
    }
    let mut gateway = gate(fake::closed(), "");
    let port = gateway.address().port();
    let resolve = format!("web.listed:{port}:127.0.0.1");
    let output =
        curl(&gateway.lab.path("ca.pem"), &["--resolve", &resolve, &format!("https://web.listed:{port}/")]);
    assert!(!output.status.success());
    let line = gateway.gate.complaint("bob's refusal");
    assert_eq!((line["destination"].as_str(), line["status"].as_u64()), (Some("web.listed:443"), Some(403)));
}

#[test]
fn t21_the_server_sees_the_peeked_octets_as_they_came_one_by_one_and_in_many_records() {
    let (report, seen) = std::sync::mpsc::channel();
    let server = fake::serve(move |mut stream| {
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets).unwrap();
        report.send(octets).unwrap();
    });
    let gateway = gate(server, "");
    let sent =
        [in_records(&hello(&format!("outbound_.{}_._.LOCALHOST", server.port())), 3), vec![7; 999]].concat();
    let mut stream = gateway.connect();
    stream.set_nodelay(true).unwrap();
    let (slowly, at_once) = sent.split_at(80);
    for octet in slowly {
        stream.write_all(&[*octet]).unwrap();
    }
    stream.write_all(at_once).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(seen.recv_timeout(PATIENCE).unwrap() == sent);
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn t21_what_is_no_client_hello_with_one_name_is_let_go_and_the_log_says_why() {
    let mut gateway = gate(fake::closed(), "");
    for (octets, alert, cause) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), None, "does not speak TLS"),
        (hello("192.0.2.1"), Some(109), "names no server"),
        (b"\x16\x03\x01\x40\x01".to_vec(), Some(50), "longer than 16 KiB"),
        (hello("outbound_.80_.localhost"), Some(50), "does not go on so"),
    ] {
        let mut stream = gateway.connect();
        stream.write_all(&octets).unwrap();
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let expected = alert.map_or(Vec::new(), |alert| vec![21, 3, 3, 0, 2, 2, alert]);
        assert_eq!(answer, expected, "{cause}: {ended:?}");
        let line = gateway.gate.complaint(cause).to_string();
        assert!(line.contains(cause), "{line}");
    }
}

#[test]
fn a_client_whose_network_is_not_listed_is_reset_before_it_is_heard() {
    let mut gateway = gate(fake::closed(), "allow_from = \"192.0.2.0/24\"");
    let error = gateway.connect().read(&mut [0]).expect_err("must be a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let line = gateway.gate.complaint("a stranger").to_string();
    assert!(line.contains("`allow_from` has no network with 127.0.0.1"), "{line}");
}

/// What rustls says to a server of that name, or to an address.
fn hello(name: &str) -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let config = builder.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut session = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut octets = Vec::new();
    session.write_tls(&mut octets).unwrap();
    octets
}

/// The same message in records of so many octets.
fn in_records(hello: &[u8], piece: usize) -> Vec<u8> {
    let records = hello[5..].chunks(piece);
    records
        .flat_map(|piece| [&[22, 3, 1, 0, u8::try_from(piece.len()).unwrap()][..], piece].concat())
        .collect()
}
