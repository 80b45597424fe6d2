//! The egress gateway: which destinations peers reach through it, and TLS that it adds on the way out.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::common::{Lab, id, identity_section};
use crate::fake;
use crate::process::{NodeProcess, PATIENCE};
use crate::web::{PublicAuthority, ReadWrite, mutual_tls_server, tls_server};

/// Alice with a port for each destination (`to0`, `to1`, …), and an egress gateway.
struct Out {
    alice: NodeProcess,
    gate: NodeProcess,
}

impl Out {
    /// `rest` is what the gateway's configuration says beside its identity and its listener.
    fn start(lab: &Lab, destinations: &[&str], rest: &str) -> Self {
        for account in ["alice", "gate"] {
            lab.issue(account);
        }
        let config = format!(
            "{}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n{rest}",
            identity_section("gate")
        );
        let gate = NodeProcess::start(&lab.write("gate.toml", &config));
        let alice = capturing(lab, "alice", &gate, destinations);
        Self { alice, gate }
    }

    fn connect(&self, index: usize) -> TcpStream {
        connect(&self.alice, index)
    }

    /// Asks for a destination and expects a reset; what the gateway's log says of it.
    fn refused(&mut self, index: usize) -> serde_json::Value {
        let mut stream = self.connect(index);
        assert!(stream.read(&mut [0]).is_err(), "must be a reset");
        self.gate.complaint("the refusal")
    }
}

/// A node with a port for each destination, all through the gateway.
fn capturing(lab: &Lab, account: &str, gate: &NodeProcess, destinations: &[&str]) -> NodeProcess {
    let mut config = format!(
        "{}[[peers]]\nname = \"gate\"\naddress = \"{}\"\nidentity = \"{}\"\n",
        identity_section(account),
        gate.address("in"),
        id("gate")
    );
    for (index, destination) in destinations.iter().enumerate() {
        config += &format!(
            "[[listeners]]\nname = \"to{index}\"\nkind = \"tcp\"\nbind = \"127.0.0.1:0\"\n\
             destination = \"{destination}\"\npeer = \"gate\"\n"
        );
    }
    NodeProcess::start(&lab.write(&format!("{account}.toml"), &config))
}

fn connect(node: &NodeProcess, index: usize) -> TcpStream {
    let stream = TcpStream::connect(node.address(&format!("to{index}"))).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Alice may reach all of these.
fn allow(to: &[String]) -> String {
    format!("[[policies]]\nname = \"out\"\naction = \"allow\"\nfrom = \"{}\"\nto = {to:?}\n", id("alice"))
}

fn rule(destination: &str, tls: &str) -> String {
    format!("[[egress]]\ndestination = \"{destination}\"\ntls = {{ {tls} }}\n")
}

/// Sends back everything, ends after the other side has.
fn echo(stream: &mut dyn ReadWrite) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(taken) = stream.read(&mut buffer) {
        if taken == 0 || stream.write_all(&buffer[..taken]).and_then(|()| stream.flush()).is_err() {
            break;
        }
    }
}

fn on_localhost(server: SocketAddr) -> String {
    format!("localhost:{}", server.port())
}

#[test]
fn a_destination_that_speaks_tls_is_reached_in_the_clear_and_every_octet_and_the_end_arrive() {
    let (authority, lab) = (PublicAuthority::new(), Lab::new());
    lab.write("public.pem", &authority.pem());
    let server = tls_server(|_| authority.issue(&["localhost"]), echo);
    let named = tls_server(|_| authority.issue(&["elsewhere.example"]), echo);
    let plain = fake::echo();
    let rest = [
        allow(&[on_localhost(server), server.to_string(), named.to_string(), plain.to_string()]),
        rule(&on_localhost(server), "roots = \"public.pem\""),
        rule(&named.to_string(), "roots = \"public.pem\", sni = \"elsewhere.example\""),
    ];
    let destinations = [on_localhost(server), named.to_string(), plain.to_string()];
    let destinations: Vec<_> = destinations.iter().map(String::as_str).collect();
    let out = Out::start(&lab, &destinations, &rest.concat());
    let sent: Vec<u8> =
        (0..1_u32 << 18).flat_map(|it| it.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for (index, destination) in destinations.iter().enumerate() {
        let mut stream = out.connect(index);
        let mut received = Vec::new();
        for piece in sent.chunks(100_000) {
            stream.write_all(piece).unwrap();
            let mut echoed = vec![0; piece.len()];
            stream.read_exact(&mut echoed).unwrap();
            received.extend(echoed);
        }
        assert!(received == sent);
        stream.write_all(b"the end").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"the end", "{destination}");
    }
}

#[test]
fn a_destination_that_asks_for_a_certificate_is_shown_ours() {
    let (authority, lab) = (PublicAuthority::new(), Lab::new());
    authority.issue_to(&lab, "client", &["gate.example"]);
    let server = mutual_tls_server(&authority, &["127.0.0.1"], echo);
    let other = mutual_tls_server(&authority, &["127.0.0.1"], echo);
    let rest = [
        allow(&[server.to_string(), other.to_string()]),
        rule(&server.to_string(), "roots = \"public.pem\", cert = \"client.pem\", key = \"client.key\""),
        rule(&other.to_string(), "roots = \"public.pem\""),
    ];
    let out = Out::start(&lab, &[&server.to_string(), &other.to_string()], &rest.concat());
    let mut stream = out.connect(0);
    stream.write_all(b"known").unwrap();
    let mut echoed = [0; 5];
    stream.read_exact(&mut echoed).unwrap();
    assert_eq!(&echoed, b"known");
    // It says so only behind the handshake, so the tunnel stands for a moment.
    let mut stream = out.connect(1);
    let _ = stream.write_all(b"unknown");
    assert!(stream.read(&mut [0; 7]).is_err(), "must be a reset");
}

#[test]
fn a_destination_that_cannot_be_trusted_is_a_503_with_its_cause_and_is_never_spoken_to_in_the_clear() {
    let (authority, other, lab) = (PublicAuthority::new(), PublicAuthority::new(), Lab::new());
    lab.write("public.pem", &authority.pem());
    let stranger = tls_server(|_| other.issue(&["127.0.0.1"]), echo);
    let misnamed = tls_server(|_| authority.issue(&["web.example"]), echo);
    let (report, heard) = std::sync::mpsc::channel();
    let plain = fake::serve(move |mut stream| {
        let mut octets = vec![0; 4096];
        let taken = stream.read(&mut octets).unwrap();
        report.send(octets[..taken].to_vec()).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let silent = fake::silent();
    let destinations = [stranger, misnamed, plain, silent].map(|it| it.to_string());
    let rest = [
        allow(&destinations),
        rule("127.0.0.0/8", "roots = \"public.pem\""),
        "[limits]\nhandshake_timeout = \"500ms\"\n".to_owned(),
    ];
    let to: Vec<_> = destinations.iter().map(String::as_str).collect();
    let mut out = Out::start(&lab, &to, &rest.concat());
    let causes =
        ["nobody in `roots` vouches", "for another name", "does not speak TLS", "no handshake within 500ms"];
    for (index, cause) in causes.iter().enumerate() {
        let line = out.refused(index);
        assert_eq!(line["status"].as_u64(), Some(503), "{line}");
        let text = line["cause"].as_str().unwrap();
        assert!(text.contains(cause) && text.contains(&format!("no TLS with {}", to[index])), "{line}");
    }
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap()[0], 22, "a record of a handshake, and nothing else");
}

#[test]
fn egress_is_refused_by_identity_host_port_and_network_and_the_log_names_the_rule() {
    let lab = Lab::new();
    lab.issue("mallory");
    let server = fake::echo();
    let port = server.port();
    let rest = format!(
        "[[policies]]\nname = \"by-identity\"\naction = \"deny\"\nfrom = \"{}\"\n\
         [[policies]]\nname = \"by-host\"\naction = \"deny\"\nto = \"*.forbidden.example\"\n\
         [[policies]]\nname = \"by-port\"\naction = \"deny\"\nto = \"*:1\"\n\
         [[policies]]\nname = \"by-network\"\naction = \"deny\"\nto = \"127.9.0.0/16\"\n\
         [[policies]]\nname = \"out\"\naction = \"allow\"\nto = [\"127.0.0.0/8\", \"localhost:{port}\", \"*.example\", \"{server}\", \"127.9.9.9:{port}\", \"127.0.0.1:1\"]\n",
        id("mallory")
    );
    let denied = [
        (format!("a.forbidden.example:{port}"), "by-host"),
        ("127.0.0.1:1".to_owned(), "by-port"),
        (format!("127.9.9.9:{port}"), "by-network"),
    ];
    let to: Vec<_> =
        [server.to_string()].into_iter().chain(denied.iter().map(|(to, _)| to.clone())).collect();
    let to: Vec<_> = to.iter().map(String::as_str).collect();
    let mut out = Out::start(&lab, &to, &rest);
    let mut stream = out.connect(0);
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    for (index, (_, rule)) in denied.iter().enumerate() {
        let line = out.refused(index + 1);
        assert_eq!(line["status"].as_u64(), Some(403), "{line}");
        assert!(line["cause"].as_str().unwrap().contains(rule), "{line}");
    }
    let mallory = capturing(&lab, "mallory", &out.gate, &to);
    assert!(connect(&mallory, 0).read(&mut [0]).is_err(), "must be a reset");
    let line = out.gate.complaint("the refusal");
    assert!(line["cause"].as_str().unwrap().contains("by-identity"), "{line}");
    assert_eq!(line["source"].as_str(), Some(id("mallory").as_str()));
}
