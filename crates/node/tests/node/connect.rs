//! `hbone connect` and `hbone dial`: forwards in the words of ssh, real processes, octets there and back.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};
use std::process::Command;

use crate::common::{Lab, code, hbone, id, identity_section, run, stderr};
use crate::fake;
use crate::process::{NodeProcess, PATIENCE, Process};
use crate::tunnels::Pair;

/// `hbone connect` with these arguments, once it is ready.
fn connected(arguments: &[&str]) -> Process {
    let mut command = hbone();
    let mut process = Process::start(command.arg("connect").args(arguments), false);
    process.line("that it is ready", |line| line.starts_with("ready"));
    process
}

/// Where the listener that was asked for like this listens.
fn address(process: &Process, name: &str) -> SocketAddr {
    let line = process.seen().iter().find(|line| line.starts_with(&format!("{name} "))).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

/// A mebibyte through an echo, and the end behind it.
fn echoed<S: Read + Write + Send>(mut read: S, mut write: S, end: impl FnOnce(&S) + Send) {
    let sent: Vec<u8> = (0..1_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let copy = sent.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            write.write_all(&copy).unwrap();
            end(&write);
        });
        let mut received = Vec::new();
        read.read_to_end(&mut received).unwrap();
        assert!(received == sent, "{} octets", received.len());
    });
}

fn echoed_tcp(stream: TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let end = |it: &TcpStream| it.shutdown(Shutdown::Write).unwrap();
    echoed(stream.try_clone().unwrap(), stream, end);
}

fn echoed_unix(stream: UnixStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let end = |it: &UnixStream| it.shutdown(Shutdown::Write).unwrap();
    echoed(stream.try_clone().unwrap(), stream, end);
}

#[test]
fn forwards_in_the_words_of_ssh_carry_every_octet_and_end_in_peace() {
    let server = fake::echo();
    let pair = Pair::start(&[server]);
    let (config, socket) = (pair.lab.text("alice.toml"), pair.lab.text("web.sock"));
    let (local, path) = (format!("0:{server}"), format!("{socket}:{server}"));
    let name = format!("hbone-test-{}", std::process::id());
    let nameless = format!("@{name}:{server}");
    let mut process = connected(&[
        "bob",
        "-c",
        &config,
        "-L",
        &local,
        "-L",
        &path,
        "-L",
        &nameless,
        "-D",
        "0",
        "--http-proxy",
        "[::1]:0",
    ]);
    echoed_tcp(TcpStream::connect(address(&process, "-L")).unwrap());
    echoed_unix(UnixStream::connect(&socket).unwrap());
    let nameless = UnixAddress::from_abstract_name(&name).unwrap();
    echoed_unix(UnixStream::connect_addr(&nameless).unwrap());
    let mut socks = TcpStream::connect(address(&process, "-D")).unwrap();
    let port = server.port().to_be_bytes();
    socks.write_all(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, port[0], port[1]]).unwrap();
    let mut reply = [0; 12];
    socks.read_exact(&mut reply).unwrap();
    assert_eq!(reply, [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    echoed_tcp(socks);
    let mut http = TcpStream::connect(address(&process, "--http-proxy")).unwrap();
    write!(http, "CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n\r\n").unwrap();
    let mut reply = [0; 39];
    http.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"HTTP/1.1 200 Connection established\r\n\r\n");
    echoed_tcp(http);
    // Ctrl-C lets what is under way end.
    let live = TcpStream::connect(address(&process, "-L")).unwrap();
    (&live).write_all(b"x").unwrap();
    (&live).read_exact(&mut [0]).unwrap();
    process.signal("INT");
    echoed_tcp(live);
    assert_eq!(process.exit(), 0);
}

#[test]
fn connect_works_with_flags_alone() {
    let server = fake::echo();
    let pair = Pair::start(&[server]);
    let peer = pair.bob.address("in").to_string();
    let (cert, key, ca) = (pair.lab.text("alice.pem"), pair.lab.text("alice.key"), pair.lab.text("ca.pem"));
    let local = format!("127.0.0.1:0:{server}");
    let process = connected(&[
        &peer,
        "--cert",
        &cert,
        "--key",
        &key,
        "--ca",
        &ca,
        "--expect",
        &id("bob"),
        "-L",
        &local,
    ]);
    echoed_tcp(TcpStream::connect(address(&process, "-L")).unwrap());
}

#[test]
fn connect_ends_with_the_code_that_names_what_is_wrong() {
    let pair = Pair::start(&[fake::closed()]);
    let config = pair.lab.text("alice.toml");
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("{}:a.b:1", held.local_addr().unwrap().port());
    let peer = pair.bob.address("in").to_string();
    let (cert, key, ca) = (pair.lab.text("alice.pem"), pair.lab.text("alice.key"), pair.lab.text("ca.pem"));
    let closed = fake::closed().to_string();
    let (bob, eve) = (id("bob"), id("eve"));
    let flags = |peer: &str, expect: &str| {
        [peer, "--cert", &cert, "--key", &key, "--ca", &ca, "--expect", expect, "-D", "0"].map(String::from)
    };
    let file =
        |more: &[&str]| [&["bob", "-c", &config], more].concat().iter().map(|it| (*it).into()).collect();
    let cases: [(Vec<String>, i32, &str); 9] = [
        (file(&[]), 2, "nothing to forward"),
        (file(&["-L", "80"]), 2, "[bind:]port:host:hostport"),
        (file(&["-D", "0.0.0.0:0"]), 2, "--allow-remote"),
        (file(&["-L", "*:0:a:1"]), 2, "--allow-remote"),
        (file(&["-L", &taken]), 1, "it is taken"),
        ([&["nobody".into()][..], &file(&["-D", "0"])[1..]].concat(), 2, "known: `bob`"),
        (flags(&closed, &bob).into(), 4, "nothing listens there"),
        (flags(&peer, &eve).into(), 3, "not trusted"),
        (flags(&peer, "bob").into(), 2, "--expect"),
    ];
    for (arguments, wanted, word) in cases {
        let output = hbone().arg("connect").args(&arguments).output().unwrap();
        let said = stderr(&output);
        assert!(code(&output) == wanted && said.contains(word), "{arguments:?}: {} {said}", code(&output));
    }
    assert_eq!(code(&run(&["connect", "bob", "-D", "0"])), 2, "neither a file nor flags");
}

#[test]
fn curl_goes_through_a_unix_socket() {
    if !crate::process::installed("curl") {
        return;
    }
    let server = fake::http1();
    let pair = Pair::start(&[server]);
    let socket = pair.lab.text("web.sock");
    let local = format!("{socket}:{server}");
    let _process = connected(&["bob", "-c", &pair.lab.text("alice.toml"), "-L", &local]);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", &socket, "http://web/"]);
    let output = curl.output().unwrap();
    assert_eq!(output.stdout, b"400", "{}", stderr(&output));
}

#[test]
fn what_the_peer_sends_down_for_a_port_comes_out_here() {
    let (one, two) = (fake::echo(), fake::serve(|mut stream| stream.write_all(b"two").unwrap()));
    let lab = Lab::new();
    lab.issue("gate");
    lab.issue("home");
    let out = |name: &str, port: u16| {
        format!(
            "[[listeners]]\nname = \"{name}\"\nkind = \"tcp\"\nbind = \"127.0.0.1:0\"\npeer = \"home\"\n\
             destination = \"web.home:{port}\"\n"
        )
    };
    let config = format!(
        "{}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\nreverse = true\n{}{}{}\
         [[peers]]\nname = \"home\"\nreverse = \"home\"\nidentity = \"{}\"\n",
        identity_section("gate"),
        out("one", 8080),
        out("two", 8081),
        out("none", 8082),
        id("home"),
    );
    let mut gate = NodeProcess::start(&lab.write("gate.toml", &config));
    let peer = gate.address("in").to_string();
    let (cert, key, ca) = (lab.text("home.pem"), lab.text("home.key"), lab.text("ca.pem"));
    let (first, second, expected) = (format!("8080:{one}"), format!("8081:{two}"), id("gate"));
    let flags = [&peer, "--cert", &cert, "--key", &key, "--ca", &ca, "--expect", &expected];
    let mut process = connected(&[&flags[..], &["-R", &first, "-R", &second]].concat());
    // Who comes too early waits until the node has dialled.
    echoed_tcp(TcpStream::connect(gate.address("one")).unwrap());
    let mut text = String::new();
    TcpStream::connect(gate.address("two")).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "two");
    let mut stream = TcpStream::connect(gate.address("none")).unwrap();
    assert!(stream.read(&mut [0]).is_err(), "nothing is given away there");
    gate.complaint("no tunnel");
    process.signal("INT");
    assert_eq!(process.exit(), 0);
    for (wrong, word) in [("0.0.0.0:80:a:1", "its own configuration"), ("0:a:1", "its own configuration")] {
        let output = hbone().arg("connect").args(flags).args(["-R", wrong]).output().unwrap();
        assert!(code(&output) == 2 && stderr(&output).contains(word), "{wrong}: {}", stderr(&output));
    }
}
