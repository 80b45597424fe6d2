//! Two engines, one virtual clock, and a wire of two directions between them.
//!
//! After every step the invariants of both engines are checked, and their windows against what has passed the
//! wire: credit is neither lost nor invented. A failing seed is printed; `HBONE_SEED` sets it.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone_frame::{DEFAULT_WINDOW, Side};

use super::epoch;
use super::rng::{Rng, seed_from_environment};
use super::wire::{Chop, Leg, Tally};
use crate::proto::half::{RecvHalf, RecvState};
use crate::proto::settings;
use crate::proto::{
    Config, Connection, ConnectionError, Event, Read, Request, Response, StreamError, StreamKey, Transmit,
};

/// One engine and the events that nobody has taken yet.
pub(in crate::proto) struct End {
    pub(in crate::proto) engine: Connection,
    pub(in crate::proto) events: VecDeque<Event>,
}

/// How a transport ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proto) enum Cut {
    Fin,
    Error,
}

pub(in crate::proto) struct Pair {
    pub(in crate::proto) client: End,
    pub(in crate::proto) server: End,
    pub(in crate::proto) now: Instant,
    /// From client to server.
    pub(in crate::proto) up: Leg,
    /// From server to client.
    pub(in crate::proto) down: Leg,
    pub(in crate::proto) rng: Rng,
    seed: u64,
}

impl Drop for Pair {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the pair failed with HBONE_SEED={}", self.seed);
        }
    }
}

impl End {
    fn new(side: Side, config: Config, now: Instant) -> Self {
        Self { engine: Connection::new(side, config, now), events: VecDeque::new() }
    }

    pub(in crate::proto) fn collect(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            let over = self.events.iter().any(|event| matches!(event, Event::Closed(_)));
            assert!(!over, "an event after Closed: {event:?}");
            self.events.push_back(event);
        }
    }

    /// Takes the first event that `pick` knows.
    pub(in crate::proto) fn take<T>(&mut self, pick: impl Fn(&Event) -> Option<T>) -> Option<T> {
        let (at, found) = self.events.iter().enumerate().find_map(|(at, event)| Some((at, pick(event)?)))?;
        self.events.remove(at);
        Some(found)
    }

    pub(in crate::proto) fn incoming(&mut self) -> Option<StreamKey> {
        self.take(|event| if let Event::Incoming { key, .. } = event { Some(*key) } else { None })
    }

    pub(in crate::proto) fn response(&mut self, stream: StreamKey) -> Option<u16> {
        self.take(|event| {
            if let Event::Response { key, response, .. } = event
                && *key == stream
            {
                return Some(response.status());
            }
            None
        })
    }

    pub(in crate::proto) fn closed(&self) -> Option<&ConnectionError> {
        self.events.iter().find_map(|event| if let Event::Closed(error) = event { Some(error) } else { None })
    }

    /// Reads until nothing is there; the octets and what came last.
    pub(in crate::proto) fn read_all(&mut self, key: StreamKey) -> (Vec<u8>, Result<Read, StreamError>) {
        let mut all = Vec::new();
        loop {
            match self.engine.read(key, usize::MAX) {
                Ok(Read::Data(data)) => all.extend_from_slice(&data),
                end => return (all, end),
            }
        }
    }
}

impl Pair {
    /// Two engines with the defaults that have met.
    pub(in crate::proto) fn new() -> Self {
        Self::with(1, Config::default(), Config::default())
    }

    /// Two engines that have met.
    pub(in crate::proto) fn with(seed: u64, client: Config, server: Config) -> Self {
        let mut pair = Self::strangers(seed, client, server);
        pair.settle();
        pair
    }

    /// Two engines that have not exchanged an octet.
    pub(in crate::proto) fn strangers(seed: u64, client: Config, server: Config) -> Self {
        let now = epoch();
        let seed = seed_from_environment().unwrap_or(seed);
        Self {
            client: End::new(Side::Client, client, now),
            server: End::new(Side::Server, server, now),
            now,
            up: Leg::new(Side::Client, now),
            down: Leg::new(Side::Server, now),
            rng: Rng::new(seed),
            seed,
        }
    }

    /// Gives both directions that delay.
    pub(in crate::proto) fn delay(&mut self, delay: Duration) {
        self.up.delay = delay;
        self.down.delay = delay;
    }

    /// Cuts octets into reads like that, both ways.
    pub(in crate::proto) fn chop(&mut self, chop: Chop) {
        self.up.chop = chop;
        self.down.chop = chop;
    }

    pub(in crate::proto) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// A tunnel that both ends know and the server has accepted.
    pub(in crate::proto) fn tunnel(&mut self) -> (StreamKey, StreamKey) {
        let mut request = Some(Request::connect("10.0.0.1:80"));
        let near = self.client.engine.open(&mut request, false).expect("a slot is free");
        self.settle();
        let far = self.server.incoming().expect("the server has seen the stream");
        self.server.engine.respond(far, Response::new(200), false).expect("the stream is open");
        self.settle();
        assert_eq!(self.client.response(near), Some(200));
        (near, far)
    }

    /// Lets everything happen that can without time passing.
    pub(in crate::proto) fn settle(&mut self) {
        loop {
            let first = self.rng.below(4);
            let mut moved = false;
            for action in first..first + 4 {
                moved |= self.act(action % 4);
            }
            if !moved {
                break;
            }
        }
        self.client.engine.state.check_flushed();
        self.server.engine.state.check_flushed();
    }

    /// One step, chosen by chance; `false` when nothing can happen without time passing.
    pub(in crate::proto) fn step(&mut self) -> bool {
        let first = self.rng.below(4);
        (first..first + 4).any(|action| self.act(action % 4))
    }

    fn act(&mut self, action: usize) -> bool {
        match action {
            0 => self.transmit(Side::Client),
            1 => self.transmit(Side::Server),
            2 => self.deliver(Side::Client),
            _ => self.deliver(Side::Server),
        }
    }

    /// One flight of `side` enters the wire.
    fn transmit(&mut self, side: Side) -> bool {
        let mut flight = Transmit::new();
        let now = self.now;
        let end = self.end(side);
        let promised = end.engine.wants_transmit();
        let any = end.engine.poll_transmit(now, &mut flight);
        assert!(promised || !any, "a flight that wants_transmit did not know of");
        end.collect();
        let octets: Bytes = flight.pieces().flatten().copied().collect::<Vec<_>>().into();
        assert_eq!(octets.len(), flight.len());
        match side {
            Side::Client => self.up.enter(now, octets, &mut self.rng),
            Side::Server => self.down.enter(now, octets, &mut self.rng),
        }
        self.check();
        any
    }

    /// One piece comes out of the wire at `side`.
    fn deliver(&mut self, side: Side) -> bool {
        let (leg, end) = match side {
            Side::Client => (&mut self.down, &mut self.client),
            Side::Server => (&mut self.up, &mut self.server),
        };
        if !end.engine.wants_read() {
            return false;
        }
        let Some(piece) = leg.leave(self.now) else { return false };
        end.engine.handle_bytes(self.now, piece);
        end.collect();
        self.check();
        true
    }

    /// The transport ends at `side`.
    pub(in crate::proto) fn cut(&mut self, side: Side, how: Cut) {
        let now = self.now;
        let end = self.end(side);
        match how {
            Cut::Fin => end.engine.handle_eof(now),
            Cut::Error => end.engine.handle_io_error(now, io::ErrorKind::ConnectionReset),
        }
        end.collect();
        self.check();
    }

    /// Moves the clock to when something happens next, at the latest to `limit`; `false` when that is it.
    pub(in crate::proto) fn advance(&mut self, limit: Instant) -> bool {
        let timers = [self.client.engine.poll_timeout(), self.server.engine.poll_timeout()];
        let due = [self.up.next_due(), self.down.next_due()].into_iter().chain(timers).flatten().min();
        self.now = due.unwrap_or(limit).clamp(self.now, limit);
        let now = self.now;
        for side in [Side::Client, Side::Server] {
            let end = self.end(side);
            end.engine.handle_timeout(now);
            end.collect();
        }
        self.check();
        self.now < limit
    }

    /// Lets time pass.
    pub(in crate::proto) fn run_for(&mut self, time: Duration) {
        let limit = self.now + time;
        self.settle();
        while self.advance(limit) {
            self.settle();
        }
        self.settle();
    }

    /// The invariants of both ends, and their windows against the wire.
    pub(in crate::proto) fn check(&self) {
        self.client.engine.state.check();
        self.server.engine.state.check();
        check_windows(&self.client, &self.up, &self.server, &self.down);
        check_windows(&self.server, &self.down, &self.client, &self.up);
    }
}

/// The windows for what goes `there` over `forth`, credit for which comes `back`.
fn check_windows(here: &End, forth: &Leg, there: &End, back: &Leg) {
    let sender = &here.engine.state;
    if sender.is_open() {
        let expected = i64::from(DEFAULT_WINDOW) + back.left.credit - forth.entered.charged;
        assert_eq!(sender.send_window.available(DEFAULT_WINDOW), expected, "the sender's connection window");
        for stream in sender.streams.iter().filter(|stream| !stream.is_closed()) {
            let id = stream.key.id().get();
            let of = |counts: &std::collections::HashMap<u32, i64>| counts.get(&id).copied().unwrap_or(0);
            let initial = sender.peer.initial_window;
            let expected = i64::from(initial) + of(&back.left.credit_of) - of(&forth.entered.charged_of);
            assert_eq!(stream.send.window.available(initial), expected, "the sender's window of {id}");
        }
    }
    let check_all = |recv: &RecvHalf| recv.state != RecvState::Failed;
    check_receiver(&there.engine, &forth.left, &back.entered, check_all);
}

/// The windows for what an engine has received, credit for which it has sent, of the streams that `counts`.
pub(in crate::proto) fn check_receiver(
    engine: &Connection,
    received: &Tally,
    sent: &Tally,
    counts: impl Fn(&RecvHalf) -> bool,
) {
    let receiver = &engine.state;
    if !receiver.is_open() {
        return;
    }
    let expected = i64::from(DEFAULT_WINDOW) + sent.credit - received.charged;
    let (size, available, due) = receiver.recv_window.parts();
    assert_eq!(available, expected, "the receiver's connection window");
    assert_eq!(size - available - due, received.unfinished, "octets that hold the connection window");
    let initial = settings::initial_receive_window(&receiver.config, receiver.settings_acknowledged);
    for stream in receiver.streams.iter().filter(|stream| counts(&stream.recv)) {
        let id = stream.key.id().get();
        let of = |counts: &std::collections::HashMap<u32, i64>| counts.get(&id).copied().unwrap_or(0);
        let expected = i64::from(initial) + of(&sent.credit_of) - of(&received.charged_of);
        assert_eq!(stream.recv.window.parts().1, expected, "the receiver's window of {id}");
        // What was read, dropped or padding has been given back, all of it and once.
        let owed = stream.recv.queue.len() as i64 + received.unfinished_of(id);
        assert_eq!(stream.recv.window.outstanding(), owed, "octets that hold the window of {id}");
    }
}
