//! Reverse tunnels between real processes: a node that cannot be dialled, its gateway, and clients of the gateway.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;

use crate::common::{Lab, id, identity_section, run, stderr, stdout};
use crate::process::{NodeProcess, PATIENCE, installed};
use crate::web::{PublicAuthority, curl, mirror, tls_server};

/// Sends back what it gets, and FIN for FIN.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.unwrap();
            std::thread::spawn(move || {
                let mut back = tcp.try_clone().unwrap();
                if std::io::copy(&mut tcp, &mut back).is_ok() {
                    let _ = back.shutdown(Shutdown::Write);
                }
            });
        }
    });
    address
}

fn lab() -> Lab {
    let lab = Lab::new();
    for account in ["gate", "home", "eve"] {
        lab.issue(account);
    }
    lab
}

/// A gateway whose peers come at `bind`.
fn gateway(lab: &Lab, bind: &str) -> NodeProcess {
    let text = format!(
        "{}\n[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"{bind}\"\nreverse = true\n\
         [[listeners]]\nname = \"out\"\nkind = \"tcp\"\nbind = \"127.0.0.1:0\"\ndestination = \"web.home:80\"\npeer = \"home\"\n\
         [[peers]]\nname = \"home\"\nreverse = \"house\"\nidentity = \"{}\"\n",
        identity_section("gate"),
        id("home"),
    );
    NodeProcess::start(&lab.write("gate.toml", &text))
}

/// The configuration of a node behind it, which gives away one service.
fn home(lab: &Lab, who: &str, gateway: SocketAddr, service: SocketAddr, more: &str) -> PathBuf {
    let text = format!(
        "{}\n[[peers]]\nname = \"gate\"\naddress = \"{gateway}\"\nidentity = \"{}\"\n\
         [[reverse]]\nname = \"home\"\npeer = \"gate\"\ndestination = \"{service}\"\n{more}",
        identity_section(who),
        id("gate"),
    );
    lab.write(&format!("{who}.toml"), &text)
}

fn connect(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp
}

fn round_trip(address: SocketAddr) {
    let mut client = connect(address);
    let sent: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut reader = client.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut got = Vec::new();
        reader.read_to_end(&mut got).map(|_| got)
    });
    client.write_all(&sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert!(reading.join().unwrap().unwrap() == sent, "octets were lost or changed");
}

#[test]
fn h2r_a_node_without_a_listener_is_reached_through_the_gateway_that_it_has_dialled() {
    let (lab, service) = (lab(), echo());
    let gate = gateway(&lab, "127.0.0.1:0");
    let mut node = NodeProcess::start(&home(&lab, "home", gate.address("in"), service, ""));
    round_trip(gate.address("out"));
    // It drains in peace, and the gateway goes on without it.
    node.process().signal("TERM");
    assert_eq!(node.process().exit(), 0);
    let _back = NodeProcess::start(&home(&lab, "home", gate.address("in"), service, "names = [\"house\"]\n"));
    round_trip(gate.address("out"));
}

#[test]
fn h2r_what_is_given_away_gets_tls_where_an_egress_rule_wants_it() {
    let (lab, plain) = (lab(), echo());
    lab.write("public.pem", &PublicAuthority::new().pem());
    let gate = gateway(&lab, "127.0.0.1:0");
    let egress = "[[egress]]\ndestination = \"127.0.0.0/8\"\ntls = { roots = \"public.pem\" }\n";
    let _node = NodeProcess::start(&home(&lab, "home", gate.address("in"), plain, egress));
    // What does not speak TLS is not spoken to in the clear.
    let mut client = connect(gate.address("out"));
    let _ = client.write_all(b"in the clear");
    let end = client.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn h2r_a_node_is_reached_on_the_ordinary_connection_that_it_has_dialled() {
    let (lab, service) = (lab(), echo());
    let gate = gateway(&lab, "127.0.0.1:0");
    let mut node = NodeProcess::start(&home(&lab, "home", gate.address("in"), service, "shared = true\n"));
    round_trip(gate.address("out"));
    node.process().signal("TERM");
    assert_eq!(node.process().exit(), 0);
}

#[test]
fn t33_a_killed_node_that_comes_back_takes_over_and_the_tunnels_of_the_dead_one_are_reset() {
    for signal in ["STOP", "KILL"] {
        let (lab, service) = (lab(), echo());
        let mut gate = gateway(&lab, "127.0.0.1:0");
        let config = home(&lab, "home", gate.address("in"), service, "");
        let lost = NodeProcess::start(&config);
        let mut stuck = connect(gate.address("out"));
        stuck.write_all(b"x").unwrap();
        stuck.read_exact(&mut [0]).unwrap();
        let mut lost = lost;
        lost.process().signal(signal);
        let _back = NodeProcess::start(&config);
        // The second registration; until it stands the stale one would be asked.
        gate.process().line("registered", |line| line.contains("a node is registered"));
        round_trip(gate.address("out"));
        let end = stuck.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset), "{signal}");
        round_trip(gate.address("out"));
    }
}

#[test]
fn t33_another_identity_does_not_get_the_name_and_says_so() {
    let (lab, service) = (lab(), echo());
    let mut gate = gateway(&lab, "127.0.0.1:0");
    let mut thief =
        NodeProcess::start(&home(&lab, "eve", gate.address("in"), service, "names = [\"house\"]\n"));
    let told = gate.complaint("refusal");
    assert!(told["cause"].as_str().unwrap().contains("may not hold the name house"), "{told}");
    assert_eq!(told["source"], id("eve"));
    let told = thief.complaint("refusal");
    assert!(told["cause"].as_str().unwrap().contains("does not let us hold the name"), "{told}");
}

#[test]
fn h2r_the_tunnel_comes_back_by_itself_when_the_gateway_was_killed() {
    let (lab, service) = (lab(), echo());
    let gate = gateway(&lab, "127.0.0.1:0");
    let address = gate.address("in");
    let mut node = NodeProcess::start(&home(&lab, "home", address, service, ""));
    round_trip(gate.address("out"));
    drop(gate);
    let told = node.complaint("the gateway is away");
    assert_eq!(told["message"], "no reverse tunnel", "{told}");
    let gate = gateway(&lab, &address.to_string());
    round_trip(gate.address("out"));
}

#[test]
fn h2r_what_cannot_be_meant_is_refused_with_its_place() {
    let lab = lab();
    let peers = format!(
        "[[peers]]\nname = \"far\"\naddress = \"127.0.0.1:1\"\nreverse = \"House\"\nidentity = \"{}\"\n\
         [[listeners]]\nname = \"out\"\nkind = \"tcp\"\nbind = \"127.0.0.1:0\"\ndestination = \"a:1\"\npeer = \"far\"\nreverse = true\n\
         [[reverse]]\nname = \"x\"\npeer = \"none\"\nallow = [\"a:b\"]\ndestination = \"a:1\"\nport = 1\n",
        id("home")
    );
    let path = lab.write("odd.toml", &format!("{}\n{peers}", identity_section("gate")));
    let output = run(&["check", path.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    for wanted in [
        "a peer that dials this node is not dialled",
        "House",
        "no listener takes peers that dial this node",
        "`reverse`",
        "none",
        "a:b",
        "`allow` is for callers that choose the destination",
        "port",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

#[test]
fn h2r_check_says_what_a_file_means() {
    let (lab, service) = (lab(), "127.0.0.1:80".parse().unwrap());
    let path = home(&lab, "home", "192.0.2.1:15008".parse().unwrap(), service, "names = [\"house\"]\n");
    let output = run(&["check", path.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("reverse    home: at 192.0.2.1:15008 as house, serves 127.0.0.1:80"), "{text}");
    assert!(!text.contains("no listener"), "{text}");
}

#[test]
fn t21_sni_h2r_curl_speaks_tls_with_a_server_behind_the_nat_through_the_gateway_that_reads_its_name() {
    if !installed("curl") {
        return;
    }
    let (lab, authority) = (lab(), PublicAuthority::new());
    let server = tls_server(|_| authority.issue(&["web.home"]), mirror);
    let gate = format!(
        "{}\n[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\nreverse = true\n\
         [[listeners]]\nname = \"sni\"\nkind = \"sni\"\nbind = \"127.0.0.1:0\"\npeer = \"home\"\nnames = [\"web.home:443\"]\n\
         [[peers]]\nname = \"home\"\nreverse = \"house\"\nidentity = \"{}\"\n",
        identity_section("gate"),
        id("home"),
    );
    let gate = NodeProcess::start(&lab.write("gate.toml", &gate));
    let _node = NodeProcess::start(&home(&lab, "home", gate.address("in"), server, ""));
    let roots = lab.write("public.pem", &authority.pem());
    let port = gate.address("sni").port();
    let resolve = format!("web.home:{port}:127.0.0.1");
    let output = curl(&roots, &["--resolve", &resolve, &format!("https://web.home:{port}/through")]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("GET /through HTTP/1.1\r\n"), "{}", stdout(&output));
}
