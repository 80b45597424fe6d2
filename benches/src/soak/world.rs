//! Two engines, two applications that act at random, and the model that judges them.
//!
//! The applications act on events alone, so that a wake-up that is missing shows as a stream that never ends.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use hbone_conn::{
    Config, Connection, ConnectionError, ErrorCode, Event, OpenError, Read, Request, Response, Side,
    StreamError,
};

use super::chance::Chance;
use super::referee;
use super::stream::{End, Stream, octet};
use super::wire::Leg;

const SIDES: [Side; 2] = [Side::Client, Side::Server];
/// Steps of a long run between two times that everything is brought to rest.
const LAP: usize = 2000;

/// What a run has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Steps taken.
    pub steps: u64,
    /// Streams opened.
    pub streams: u64,
    /// Those of them that servers opened.
    pub by_server: u64,
    /// Octets read by applications.
    pub octets: u64,
    /// Runs whose transport was cut.
    pub cut: u64,
    /// Runs that were drained.
    pub drained: u64,
}

/// Two engines and all that is around them. By index: 0 is the client, 1 the server; a leg has its sender's.
pub struct World {
    engines: [Connection; 2],
    configs: [Config; 2],
    legs: [Leg; 2],
    now: Instant,
    chance: Chance,
    /// The server opens streams too.
    extended: bool,
    streams: BTreeMap<u32, Stream>,
    may_open: [bool; 2],
    draining: bool,
    /// The transport will end at that end, or has, by an error if so marked.
    cut: Option<(usize, bool)>,
    broken: bool,
    over: [bool; 2],
    pings: u64,
    /// Octets that a stream is given, by sender.
    most: [u64; 2],
    summary: Summary,
}

fn config(chance: &mut Chance) -> Config {
    let hour = Duration::from_secs(3600);
    Config {
        initial_window_size: chance.pick(&[1, 10, 1000, 16_384, 65_535, 100_000, 1 << 18]),
        max_window_size: chance.pick(&[1000, 65_535, 1 << 20]),
        connection_window_size: chance.pick(&[65_535, 100_000, 1 << 20]),
        max_frame_size: chance.pick(&[16_384, 20_000, 1 << 18]),
        quantum: chance.pick(&[3, 100, 16_384]),
        flight: chance.pick(&[100, 5000, 1 << 18]),
        send_queue: chance.pick(&[1, 100, 10_000, 1 << 18]),
        stalled_queue: chance.pick(&[1, 10, 1000, 1 << 16]),
        max_concurrent_streams: chance.pick(&[1, 3, 20]),
        window_tuning: chance.once_in(2),
        keepalive_interval: chance.once_in(2).then_some(Duration::from_secs(1)),
        keepalive_timeout: hour,
        idle_timeout: None,
        handshake_timeout: hour,
        header_block_timeout: hour,
        ..Config::default()
    }
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, now: Instant) -> Self {
        let mut chance = Chance::new(seed);
        // In a third of the worlds.
        let extended = seed.is_multiple_of(3);
        let mut config = || Config { server_streams: extended, ..config(&mut chance) };
        let configs = [config(), config()];
        let most = [0, 1].map(|writer: usize| {
            let (writer, reader) = (&configs[writer], &configs[1 - writer]);
            let turns = u64::from(reader.initial_window_size) * 30;
            turns.min(writer.quantum.min(writer.flight) as u64 * 1000).min(1 << 20)
        });
        Self {
            engines: [0, 1].map(|side: usize| Connection::new(SIDES[side], configs[side].clone(), now)),
            legs: SIDES.map(|side| Leg::new(side, &mut chance)),
            configs,
            now,
            chance,
            extended,
            streams: BTreeMap::new(),
            may_open: [true; 2],
            draining: false,
            cut: None,
            broken: false,
            over: [false; 2],
            pings: 0,
            most,
            summary: Summary::default(),
        }
    }

    /// One session of so many steps, which may be drained or cut.
    ///
    /// # Panics
    /// If a promise is broken; the text says which.
    pub fn session(mut self, steps: usize) -> Summary {
        for _ in 0..steps {
            self.step();
            match self.chance.below(2000) {
                0 | 1 => self.drain(),
                2 | 3 => self.cut(),
                _ => {}
            }
        }
        self.finish_all();
        self.judge();
        self.leave();
        if !self.draining && !self.broken {
            self.rest();
        }
        self.summary.cut += u64::from(self.broken);
        self.summary.drained += u64::from(self.draining);
        self.summary
    }

    /// One connection that lives for so many steps, and is brought to rest now and then.
    ///
    /// # Panics
    /// If a promise is broken; the text says which.
    pub fn marathon(mut self, steps: usize) -> Summary {
        for done in 1..=steps {
            self.step();
            if done % LAP == 0 || done == steps {
                self.finish_all();
                self.judge();
                self.leave();
                self.rest();
            }
        }
        self.summary
    }

    fn step(&mut self) {
        self.summary.steps += 1;
        let ids = self.streams.len();
        let id = self.streams.keys().nth(self.chance.below(ids)).copied();
        let side = self.chance.below(2);
        match (self.chance.below(100), id) {
            (0..8, _) => self.open(if self.extended { side } else { 0 }),
            (8..34, Some(id)) => self.write(id, side),
            (34..39, Some(id)) => self.finish(id, side),
            (39..69, Some(id)) => self.read(id, side),
            (69, Some(id)) if self.chance.once_in(4) => self.reset(id, side),
            (70, Some(id)) if self.chance.once_in(2) => self.release(id, side),
            (71..78, Some(_)) => self.tidy(),
            (78..80, _) => self.legs[side].stalled = self.chance.once_in(3),
            (80, _) if self.chance.once_in(4) => self.pings += u64::from(self.engines[side].ping().is_some()),
            (81..88, _) => self.pass_time(),
            (_, Some(id)) => self.answer(id),
            (_, None) => {}
        }
        for _ in 0..self.chance.below(4) {
            let first = self.chance.below(4);
            let _ = (first..first + 4).any(|action| self.act(action % 4));
        }
        // Where every octet is a piece of its own, little would ever arrive.
        if self.chance.once_in(16) {
            self.settle();
        }
        self.events();
    }

    fn pass_time(&mut self) {
        let most = self.chance.pick(&[100, 10_000, 500_000]);
        self.now += Duration::from_micros(self.chance.below(most) as u64);
        for engine in &mut self.engines {
            if engine.poll_timeout().is_some_and(|due| due <= self.now) {
                engine.handle_timeout(self.now);
            }
        }
    }
}

/// The transport.
impl World {
    fn act(&mut self, action: usize) -> bool {
        if action < 2 { self.transmit(action) } else { self.deliver(action - 2) }
    }

    fn transmit(&mut self, side: usize) -> bool {
        let (engine, leg) = (&mut self.engines[side], &mut self.legs[side]);
        let mut moved = false;
        if leg.flight.is_empty() && !leg.shut {
            moved = engine.poll_transmit(self.now, &mut leg.flight);
        }
        moved |= leg.write(self.now, &mut self.chance);
        if engine.is_finished().is_some() && leg.flight.is_empty() && !leg.shut {
            leg.shut();
            moved = true;
        }
        let (spent, credit) = (&self.legs[side], &self.legs[1 - side]);
        referee::sender_is_honest(&spent.entered, &credit.left, &self.configs[1 - side]);
        referee::receiver_is_honest(&credit.left, &spent.entered, &self.configs[side]);
        moved
    }

    /// Octets, or the end, come out of the wire at `side`.
    fn deliver(&mut self, side: usize) -> bool {
        let (engine, leg) = (&mut self.engines[side], &mut self.legs[1 - side]);
        if leg.is_over() {
            leg.ended = true;
            self.broken |= !self.draining;
            engine.handle_eof(self.now);
            return true;
        }
        if !engine.wants_read() {
            return false;
        }
        let moved = match leg.read(self.now, &mut self.chance) {
            Some(octets) => {
                engine.handle_bytes(self.now, octets);
                true
            }
            None => false,
        };
        if leg.is_cut() && !self.broken {
            self.break_off();
        }
        moved
    }

    /// The end that the cut is for sees it, and writes no more; the other one sees the end of that in its time.
    fn break_off(&mut self) {
        let Some((side, error)) = self.cut else { return };
        self.broken = true;
        if error {
            self.engines[side].handle_io_error(self.now, io::ErrorKind::ConnectionReset);
        } else {
            self.engines[side].handle_eof(self.now);
        }
        self.legs[side].shut();
    }

    fn cut(&mut self) {
        if self.cut.is_none() {
            let side = self.chance.below(2);
            self.cut = Some((side, self.chance.once_in(2)));
            let leg = &mut self.legs[1 - side];
            leg.cut_at = Some(leg.left.octets + self.chance.size(5000) as u64);
        }
    }
}

/// The applications.
impl World {
    fn open(&mut self, side: usize) {
        if !self.may_open[side] {
            return;
        }
        let end = self.chance.once_in(10);
        let request = if end && side == 0 {
            Request::new("GET", "https", "a.example", "/")
        } else {
            Request::connect("10.0.0.1:80")
        };
        match self.engines[side].open(&mut Some(request), end) {
            Ok(key) => {
                self.summary.streams += 1;
                self.summary.by_server += side as u64;
                let mut stream = Stream::by(side);
                stream.ends[side] = End::new(key);
                stream.directions[side].finished = end;
                self.streams.insert(key.id().get(), stream);
            }
            Err(OpenError::Blocked) => self.may_open[side] = false,
            Err(OpenError::Draining) => assert!(self.draining || self.broken),
            Err(OpenError::Closed(_)) => assert!(self.draining || self.broken),
            Err(error) => panic!("open: {error}"),
        }
    }

    fn answer(&mut self, id: u32) {
        let end = self.chance.once_in(8);
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let side = stream.acceptor();
        let Some(key) = stream.ends[side].held().filter(|_| !stream.answered) else { return };
        stream.answered = true;
        let end = end && stream.directions[side].written == 0;
        match self.engines[side].respond(key, Response::new(if end { 503 } else { 200 }), end) {
            Ok(()) => stream.directions[side].finished |= end,
            Err(error) => assert!(stream.directions[side].disturbed || self.broken, "stream {id}: {error}"),
        }
    }

    fn write(&mut self, id: u32, side: usize) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let end = stream.ends[side];
        let Some(key) = end.held().filter(|_| end.may_write) else { return };
        let written = stream.directions[side].written;
        let room = match self.engines[side].capacity(key) {
            Ok(room) => room,
            Err(error) => return self.write_failed(id, side, &error),
        };
        stream.ends[side].may_write = room > 0;
        let room = room.min(self.most[side].saturating_sub(written) as usize);
        if room == 0 {
            return;
        }
        let size = self.chance.size(40_000).min(room);
        let data: Vec<u8> = (written..written + size as u64).map(|at| octet(id, side, at)).collect();
        let taken = if self.chance.once_in(2) {
            self.engines[side].write_slice(key, &data).expect("there was room")
        } else {
            self.engines[side].write(key, data.into()).expect("there was room");
            size
        };
        assert_eq!(taken, size, "stream {id}: there was room for all");
        stream.directions[side].written += size as u64;
    }

    fn write_failed(&mut self, id: u32, side: usize, error: &StreamError) {
        // Who has finished may hear of either direction.
        let stream = &self.streams[&id];
        let cancelled = stream.directions[1 - side].disturbed;
        let finished = stream.directions[side].finished && (*error == StreamError::Finished || cancelled);
        assert!(finished || self.may_fail(id, side, error), "stream {id} undisturbed: {error}");
    }

    /// Whether a direction may fail like that.
    fn may_fail(&mut self, id: u32, sender: usize, error: &StreamError) -> bool {
        if self.broken && matches!(error, StreamError::Connection(_)) {
            return true;
        }
        let Some(stream) = self.streams.get_mut(&id) else { return false };
        let refused = matches!(error, StreamError::Goaway) && (self.draining || self.broken)
            || matches!(error, StreamError::Reset(ErrorCode::REFUSED_STREAM));
        if refused && !stream.has_arrived() {
            stream.directions.iter_mut().for_each(|direction| direction.disturbed = true);
        }
        stream.directions[sender].disturbed
    }

    fn finish(&mut self, id: u32, side: usize) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let may_finish = side == stream.opener || stream.answered;
        let Some(key) = stream.ends[side].held().filter(|_| may_finish) else { return };
        match self.engines[side].finish(key) {
            Ok(()) => stream.directions[side].finished = true,
            Err(error) => self.write_failed(id, side, &error),
        }
    }

    fn read(&mut self, id: u32, side: usize) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(key) = stream.ends[side].held().filter(|_| stream.ends[side].may_read) else { return };
        let most = self.chance.size(100_000);
        let sender = 1 - side;
        match self.engines[side].read(key, most) {
            Ok(Read::Data(data)) => {
                assert!(!data.is_empty() && data.len() <= most);
                self.summary.octets += data.len() as u64;
                stream.receive(id, sender, &data);
            }
            Ok(Read::Pending) => stream.ends[side].may_read = false,
            Ok(Read::End) => stream.receive_end(id, sender),
            Err(error) => {
                assert!(self.may_fail(id, sender, &error), "stream {id} failed undisturbed: {error}");
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.directions[sender].outcome = Some(Err(error));
                }
            }
        }
    }

    fn reset(&mut self, id: u32, side: usize) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(key) = stream.ends[side].held() else { return };
        stream.directions.iter_mut().for_each(|direction| direction.disturbed = true);
        self.engines[side].reset(key, ErrorCode::CANCEL);
    }

    fn release(&mut self, id: u32, side: usize) {
        // What was told before may be heard after it; what is told after it is a fault.
        self.events();
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some(key) = stream.ends[side].held() else { return };
        stream.ends[side].released = true;
        let done = stream.directions[1 - side].outcome.is_some();
        stream.directions[1 - side].disturbed |= !done;
        stream.directions[side].disturbed |= !stream.directions[side].finished;
        self.engines[side].release(key);
        if stream.is_gone() {
            self.streams.remove(&id);
        }
    }

    /// Lets go of what is done.
    fn tidy(&mut self) {
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        for id in ids {
            for side in 0..2 {
                if self.streams.get(&id).is_some_and(|stream| stream.is_done(side)) {
                    self.release(id, side);
                }
            }
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        let side = self.chance.below(2);
        self.engines[side].drain(self.now, None);
    }

    fn events(&mut self) {
        for side in 0..2 {
            while let Some(event) = self.engines[side].poll_event() {
                assert!(!self.over[side], "{event:?} after Closed");
                self.event(side, event);
            }
        }
    }

    fn event(&mut self, side: usize, event: Event) {
        match event {
            Event::Incoming { key, .. } => {
                let stream = self.streams.entry(key.id().get()).or_insert_with(|| {
                    let mut stream = Stream::by(1 - side);
                    // Who opened it has let go of it before it arrived.
                    stream.ends[1 - side].released = true;
                    stream.directions.iter_mut().for_each(|direction| direction.disturbed = true);
                    stream
                });
                assert_eq!(stream.acceptor(), side, "nobody is asked by itself");
                stream.ends[side] = End::new(key);
            }
            Event::Readable(key) => self.end(key.id().get(), side).may_read = true,
            Event::Writable(key) => self.end(key.id().get(), side).may_write = true,
            Event::Openable => self.may_open[side] = true,
            Event::Pong { .. } => self.pings -= 1,
            Event::Established | Event::Response { .. } => {}
            Event::Goaway { .. } => assert!(self.draining, "a GOAWAY that nobody asked for"),
            Event::Closed(error) => {
                self.over[side] = true;
                let peace = self.draining && error == ConnectionError::Closed;
                let cut = self.broken && matches!(error, ConnectionError::Eof | ConnectionError::Io(_));
                assert!(peace || cut, "the connection of {side} ended: {error}");
            }
        }
    }

    fn end(&mut self, id: u32, side: usize) -> &mut End {
        let end = self.streams.get_mut(&id).map(|stream| &mut stream.ends[side]);
        end.filter(|end| !end.released).expect("an event is for a stream that is held")
    }
}

/// The end.
impl World {
    /// Nobody disturbs any more; every direction is written to its end and read to its end.
    fn finish_all(&mut self) {
        self.legs.iter_mut().for_each(|leg| leg.stalled = false);
        self.work_off();
        if self.cut.is_some() && !self.broken {
            self.break_off();
            self.work_off();
        }
    }

    fn work_off(&mut self) {
        loop {
            self.settle();
            let before = self.progress();
            let ids: Vec<u32> = self.streams.keys().copied().collect();
            for id in ids {
                self.answer(id);
                for side in 0..2 {
                    self.finish(id, side);
                    while self.streams.get(&id).is_some_and(|stream| {
                        stream.ends[side].may_read && stream.directions[1 - side].outcome.is_none()
                    }) && self.streams[&id].ends[side].held().is_some()
                    {
                        self.read(id, side);
                    }
                }
            }
            self.settle();
            if before == self.progress() {
                return;
            }
        }
    }

    /// Everything under way arrives.
    fn settle(&mut self) {
        loop {
            let mut moved = true;
            while moved {
                moved = (0..4).filter(|action| self.act(*action)).count() > 0;
            }
            self.events();
            let due = self.legs.iter().filter_map(Leg::next_due).min();
            match due {
                Some(due) if due > self.now => self.now = due,
                _ => return,
            }
        }
    }

    fn progress(&self) -> (u64, usize, u64) {
        let directions = || self.streams.values().flat_map(|stream| &stream.directions);
        let read = directions().map(|direction| direction.read).sum();
        let over = directions().filter(|direction| direction.outcome.is_some()).count();
        (read, over, self.legs.iter().map(|leg| leg.left.octets).sum())
    }

    fn judge(&self) {
        for (id, stream) in &self.streams {
            for (sender, direction) in stream.directions.iter().enumerate() {
                let Some(key) = stream.ends[1 - sender].held() else { continue };
                if direction.disturbed || (sender != stream.opener && !stream.has_arrived()) {
                    assert!(direction.outcome.is_some(), "N3: stream {id}, {key:?}, hangs");
                    continue;
                }
                let what = format!("stream {id} from {sender}: {}/{}", direction.read, direction.written);
                let clean = direction.outcome.as_ref().map(Result::is_ok);
                let passed = self.legs[sender].left.ended.contains(id);
                assert!(passed || self.broken, "H48: {what} is stuck");
                assert_eq!(clean, Some(passed), "N2, N3, N4, N7: {what}");
            }
        }
        assert!(self.pings == 0 || self.draining || self.broken, "{} PINGs were never answered", self.pings);
    }

    /// Everybody lets go: nothing is held (N6).
    fn leave(&mut self) {
        for stream in self.streams.values() {
            for (side, end) in stream.ends.iter().enumerate() {
                let Some(key) = end.held().filter(|_| stream.is_done(side)) else { continue };
                let (queued, unread) = (self.engines[side].queued(key), self.engines[side].unread(key));
                assert_eq!((queued, unread), (0, 0), "N6: {key:?} at {side} holds octets");
            }
        }
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        for id in ids {
            self.release(id, 0);
            self.release(id, 1);
        }
        self.settle();
        // What somebody saw only now.
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        for id in ids {
            self.release(id, 0);
            self.release(id, 1);
        }
        self.streams.clear();
        self.settle();
        for (side, engine) in self.engines.iter().enumerate() {
            assert_eq!((engine.active_streams(), engine.held_streams()), (0, 0), "N6 at {side}");
            let ends = self.draining || self.broken;
            assert_eq!(
                engine.is_finished().is_some(),
                ends,
                "{side}: an end comes when it must, and only then"
            );
        }
    }

    /// A connection that lives on with all credit where it belongs.
    fn rest(&mut self) {
        for side in 0..2 {
            let (used, credit) = (&self.legs[1 - side].left, &self.legs[side].entered);
            referee::nothing_is_kept_back(used, credit, &self.configs[side]);
            assert!(self.legs[side].is_empty(), "something is under way in a wire at rest");
        }
        for leg in &mut self.legs {
            leg.entered.forget();
            leg.left.forget();
        }
    }
}
