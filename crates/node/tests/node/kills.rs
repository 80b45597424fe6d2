//! F1: whoever is killed at whatever octet, no end takes the loss for an end.
//!
//! Real processes: a client, its node, a gateway, the server's node, a server. One of them is killed with SIGKILL in
//! the middle of transfers in both directions, then started again. `HBONE_KILLS=1000 cargo test -p hbone-node --test
//! node f1_kills -- --nocapture` counts more of them and prints what was seen.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::chain::{Chain, connect, file};
use crate::fake;
use crate::fidelity::Server;
use crate::process::{NodeProcess, PATIENCE, Process};
use crate::tunnels::octets;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Client,
    ClientNode,
    Gateway,
    ServerNode,
    Server,
}

const VICTIMS: [Victim; 5] =
    [Victim::Client, Victim::ClientNode, Victim::Gateway, Victim::ServerNode, Victim::Server];

/// What a reader saw at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// A clean end after everything that was sent before a clean end.
    Whole,
    /// A clean end before that, or where there was none: what must never be.
    Truncated,
    Reset,
    /// Neither within the time of the test.
    Nothing,
    /// Octets that were not sent there.
    Foreign,
    Other(ErrorKind),
}

/// The chain with the texts of its configurations, whose ports do not change.
struct Field {
    chain: Chain,
    server: Server,
    /// Where a server that is killed listens.
    app: SocketAddr,
}

impl Field {
    fn start() -> Self {
        let (server, app) = (Server::local(), fake::closed());
        let chain = Chain::start(2, &[server.address, app]);
        for at in 0..2 {
            let (path, address) = (chain.lab.path(&file(at)), chain.nodes[at].address("in"));
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(path, text.replace("127.0.0.1:0", &address.to_string())).unwrap();
        }
        Self { chain, server, app }
    }

    /// Kills one of the nodes at once; `restart` brings it back.
    fn node(&mut self, victim: Victim) -> Option<(&mut NodeProcess, String)> {
        let (node, name) = match victim {
            Victim::ClientNode => (&mut self.chain.alice, "alice.toml".to_owned()),
            Victim::Gateway => (&mut self.chain.nodes[0], file(0)),
            Victim::ServerNode => (&mut self.chain.nodes[1], file(1)),
            Victim::Client | Victim::Server => return None,
        };
        let path = self.chain.lab.text(&name);
        Some((node, path))
    }

    /// One kill, and what the ends that live on saw.
    fn round(&mut self, victim: Victim, chance: &mut Chance) -> Vec<End> {
        let progress = Arc::new(AtomicUsize::new(0));
        let after = chance.below(2 << 20);
        match victim {
            Victim::Client | Victim::Server => {
                let (app, mut end) = self.with_app(victim);
                let mut readers = Vec::new();
                let (_held, reader) = talk(&mut end, None, None, &progress);
                readers.push(reader);
                wait_for(&progress, after);
                app.signal("KILL");
                readers.into_iter().map(|reader| reader.join().unwrap()).collect()
            }
            Victim::ClientNode | Victim::Gateway | Victim::ServerNode => {
                let (mut held, mut readers) = (Vec::new(), Vec::new());
                for tunnel in 0..3 {
                    let (mut client, mut server) = self.tunnel();
                    // The first is endless both ways, so that there is something to cut.
                    let mut size = || (tunnel > 0 && chance.below(3) > 0).then(|| chance.below(1 << 20));
                    let (up, down) = (size(), size());
                    for (end, writes, reads) in [(&mut client, up, down), (&mut server, down, up)] {
                        let (writer, reader) = talk(end, writes, reads, &progress);
                        held.push(writer);
                        readers.push(reader);
                    }
                    held.push(client);
                    held.push(server);
                }
                wait_for(&progress, after);
                if let Some((node, _)) = self.node(victim) {
                    node.process().signal("KILL");
                    node.process().exit();
                }
                let seen = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
                if let Some((node, path)) = self.node(victim) {
                    *node = NodeProcess::start(path.as_ref());
                }
                seen
            }
        }
    }

    /// A tunnel with both ends in hand. A node that was just started again may have to be dialled twice.
    fn tunnel(&self) -> (TcpStream, TcpStream) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let client = self.chain.connect(0);
            let until = Instant::now() + PATIENCE;
            while client.take_error().unwrap().is_none() && Instant::now() < until {
                if let Some(server) = self.server.soon() {
                    return (client, server);
                }
            }
        }
        panic!("no tunnel comes back")
    }

    /// A program at one end, and the other end in hand.
    fn with_app(&self, victim: Victim) -> (Process, TcpStream) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "kills::an_app", "--ignored", "--nocapture"]);
        if victim == Victim::Client {
            command.env("HBONE_APP", format!("connect {}", self.chain.alice.address("to0")));
            let app = Process::start(&mut command, true);
            (app, self.server.next().unwrap())
        } else {
            command.env("HBONE_APP", format!("listen {}", self.app));
            let mut app = Process::start(&mut command, false);
            app.line("listening", |line| line.contains("listening"));
            (app, connect(self.chain.alice.address("to1")))
        }
    }
}

/// Writes in a thread, `writes` octets and then the end, or without end; reads in another what the other end writes.
fn talk(
    end: &mut TcpStream,
    writes: Option<usize>,
    reads: Option<usize>,
    progress: &Arc<AtomicUsize>,
) -> (TcpStream, JoinHandle<End>) {
    let (mut writer, mut reader) = (end.try_clone().unwrap(), end.try_clone().unwrap());
    let writing = std::thread::spawn(move || {
        writer.write_all(&OCTETS[..writes.unwrap_or(OCTETS.len())])?;
        if writes.is_some() { writer.shutdown(Shutdown::Write) } else { Ok(()) }
    });
    let progress = Arc::clone(progress);
    let reading = std::thread::spawn(move || {
        let (mut buffer, mut at) = (vec![0; 1 << 16], 0);
        loop {
            match reader.read(&mut buffer) {
                Ok(0) if reads == Some(at) => return End::Whole,
                Ok(0) => {
                    // A socket tells of its reset once. Only one that was not ended before tells the writer so: after
                    // a FIN it would be a broken pipe.
                    let told = writing.join().unwrap().map_err(|error| error.kind());
                    return if told == Err(ErrorKind::ConnectionReset) { End::Reset } else { End::Truncated };
                }
                Ok(count) if OCTETS[at..].starts_with(&buffer[..count]) => {
                    at += count;
                    progress.fetch_add(count, Ordering::Relaxed);
                }
                Ok(_) => return End::Foreign,
                Err(error) => {
                    let kind = error.kind();
                    let late = [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&kind);
                    let other = if late { End::Nothing } else { End::Other(kind) };
                    return if kind == ErrorKind::ConnectionReset { End::Reset } else { other };
                }
            }
        }
    });
    (end.try_clone().unwrap(), reading)
}

fn wait_for(progress: &AtomicUsize, octets: usize) {
    let start = Instant::now();
    while progress.load(Ordering::Relaxed) < octets {
        assert!(
            start.elapsed() < PATIENCE,
            "only {} octets of {octets} arrive",
            progress.load(Ordering::Relaxed)
        );
        std::thread::sleep(Duration::from_micros(100));
    }
}

#[test]
fn f1_kills_at_random_octets_leave_no_clean_end_after_a_truncation() {
    let kills = std::env::var("HBONE_KILLS").map_or(25, |text| text.parse().unwrap());
    let seed =
        std::env::var("HBONE_SEED").map_or_else(|_| u64::from(std::process::id()), |it| it.parse().unwrap());
    println!("seed {seed}");
    let (mut field, mut chance) = (Field::start(), Chance(seed | 1));
    let mut seen: BTreeMap<(Victim, End), usize> = BTreeMap::new();
    for number in 0..kills {
        let victim = VICTIMS[number % VICTIMS.len()];
        for end in field.round(victim, &mut chance) {
            assert!(
                matches!(end, End::Whole | End::Reset),
                "seed {seed}, kill {number}: {victim:?}: {end:?}"
            );
            *seen.entry((victim, end)).or_default() += 1;
        }
    }
    println!("{kills} kills; the ends that were seen: {seen:?}");
    for victim in VICTIMS {
        assert!(
            seen.contains_key(&(victim, End::Reset)),
            "nothing was cut when {victim:?} was killed: {seen:?}"
        );
    }
}

#[test]
#[ignore = "a program that the test above kills"]
fn an_app() {
    let asked = std::env::var("HBONE_APP").unwrap();
    let (what, address) = asked.split_once(' ').unwrap();
    // A socket of a process that is killed ends with FIN where nothing is unread, unless it says this: then with RST.
    // Without it no far end could know, and none does over TCP alone.
    let guard = |socket: SockRef<'_>| socket.set_linger(Some(Duration::ZERO)).unwrap();
    let streams: Vec<TcpStream> = if what == "connect" {
        vec![TcpStream::connect(address).unwrap()]
    } else {
        let listener = TcpListener::bind(address).unwrap();
        guard(SockRef::from(&listener));
        println!("\nlistening");
        vec![listener.accept().unwrap().0]
    };
    for mut stream in streams {
        guard(SockRef::from(&stream));
        let mut writer = stream.try_clone().unwrap();
        std::thread::spawn(move || writer.write_all(&OCTETS));
        while stream.read(&mut [0; 1 << 16]).is_ok_and(|count| count > 0) {}
    }
    std::thread::park();
}

/// Reproducible from its seed (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

/// More than a round moves.
static OCTETS: LazyLock<Vec<u8>> = LazyLock::new(|| octets(6 << 20));
