//! One engine against a peer and an application that do what a fuzzer likes.
//!
//! After every step the invariants hold and the receive windows agree with what the wire has seen, padding and
//! frames for dead streams included (H46). Nothing follows the end of a connection (H34), and afterwards nothing
//! is held. What the engine tells and sends does not depend on how its input was cut.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use hbone_frame::{Frame, PREFACE, SettingId, Side};

use super::actions::{Action, Script as Octets};
use crate::proto::half::RecvState;
use crate::proto::testing::frames;
use crate::proto::testing::pair::check_receiver;
use crate::proto::testing::script::{Script, Seen, plain};
use crate::proto::testing::wire::Tally;
use crate::proto::{Config, ConnectionError, Event, Read, Request, Response, StreamKey};

/// Steps of one trial.
const STEPS: usize = 400;
/// Pieces of what the peer says at a time, at the most.
const PIECES: usize = 64;
/// The first octet of an input: how the trial begins.
const RAW: u8 = 1;
const STRANGERS: u8 = 2;
const TIGHT: u8 = 4;
const TUNING: u8 = 8;
/// The engine announces server streams; its peer too, unless it is a stranger.
const EXTENDED: u8 = 16;

/// Runs `input` and checks what comes of it.
pub(super) fn run(side: Side, input: &[u8]) {
    let Some((&[knobs, cut], rest)) = input.split_first_chunk() else { return };
    let whole = trial(side, knobs, None, rest);
    if cut == 0 || knobs & TUNING != 0 {
        return;
    }
    let parts = trial(side, knobs, Some(usize::from(cut)), rest);
    // A connection that ends in peace ends at the end of an input, and forgets what would still have come.
    let peace = [&whole, &parts].into_iter().filter_map(|log| log.iter().position(|step| step.peace)).min();
    let until = peace.unwrap_or(whole.len().max(parts.len()));
    for (at, (whole, parts)) in whole.iter().zip(&parts).take(until).enumerate() {
        assert_eq!(whole.told, parts.told, "step {at} when its input is cut by {cut}");
    }
    assert!(peace.is_some() || whole.len() == parts.len());
}

/// What came of one step.
#[derive(Default)]
struct Step {
    told: Vec<String>,
    /// The connection ended because nothing was left to do.
    peace: bool,
}

struct Trial {
    script: Script,
    /// What the engine has been sent, and what it has sent.
    received: Tally,
    sent: Tally,
    cut: Option<usize>,
    keys: Vec<StreamKey>,
    closed: bool,
    finished: bool,
    /// Whether the steps are to be compared.
    compared: bool,
    log: Vec<Step>,
}

fn config(knobs: u8) -> Config {
    let config =
        Config { window_tuning: knobs & TUNING != 0, server_streams: knobs & EXTENDED != 0, ..plain() };
    if knobs & TIGHT == 0 {
        return config;
    }
    Config {
        initial_window_size: 300,
        max_window_size: 1000,
        max_concurrent_streams: 3,
        max_header_list_size: 300,
        max_header_fields: 6,
        header_table_size: 100,
        quantum: 7,
        flight: 500,
        send_queue: 100,
        keepalive_interval: Some(Duration::from_secs(5)),
        idle_timeout: Some(Duration::from_secs(30)),
        ..config
    }
}

fn trial(side: Side, knobs: u8, cut: Option<usize>, input: &[u8]) -> Vec<Step> {
    let mut trial = Trial::new(side, config(knobs), cut);
    trial.compared = knobs & TUNING == 0;
    trial.step(|trial| {
        if knobs & (STRANGERS | RAW) == 0 {
            if side == Side::Server {
                trial.say(PREFACE.to_vec());
            }
            let announced = (knobs & EXTENDED != 0).then_some((SettingId::SERVER_STREAMS, 1));
            let settings = frames::settings(announced.as_slice());
            trial.say([settings, frames::settings_ack()].concat());
        }
    });
    if knobs & RAW != 0 {
        trial.raw(input);
    } else {
        let mut octets = Octets::new(input, knobs & EXTENDED != 0);
        for _ in 0..STEPS {
            let Some(action) = octets.next() else { break };
            trial.step(|trial| trial.act(action));
        }
    }
    trial.step(Trial::leave);
    trial.log
}

impl Trial {
    fn new(side: Side, config: Config, cut: Option<usize>) -> Self {
        Self {
            received: Tally::of_a_stranger(side.peer(), &config),
            sent: Tally::new(side),
            script: Script::strangers(side, config),
            cut,
            keys: Vec::new(),
            closed: false,
            finished: false,
            compared: false,
            log: Vec::new(),
        }
    }

    /// Does something, and checks everything.
    fn step(&mut self, action: impl FnOnce(&mut Self)) {
        self.log.push(Step::default());
        action(self);
        self.collect();
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.compared
            && let Some(step) = self.log.last_mut()
        {
            step.told.push(what());
        }
    }

    /// Octets as they are, with an application that takes and answers everything.
    fn raw(&mut self, input: &[u8]) {
        for piece in input.chunks(1000) {
            self.step(|trial| trial.say(piece.to_vec()));
            for at in 0..self.keys.len().min(8) {
                let stream = at as u8;
                self.step(|trial| {
                    trial.act(Action::Respond { stream, status: 200, end: false });
                    trial.act(Action::Read { stream, most: usize::MAX });
                    trial.act(Action::Write { stream, octets: 100, ask: true });
                    trial.act(Action::Finish { stream });
                });
            }
        }
    }

    /// The peer sends octets, in pieces if so chosen.
    fn say(&mut self, octets: Vec<u8>) {
        self.collect();
        if !self.closed {
            self.received.pass(Bytes::from(octets.clone()));
        }
        // Every piece is checked: a long frame has not as many as octets.
        let size = self.cut.unwrap_or(octets.len()).max(octets.len().div_ceil(PIECES)).max(1);
        for piece in octets.chunks(size) {
            self.script.engine.handle_bytes(self.script.now, Bytes::copy_from_slice(piece));
            self.script.engine.state.check();
        }
        self.collect();
    }

    /// Takes what the engine says and tells, and checks it.
    fn collect(&mut self) {
        for seen in self.script.take() {
            assert!(!self.finished, "H34: {seen:?} after the end");
            if let Seen::Other(Frame::WindowUpdate { stream, increment }) = &seen {
                let credit = i64::from(*increment);
                match stream {
                    None => self.sent.credit += credit,
                    Some(id) => *self.sent.credit_of.entry(id.get()).or_default() += credit,
                }
            }
            self.tell(|| format!("{seen:?}"));
        }
        while let Some(event) = self.script.events.pop_front() {
            assert!(!self.closed, "{event:?} after Closed");
            self.tell(|| format!("{event:?}"));
            self.heard(event);
        }
        let engine = &self.script.engine;
        assert_eq!(self.closed, !engine.state.is_open(), "an end is told");
        self.finished |= engine.is_finished().is_some();
        assert!(!self.closed || !self.script.reading || self.finished, "an end is reached");
        if !self.closed {
            check_receiver(engine, &self.received, &self.sent, |recv| recv.state == RecvState::Open);
        }
        let limit = 2 * engine.state.config.max_concurrent_streams as usize + 16;
        assert!(engine.state.streams.held(engine.side().peer()) <= limit, "slots");
    }

    fn heard(&mut self, event: Event) {
        match event {
            Event::Incoming { key, .. } => self.keys.push(key),
            Event::Closed(error) => {
                self.closed = true;
                let peace = matches!(error, ConnectionError::Closed | ConnectionError::Goaway { .. });
                if let Some(step) = self.log.last_mut() {
                    step.peace = peace;
                }
            }
            Event::Established
            | Event::Response { .. }
            | Event::Readable(_)
            | Event::Writable(_)
            | Event::Openable
            | Event::Pong { .. }
            | Event::Goaway { .. } => {}
        }
    }

    fn key(&self, stream: u8) -> Option<StreamKey> {
        self.keys.get(usize::from(stream) % self.keys.len().max(1)).copied()
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Say(octets) => self.say(octets),
            Action::Listen(reading) => self.script.reading = reading,
            Action::Wait(time) => {
                self.script.after(time);
            }
            Action::Cut { fin: true } => self.script.engine.handle_eof(self.script.now),
            Action::Cut { fin: false } => {
                self.script.engine.handle_io_error(self.script.now, io::ErrorKind::ConnectionReset);
            }
            Action::Open { kind, end } => self.open(kind, end),
            Action::Ping => {
                let id = self.script.engine.ping();
                self.tell(|| format!("{id:?}"));
            }
            Action::Drain { deadline } => self.script.engine.drain(self.script.now, deadline),
            Action::Close { code } => self.script.engine.close(code),
            Action::Respond { stream, .. }
            | Action::Write { stream, .. }
            | Action::Finish { stream }
            | Action::Read { stream, .. }
            | Action::Reset { stream, .. }
            | Action::Release { stream } => {
                if let Some(key) = self.key(stream) {
                    self.act_on(key, action);
                }
            }
        }
        self.script.engine.state.check();
    }

    fn act_on(&mut self, key: StreamKey, action: Action) {
        let engine = &mut self.script.engine;
        let told = match action {
            Action::Respond { status, end, .. } => {
                format!("{:?}", engine.respond(key, Response::new(status), end))
            }
            Action::Write { octets, ask, .. } => {
                let room = engine.capacity(key);
                let octets = if ask { octets.min(room.clone().unwrap_or(0)) } else { octets };
                format!("{room:?} {:?}", engine.write(key, vec![b'y'; octets].into()))
            }
            Action::Finish { .. } => format!("{:?}", engine.finish(key)),
            Action::Read { most, .. } => self.read(key, most),
            Action::Reset { code, .. } => {
                engine.reset(key, code);
                String::new()
            }
            Action::Release { .. } => {
                engine.release(key);
                String::new()
            }
            Action::Say(_)
            | Action::Listen(_)
            | Action::Open { .. }
            | Action::Ping
            | Action::Drain { .. }
            | Action::Close { .. }
            | Action::Wait(_)
            | Action::Cut { .. } => return,
        };
        self.tell(|| told);
    }

    /// Reads so many octets, however they are cut, or to the end of what is there.
    fn read(&mut self, key: StreamKey, most: usize) -> String {
        let unread = self.script.engine.unread(key);
        let (mut total, mut last) = (0, None);
        while total < most {
            match self.script.engine.read(key, most - total) {
                Ok(Read::Data(data)) => {
                    assert!(!data.is_empty());
                    total += data.len();
                }
                end => {
                    last = Some(end);
                    break;
                }
            }
        }
        assert_eq!(total, unread.min(most), "what is unread can be read");
        format!("{total} {last:?}")
    }

    fn open(&mut self, kind: u8, end: bool) {
        let mut request = Some(match kind % 4 {
            0 | 1 => Request::connect("10.0.0.1:80"),
            2 => Request::new(["GET", "HEAD"][usize::from(kind & 16 != 0)], "https", "a.example", "/"),
            _ => Request::extended_connect("websocket", "https", "a.example", "/"),
        });
        let result = self.script.engine.open(&mut request, end);
        assert_eq!(result.is_ok(), request.is_none(), "a request is taken only on success");
        self.tell(|| format!("{result:?}"));
        self.keys.extend(result);
    }

    /// The transport ends and everybody lets go: nothing is held.
    fn leave(&mut self) {
        self.script.reading = true;
        self.collect();
        self.script.engine.handle_eof(self.script.now);
        self.collect();
        assert!(self.closed && self.finished, "an end of the transport is the end");
        for key in std::mem::take(&mut self.keys) {
            let last = self.read(key, usize::MAX);
            self.tell(|| last.clone());
            assert!(!last.contains("Pending"), "N3: {key:?} would hang");
            self.script.engine.release(key);
        }
        self.collect();
        let engine = &self.script.engine;
        assert_eq!((engine.active_streams(), engine.held_streams()), (0, 0), "N6");
        assert_eq!(engine.poll_timeout(), None, "an ended connection has no timers");
    }
}
