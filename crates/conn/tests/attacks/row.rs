//! A row of the list of attacks: what the peer does, and what must come of it. Data only.

use std::sync::Arc;
use std::time::Duration;

use hbone_conn::{Config, ConnectionError, Side, Stats, Timeout, Violation};

use crate::frames::{self, PREFACE};
use crate::script::{Peer, Script};

/// What the victim's application does with a stream of the attacker. Streams to [`HONEST`] are always echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum App {
    /// Answers 200 and sends everything back.
    Echo,
    /// Answers 200 and reads nothing.
    Stall,
    /// Does not answer: a dial that hangs, until the stream fails.
    Dial,
    /// Answers 403.
    Refuse,
    /// Answers 200 and sends as much as it may; all streams share the memory of what they send.
    Source,
    /// As `Source`, but what is sent is memory of its own, as a relay's.
    Pour,
    /// Answers 200, finishes behind 64 KiB, and lets go of the stream.
    Leave,
    /// A client: opens that many tunnels and reads what comes.
    Client(u32),
}

/// The destination that the honest neighbours ask for.
pub(crate) const HONEST: &str = "honest.example:7";

/// How it must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection ends by the peer's fault, with its code in GOAWAY.
    Fault(Violation),
    /// The connection drains and ends in peace.
    Drained,
    /// The connection ends because the peer was too slow.
    Late(Timeout),
    /// The connection lives on.
    Lives,
}

type Prologue = Arc<dyn Fn(&mut Vec<u8>) + Send + Sync>;
type Unit = Arc<dyn Fn(u32, &mut Vec<u8>) + Send + Sync>;

/// One attack. The connection's preface and first SETTINGS come before it.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) victim: Side,
    pub(crate) app: App,
    pub(crate) config: Config,
    /// The attacker's first SETTINGS.
    pub(crate) settings: Vec<(u16, u32)>,
    /// Once, before the repetitions.
    pub(crate) prologue: Prologue,
    /// The n-th repetition.
    pub(crate) unit: Unit,
    pub(crate) units: u32,
    /// What the attacker does instead of sending the repetitions.
    pub(crate) script: Option<Script>,
    /// Whether the attacker acknowledges the victim's SETTINGS.
    pub(crate) acknowledges: bool,
    /// Whether the attacker takes what it is sent.
    pub(crate) reads: bool,
    /// Virtual time between two repetitions; over a socket they follow each other at once.
    pub(crate) pace: Duration,
    pub(crate) end: End,
    /// The counter that names the cause: not 0 afterwards.
    pub(crate) counter: Option<fn(&Stats) -> u64>,
    /// A rule that must have been counted as broken; one that ends the connection always must.
    pub(crate) breaks: Option<Violation>,
    /// RST_STREAM of this code must have been sent (in virtual time).
    pub(crate) resets: Option<u32>,
    /// The most octets that the engine may hold.
    pub(crate) heap: usize,
    /// The most streams that the application may hold at a time.
    pub(crate) live: usize,
}

/// What an engine holds at the most where nothing else is said: tables, one header block, replies.
pub(crate) const HEAP: usize = 256 * 1024;

impl Row {
    /// An attack on a server that echoes.
    pub(crate) fn on_server(
        id: &'static str,
        units: u32,
        unit: impl Fn(u32, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            id,
            victim: Side::Server,
            app: App::Echo,
            config: Config::default(),
            settings: Vec::new(),
            prologue: Arc::new(|_| {}),
            unit: Arc::new(unit),
            units,
            script: None,
            acknowledges: true,
            reads: true,
            pace: Duration::ZERO,
            end: End::Lives,
            counter: None,
            breaks: None,
            resets: None,
            heap: HEAP,
            live: Config::default().max_concurrent_streams as usize,
        }
    }

    /// An attack on a client with that many tunnels.
    pub(crate) fn on_client(
        id: &'static str,
        tunnels: u32,
        units: u32,
        unit: impl Fn(u32, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        Self { victim: Side::Client, app: App::Client(tunnels), ..Self::on_server(id, units, unit) }
    }

    pub(crate) fn ends(self, violation: Violation) -> Self {
        Self { end: End::Fault(violation), ..self }
    }

    pub(crate) fn late(self, timeout: Timeout) -> Self {
        Self { end: End::Late(timeout), ..self }
    }

    /// An attacker that reacts; a server that echoes is its victim.
    pub(crate) fn scripted(
        id: &'static str,
        units: u32,
        script: impl Fn(&mut dyn Peer, u32) + Send + Sync + 'static,
    ) -> Self {
        Self { script: Some(Arc::new(script)), ..Self::on_server(id, units, |_, _| {}) }
    }

    /// The victim is a client with that many tunnels.
    pub(crate) fn of_client(self, tunnels: u32) -> Self {
        Self { victim: Side::Client, app: App::Client(tunnels), ..self }
    }

    pub(crate) fn drained(self) -> Self {
        Self { end: End::Drained, ..self }
    }

    pub(crate) fn never_acknowledges(self) -> Self {
        Self { acknowledges: false, ..self }
    }

    pub(crate) fn app(self, app: App) -> Self {
        Self { app, ..self }
    }

    pub(crate) fn prologue(self, prologue: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Self {
        Self { prologue: Arc::new(prologue), ..self }
    }

    pub(crate) fn settings(self, settings: &[(u16, u32)]) -> Self {
        Self { settings: settings.to_vec(), ..self }
    }

    pub(crate) fn configured(mut self, change: fn(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn never_reads(self) -> Self {
        Self { reads: false, ..self }
    }

    pub(crate) fn pace(self, pace: Duration) -> Self {
        Self { pace, ..self }
    }

    pub(crate) fn counted(self, counter: fn(&Stats) -> u64) -> Self {
        Self { counter: Some(counter), ..self }
    }

    pub(crate) fn breaks(self, violation: Violation) -> Self {
        Self { breaks: Some(violation), ..self }
    }

    pub(crate) fn resets(self, code: u32) -> Self {
        Self { resets: Some(code), ..self }
    }

    pub(crate) fn heap(self, heap: usize) -> Self {
        Self { heap, ..self }
    }

    pub(crate) fn live(self, live: usize) -> Self {
        Self { live, ..self }
    }

    /// What comes before the repetitions.
    pub(crate) fn beginning(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        if self.victim == Side::Server {
            wire.extend_from_slice(PREFACE);
        }
        frames::settings(&mut wire, &self.settings);
        if self.acknowledges {
            frames::settings_ack(&mut wire);
        }
        (self.prologue)(&mut wire);
        wire
    }

    /// The repetitions, one by one.
    pub(crate) fn repetitions(&self, times: u32) -> Vec<Vec<u8>> {
        let unit = |n| {
            let mut wire = Vec::new();
            (self.unit)(n, &mut wire);
            wire
        };
        (0..times).map(unit).collect()
    }

    /// Judges what was counted: by the counter of the row, and by the names of rules.
    pub(crate) fn judge_counts(&self, stats: &Stats, broken: &[(&'static str, u64)]) {
        if let Some(counter) = self.counter {
            assert!(counter(stats) > 0, "{}: no counter names the cause: {stats:?}", self.id);
        }
        let fatal = if let End::Fault(violation) = self.end { Some(violation) } else { None };
        for violation in fatal.into_iter().chain(self.breaks) {
            let label = violation.label();
            let counted = broken.iter().any(|(name, count)| *name == label && *count > 0);
            assert!(counted, "{}: {label} was not counted: {broken:?}", self.id);
        }
    }

    /// Judges the end as the application saw it.
    pub(crate) fn judge_end(&self, seen: Option<&ConnectionError>) {
        match (self.end, seen) {
            (End::Fault(wanted), Some(ConnectionError::Protocol(violation))) if *violation == wanted => {}
            (End::Late(wanted), Some(ConnectionError::Timeout(timeout))) if *timeout == wanted => {}
            (End::Drained, Some(ConnectionError::Closed)) => {}
            (End::Lives, None) => {}
            (wanted, seen) => panic!("{}: wanted {wanted:?}, got {seen:?}", self.id),
        }
    }
}
