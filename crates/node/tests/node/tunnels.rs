//! Two `hbone run` processes with a server behind the second: what goes in comes out, with programs of others.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::common::{Lab, code, hbone, id, identity_section, stderr};
use crate::fake;
use crate::process::{NodeProcess, PATIENCE, Process, installed};

/// Two nodes: alice captures for each destination (`to0`, `to1`, …), bob serves and lets her reach them.
pub(crate) struct Pair {
    pub(crate) lab: Lab,
    pub(crate) alice: NodeProcess,
    pub(crate) bob: NodeProcess,
}

impl Pair {
    pub(crate) fn start(destinations: &[SocketAddr]) -> Self {
        Self::with_limits(destinations, "")
    }

    pub(crate) fn with_limits(destinations: &[SocketAddr], limits: &str) -> Self {
        let lab = Lab::new();
        lab.issue("alice");
        lab.issue("bob");
        let allowed = destinations.iter().map(|it| format!("\"{it}\"")).collect::<Vec<_>>().join(", ");
        let config = format!(
            "{}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n\
             [[policies]]\nname = \"alice\"\naction = \"allow\"\nfrom = \"{}\"\nto = [{allowed}]\n[limits]\n{limits}\n",
            identity_section("bob"),
            id("alice"),
        );
        let bob = NodeProcess::start(&lab.write("bob.toml", &config));
        let config = capturing(bob.address("in"), &id("bob"), destinations, limits);
        let alice = NodeProcess::start(&lab.write("alice.toml", &config));
        Self { lab, alice, bob }
    }

    pub(crate) fn connect(&self, index: usize) -> TcpStream {
        let stream = TcpStream::connect(self.alice.address(&format!("to{index}"))).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// A configuration of alice with one capture for each destination, all through one peer.
pub(crate) fn capturing(peer: SocketAddr, expected: &str, to: &[SocketAddr], limits: &str) -> String {
    let mut config = identity_section("alice");
    let _ = writeln!(config, "[[peers]]\nname = \"bob\"\naddress = \"{peer}\"\nidentity = \"{expected}\"");
    for (index, destination) in to.iter().enumerate() {
        let _ = writeln!(
            config,
            "[[listeners]]\nname = \"to{index}\"\nkind = \"tcp\"\nbind = \"127.0.0.1:0\"\n\
             destination = \"{destination}\"\npeer = \"bob\""
        );
    }
    let _ = writeln!(config, "[limits]\n{limits}");
    config
}

/// Octets that repeat only after a long time.
pub(crate) fn octets(length: usize) -> Vec<u8> {
    (0..length as u32)
        .flat_map(|index| index.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(length)
        .collect()
}

#[test]
fn every_octet_comes_back_and_the_end_of_one_direction_leaves_the_other_open() {
    let pair = Pair::start(&[fake::echo()]);
    let mut stream = pair.connect(0);
    let sent = octets(4 << 20);
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received == sent, "{} octets came back, {} were sent", received.len(), sent.len());
}

#[test]
fn a_server_that_ends_first_still_gets_what_follows() {
    let (report, later) = std::sync::mpsc::channel();
    let server = fake::serve(move |mut stream| {
        stream.write_all(b"first").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        report.send(rest).unwrap();
    });
    let pair = Pair::start(&[server]);
    let mut stream = pair.connect(0);
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "first");
    stream.write_all(b"and later").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(later.recv_timeout(PATIENCE).unwrap(), b"and later");
}

#[test]
fn t29_a_reset_of_the_server_is_a_reset_at_the_client() {
    let server = resetting();
    let pair = Pair::start(&[server]);
    let mut stream = pair.connect(0);
    stream.write_all(b"x").unwrap();
    let error = stream.read(&mut [0; 16]).expect_err("must be a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

/// A server that resets as soon as it has read an octet.
pub(crate) fn resetting() -> SocketAddr {
    fake::serve(|stream| {
        let mut octet = [0];
        let _ = (&stream).read(&mut octet);
        reset(stream);
    })
}

/// Ends a connection with a RST.
pub(crate) fn reset(stream: TcpStream) {
    tokio_stream(stream).set_zero_linger().unwrap();
}

/// Std has no way to set the linger time yet.
pub(crate) fn tokio_stream(stream: TcpStream) -> tokio::net::TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let _guard = runtime.enter();
    stream.set_nonblocking(true).unwrap();
    tokio::net::TcpStream::from_std(stream).unwrap()
}

#[test]
fn curl_fetches_a_file_of_pythons_web_server() {
    if !installed("curl") || !installed("python3") {
        return;
    }
    let lab = Lab::new();
    let body = octets(8 << 20);
    std::fs::write(lab.path("file"), &body).unwrap();
    let mut python = Command::new("python3");
    python.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]).arg(lab.path(""));
    let mut python = Process::start(&mut python, false);
    let line = python.line("its port", |line| line.contains(" port "));
    let port = line.split(" port ").nth(1).unwrap().split(' ').next().unwrap();
    let pair = Pair::start(&[format!("127.0.0.1:{port}").parse().unwrap()]);
    let url = format!("http://{}/file", pair.alice.address("to0"));
    for _ in 0..3 {
        let output = Command::new("curl").args(["-sS", "--max-time", "30", &url]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == body, "{} octets of {}", output.stdout.len(), body.len());
    }
}

/// Runs iperf3 through two nodes; the octets that arrived, and with `--bidir` those that came back.
fn iperf3(direction: Option<&str>) -> (u64, Option<u64>) {
    let server = fake::closed();
    let mut iperf = Command::new("iperf3");
    iperf.args(["-s", "-1", "--forceflush", "-B", "127.0.0.1", "-p", &server.port().to_string()]);
    let mut iperf = Process::start(&mut iperf, false);
    iperf.line("that it listens", |line| line.contains("listening"));
    let pair = Pair::start(&[server]);
    let port = pair.alice.address("to0").port().to_string();
    let mut client = Command::new("iperf3");
    client.args(["-c", "127.0.0.1", "-p", &port, "-t", "1", "-J"]).args(direction);
    let output = client.output().unwrap();
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && result["error"].is_null(), "{direction:?}: {}", result["error"]);
    let received = |sum: &str| result["end"][sum]["bytes"].as_u64();
    (received("sum_received").unwrap(), received("sum_received_bidir_reverse"))
}

#[test]
fn iperf3_measures_both_directions() {
    if !installed("iperf3") {
        return;
    }
    // iperf3 tells the end of a test on another connection, which may overtake the last octets on any relay: so its
    // figures say only that the connections work. The tests with `octets` compare every octet.
    for direction in [None, Some("-R")] {
        assert!(iperf3(direction).0 > 0, "{direction:?}: nothing arrived");
    }
    // Which of the two connections is for which direction it tells by their order, and two tunnels that are opened at
    // once have none: when they have changed places, both ends write and nobody reads.
    let both = (0..20).any(|_| {
        let (up, down) = iperf3(Some("--bidir"));
        eprintln!("iperf3 --bidir: {up} octets up, {down:?} down");
        up > 0 && down.is_some_and(|down| down > 0)
    });
    assert!(both, "in both directions at once nothing arrived, twenty times");
}

/// `hbone dial` from alice to a destination behind bob, all three ends piped.
fn dialled(pair: &Pair, destination: SocketAddr) -> Child {
    let mut dial = hbone();
    dial.args(["dial", &destination.to_string(), "-c", &pair.lab.text("alice.toml")]);
    dial.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn dial_ends_well_only_when_every_octet_has_left_though_the_server_ended_first() {
    let (report, received) = std::sync::mpsc::channel();
    let server = fake::serve(move |mut stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        let end = stream.read_to_end(&mut all);
        report.send((all, end.is_ok())).unwrap();
    });
    let pair = Pair::start(&[server]);
    for length in [1, 300_000, 3_000_000] {
        let mut dial = dialled(&pair, server);
        // The server has ended its direction before the first octet goes up.
        dial.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
        let sent = octets(length);
        dial.stdin.take().unwrap().write_all(&sent).unwrap();
        let output = dial.wait_with_output().unwrap();
        assert_eq!(code(&output), 0, "{length}: {}", stderr(&output));
        let (all, clean) = received.recv_timeout(PATIENCE).unwrap();
        assert!(clean && all == sent, "{} of {length} octets, clean {clean}", all.len());
    }
}

#[test]
fn dial_fails_when_the_far_node_dies_with_octets_on_their_way() {
    let server = fake::serve(|stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        std::thread::park();
    });
    let mut pair = Pair::start(&[server]);
    let mut dial = dialled(&pair, server);
    dial.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
    let mut input = dial.stdin.take().unwrap();
    // More than all windows and buffers on the way take: it is stuck in the middle when the node dies.
    let writing = std::thread::spawn(move || input.write_all(&vec![7; 64 << 20]).is_err());
    pair.bob.process().signal("KILL");
    let output = dial.wait_with_output().unwrap();
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("octets may be missing"), "{}", stderr(&output));
    assert!(writing.join().unwrap(), "everything was taken");
}

#[test]
fn dial_hears_a_reset_behind_the_end_of_the_download_while_its_input_is_open() {
    let server = fake::serve(|stream| {
        (&stream).write_all(b"banner").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let _ = (&stream).read(&mut [0]);
        tokio_stream(stream).set_zero_linger().unwrap();
    });
    let pair = Pair::start(&[server]);
    let mut dial = dialled(&pair, server);
    let mut text = String::new();
    dial.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "banner");
    let mut input = dial.stdin.take().unwrap();
    input.write_all(b"x").unwrap();
    let output = dial.wait_with_output().unwrap();
    drop(input);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("broke"), "{}", stderr(&output));
}

#[test]
fn dial_joins_standard_input_and_output_to_a_destination() {
    let server = fake::echo();
    let pair = Pair::start(&[server]);
    let mut dial = hbone();
    dial.args(["dial", &server.to_string(), "-c", &pair.lab.text("alice.toml")]);
    let mut dial = dial.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let sent = octets(1 << 20);
    let mut input = dial.stdin.take().unwrap();
    let copy = sent.clone();
    let writing = std::thread::spawn(move || input.write_all(&copy).unwrap());
    let output = dial.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == sent, "{} octets came back", output.stdout.len());
}

#[test]
fn dial_shows_the_end_of_the_server_while_its_input_is_open() {
    let server = fake::serve(|mut stream| stream.write_all(b"banner").unwrap());
    let pair = Pair::start(&[server]);
    let mut dial = hbone();
    dial.args(["dial", &server.to_string(), "-c", &pair.lab.text("alice.toml")]);
    let mut dial = dial.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    dial.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "banner");
    drop(dial.stdin.take());
    assert!(dial.wait().unwrap().success());
}

#[test]
fn f18_a_log_that_nobody_reads_does_not_hold_up_tunnels() {
    let server = fake::echo();
    let pair = Pair::start(&[server, fake::closed()]);
    let mut command = hbone();
    command.args(["--log-format", "json", "run", "-c"]).arg(pair.lab.path("alice.toml"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Reads up to the line that says where it listens, and then never again.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut address = |name: &str| -> SocketAddr {
        let mark = format!("\"name\":\"{name}\"");
        let line = lines.find(|line| line.contains("\"listening\"") && line.contains(&mark)).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()["address"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let (good, bad) = (address("to0"), address("to1"));
    // Far more than a pipe holds.
    for _ in 0..400 {
        let _ = TcpStream::connect(bad).and_then(|mut stream| stream.read(&mut [0; 1]));
    }
    let mut stream = TcpStream::connect(good).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"still").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn ssh_speaks_to_a_server_through_dial_as_its_proxy_command() {
    if !installed("ssh") {
        return;
    }
    let (report, banner) = std::sync::mpsc::channel();
    let server = fake::serve(move |mut stream| {
        stream.write_all(b"SSH-2.0-test\r\n").unwrap();
        let mut start = [0; 8];
        stream.read_exact(&mut start).unwrap();
        report.send(start).unwrap();
    });
    let pair = Pair::start(&[server]);
    let proxy = format!("{} dial %h:%p -c {}", env!("CARGO_BIN_EXE_hbone"), pair.lab.text("alice.toml"));
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", &format!("ProxyCommand={proxy}")]);
    ssh.args(["-p", &server.port().to_string(), "127.0.0.1", "true"]).stdin(Stdio::null());
    let output = ssh.output().unwrap();
    let start = banner.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    assert_eq!(&start, b"SSH-2.0-");
}

#[test]
fn dial_tells_a_broken_tunnel_from_an_end() {
    let server = resetting();
    let pair = Pair::start(&[server]);
    let mut dial = hbone();
    dial.args(["dial", &server.to_string(), "-c", &pair.lab.text("alice.toml")]);
    let mut dial = dial.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = dial.stdin.take().unwrap();
    input.write_all(b"x").unwrap();
    let output = dial.wait_with_output().unwrap();
    drop(input);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("broke"), "{}", stderr(&output));
}

#[test]
fn dial_works_with_flags_alone() {
    let server = fake::serve(|mut stream| stream.write_all(b"banner").unwrap());
    let pair = Pair::start(&[server]);
    let peer = pair.bob.address("in").to_string();
    let (cert, key, ca) = (pair.lab.text("alice.pem"), pair.lab.text("alice.key"), pair.lab.text("ca.pem"));
    let mut dial = hbone();
    dial.args(["dial", &server.to_string(), "--peer", &peer, "--cert", &cert, "--key", &key, "--ca", &ca]);
    let output = dial.args(["--expect", &id("bob")]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"banner");
}
