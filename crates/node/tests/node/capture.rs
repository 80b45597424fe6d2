//! Transparent capture by the system's own packet filter: hosts as network namespaces, rules as `hbone capture rules`
//! prints them, both families, real octets.
//!
//! Each test runs itself again inside namespaces that a script makes: `near` (alice, and clients on her host), `far`
//! (bob and the servers), `client` (behind alice).

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::common::{Lab, code, hbone, id, identity_section, run, stderr, stdout};
use crate::process::{NodeProcess, PATIENCE, installed};

/// Makes the hosts and runs a test of this program in them.
const HOSTS: &str = r#"
set -e
ip link set lo up
unshare -n sleep 600 & far=$!
unshare -n sleep 600 & client=$!
trap 'kill $far $client' EXIT
own=$(readlink /proc/self/ns/net)
for pid in $far $client; do
    while [ "$(readlink /proc/$pid/ns/net)" = "$own" ]; do sleep 0.01; done
done
wire() { # name of the wire here, pid there, number of the network
    ip link add "$1" type veth peer name near netns "$2"
    ip addr add "10.77.$3.1/24" dev "$1"
    ip addr add "fd77:$3::1/64" dev "$1" nodad
    ip link set "$1" up
    there="nsenter -t $2 -n"
    $there ip link set lo up
    $there ip addr add "10.77.$3.2/24" dev near
    $there ip addr add "fd77:$3::2/64" dev near nodad
    $there ip link set near up
    $there ip route add default via "10.77.$3.1"
    $there ip -6 route add default via "fd77:$3::1"
}
wire far $far 1
wire client $client 2
nsenter -t $far -n ip addr add 10.77.9.9/32 dev lo
nsenter -t $far -n ip addr add fd77:9::9/128 dev lo nodad
ip route add 10.77.9.0/24 via 10.77.1.2
ip -6 route add fd77:9::/64 via fd77:1::2
echo ready
FAR=$far CLIENT=$client "$0" --exact "$1" --ignored --nocapture
"#;

fn in_namespaces(test: &str) {
    in_hosts(&format!("capture::{test}"));
}

/// What a test said that ran there; none where that is not to be had.
pub(crate) fn in_hosts(test: &str) -> Option<String> {
    if !["nft", "ip", "unshare", "nsenter"].into_iter().all(installed) {
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["-rn", "sh", "-c", HOSTS]).arg(std::env::current_exe().unwrap()).arg(test);
    let output = command.output().unwrap();
    if !output.stdout.starts_with(b"ready") {
        assert!(std::env::var_os("HBONE_REQUIRE_PEERS").is_none_or(|it| it != "1"), "{}", stderr(&output));
        eprintln!("skipped: no network namespaces: {}", stderr(&output));
        return None;
    }
    let said = stdout(&output);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{}", stderr(&output));
    Some(said)
}

/// Runs on that host.
pub(crate) fn on<T: Send + 'static>(host: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let pid = host_pid(host);
    let there = std::thread::spawn(move || {
        let space = File::open(format!("/proc/{pid}/ns/net")).unwrap();
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        work()
    });
    there.join().unwrap()
}

pub(crate) fn host_pid(host: &str) -> String {
    if host == "near" { "self".into() } else { std::env::var(host.to_uppercase()).unwrap() }
}

/// The servers of the far host, which send everything back and tell who called.
fn servers() -> (Vec<SocketAddr>, Receiver<IpAddr>) {
    let (report, callers) = channel();
    let mut addresses = Vec::new();
    for ip in ["10.77.9.9", "fd77:9::9"] {
        let ip: IpAddr = ip.parse().unwrap();
        let listener = on("far", move || TcpListener::bind((ip, 0)).unwrap());
        addresses.push(listener.local_addr().unwrap());
        let report = report.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                report.send(stream.peer_addr().unwrap().ip()).unwrap();
                std::thread::spawn(move || {
                    let mut back = stream.try_clone().unwrap();
                    let _ = std::io::copy(&mut stream, &mut back);
                    let _ = back.shutdown(Shutdown::Write);
                });
            }
        });
    }
    (addresses, callers)
}

/// Alice with these listeners, bob on the far host, the rules as the command prints them.
struct Hosts {
    lab: Lab,
    alice: NodeProcess,
    _bob: NodeProcess,
}

impl Hosts {
    fn start(listeners: &[(&str, &str)], mark: &str) -> Self {
        let lab = Lab::new();
        lab.issue("alice");
        lab.issue("bob");
        let bob = format!(
            "{}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"10.77.1.2:15008\"\n\
             [[policies]]\nname = \"alice\"\naction = \"allow\"\nfrom = \"{}\"\nto = [\"10.77.9.9\", \"[fd77:9::9]\"]\n",
            identity_section("bob"),
            id("alice")
        );
        let mut far = Command::new("nsenter");
        far.args(["-t", &host_pid("far"), "-n"]).arg(hbone().get_program());
        let bob = NodeProcess::start_by(far, &lab.write("bob.toml", &bob));
        let mut config = format!("[node]\n{mark}\n{}", identity_section("alice"));
        let _ = writeln!(config, "[limits]\nhandshake_timeout = \"20s\"");
        let _ = writeln!(
            config,
            "[[peers]]\nname = \"bob\"\naddress = \"10.77.1.2:15008\"\nidentity = \"{}\"",
            id("bob")
        );
        for (number, (kind, bind)) in listeners.iter().enumerate() {
            let remote = if bind.starts_with("[::]") { "allow_remote = true\n" } else { "" };
            let _ = writeln!(
                config,
                "[[listeners]]\nname = \"l{number}\"\nkind = \"{kind}\"\nbind = \"{bind}\"\npeer = \"bob\"\n{remote}"
            );
        }
        let alice = NodeProcess::start(&lab.write("alice.toml", &config));
        Self { lab, alice, _bob: bob }
    }

    /// Loads the rules by the script that is printed.
    fn capture(&self, more: &[&str]) {
        let config = self.lab.text("alice.toml");
        let rules = run(&[&["capture", "rules", "--shell", "-c", &config], more].concat());
        assert_eq!(code(&rules), 0, "{}", stderr(&rules));
        let loaded = shell(&stdout(&rules));
        assert!(loaded.status.success(), "{}\n{}", stdout(&rules), stderr(&loaded));
    }
}

fn shell(script: &str) -> Output {
    let mut sh = Command::new("sh");
    let mut sh = sh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sh.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    sh.wait_with_output().unwrap()
}

/// A mebibyte there and back from a host, with the ends of both directions.
fn echoed(host: &'static str, server: SocketAddr) {
    let sent: Vec<u8> = (0..1_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    on(host, move || {
        let connected = TcpStream::connect_timeout(&server, PATIENCE);
        let mut stream = connected.unwrap_or_else(|error| panic!("{host} to {server}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (mut writer, copy) = (stream.try_clone().unwrap(), sent.clone());
        let writing = std::thread::spawn(move || {
            writer.write_all(&copy).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        let read = stream.read_to_end(&mut received);
        assert!(read.is_ok() && received == sent, "{server}: {read:?}, {} octets", received.len());
        writing.join().unwrap();
    });
}

/// Every server is reached from that host, and sees bob, not who asked.
fn captured(host: &'static str, servers: &[SocketAddr], callers: &Receiver<IpAddr>) {
    for server in servers {
        echoed(host, *server);
        let caller = callers.recv_timeout(PATIENCE).unwrap();
        // Bob calls a server of his own host from its own address.
        assert_eq!(caller, server.ip(), "from {host}");
    }
}

#[test]
fn redirect_carries_what_the_own_host_and_hosts_behind_it_call() {
    in_namespaces("inside_redirect");
}

#[test]
#[ignore = "run by the test above in network namespaces"]
fn inside_redirect() {
    let (servers, callers) = servers();
    let hosts = Hosts::start(&[("redirect", "127.0.0.1:15001"), ("redirect", "[::1]:15001")], "");
    // Without rules, octets take their own way.
    echoed("near", servers[0]);
    assert_eq!(callers.recv_timeout(PATIENCE).unwrap().to_string(), "10.77.1.1");
    hosts.capture(&[]);
    captured("near", &servers, &callers);
    // What is left out takes its own way again.
    hosts.capture(&["--except", "10.77.9.0/24"]);
    echoed("near", servers[0]);
    assert_eq!(callers.recv_timeout(PATIENCE).unwrap().to_string(), "10.77.1.1");
    captured("near", &servers[1..], &callers);
    let port = servers[1].port().to_string();
    hosts.capture(&["--to", "fd77:9::/64,10.77.9.9", "--ports", &port]);
    echoed("near", servers[0]);
    assert_eq!(callers.recv_timeout(PATIENCE).unwrap().to_string(), "10.77.1.1");
    captured("near", &servers[1..], &callers);
    drop(hosts);
    // One socket of both families, for hosts behind this one.
    let hosts = Hosts::start(&[("redirect", "[::]:15001")], "");
    hosts.capture(&[]);
    captured("client", &servers, &callers);
    captured("near", &servers, &callers);
}

#[test]
fn tproxy_carries_what_hosts_behind_it_and_the_own_host_call() {
    in_namespaces("inside_tproxy");
}

#[test]
#[ignore = "run by the test above in network namespaces"]
fn inside_tproxy() {
    let (servers, callers) = servers();
    let hosts = Hosts::start(&[("tproxy", "[::]:15002")], "");
    hosts.capture(&[]);
    captured("client", &servers, &callers);
    captured("near", &servers, &callers);
    drop(hosts);
    let listeners = [("tproxy", "[::]:15002"), ("redirect", "127.0.0.1:15001"), ("redirect", "[::1]:15001")];
    let hosts = Hosts::start(&listeners, "");
    // Again, in the place of what was loaded.
    hosts.capture(&[]);
    hosts.capture(&[]);
    captured("client", &servers, &callers);
    captured("near", &servers, &callers);
}

#[test]
fn t32_what_would_come_back_is_refused() {
    in_namespaces("inside_loops");
}

/// A connection from the near host is reset, and the log says why.
fn refused(hosts: &mut Hosts, to: &str, why: &str) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let end = stream.read(&mut [0; 1]).expect_err("must be a reset");
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset, "{to}");
    let complaint = hosts.alice.complaint(why);
    assert!(complaint["cause"].as_str().unwrap().contains(why), "{complaint}");
}

#[test]
#[ignore = "run by the test above in network namespaces"]
fn inside_loops() {
    let (servers, _callers) = servers();
    // Her own connections have no mark, and the rules leave out another user's.
    let mut hosts = Hosts::start(&[("redirect", "[::]:15001"), ("tproxy", "[::]:15002")], "mark = 0");
    // Nobody redirected these.
    for to in ["127.0.0.1:15001", "10.77.1.1:15001", "[::1]:15001"] {
        let mut stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(stream.read(&mut [0; 1]).is_err(), "{to}");
        hosts.alice.complaint("a loop or no rule");
    }
    for to in ["127.0.0.1:15002", "[::1]:15002", "10.77.1.1:15002"] {
        refused(&mut hosts, to, "a loop: the connection was meant for a listener of this node");
    }
    hosts.capture(&["--except-user", "4711"]);
    refused(&mut hosts, "127.0.0.1:15001", "a loop: the connection was meant for a listener of this node");
    // Her way to bob comes back to her, once, and ends there: the client hears of it at once.
    let mut stream = TcpStream::connect(servers[0]).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(stream.read(&mut [0; 1]).is_err());
    let own = hosts.alice.complaint("the own connection");
    let cause = own["cause"].as_str().unwrap();
    assert!(cause.contains("the node's own connection to its peer came back"), "{own}");
}

#[test]
fn rules_are_refused_where_they_would_capture_for_nobody_or_in_a_loop() {
    let lab = Lab::new();
    lab.issue("alice");
    let config = |listener: &str, mark: u32| {
        let peer = format!("[[peers]]\nname = \"bob\"\naddress = \"a.b:1\"\nidentity = \"{}\"\n", id("bob"));
        let text = format!("[node]\nmark = {mark}\n{}{peer}{listener}", identity_section("alice"));
        lab.write("node.toml", &text);
        run(&["capture", "rules", "-c", &lab.text("node.toml")])
    };
    let listener = |kind: &str, bind: &str| {
        format!("[[listeners]]\nname = \"{kind}\"\nkind = \"{kind}\"\nbind = \"{bind}\"\npeer = \"bob\"\n")
    };
    for (listener, mark, wanted) in [
        (String::new(), 1337, "nothing to capture for"),
        (listener("redirect", "127.0.0.1:0"), 1337, "port 0"),
        (listener("tproxy", "127.0.0.1:15002"), 1337, "too narrow"),
        (listener("redirect", "127.0.0.1:15001"), 0, "have no mark"),
        (listener("tproxy", "unix:@x"), 1337, "TCP is captured"),
        (listener("redirect", "0.0.0.0:15001"), 1337, "is reachable by other machines"),
    ] {
        let output = config(&listener, mark);
        assert!(code(&output) == 2 && stderr(&output).contains(wanted), "{wanted}: {}", stderr(&output));
    }
    let output = config(&listener("redirect", "127.0.0.1:15001"), 99);
    let said = stdout(&output);
    assert!(said.contains("meta mark 99 return"), "{}", stderr(&output));
    assert!(said.contains("meta nfproto ipv4") && !said.contains("prerouting"), "only that is taken: {said}");
    let output = run(&["capture", "rules", "--redirect", "15001", "--tproxy", "15002"]);
    let said = stdout(&output);
    assert!(said.contains("redirect to :15001") && said.contains("tproxy to :15002"), "{said}");
    for bad in [&["--redirect", "0"][..], &[], &["--tproxy", "1", "--to", "10.0.0.1/8"]] {
        assert_eq!(code(&run(&[&["capture", "rules"], bad].concat())), 2, "{bad:?}");
    }
}
