//! `hbone dial` by other ways than CONNECT over mTLS, and a whole session of OpenSSH over it.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::{code, hbone, id, identity_section, stderr};
use crate::fake;
use crate::process::{Process, installed};
use crate::tunnels::Pair;

/// The pair, and a file whose peer is asked by POST, with TLS end to end inside: bob is his own proxy.
fn by_post(destinations: &[SocketAddr]) -> (Pair, String) {
    let pair = Pair::start(destinations);
    let mut config = identity_section("alice");
    let (peer, expected) = (pair.bob.address("in"), id("bob"));
    let _ = writeln!(
        config,
        "[[peers]]\nname = \"bob\"\naddress = \"{peer}\"\nidentity = \"{expected}\"\n\
         [peers.post]\nproxy_identity = \"{expected}\""
    );
    pair.lab.write("post.toml", &config);
    let path = pair.lab.text("post.toml");
    (pair, path)
}

fn dialled(config: &str, destination: SocketAddr) -> Child {
    let mut dial = hbone();
    dial.args(["dial", &destination.to_string(), "-c", config]);
    dial.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn dial_by_post_carries_every_octet_and_both_ends() {
    let echo = fake::echo();
    let (report, received) = std::sync::mpsc::channel();
    let first = fake::serve(move |mut stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        let end = stream.read_to_end(&mut all);
        report.send((all.len(), end.is_ok())).unwrap();
    });
    let (_pair, config) = by_post(&[echo, first]);
    let sent: Vec<u8> = (0..1_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut dial = dialled(&config, echo);
    let (mut input, copy) = (dial.stdin.take().unwrap(), sent.clone());
    let writing = std::thread::spawn(move || input.write_all(&copy).unwrap());
    let output = dial.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stdout == sent, "{} octets came back", output.stdout.len());
    // The server ends first, and is shown to end while the input is open; what goes up then has left at the end.
    let mut dial = dialled(&config, first);
    dial.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
    dial.stdin.take().unwrap().write_all(&sent).unwrap();
    let output = dial.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(received.recv().unwrap(), (sent.len(), true));
}

#[test]
fn dial_by_post_tells_a_broken_tunnel_from_an_end_and_what_is_refused() {
    let echo = fake::echo();
    let (mut pair, config) = by_post(&[echo]);
    let mut dial = dialled(&config, echo);
    let mut input = dial.stdin.take().unwrap();
    input.write_all(b"x").unwrap();
    dial.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    pair.bob.process().signal("KILL");
    let output = dial.wait_with_output().unwrap();
    drop(input);
    assert!(code(&output) == 1 && stderr(&output).contains("broke"), "{}", stderr(&output));
    let output = dialled(&config, echo).wait_with_output().unwrap();
    assert_eq!(code(&output), 4, "{}", stderr(&output));
}

/// A server that lets in who has the key.
fn sshd(folder: &Path, key: &str, port: u16) -> Process {
    let path = ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    // What the system's own start of sshd does: it refuses to run as root without this folder.
    let _ = std::fs::create_dir_all("/run/sshd");
    let config = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {key}\nAuthorizedKeysFile {key}.pub\nStrictModes no\n\
         UsePAM no\nPasswordAuthentication no\nPidFile none\nPermitRootLogin yes\n"
    );
    std::fs::write(folder.join("sshd_config"), config).unwrap();
    let mut command = Command::new(path);
    command.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config"));
    let mut server = Process::start(&mut command, true);
    server.line("that it listens", |line| line.contains("listening on"));
    server
}

#[test]
fn a_session_of_openssh_runs_over_dial_by_connect_and_by_post() {
    if !installed("ssh") || !installed("sshd") || !installed("ssh-keygen") {
        return;
    }
    let address = fake::closed();
    let (pair, post) = by_post(&[address]);
    let key = pair.lab.text("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &key]).status();
    assert!(made.unwrap().success());
    let _server = sshd(&pair.lab.path(""), &key, address.port());
    for config in [pair.lab.text("alice.toml"), post] {
        let proxy = format!("ProxyCommand={} dial %h:%p -c {config}", env!("CARGO_BIN_EXE_hbone"));
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-i", &key, "-o", &proxy, "-p", &address.port().to_string()]);
        ssh.args([
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ]);
        let mut ssh = ssh.args(["127.0.0.1", "cat; echo end >&2; exit 7"]);
        ssh = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut session = ssh.spawn().unwrap();
        let sent: Vec<u8> =
            (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let (mut input, copy) = (session.stdin.take().unwrap(), sent.clone());
        let writing = std::thread::spawn(move || input.write_all(&copy).is_ok());
        let output = session.wait_with_output().unwrap();
        let said = stderr(&output);
        assert!(writing.join().unwrap() && code(&output) == 7 && said.contains("end"), "{config}: {said}");
        assert!(output.stdout == sent, "{config}: {} octets", output.stdout.len());
    }
}
