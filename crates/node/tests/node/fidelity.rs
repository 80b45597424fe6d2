//! T29 as a table: what the far end of a tunnel saw when the near one ended its direction or reset the connection,
//! through chains of real processes, for every way into a tunnel; beside it what others do.
//!
//! The table stands in `docs/fidelity.md`. To write it anew:
//! `HBONE_WRITE_TABLE=1 cargo test -p hbone-node --test node t29_the_table -- --nocapture`

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::capture::{in_hosts, on};
use crate::modes::{CAPTURED, Mode, PLAIN};
use crate::others;
use crate::process::PATIENCE;

/// A server in the hands of the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accepted: Receiver<TcpStream>,
}

impl Server {
    pub(crate) fn start(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let (send, accepted) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if send.send(stream).is_err() {
                    break;
                }
            }
        });
        Self { address, accepted }
    }

    pub(crate) fn local() -> Self {
        Self::start(local())
    }

    pub(crate) fn next(&self) -> Option<TcpStream> {
        self.within(PATIENCE)
    }

    /// The next connection, if it comes in a moment: for those who look at something else between.
    pub(crate) fn soon(&self) -> Option<TcpStream> {
        self.within(Duration::from_millis(5))
    }

    fn within(&self, limit: Duration) -> Option<TcpStream> {
        let stream = self.accepted.recv_timeout(limit).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Some(stream)
    }
}

fn local() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Closes with RST.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// What an end does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Fin,
    Rst,
}

/// When it does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    BeforeData,
    InTheMiddle,
    AfterTheOthersFin,
    AfterItsOwnFin,
}

const MOMENTS: [When; 4] =
    [When::BeforeData, When::InTheMiddle, When::AfterTheOthersFin, When::AfterItsOwnFin];

/// What the far end saw. `patience` bounds the wait for those of whom nothing is promised.
fn scene(
    connect: &dyn Fn() -> TcpStream,
    server: &Server,
    (by_client, act, when): (bool, Act, When),
    patience: Duration,
) -> String {
    let client = connect();
    let Some(accepted) = server.next() else { return "no tunnel".into() };
    let (mut near, mut far) = if by_client { (client, accepted) } else { (accepted, client) };
    for stream in [&near, &far] {
        stream.set_read_timeout(Some(patience)).unwrap();
    }
    let mut before = || -> std::io::Result<()> {
        if when != When::BeforeData {
            exchange(&mut near, &mut far, 100_000)?;
            exchange(&mut far, &mut near, 100_000)?;
        }
        if when == When::AfterTheOthersFin {
            far.shutdown(Shutdown::Write)?;
            if near.read(&mut [0; 1])? > 0 {
                return Err(ErrorKind::InvalidData.into());
            }
        }
        if when == When::AfterItsOwnFin {
            near.shutdown(Shutdown::Write)?;
            if far.read(&mut [0; 1])? > 0 {
                return Err(ErrorKind::InvalidData.into());
            }
        }
        Ok(())
    };
    if let Err(error) = before() {
        return format!("{:?} before", error.kind());
    }
    match act {
        Act::Fin => {
            near.shutdown(Shutdown::Write).unwrap();
            let seen = read_end(&mut far);
            // The other direction goes on, where it had not ended.
            if seen == "FIN" && when != When::AfterTheOthersFin {
                let rest = exchange(&mut far, &mut near, 10_000)
                    .and_then(|()| far.shutdown(Shutdown::Write))
                    .map(|()| read_end(&mut near));
                return if rest.is_ok_and(|rest| rest == "FIN") {
                    seen
                } else {
                    "FIN, other way lost".into()
                };
            }
            seen
        }
        Act::Rst => {
            reset(near);
            if when == When::AfterItsOwnFin { late_reset(&far, patience) } else { read_end(&mut far) }
        }
    }
}

fn exchange(from: &mut TcpStream, to: &mut TcpStream, size: usize) -> std::io::Result<()> {
    let octets = vec![7; size];
    let mut received = vec![0; size];
    from.write_all(&octets)?;
    to.read_exact(&mut received)?;
    if received == octets { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
}

fn read_end(stream: &mut TcpStream) -> String {
    match stream.read(&mut [0; 16]) {
        Ok(0) => "FIN".into(),
        Ok(_) => "octets".into(),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => "RST".into(),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => "nothing".into(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

/// An end that has read the FIN hears of a reset without reading or writing.
fn late_reset(stream: &TcpStream, patience: Duration) -> String {
    let until = Instant::now() + patience;
    while Instant::now() < until {
        match stream.take_error().unwrap() {
            Some(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                return "RST".into();
            }
            Some(error) => return format!("{:?}", error.kind()),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    "nothing".into()
}

/// The cells of a row: the client's FIN and RST, the server's FIN and RST, each at every moment.
fn cells(connect: &dyn Fn() -> TcpStream, server: &Server, patience: Duration) -> String {
    let mut row = String::new();
    for by_client in [true, false] {
        for act in [Act::Fin, Act::Rst] {
            let moments = MOMENTS.into_iter().filter(|when| act == Act::Rst || *when != When::AfterItsOwnFin);
            let seen: Vec<_> =
                moments.map(|when| scene(connect, server, (by_client, act, when), patience)).collect();
            let _ = write!(row, "| {} ", seen.join(" · "));
        }
    }
    row + "|"
}

/// The rows of a way into a tunnel.
fn rows(mode: Mode, listen: impl Fn() -> TcpListener) -> Vec<String> {
    let row = |hops| {
        let server = Server::start(listen());
        let entrance = mode.start(hops, server.address);
        let connect = || entrance.connect().unwrap();
        let row = format!("| {} | {hops} {}", mode.name(), cells(&connect, &server, PATIENCE));
        // It went the whole way, and not past the nodes.
        let mut chain = entrance.chain;
        for node in std::iter::once(&mut chain.alice).chain(&mut chain.nodes) {
            // What a gateway carries inside a tunnel ends with it.
            if !matches!(mode, Mode::Double) {
                node.process().line("a tunnel", |line| line.contains("\"message\":\"tunnel\""));
            }
        }
        row
    };
    (mode.fewest()..=4).map(row).collect()
}

/// What each row must be.
fn wanted(mode: Mode) -> Vec<String> {
    let (fin, rst) = ("FIN · FIN · FIN", "RST · RST · RST · RST");
    let row = |hops| format!("| {} | {hops} | {fin} | {rst} | {fin} | {rst} |", mode.name());
    (mode.fewest()..=4).map(row).collect()
}

#[test]
fn t29_the_table_a_fin_arrives_as_fin_and_a_reset_as_reset_through_one_to_four_hops() {
    let mut table = Vec::new();
    for mode in PLAIN {
        let rows = rows(mode, local);
        assert_eq!(rows, wanted(mode));
        table.extend(rows);
    }
    let captured = in_namespace();
    if let Some(rows) = &captured {
        assert_eq!(*rows, CAPTURED.into_iter().flat_map(wanted).collect::<Vec<_>>());
    }
    // Where there are no namespaces, their rows are taken as they are.
    table.extend(captured.unwrap_or_else(|| CAPTURED.into_iter().flat_map(wanted).collect()));
    let kept = std::fs::read_to_string(page()).unwrap_or_default();
    if std::env::var_os("HBONE_WRITE_TABLE").is_some() {
        std::fs::write(page(), written(&table, &beside())).unwrap();
        return;
    }
    let missing: Vec<_> = table.iter().filter(|row| !kept.lines().any(|line| line == **row)).collect();
    assert!(missing.is_empty(), "docs/fidelity.md is not up to date: {missing:#?}");
}

/// What others do, one connection each; a fact for readers, and nothing that is promised.
fn beside() -> Vec<String> {
    let row = |name: &str, entry: SocketAddr, server: &Server| {
        let connect = || crate::chain::connect(entry);
        format!("| {name} | 1 {}", cells(&connect, server, Duration::from_secs(3)))
    };
    let server = Server::local();
    let mut rows = Vec::new();
    match others::openssh(server.address) {
        Some(ssh) => rows.push(row("OpenSSH `-L`", ssh.entry, &server)),
        None => eprintln!("skipped: OpenSSH is not installed"),
    }
    let server = Server::local();
    match others::envoy(server.address) {
        Some(envoy) => rows.push(row("Envoy, CONNECT, mTLS", envoy.entry, &server)),
        None => eprintln!("skipped: Envoy is not installed"),
    }
    rows
}

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/fidelity.md")
}

fn written(table: &[String], beside: &[String]) -> String {
    let mut text = HEAD.to_owned();
    text.push_str(COLUMNS);
    for row in table {
        let _ = writeln!(text, "{row}");
    }
    text.push_str(BESIDE);
    text.push_str(COLUMNS);
    for row in beside {
        let _ = writeln!(text, "{row}");
    }
    text
}

/// The rows of those that need a packet filter, or none where there are no network namespaces.
fn in_namespace() -> Option<Vec<String>> {
    let said = in_hosts("fidelity::inside_network_namespaces")?;
    Some(said.lines().filter(|line| line.starts_with("| ")).map(str::to_owned).collect())
}

#[test]
#[ignore = "run by the test above in network namespaces"]
fn inside_network_namespaces() {
    println!();
    for mode in CAPTURED {
        for row in rows(mode, || on("far", || TcpListener::bind("10.77.9.9:0").unwrap())) {
            println!("{row}");
        }
    }
}

const HEAD: &str = "# Fidelity

What the far end of a tunnel sees of how the near end ends: a FIN has to arrive as a FIN, with every octet before it and
the other direction still open, and a reset as a reset. A test runs all of it with real processes on every change, and
fails when a cell differs from this page; it is written anew by

    HBONE_WRITE_TABLE=1 cargo test -p hbone-node --test node t29_the_table

Hops are connections between nodes: with 4 there are five processes, three of them gateways. POST is the way to the first
of them, H2R to the last, which dials the one before it. In each cell stand the
moments: before any data · in the middle · after the other end's FIN · and, for resets, after the own FIN, where the far
end has read that FIN and has to hear of the reset all the same.

";

const COLUMNS: &str = "| way | hops | client FIN | client RST | server FIN | server RST |
|---|---|---|---|---|---|
";

const BESIDE: &str = "
Others, one hop, measured once on the same machine by the same test; \"nothing\" is that within 3 s. A fact for readers,
not a judgement: they promise other things.

";
