//! Listeners on unix sockets, in the file system and abstract, with real processes on both sides.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixStream};

use crate::common::{Lab, code, hbone, id, identity_section, mode, run, stderr, stdout};
use crate::fake;
use crate::process::{NodeProcess, PATIENCE};

/// Alice with a socket in the file system (tcp) and an abstract one (socks5), bob with the server behind him.
struct Sockets {
    lab: Lab,
    alice: NodeProcess,
    _bob: NodeProcess,
    name: String,
}

impl Sockets {
    fn start(server: SocketAddr) -> Self {
        let lab = Lab::new();
        lab.issue("alice");
        lab.issue("bob");
        let config = format!(
            "{}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n\
             [[policies]]\nname = \"alice\"\naction = \"allow\"\nfrom = \"{}\"\nto = \"{server}\"\n",
            identity_section("bob"),
            id("alice"),
        );
        let bob = NodeProcess::start(&lab.write("bob.toml", &config));
        let name = format!("hbone-{}-{}", std::process::id(), server.port());
        let (path, peer, expected) = (lab.text("web.sock"), bob.address("in"), id("bob"));
        let config = format!(
            "{}[[peers]]\nname = \"bob\"\naddress = \"{peer}\"\nidentity = \"{expected}\"\n\
             [[listeners]]\nname = \"path\"\nkind = \"tcp\"\nbind = \"unix:{path}\"\ndestination = \"{server}\"\n\
             peer = \"bob\"\n\
             [[listeners]]\nname = \"name\"\nkind = \"socks5\"\nbind = \"unix:@{name}\"\npeer = \"bob\"\n",
            identity_section("alice"),
        );
        let alice = NodeProcess::start(&lab.write("alice.toml", &config));
        Self { lab, alice, _bob: bob, name }
    }

    fn by_path(&self) -> UnixStream {
        patient(UnixStream::connect(self.lab.path("web.sock")).unwrap())
    }

    /// Through SOCKS5.
    fn by_name(&self, server: SocketAddr) -> UnixStream {
        let address = UnixAddress::from_abstract_name(&self.name).unwrap();
        let mut stream = patient(UnixStream::connect_addr(&address).unwrap());
        let port = server.port().to_be_bytes();
        stream.write_all(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, port[0], port[1]]).unwrap();
        let mut reply = [0; 12];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(reply, [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        stream
    }
}

fn patient(stream: UnixStream) -> UnixStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn echoed(mut stream: UnixStream) {
    let sent: Vec<u8> = (0..4_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let (mut writer, copy) = (stream.try_clone().unwrap(), sent.clone());
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received == sent, "{} octets", received.len());
}

#[test]
fn unix_sockets_carry_every_octet_and_each_end_by_itself() {
    let server = fake::echo();
    let sockets = Sockets::start(server);
    assert_eq!(mode(&sockets.lab.path("web.sock")), 0o600, "others must not use this node's identity");
    echoed(sockets.by_path());
    echoed(sockets.by_name(server));
    let output = run(&["check", &sockets.lab.text("alice.toml")]);
    assert!(stdout(&output).contains(&format!("socks5 unix:@{}", sockets.name)), "{}", stdout(&output));
}

#[test]
fn a_server_that_ends_first_still_gets_what_a_unix_socket_sends_later() {
    let (report, later) = std::sync::mpsc::channel();
    let server = fake::serve(move |mut stream| {
        stream.write_all(b"first").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        report.send(rest).unwrap();
    });
    let sockets = Sockets::start(server);
    for mut stream in [sockets.by_path(), sockets.by_name(server)] {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "first");
        stream.write_all(b"and later").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(later.recv_timeout(PATIENCE).unwrap(), b"and later");
    }
}

#[test]
fn f01_a_node_that_was_killed_leaves_a_file_that_the_next_takes_over_and_cuts_its_clients() {
    let mut sockets = Sockets::start(fake::echo());
    let mut live = sockets.by_path();
    live.write_all(b"x").unwrap();
    live.read_exact(&mut [0]).unwrap();
    // One that runs is not taken over.
    let config = sockets.lab.text("alice.toml");
    let output = hbone().args(["run", "-c", &config]).output().unwrap();
    assert!(code(&output) == 1 && stderr(&output).contains("it is taken"), "{}", stderr(&output));
    // What nobody has read makes the end of a killed process a reset, which an end is not.
    sockets.alice.process().stop();
    live.write_all(b"unread").unwrap();
    sockets.alice.process().signal("KILL");
    let end = live.read(&mut [0]).expect_err("must be a reset");
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    sockets.alice.process().exit();
    sockets.alice = NodeProcess::start(&sockets.lab.path("alice.toml"));
    echoed(sockets.by_path());
}
