//! F2: a link whose packets are dropped without a word. Both ends of every tunnel on it hear of a reset within the
//! keepalive limit, and tunnels come back once the link does. Hosts as network namespaces.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::capture::{host_pid, in_hosts, on};
use crate::chain::{connect, serving};
use crate::common::{Lab, hbone, id};
use crate::fidelity::Server;
use crate::process::{NodeProcess, PATIENCE};
use crate::tunnels::capturing;

/// Noticed after interval and timeout together, where the default is 30 s.
const LIMITS: &str = "keepalive_interval = \"1s\"\nkeepalive_timeout = \"1s\"";
/// With room for a busy machine; far less than the default would take.
const NOTICED: Duration = Duration::from_secs(10);

#[test]
fn f2_a_link_that_drops_packets_resets_both_ends_within_the_keepalive_limit_and_tunnels_come_back() {
    in_hosts("half_open::inside_network_namespaces");
}

fn nft(rules: &str) {
    let done = Command::new("nft").arg(rules).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

fn cut() {
    nft("add table inet cut; add chain inet cut in { type filter hook input priority 0; policy drop; }; \
         add rule inet cut in iifname lo accept; \
         add chain inet cut out { type filter hook output priority 0; policy drop; }; \
         add rule inet cut out oifname lo accept");
}

fn ends_with_reset(stream: &mut TcpStream, since: Instant, who: &str) {
    let mut buffer = vec![0; 1 << 16];
    let error = loop {
        match stream.read(&mut buffer) {
            Ok(0) => panic!("the {who} saw a clean end"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{who}");
    assert!(since.elapsed() < NOTICED, "the {who} heard of it after {:?}", since.elapsed());
}

#[test]
#[ignore = "run by the test above in network namespaces"]
fn inside_network_namespaces() {
    let lab = Lab::new();
    lab.issue("alice");
    lab.issue("bob");
    let server = Server::start(on("far", || TcpListener::bind("10.77.9.9:0").unwrap()));
    let config = serving("bob", "alice", &[server.address], LIMITS).replace("127.0.0.1:0", "10.77.1.2:15008");
    let mut far = Command::new("nsenter");
    far.args(["-t", &host_pid("far"), "-n"]).arg(hbone().get_program());
    let _bob = NodeProcess::start_by(far, &lab.write("bob.toml", &config));
    let config = capturing("10.77.1.2:15008".parse().unwrap(), &id("bob"), &[server.address], LIMITS);
    let alice = NodeProcess::start(&lab.write("alice.toml", &config));
    for busy in [false, true] {
        let mut client = connect(alice.address("to0"));
        client.write_all(b"word").unwrap();
        let mut accepted = server.next().unwrap();
        accepted.read_exact(&mut [0; 4]).unwrap();
        let writer = accepted.try_clone().unwrap();
        let writing = std::thread::spawn(move || {
            let piece = vec![0; 1 << 16];
            while busy && (&writer).write_all(&piece).is_ok() {}
        });
        if busy {
            client.read_exact(&mut vec![0; 1 << 20]).unwrap();
        }
        cut();
        let since = Instant::now();
        ends_with_reset(&mut client, since, "client");
        if busy {
            // Its writer may hear of the reset in its place.
            writing.join().unwrap();
            assert!(since.elapsed() < NOTICED, "the server heard of it after {:?}", since.elapsed());
        } else {
            ends_with_reset(&mut accepted, since, "server");
        }
        nft("delete table inet cut");
        let start = Instant::now();
        let back = loop {
            let mut again = connect(alice.address("to0"));
            if again.write_all(b"x").is_ok()
                && let Some(accepted) = server.next()
            {
                break (again, accepted);
            }
            assert!(start.elapsed() < PATIENCE, "no tunnel comes back");
        };
        drop(back);
    }
}
