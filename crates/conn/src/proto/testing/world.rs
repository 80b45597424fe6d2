//! Random operations on a pair, against a model of what each direction of each stream has been given.
//!
//! N1 to N5: what is read is a prefix of what was written, to the octet, and of no other stream; an end is seen
//! only after everything; a direction that nobody disturbed arrives whole. N7: once the wire is cut, every
//! direction ends, cleanly only where all of it had passed. The applications act on events alone, so that a
//! wake-up that is missing shows as a stream that never ends. Chance comes from a seed or from a fuzzer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hbone_frame::{ErrorCode, Side};

use super::pair::{Cut, Pair};
use super::rng::Rng;
use crate::proto::{
    Config, ConnectionError, Event, MemoryBudget, OpenError, Read, Request, Response, StreamError, StreamKey,
};

const SIDES: [Side; 2] = [Side::Client, Side::Server];
/// Of a world that no fuzzer leads.
const OPERATIONS: usize = 300;
/// Of a world that is led, at the most.
const MOST_OPERATIONS: usize = 2000;

/// One direction; which one is the index of its sender.
#[derive(Default)]
struct Direction {
    written: u64,
    finished: bool,
    read: u64,
    /// The reader has seen its end, clean or not.
    outcome: Option<Result<(), StreamError>>,
    /// Somebody did what allows it to fail.
    disturbed: bool,
}

/// One end of a stream.
#[derive(Clone, Copy, Default)]
struct Half {
    key: Option<StreamKey>,
    released: bool,
    may_read: bool,
    may_write: bool,
}

#[derive(Default)]
struct Stream {
    /// The side that opened it.
    opener: usize,
    ends: [Half; 2],
    directions: [Direction; 2],
    answered: bool,
}

impl Stream {
    /// The end that the opener's peer holds.
    fn accepted(&self) -> &Half {
        &self.ends[1 - self.opener]
    }
}

pub(in crate::proto) struct World {
    pair: Pair,
    rng: Rng,
    /// By a fuzzer, whose octets are the operations.
    led: bool,
    /// The server opens streams too.
    extended: bool,
    streams: Vec<Stream>,
    /// Where in it a stream is, by its identifier.
    places: HashMap<u32, usize>,
    may_open: [bool; 2],
    draining: bool,
    /// The wire will end, or has ended, like that.
    cut: Option<(Side, Cut)>,
    /// The end of the wire has been seen by somebody.
    broken: bool,
    pings: usize,
    /// PINGs sent so far.
    pinged: usize,
    /// Octets that a stream is given, by sender: some turns of the reader's window, not thousands.
    most: [u64; 2],
}

fn octet(stream: usize, sender: usize, at: u64) -> u8 {
    (stream as u64 * 31 + sender as u64 * 101 + at * 7 + (at >> 8) * 13) as u8
}

fn config(rng: &mut Rng) -> Config {
    let pick = |rng: &mut Rng, choices: &[u32]| choices[rng.below(choices.len())];
    Config {
        initial_window_size: pick(rng, &[1, 10, 1000, 16_384, 65_535, 100_000, 1 << 18]),
        max_window_size: pick(rng, &[1000, 65_535, 1 << 20]),
        connection_window_size: pick(rng, &[65_535, 100_000, 1 << 20]),
        max_frame_size: pick(rng, &[16_384, 20_000, 1 << 18]),
        quantum: pick(rng, &[3, 100, 16_384]) as usize,
        flight: pick(rng, &[100, 5000, 1 << 18]) as usize,
        send_queue: pick(rng, &[1, 100, 10_000, 1 << 18]) as usize,
        stalled_queue: pick(rng, &[1, 10, 1000, 1 << 16]) as usize,
        max_concurrent_streams: pick(rng, &[1, 3, 20]),
        window_tuning: rng.once_in(2),
        keepalive_interval: rng.once_in(2).then_some(Duration::from_millis(50)),
        idle_timeout: None,
        memory: rng
            .once_in(4)
            .then(|| Arc::new(MemoryBudget::new(pick(rng, &[1, 1 << 17, 1 << 20]) as usize))),
        ..Config::default()
    }
}

impl World {
    /// A world of its own for each seed.
    pub(in crate::proto) fn new(seed: u64) -> Self {
        Self::with(seed, Rng::new(seed ^ 0x5eed), 30)
    }

    /// A world that a fuzzer leads.
    pub(in crate::proto) fn led(octets: &[u8]) -> Self {
        let mut rng = Rng::led(octets);
        let seed = rng.below(256) as u64;
        Self { led: true, ..Self::with(seed, rng, 5) }
    }

    /// A stream is given so many `turns` of its reader's window, at the most.
    fn with(seed: u64, mut rng: Rng, turns: u64) -> Self {
        // In a third of the worlds; not by chance, which would give every corpus another meaning.
        let extended = seed.is_multiple_of(3);
        let config = |rng: &mut Rng| Config { server_streams: extended, ..config(rng) };
        let (client, server) = (config(&mut rng), config(&mut rng));
        let most = [(&client, &server), (&server, &client)].map(|(writer, reader)| {
            let octets = u64::from(reader.initial_window_size) * turns;
            octets.min(writer.quantum.min(writer.flight) as u64 * 1000)
        });
        let mut pair = Pair::strangers(seed, client, server);
        if rng.once_in(2) {
            pair.settle();
        }
        if rng.once_in(2) {
            pair.delay(Duration::from_micros(rng.below(5000) as u64));
        }
        Self {
            pair,
            rng,
            led: false,
            extended,
            streams: Vec::new(),
            places: HashMap::new(),
            may_open: [true; 2],
            draining: false,
            cut: None,
            broken: false,
            pings: 0,
            pinged: 0,
            most,
        }
    }

    fn engine(&mut self, side: usize) -> &mut crate::proto::Connection {
        &mut self.pair.end(SIDES[side]).engine
    }

    /// Runs to the end and judges.
    pub(in crate::proto) fn run(&mut self) {
        for done in 0..MOST_OPERATIONS {
            let over = if self.led { self.rng.left() == 0 } else { done == OPERATIONS };
            if over {
                break;
            }
            self.operation();
            for _ in 0..self.rng.below(4) {
                self.pair.step();
                self.end_of_the_wire();
            }
            self.events();
        }
        self.finish_all();
        self.judge();
        self.leave();
    }

    fn operation(&mut self) {
        let stream = self.rng.below(self.streams.len());
        let side = self.rng.below(2);
        match self.rng.below(100) {
            0..8 => self.open(if self.extended { side } else { 0 }),
            8..35 => self.write(stream, side),
            35..40 => self.finish(stream, side),
            40..70 => self.read(stream, side),
            70..71 => self.reset(stream, side),
            71..74 => self.release(stream, side),
            74..76 => self.pair.up.stalled = self.rng.once_in(2),
            76..78 => self.pair.down.stalled = self.rng.once_in(2),
            78..80 => self.ping(side),
            80..88 => {
                let limit = self.pair.now + Duration::from_micros(self.rng.below(3000) as u64);
                self.pair.advance(limit);
            }
            88 if self.rng.once_in(40) => self.drain(side),
            89 if self.rng.once_in(40) => self.cut(side),
            _ => self.answer(stream),
        }
    }

    fn open(&mut self, side: usize) {
        if !self.may_open[side] {
            return;
        }
        let end = self.rng.once_in(10);
        let request = if end && side == 0 {
            Request::new("GET", "https", "a.example", "/")
        } else {
            Request::connect("10.0.0.1:80")
        };
        match self.engine(side).open(&mut Some(request), end) {
            Ok(key) => {
                let mut stream = Stream { opener: side, ..Stream::default() };
                stream.ends[side] = Half { key: Some(key), released: false, may_read: true, may_write: true };
                stream.directions[side].finished = end;
                let before = self.streams.iter().filter(|stream| stream.opener == side).count();
                assert_eq!(key.id().get() as usize, before * 2 + 1 + side);
                self.places.insert(key.id().get(), self.streams.len());
                self.streams.push(stream);
            }
            Err(OpenError::Blocked) => self.may_open[side] = false,
            Err(OpenError::Memory) => {}
            Err(error) => {
                let over = OpenError::Closed(ConnectionError::Closed);
                let drained = self.draining && (error == OpenError::Draining || error == over);
                assert!(drained || self.broken && matches!(error, OpenError::Closed(_)), "{error}");
            }
        }
    }

    fn answer(&mut self, stream: usize) {
        let end = self.rng.once_in(8);
        let Some(target) = self.streams.get_mut(stream) else { return };
        let side = 1 - target.opener;
        let half = target.accepted();
        let Some(key) = half.key.filter(|_| !target.answered && !half.released) else { return };
        target.answered = true;
        // A CONNECT that is refused with octets already queued would be misuse: END_STREAM goes with them.
        let end = end && target.directions[side].written == 0;
        let response = Response::new(if end { 503 } else { 200 });
        match self.pair.end(SIDES[side]).engine.respond(key, response, end) {
            Ok(()) => target.directions[side].finished |= end,
            Err(error) => assert!(target.directions[side].disturbed || self.broken, "{error}"),
        }
    }

    fn write(&mut self, at: usize, side: usize) {
        let Some(stream) = self.streams.get(at) else { return };
        let half = stream.ends[side];
        let Some(key) = half.key.filter(|_| !half.released && half.may_write) else { return };
        let direction = &stream.directions[side];
        let (written, finished) = (direction.written, direction.finished);
        let room = match self.engine(side).capacity(key) {
            Ok(room) => room,
            Err(error) => return self.write_failed(at, side, finished, &error),
        };
        self.streams[at].ends[side].may_write = room > 0;
        let room = room.min(self.most[side].saturating_sub(written) as usize);
        if room == 0 {
            return;
        }
        let size = self.rng.size(40_000).min(room);
        let data: Vec<u8> = (0..size as u64).map(|i| octet(at, side, written + i)).collect();
        let taken = if self.rng.once_in(2) {
            self.engine(side).write_slice(key, &data).expect("there is room")
        } else {
            self.engine(side).write(key, data.into()).expect("there is room");
            size
        };
        assert_eq!(taken, size);
        self.streams[at].directions[side].written += size as u64;
    }

    fn write_failed(&mut self, at: usize, side: usize, finished: bool, error: &StreamError) {
        let disturbed = self.streams[at].directions[side].disturbed || self.lost(at, error);
        assert!(disturbed || (finished && *error == StreamError::Finished), "stream {at}: {error}");
    }

    /// Whether the stream may have been refused by a limit or a drain before the peer's application saw it.
    fn lost(&mut self, at: usize, error: &StreamError) -> bool {
        if self.broken && matches!(error, StreamError::Connection(_)) {
            return true;
        }
        let refused = matches!(error, StreamError::Goaway) && (self.draining || self.broken)
            || matches!(error, StreamError::Reset(ErrorCode::REFUSED_STREAM));
        let stream = &mut self.streams[at];
        if refused && stream.accepted().key.is_none() {
            stream.directions.iter_mut().for_each(|direction| direction.disturbed = true);
            return true;
        }
        false
    }

    fn finish(&mut self, at: usize, side: usize) {
        let Some(stream) = self.streams.get_mut(at) else { return };
        let half = stream.ends[side];
        let may_finish = side == stream.opener || stream.answered;
        let Some(key) = half.key.filter(|_| !half.released && may_finish) else { return };
        match self.engine(side).finish(key) {
            Ok(()) => self.streams[at].directions[side].finished = true,
            Err(error) => self.write_failed(at, side, false, &error),
        }
    }

    fn read(&mut self, at: usize, side: usize) {
        let Some(stream) = self.streams.get(at) else { return };
        let half = stream.ends[side];
        let Some(key) = half.key.filter(|_| !half.released && half.may_read) else { return };
        let most = self.rng.size(100_000);
        let sender = 1 - side;
        match self.engine(side).read(key, most) {
            Ok(Read::Data(data)) => {
                assert!(!data.is_empty() && data.len() <= most);
                let direction = &mut self.streams[at].directions[sender];
                for found in &data {
                    assert_eq!(*found, octet(at, sender, direction.read), "stream {at}, {}", direction.read);
                    direction.read += 1;
                }
                assert!(direction.read <= direction.written && direction.outcome.is_none());
            }
            Ok(Read::Pending) => self.streams[at].ends[side].may_read = false,
            Ok(Read::End) => {
                let direction = &mut self.streams[at].directions[sender];
                assert!(direction.finished, "stream {at}: an end that nobody has sent");
                assert_eq!(direction.read, direction.written, "stream {at}: an end before the last octet");
                direction.outcome = Some(Ok(()));
            }
            Err(error) => {
                let disturbed = self.lost(at, &error) || self.streams[at].directions[sender].disturbed;
                assert!(disturbed, "stream {at} failed undisturbed: {error}");
                self.streams[at].directions[sender].outcome = Some(Err(error));
            }
        }
    }

    fn reset(&mut self, at: usize, side: usize) {
        let Some(stream) = self.streams.get_mut(at) else { return };
        let Some(key) = stream.ends[side].key.filter(|_| !stream.ends[side].released) else { return };
        stream.directions.iter_mut().for_each(|direction| direction.disturbed = true);
        self.engine(side).reset(key, ErrorCode::CANCEL);
    }

    fn release(&mut self, at: usize, side: usize) {
        // What was told before the release may be heard after it; what is told after it is a fault.
        self.pair.end(SIDES[side]).collect();
        self.events();
        let Some(stream) = self.streams.get_mut(at) else { return };
        let Some(key) = stream.ends[side].key.filter(|_| !stream.ends[side].released) else { return };
        stream.ends[side].released = true;
        // What was finished still leaves; all else may be cut.
        stream.directions[1 - side].disturbed = true;
        stream.directions[side].disturbed |= !stream.directions[side].finished;
        self.engine(side).release(key);
    }

    fn ping(&mut self, side: usize) {
        // A peer budgets PINGs, keepalive among them.
        if self.pinged < 30 && self.engine(side).ping().is_some() {
            self.pinged += 1;
            self.pings += 1;
        }
    }

    fn drain(&mut self, side: usize) {
        self.draining = true;
        let now = self.pair.now;
        self.engine(side).drain(now, None);
    }

    /// The wire towards that side will end soon.
    fn cut(&mut self, side: usize) {
        if self.cut.is_some() {
            return;
        }
        let how = if self.rng.once_in(2) { Cut::Fin } else { Cut::Error };
        self.cut = Some((SIDES[side], how));
        let after = self.rng.size(5000) as u64;
        let leg = if side == 0 { &mut self.pair.down } else { &mut self.pair.up };
        leg.cut_at = Some(leg.left.octets + after);
    }

    /// Whoever has come to the end of the wire is told; the other end learns it later.
    fn end_of_the_wire(&mut self) {
        if let Some((side, how)) = self.cut
            && !self.broken
            && (self.pair.up.is_cut() || self.pair.down.is_cut())
        {
            self.broken = true;
            self.pair.cut(side, how);
        }
    }

    /// The applications learn by events alone.
    fn events(&mut self) {
        for (side, name) in SIDES.into_iter().enumerate() {
            while let Some(event) = self.pair.end(name).events.pop_front() {
                self.event(side, event);
            }
        }
    }

    fn event(&mut self, side: usize, event: Event) {
        let places = &self.places;
        let at = |key: StreamKey| places[&key.id().get()];
        match event {
            Event::Incoming { key, .. } => {
                let half = Half { key: Some(key), released: false, may_read: true, may_write: true };
                let stream = &mut self.streams[at(key)];
                assert_eq!(stream.opener, 1 - side, "nobody is asked by itself");
                stream.ends[side] = half;
            }
            Event::Readable(key) => {
                assert!(!self.streams[at(key)].ends[side].released, "an event for a released stream");
                self.streams[at(key)].ends[side].may_read = true;
            }
            Event::Writable(key) => {
                assert!(!self.streams[at(key)].ends[side].released, "an event for a released stream");
                self.streams[at(key)].ends[side].may_write = true;
            }
            Event::Openable => self.may_open[side] = true,
            Event::Pong { .. } => self.pings -= 1,
            Event::Established | Event::Response { .. } => {}
            Event::Goaway { .. } => assert!(self.draining),
            Event::Closed(ConnectionError::Closed) => assert!(self.draining),
            Event::Closed(error) => {
                let cut = matches!(error, ConnectionError::Eof | ConnectionError::Io(_));
                assert!(self.broken && cut, "{error}");
            }
        }
    }

    /// Nobody disturbs any more; every direction is written to its end and read to its end.
    fn finish_all(&mut self) {
        self.pair.up.stalled = false;
        self.pair.down.stalled = false;
        self.work_off();
        if let Some((_, how)) = self.cut {
            self.broken = true;
            SIDES.into_iter().for_each(|side| self.pair.cut(side, how));
            self.work_off();
        }
    }

    /// As long as anything moves.
    fn work_off(&mut self) {
        for _ in 0..20_000 {
            self.settle();
            let before = self.progress();
            for at in 0..self.streams.len() {
                self.answer(at);
                for side in 0..2 {
                    self.finish(at, side);
                    for _ in 0..50 {
                        self.read(at, side);
                    }
                }
            }
            self.settle();
            if before == self.progress() {
                break;
            }
        }
    }

    /// Everything under way arrives; keepalive would go on for ever, hence the limit.
    fn settle(&mut self) {
        for _ in 0..50 {
            self.pair.settle();
            self.end_of_the_wire();
            self.events();
            if self.pair.up.is_empty() && self.pair.down.is_empty() {
                break;
            }
            let limit = self.pair.now + Duration::from_millis(5);
            self.pair.advance(limit);
        }
    }

    fn progress(&self) -> (u64, usize, u64) {
        let directions = || self.streams.iter().flat_map(|stream| &stream.directions);
        let read = directions().map(|direction| direction.read).sum();
        let over = directions().filter(|direction| direction.outcome.is_some()).count();
        (read, over, self.pair.up.left.octets + self.pair.down.left.octets)
    }

    fn judge(&mut self) {
        for (at, stream) in self.streams.iter().enumerate() {
            for (sender, direction) in stream.directions.iter().enumerate() {
                let reader = stream.ends[1 - sender];
                let (opener, accepted) = (stream.ends[stream.opener], stream.accepted());
                if direction.disturbed
                    || reader.released
                    || (sender != stream.opener && accepted.key.is_none())
                {
                    continue;
                }
                // Opened before the limit was known, and refused: whoever let go of it has not asked.
                if reader.key.is_none() && opener.released {
                    continue;
                }
                let what = format!("stream {at} from {sender}: {}/{}", direction.read, direction.written);
                if self.broken {
                    let Some(key) = reader.key else { continue };
                    let leg = if sender == 0 { &self.pair.up } else { &self.pair.down };
                    let passed = leg.left.ended.contains(&key.id().get());
                    let outcome = direction.outcome.as_ref().map(Result::is_ok);
                    assert_eq!(outcome, Some(passed), "N2, N3, N4, N7, {what}");
                    continue;
                }
                assert_eq!(direction.outcome, Some(Ok(())), "{what}");
                assert_eq!(direction.read, direction.written, "{what}");
            }
        }
        assert!(self.pings == 0 || self.draining || self.broken, "{} PINGs were never answered", self.pings);
    }

    fn leave(&mut self) {
        for at in 0..self.streams.len() {
            self.release(at, 0);
            self.release(at, 1);
        }
        self.settle();
        for side in 0..2 {
            let engine = self.engine(side);
            assert_eq!((engine.active_streams(), engine.held_streams()), (0, 0), "N6 at {side}");
            assert!(engine.is_finished().is_some() || engine.state.is_open());
        }
        if self.draining || self.broken {
            let now = self.pair.now;
            let client = &mut self.pair.client.engine;
            if client.is_finished().is_none() && self.pair.server.engine.is_finished().is_some() {
                // A server that is done answers no PING of a client that goes away too: it closes, in peace.
                client.handle_eof(now);
                assert_eq!(client.is_finished(), Some(&ConnectionError::Closed));
            }
            assert!(client.is_finished().is_some(), "a drained or cut connection ends");
        }
    }
}
