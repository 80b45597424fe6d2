//! An attack on the engine alone, in virtual time.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone_conn::{
    Config, Connection, ConnectionError, Event, Read, Request, Response, Stats, StreamKey, Transmit,
};

use crate::frames::Scanner;
use crate::heap::Mark;
use crate::row::{App, End, HONEST, Row};
use crate::script::Peer;

/// The engine reads at most so much at a time, as a driver does.
const READ: usize = 16 * 1024;
/// Octets that the buffers of sockets take of what an attacker never reads.
const SOCKETS: usize = 64 * 1024;

/// What an engine that has ended may still hold: both tables and a few slots of streams.
pub(crate) const REST: isize = 40 * 1024;

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) error: Option<ConnectionError>,
    pub(crate) goaway: Option<u32>,
    pub(crate) resets: [u32; 16],
    /// PINGs that were answered.
    pub(crate) pongs: u32,
    pub(crate) stats: Stats,
    /// The rules that the attacker broke, and how often.
    pub(crate) broken: Vec<(&'static str, u64)>,
    /// Octets that the attacker sent.
    pub(crate) wire: usize,
    /// The most octets that the engine held.
    pub(crate) peak: usize,
    /// What it held once the connection had ended and all streams were released.
    pub(crate) rest: isize,
    /// The most streams that were held at a time.
    pub(crate) live: usize,
}

/// The engine with its application, and the socket below it.
struct Victim<'a> {
    conn: Connection,
    app: App,
    reads: bool,
    sent: usize,
    now: Instant,
    out: Transmit,
    scanner: Scanner,
    error: Option<ConnectionError>,
    /// The streams that the application holds, and what it does with each.
    held: HashMap<StreamKey, App, BuildHasherDefault<DefaultHasher>>,
    live: usize,
    source: &'a Bytes,
    /// Octets that the attacker's script has sent.
    scripted: usize,
}

/// Runs `row` with `times` repetitions.
#[inline(never)]
pub(crate) fn run(row: &Row, times: u32) -> Outcome {
    let (beginning, repetitions) = (row.beginning(), row.repetitions(times));
    let source = Bytes::from(vec![7; 16 * 1024]);
    let wire = beginning.len() + repetitions.iter().map(Vec::len).sum::<usize>();
    let mark = Mark::now();
    let mut victim = Victim::new(row, &source);
    victim.begin();
    victim.take(&beginning);
    crate::linear::measured(|| victim.suffer(row, times, &repetitions));
    // Only now: what the attacker keeps open until the end counts.
    let peak = mark.peak();
    let rest = victim.end(&mark);
    let Victim { conn, scanner, error, live, scripted, .. } = victim;
    let wire = wire + scripted;
    let (stats, broken) = (conn.stats(), conn.violations().to_vec());
    drop(conn);
    let Scanner { goaway, resets, pongs, .. } = scanner;
    Outcome { error, goaway, resets, pongs, stats, broken, wire, peak, rest, live }
}

/// Proves what a row demands, in virtual time. Returns the most octets held, and those that came.
pub(crate) fn prove(row: &Row) -> (usize, usize) {
    let outcome = run(row, row.units);
    let id = row.id;
    row.judge_end(outcome.error.as_ref());
    match row.end {
        End::Fault(violation) => {
            assert_eq!(outcome.goaway, Some(violation.code().0), "{id}: the code in GOAWAY");
        }
        End::Late(_) => assert!(outcome.goaway.is_some(), "{id}: no GOAWAY"),
        End::Drained => assert_eq!(outcome.goaway, Some(0), "{id}: the code in GOAWAY"),
        End::Lives => {}
    }
    if let Some(code) = row.resets {
        assert!(
            outcome.resets[code as usize] > 0,
            "{id}: no RST_STREAM of code {code}: {:?}",
            outcome.resets
        );
    }
    row.judge_counts(&outcome.stats, &outcome.broken);
    assert!(outcome.peak <= row.heap, "{id}: {} octets held, {} allowed", outcome.peak, row.heap);
    assert!(outcome.rest <= REST, "{id}: {} octets held after the end", outcome.rest);
    assert!(outcome.live <= row.live, "{id}: {} streams held, {} allowed", outcome.live, row.live);
    (outcome.peak, outcome.wire)
}

/// When virtual time begins.
#[expect(clippy::disallowed_methods, reason = "the one moment that is not an argument")]
pub(crate) fn epoch() -> Instant {
    Instant::now()
}

impl<'a> Victim<'a> {
    fn new(row: &Row, source: &'a Bytes) -> Self {
        let now = epoch();
        let config: Config = row.config.clone();
        Self {
            conn: Connection::new(row.victim, config, now),
            app: row.app,
            reads: row.reads,
            sent: 0,
            now,
            out: Transmit::new(),
            scanner: Scanner::of(row.victim),
            error: None,
            held: HashMap::default(),
            live: 0,
            source,
            scripted: 0,
        }
    }

    fn begin(&mut self) {
        if let App::Client(tunnels) = self.app {
            for _ in 0..tunnels {
                let mut request = Some(Request::connect("target.example:443"));
                let key = self.conn.open(&mut request, false).unwrap();
                self.hold(key, self.app);
            }
        }
        self.settle();
    }

    fn suffer(&mut self, row: &Row, times: u32, repetitions: &[Vec<u8>]) {
        if let Some(script) = &row.script {
            return script(self, times);
        }
        let mut read = Vec::with_capacity(READ);
        for unit in repetitions {
            read.extend_from_slice(unit);
            if read.len() >= READ || row.pace > Duration::ZERO {
                self.take(&read);
                read.clear();
                self.pass(row.pace);
            }
        }
        self.take(&read);
        if matches!(row.end, End::Late(_)) {
            self.pass(Duration::from_secs(60));
        }
    }

    /// Octets arrive, if the engine still takes any.
    fn take(&mut self, octets: &[u8]) {
        for piece in octets.chunks(READ) {
            if !self.conn.wants_read() {
                return;
            }
            self.conn.handle_bytes(self.now, Bytes::copy_from_slice(piece));
            self.settle();
        }
    }

    /// Time passes, timer by timer.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.conn.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.conn.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn settle(&mut self) {
        loop {
            let mut busy = self.transmit();
            while let Some(event) = self.conn.poll_event() {
                self.hear(event);
                busy = true;
            }
            if !busy {
                return;
            }
        }
    }

    fn transmit(&mut self) -> bool {
        let mut busy = false;
        while self.reads || self.sent < SOCKETS {
            if !self.conn.poll_transmit(self.now, &mut self.out) {
                break;
            }
            busy = true;
            for piece in self.out.pieces() {
                self.scanner.pass(piece);
                self.sent += piece.len();
            }
            self.out.advance(self.out.len());
        }
        busy
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Incoming { key, request, .. } => {
                let honest = request.authority() == Some(HONEST.as_bytes());
                let app = if honest { App::Echo } else { self.app };
                self.hold(key, app);
                self.answer(key, app);
            }
            Event::Readable(key) | Event::Writable(key) | Event::Response { key, .. } => self.serve(key),
            Event::Closed(error) => self.error = Some(error),
            Event::Established | Event::Openable | Event::Pong { .. } | Event::Goaway { .. } => {}
        }
    }

    fn hold(&mut self, key: StreamKey, app: App) {
        self.held.insert(key, app);
        self.live = self.live.max(self.held.len());
    }

    fn answer(&mut self, key: StreamKey, app: App) {
        match app {
            App::Echo | App::Stall | App::Source | App::Pour => {
                // A stream that has failed by now says so in its next event.
                let _ = self.conn.respond(key, Response::new(200), false);
                self.serve(key);
            }
            App::Refuse => {
                let _ = self.conn.respond(key, Response::new(403), true);
                self.let_go(key);
            }
            App::Leave => {
                let _ = self.conn.respond(key, Response::new(200), false);
                for _ in 0..4 {
                    let _ = self.conn.write(key, self.source.clone());
                }
                let _ = self.conn.finish(key);
                self.let_go(key);
            }
            App::Dial | App::Client(_) => {}
        }
    }

    /// What the application does when a stream has something new.
    fn serve(&mut self, key: StreamKey) {
        if self.conn.stream_error(key).is_some() {
            return self.let_go(key);
        }
        let Some(&app) = self.held.get(&key) else { return };
        match app {
            App::Source | App::Pour => {
                let shares = app == App::Source;
                while self.conn.capacity(key).is_ok_and(|room| room > 0) {
                    let own = || Bytes::copy_from_slice(self.source);
                    let _ = self.conn.write(key, if shares { self.source.clone() } else { own() });
                }
            }
            app @ (App::Echo | App::Client(_)) => {
                while app != App::Echo || self.conn.capacity(key).is_ok_and(|room| room > 0) {
                    match self.conn.read(key, READ) {
                        Ok(Read::Data(data)) if app == App::Echo => {
                            let _ = self.conn.write(key, data);
                        }
                        Ok(Read::Data(_)) => {}
                        Ok(Read::Pending) => break,
                        Ok(Read::End) => {
                            let _ = self.conn.finish(key);
                            return self.let_go(key);
                        }
                        Err(_) => return self.let_go(key),
                    }
                }
            }
            App::Stall | App::Dial | App::Refuse | App::Leave => {}
        }
    }

    fn let_go(&mut self, key: StreamKey) {
        if self.held.remove(&key).is_some() {
            self.conn.release(key);
        }
    }

    /// The attacker goes; returns what the ended connection holds.
    fn end(&mut self, mark: &Mark) -> isize {
        let seen = self.error.clone();
        self.conn.handle_eof(self.now);
        self.settle();
        self.error = seen;
        for (key, _) in std::mem::take(&mut self.held) {
            self.conn.release(key);
        }
        self.settle();
        assert_eq!(self.conn.held_streams(), 0);
        self.out = Transmit::new();
        mark.held()
    }
}

impl Peer for Victim<'_> {
    fn send(&mut self, octets: &[u8]) {
        self.scripted += octets.len();
        self.take(octets);
    }

    fn until(&mut self, what: &str, done: &dyn Fn(&Scanner) -> bool) -> bool {
        let done = done(&self.scanner);
        assert!(done || self.error.is_some(), "{what} never comes");
        done
    }

    fn look(&mut self, at: &mut dyn FnMut(&mut Scanner)) {
        at(&mut self.scanner);
    }

    fn pass(&mut self, time: Duration) {
        Victim::pass(self, time);
    }
}
