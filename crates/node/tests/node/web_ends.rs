//! Web fronts and the octets on the wire at both sides of them: which host is sent on, and how a message that is not
//! whole ends.

use std::io::{BufReader, Write};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use crate::fake;
use crate::gateway::Gateway;
use crate::process::PATIENCE;
use crate::web::head;

/// A gateway for HTTP in front of one server.
fn gate(server: SocketAddr, more: &str) -> Gateway {
    Gateway::start(&[server.to_string()], |_| {
        format!(
            "kind = \"http\"\npeer = \"bob\"\n[[listeners.routes]]\nhost = \"web.example\"\n\
             destination = \"{server}\"\n{more}"
        )
    })
}

#[test]
fn t20_the_host_of_an_absolute_target_is_the_host_that_the_server_is_asked_for() {
    let (report, seen) = channel();
    let report = Mutex::new(report);
    let server = fake::serve(move |mut stream| {
        let _ = report.lock().unwrap().send(head(&mut BufReader::new(&mut stream)));
        let _ = stream.write_all(b"HTTP/1.1 204 Fine\r\n\r\n");
    });
    let gateway = gate(server, "");
    for (version, host) in
        [("1.1", "host: admin.example\r\n"), ("1.0", "host: admin.example\r\n"), ("1.0", "")]
    {
        let mut client = gateway.connect();
        write!(client, "GET http://web.example/x HTTP/{version}\r\n{host}\r\n").unwrap();
        let head: String = seen.recv_timeout(PATIENCE).unwrap();
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("get /x http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nhost: web.example\r\n") && !head.contains("admin"), "{version}: {head}");
    }
}
