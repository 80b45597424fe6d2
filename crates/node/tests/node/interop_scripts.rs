//! What people write quick tests in: Node's `http2` and Python's `h2` and `httpx`, as clients of a node and as servers
//! behind one, over mutual TLS. Every octet is compared, by hash or one by one.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{Lab, id, stderr};
use crate::fake;
use crate::process::{NodeProcess, PATIENCE, Process, installed};
use crate::tunnels::{Pair, capturing, octets};

/// Where octets of several windows go through.
const LENGTH: usize = 3_000_000;

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/node/scripts").join(name)
}

/// The Python that has the modules; says so when there is none.
fn python(modules: &str) -> Option<String> {
    let python = std::env::var("HBONE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut import = Command::new(&python);
    import.args(["-c", &format!("import {modules}")]).stdout(Stdio::null()).stderr(Stdio::null());
    if import.status().is_ok_and(|status| status.success()) {
        return Some(python);
    }
    assert!(
        std::env::var_os("HBONE_REQUIRE_PEERS").is_none_or(|it| it != "1"),
        "Python with {modules} is required"
    );
    eprintln!("skipped: no Python with {modules}; name one in HBONE_PYTHON");
    None
}

/// Runs a client; what it prints.
fn ask(program: &str, name: &str, arguments: &[&str]) -> Value {
    let output = Command::new(program).arg(script(name)).args(arguments).output().unwrap();
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}{}", stderr(&output)))
}

/// A client that was not made for this is served: octets both ways, FIN for FIN, and the statuses of refusals.
fn as_client(program: &str, name: &str) {
    let behind = fake::echo();
    let pair = Pair::start(&[behind]);
    let (port, folder) = (pair.bob.address("in").port().to_string(), pair.lab.text(""));
    let length = LENGTH.to_string();
    let told = ask(program, name, &[&port, &folder, &behind.to_string(), &length]);
    assert_eq!(told["status"], 200, "{told}");
    assert_eq!(told["length"], LENGTH, "{told}");
    assert!(told["sent"] == told["received"] && told["error"].is_null(), "{told}");
    for (destination, status) in [("127.0.0.1:1", 403), ("127.1:80", 400), ("169.254.169.254:80", 403)] {
        let told = ask(program, name, &[&port, &folder, destination, "10"]);
        assert_eq!(told["status"], status, "{destination}: {told}");
        assert_eq!(told["length"], 0, "{told}");
    }
}

/// A server that was not made for this carries tunnels: what it was asked, and octets both ways with FIN for FIN.
fn as_server(program: &str, name: &str) {
    let lab = Lab::new();
    lab.issue("alice");
    lab.issue("bob");
    let mut command = Command::new(program);
    command.arg(script(name)).arg(lab.path(""));
    let mut server = Process::start(&mut command, false);
    let line = server.line("its port", |line| line.starts_with("port "));
    let port: u16 = line.trim_start_matches("port ").parse().unwrap();
    let behind = fake::echo();
    let text = capturing(SocketAddr::from(([127, 0, 0, 1], port)), &id("bob"), &[behind, behind], "");
    let alice = NodeProcess::start(&lab.write("alice.toml", &text));
    let clients: Vec<_> = ["to0", "to1"]
        .map(|to| {
            let address = alice.address(to);
            std::thread::spawn(move || {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let (sent, mut writer) = (octets(LENGTH), stream.try_clone().unwrap());
                let copy = sent.clone();
                let writing = std::thread::spawn(move || {
                    writer.write_all(&copy).unwrap();
                    writer.shutdown(Shutdown::Write).unwrap();
                });
                let mut received = Vec::new();
                stream.read_to_end(&mut received).unwrap();
                writing.join().unwrap();
                assert!(received == sent, "{} octets came back", received.len());
            })
        })
        .into();
    let line = server.line("a tunnel", |line| line.starts_with("tunnel "));
    let asked = format!("tunnel CONNECT {behind} :authority :method");
    assert!(line == asked || line == format!("{asked} sni=false"), "no other pseudo-field, no name: {line}");
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn http2_of_node_is_served() {
    if installed("node") {
        as_client("node", "connect.js");
    }
}

#[test]
fn http2_of_node_serves() {
    if installed("node") {
        as_server("node", "serve.js");
    }
}

#[test]
fn h2_of_python_is_served() {
    if let Some(python) = python("h2") {
        as_client(&python, "connect.py");
    }
}

#[test]
fn h2_of_python_serves() {
    if let Some(python) = python("h2") {
        as_server(&python, "serve.py");
    }
}

#[test]
fn requests_of_httpx_that_are_no_tunnels_are_told_so_over_http2() {
    let Some(python) = python("httpx, h2") else { return };
    let pair = Pair::start(&[fake::echo()]);
    let port = pair.bob.address("in").port().to_string();
    let told = ask(&python, "requests.py", &[&port, &pair.lab.text("")]);
    assert_eq!(told["statuses"], serde_json::json!([405, 405, 405]), "{told}");
    assert_eq!(told["versions"], serde_json::json!(["HTTP/2", "HTTP/2", "HTTP/2"]), "{told}");
}
