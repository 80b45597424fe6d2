//! The POST mode, callers without TLS and requests that ask for no tunnel: real processes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;

use crate::common::{Lab, id, identity_section};
use crate::fake;
use crate::process::{NodeProcess, PATIENCE, installed};

/// Octets that repeat only after a long time.
pub(crate) fn octets(length: usize) -> Vec<u8> {
    (0..length as u32)
        .flat_map(|index| index.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(length)
        .collect()
}

pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A way in leads to a service that sends back what it gets: every octet both ways, and FIN for FIN.
pub(crate) fn echoes(entry: SocketAddr) {
    for length in [0, 1, 3 << 20] {
        let mut stream = connect(entry);
        let sent = octets(length);
        let (mut writer, copy) = (stream.try_clone().unwrap(), sent.clone());
        let writing = std::thread::spawn(move || {
            writer.write_all(&copy).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        writing.join().unwrap();
        assert!(received == sent, "{} octets of {length}", received.len());
    }
}

/// A service that ends first, and what it reports to have read behind its end.
pub(crate) fn ending_first() -> (SocketAddr, std::sync::mpsc::Receiver<Vec<u8>>) {
    let (report, later) = std::sync::mpsc::channel();
    let server = fake::serve(move |mut stream| {
        stream.write_all(b"first").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        report.send(rest).unwrap();
    });
    (server, later)
}

/// The end of the service arrives first, and what follows it arrives there.
pub(crate) fn ends_first(entry: SocketAddr, later: &std::sync::mpsc::Receiver<Vec<u8>>) {
    let mut stream = connect(entry);
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "first");
    stream.write_all(b"and later").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(later.recv_timeout(PATIENCE).unwrap(), b"and later");
}

/// A lab with identities, and the destinations that alice and a gate may reach at bob.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) echo: SocketAddr,
    pub(crate) first: SocketAddr,
    pub(crate) later: std::sync::mpsc::Receiver<Vec<u8>>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let lab = Lab::new();
        for account in ["alice", "bob", "gate"] {
            lab.issue(account);
        }
        let (first, later) = ending_first();
        Self { lab, echo: fake::echo(), first, later }
    }

    /// Bob with a listener, and a rule for `from`.
    pub(crate) fn bob(&self, listener: &str, from: &str) -> NodeProcess {
        let config = format!(
            "{}[[listeners]]\nname = \"in\"\nbind = \"127.0.0.1:0\"\n{listener}\n\
             [[policies]]\nname = \"callers\"\naction = \"allow\"\n{from}\nto = [\"{}\", \"{}\"]\n",
            identity_section("bob"),
            self.echo,
            self.first
        );
        NodeProcess::start(&self.lab.write("bob.toml", &config))
    }

    /// Alice with a capture for each destination, through a peer named bob.
    pub(crate) fn alice(&self, peer: &str) -> NodeProcess {
        let capture = |name: &str, to: SocketAddr| {
            format!(
                "[[listeners]]\nname = \"{name}\"\nkind = \"tcp\"\nbind = \"127.0.0.1:0\"\n\
                 destination = \"{to}\"\npeer = \"bob\"\n"
            )
        };
        let config = format!(
            "{}{}{}[[peers]]\nname = \"bob\"\n{peer}\n",
            identity_section("alice"),
            capture("echo", self.echo),
            capture("first", self.first)
        );
        NodeProcess::start(&self.lab.write("alice.toml", &config))
    }

    /// Octets, and ends in both orders.
    pub(crate) fn works(&self, alice: &NodeProcess) {
        echoes(alice.address("echo"));
        ends_first(alice.address("first"), &self.later);
    }
}

/// A service that resets is a reset here, whatever is in the middle.
pub(crate) fn is_cut(entry: SocketAddr) {
    let mut stream = connect(entry);
    stream.write_all(b"x").unwrap();
    let error = stream.read(&mut [0]).expect_err("must be a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// The rule for callers without TLS.
const NOBODY: &str = "without_identity = true\nsource_ip = \"127.0.0.0/8\"\nlistener = \"in\"";

pub(crate) fn from(account: &str) -> String {
    format!("from = \"{}\"", id(account))
}

/// A certificate of a name that is its own root, as `<file>.pem` and `<file>.key`.
pub(crate) fn web_certificate(lab: &Lab, file: &str, name: &str) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    lab.write_identity(file, &certificate.pem(), &key.serialize_pem());
}

/// A JWK set, and a token of its key for an identity.
pub(crate) fn token(subject: &str) -> (String, String) {
    use base64::Engine as _;
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use rcgen::PublicKeyData as _;
    let key = rcgen::KeyPair::generate().unwrap();
    let part = |octets: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(octets);
    let (x, y) = (part(&key.der_bytes()[1..33]), part(&key.der_bytes()[33..65]));
    let jwk = serde_json::json!({ "kty": "EC", "crv": "P-256", "kid": "one", "x": x, "y": y });
    let claims = serde_json::json!({
        "iss": "https://issuer.example",
        "aud": "https://gate.example",
        "sub": subject,
        "exp": jsonwebtoken::get_current_timestamp() + 3600,
    });
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some("one".to_owned());
    let token = encode(&header, &claims, &EncodingKey::from_ec_der(&key.serialize_der())).unwrap();
    (serde_json::json!({ "keys": [jwk] }).to_string(), token)
}

#[test]
fn post_mode_works_over_a_link_without_tls_and_judges_who_is_inside() {
    let scene = Scene::new();
    let bob = scene.bob("kind = \"h2c\"\ntrusted = [\"127.0.0.0/8\"]", &from("alice"));
    let peer = |identity: &str| {
        format!(
            "address = \"{}\"\nidentity = \"{identity}\"\nplain = true\n[peers.post]\nauthority = \"gate.example\"",
            bob.address("in")
        )
    };
    scene.works(&scene.alice(&peer(&id("bob"))));
    let mut alice = scene.alice(&peer(&id("gate")));
    assert!(connect(alice.address("echo")).read(&mut [0]).is_err());
    let complaint = alice.complaint("who is inside");
    assert!(complaint["cause"].as_str().unwrap().contains("inside the stream is not trusted"), "{complaint}");
}

#[test]
fn callers_without_tls_are_nobody_and_come_from_declared_networks_only() {
    let scene = Scene::new();
    let plain = |bob: &NodeProcess| format!("address = \"{}\"\nplain = true", bob.address("in"));
    let mut bob = scene.bob("kind = \"h2c\"\ntrusted = [\"10.0.0.0/8\"]", &from("alice"));
    let alice = scene.alice(&plain(&bob));
    assert!(connect(alice.address("echo")).read(&mut [0]).is_err());
    let complaint = bob.complaint("a stranger");
    assert!(complaint["cause"].as_str().unwrap().contains("`trusted`"), "{complaint}");
    let mut bob = scene.bob("kind = \"h2c\"\ntrusted = [\"127.0.0.0/8\"]", &from("alice"));
    let alice = scene.alice(&plain(&bob));
    assert!(connect(alice.address("echo")).read(&mut [0]).is_err());
    let complaint = bob.complaint("nobody");
    assert_eq!(
        (complaint["status"].as_u64(), complaint["source"].as_str()),
        (Some(403), Some("-")),
        "{complaint}"
    );
    let bob = scene.bob("kind = \"h2c\"\ntrusted = [\"127.0.0.0/8\"]", NOBODY);
    scene.works(&scene.alice(&plain(&bob)));
}

#[test]
fn other_requests_go_to_the_handler_or_hear_what_the_port_is() {
    if !installed("curl") {
        return;
    }
    let scene = Scene::new();
    let (report, seen) = std::sync::mpsc::channel();
    let handler = fake::serve(move |mut stream| {
        let mut head = Vec::new();
        let mut octet = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut octet).is_ok_and(|read| read > 0) {
            head.push(octet[0]);
        }
        report.send(String::from_utf8(head).unwrap()).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 203 Fine\r\nx-own: yes\r\ncontent-length: 5\r\n\r\nhello");
    });
    let get = |node: &NodeProcess, path: &str| {
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--http2-prior-knowledge",
            "-w",
            "%{http_code} %header{allow}",
            "-H",
            "baggage: a=b",
        ]);
        curl.args(["-H", "forwarded: for=evil", "-H", "hbone-source: evil", "-H", "x-forwarded-for: evil"]);
        curl.args(["-H", "x-real-ip: evil", "-H", "hbone_source: evil", "-H", "x_forwarded_for: evil"]);
        let output = curl.arg(format!("http://{}{path}", node.address("in"))).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let bare = scene.bob("kind = \"h2c\"\ntrusted = [\"127.0.0.0/8\"]", &from("alice"));
    let text = get(&bare, "/");
    assert!(text.contains("HBONE") && text.ends_with("405 CONNECT, POST"), "{text}");
    let listener = format!("kind = \"h2c\"\ntrusted = [\"127.0.0.0/8\"]\nother_requests = \"{handler}\"");
    let bob = scene.bob(&listener, &from("alice"));
    assert_eq!(get(&bob, "/x?y=z"), "hello203 ");
    let head = seen.recv_timeout(PATIENCE).unwrap().to_lowercase();
    assert!(
        head.starts_with("get /x?y=z http/1.1\r\n") && head.contains(&format!("host: {}", bob.address("in")))
    );
    assert!(
        head.contains("forwarded: for=\"127.0.0.1:") && !head.contains("evil") && !head.contains("a=b"),
        "{head}"
    );
}
