//! One engine against a raw peer whose part is written down as a trace.
//!
//! `script.send(headers(1)).send(data(1, 70_000)).expect(rst(1, FLOW_CONTROL_ERROR))`: octets go in, frames come
//! out and are compared one by one. What is expected is written with the same functions as what is sent.

#![expect(clippy::wildcard_enum_match_arm, reason = "a trace picks the variant that it looks for")]

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone_frame::{Decoder, DecoderConfig, ErrorCode, Fields, Frame, PREFACE, Side, hpack};

use super::epoch;
use super::frames;
use crate::proto::{
    Config, Connection, ConnectionError, Event, Read, Request, StreamError, StreamKey, Transmit, Violation,
};

/// A frame of the engine, as a trace shows it: no compression, no debug texts, no payloads.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::proto) enum Seen {
    Headers { stream: u32, fields: Vec<(String, String)>, end: bool },
    Data { stream: u32, octets: usize, end: bool },
    Other(Frame),
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Headers { stream, fields, end } => write!(f, "HEADERS({stream}, {fields:?}, end {end})"),
            Self::Data { stream, octets, end } => write!(f, "DATA({stream}, {octets}, end {end})"),
            Self::Other(frame) => write!(f, "{frame:?}"),
        }
    }
}

/// Decodes what one side sends.
struct Reader {
    decoder: Decoder,
    hpack: hpack::Decoder,
}

impl Reader {
    fn new() -> Self {
        let config = DecoderConfig { max_frame_size: 1 << 24, ..DecoderConfig::default() };
        Self { decoder: Decoder::new(config), hpack: hpack::Decoder::new(1 << 16) }
    }

    fn read(&mut self, octets: Vec<u8>) -> Vec<Seen> {
        self.decoder.feed(Bytes::from(octets));
        let mut seen = Vec::new();
        while let Some(frame) = self.decoder.next().expect("an engine sends well-formed frames") {
            seen.push(self.see(frame));
        }
        assert!(!self.decoder.mid_frame(), "a flight ends with a whole frame");
        seen
    }

    fn see(&mut self, frame: Frame) -> Seen {
        match frame {
            Frame::Headers(block) => {
                let mut fields = Fields::new();
                let limits = hpack::Limits { list_size: 1 << 20, fields: 1000, ..hpack::Limits::default() };
                let verdict = self
                    .hpack
                    .decode(&block.block, &limits, &mut fields)
                    .expect("an engine sends blocks that can be decoded");
                assert_eq!(verdict, hpack::Verdict::Whole);
                let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
                let fields = fields.iter().map(|field| (text(field.name), text(field.value))).collect();
                Seen::Headers { stream: block.stream.get(), fields, end: block.end_stream }
            }
            Frame::Data(piece) => Seen::Data {
                stream: piece.stream.get(),
                octets: piece.charge as usize,
                end: piece.end_stream,
            },
            Frame::Goaway { last, code, .. } => {
                Seen::Other(Frame::Goaway { last, code, debug: Bytes::new() })
            }
            other => Seen::Other(other),
        }
    }
}

pub(in crate::proto) struct Script {
    pub(in crate::proto) engine: Connection,
    pub(in crate::proto) events: VecDeque<Event>,
    pub(in crate::proto) now: Instant,
    reader: Reader,
    inbox: VecDeque<Seen>,
    /// Whether the peer takes what the engine transmits.
    pub(in crate::proto) reading: bool,
    preface_seen: bool,
}

/// A configuration without frames that a trace would not mention.
pub(in crate::proto) fn plain() -> Config {
    Config {
        connection_window_size: 65_535,
        initial_window_size: 65_535,
        max_frame_size: 16_384,
        keepalive_interval: None,
        idle_timeout: None,
        window_tuning: false,
        ..Config::default()
    }
}

impl Script {
    /// A server engine against a client that has sent its preface.
    pub(in crate::proto) fn server() -> Self {
        Self::with(Side::Server, plain())
    }

    /// A client engine against a server that has sent its SETTINGS.
    pub(in crate::proto) fn client() -> Self {
        Self::with(Side::Client, plain())
    }

    /// An engine of `side`, both SETTINGS exchanged and acknowledged.
    pub(in crate::proto) fn with(side: Side, config: Config) -> Self {
        let mut script = Self::strangers(side, config);
        if side == Side::Server {
            script.send(PREFACE.to_vec());
        }
        script.send(frames::settings(&[])).send(frames::settings_ack());
        script.inbox.clear();
        script.events.clear();
        script
    }

    /// An engine of `side` whose peer has not said a word.
    pub(in crate::proto) fn strangers(side: Side, config: Config) -> Self {
        let now = epoch();
        Self {
            engine: Connection::new(side, config, now),
            events: VecDeque::new(),
            now,
            reader: Reader::new(),
            inbox: VecDeque::new(),
            reading: true,
            preface_seen: side == Side::Server,
        }
    }

    /// The peer sends octets, in one piece.
    pub(in crate::proto) fn send(&mut self, octets: Vec<u8>) -> &mut Self {
        self.flush();
        self.engine.handle_bytes(self.now, octets.into());
        self.engine.state.check();
        self.flush()
    }

    /// The peer sends octets one by one.
    pub(in crate::proto) fn drip(&mut self, octets: &[u8]) -> &mut Self {
        for octet in octets {
            self.send(vec![*octet]);
        }
        self
    }

    /// Lets the engine say what it has to say.
    pub(in crate::proto) fn flush(&mut self) -> &mut Self {
        while self.reading {
            let mut flight = Transmit::new();
            if !self.engine.poll_transmit(self.now, &mut flight) {
                self.engine.state.check_flushed();
                break;
            }
            let mut octets = flight.pieces().flatten().copied().collect::<Vec<_>>();
            if !std::mem::replace(&mut self.preface_seen, true) {
                assert_eq!(&octets[..PREFACE.len()], PREFACE);
                octets.drain(..PREFACE.len());
            }
            self.inbox.extend(self.reader.read(octets));
        }
        while let Some(event) = self.engine.poll_event() {
            self.events.push_back(event);
        }
        self.engine.state.check();
        self
    }

    /// Lets time pass, timer by timer.
    pub(in crate::proto) fn after(&mut self, time: Duration) -> &mut Self {
        let limit = self.now + time;
        self.flush();
        while self.now < limit {
            self.now = self.engine.poll_timeout().unwrap_or(limit).clamp(self.now, limit);
            self.engine.handle_timeout(self.now);
            self.flush();
        }
        self
    }

    /// The next frame of the engine is the first of these octets, and so on.
    #[track_caller]
    pub(in crate::proto) fn expect(&mut self, octets: Vec<u8>) -> &mut Self {
        self.flush();
        for wanted in Reader::new().read(octets) {
            let next = self.inbox.pop_front();
            assert_eq!(next.as_ref(), Some(&wanted), "then {:?}", self.inbox);
        }
        self
    }

    /// The next frame is GOAWAY, and then nothing more is sent.
    #[track_caller]
    pub(in crate::proto) fn expect_end(&mut self, last: u32, violation: Violation) -> &mut Self {
        self.expect(frames::goaway(last, violation.code())).expect_nothing();
        assert_eq!(self.closed(), Some(ConnectionError::Protocol(violation)));
        assert_eq!(self.engine.is_finished(), Some(&ConnectionError::Protocol(violation)));
        self
    }

    /// The connection has ended for that violation, whatever was sent before.
    #[track_caller]
    pub(in crate::proto) fn expect_fault(&mut self, violation: Violation) -> &mut Self {
        self.flush();
        assert_eq!(self.closed(), Some(ConnectionError::Protocol(violation)));
        let code = violation.code();
        let last = self.inbox.back();
        assert!(
            matches!(last, Some(Seen::Other(Frame::Goaway { code: found, .. })) if *found == code),
            "{last:?}"
        );
        self
    }

    /// The engine has nothing more to say.
    #[track_caller]
    pub(in crate::proto) fn expect_nothing(&mut self) -> &mut Self {
        self.flush();
        assert!(self.inbox.is_empty(), "{:?}", self.inbox);
        self
    }

    /// The connection lives, and answers PING.
    #[track_caller]
    pub(in crate::proto) fn expect_alive(&mut self) -> &mut Self {
        assert_eq!(self.closed(), None);
        self.skip().send(frames::ping(0x0a11_7e00)).expect(frames::pong(0x0a11_7e00))
    }

    /// Takes all frames so far.
    pub(in crate::proto) fn take(&mut self) -> Vec<Seen> {
        self.flush();
        self.inbox.drain(..).collect()
    }

    /// Forgets all frames so far.
    pub(in crate::proto) fn skip(&mut self) -> &mut Self {
        self.flush();
        self.inbox.clear();
        self
    }

    /// Why the connection has ended, as its last event tells.
    pub(in crate::proto) fn closed(&self) -> Option<ConnectionError> {
        match self.events.back() {
            Some(Event::Closed(error)) => Some(error.clone()),
            _ => None,
        }
    }

    /// Takes the first event that `pick` knows.
    pub(in crate::proto) fn pick<T>(&mut self, pick: impl Fn(&Event) -> Option<T>) -> Option<T> {
        self.flush();
        let (at, found) = self.events.iter().enumerate().find_map(|(at, event)| Some((at, pick(event)?)))?;
        self.events.remove(at);
        Some(found)
    }

    /// The next stream of the peer.
    #[track_caller]
    pub(in crate::proto) fn incoming(&mut self) -> StreamKey {
        self.pick(|event| if let Event::Incoming { key, .. } = event { Some(*key) } else { None })
            .expect("a stream of the peer")
    }

    /// Whether the peer's streams were handed to the application.
    pub(in crate::proto) fn has_incoming(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Incoming { .. }))
    }

    /// The status of the next response.
    pub(in crate::proto) fn status(&mut self) -> Option<u16> {
        self.pick(|event| match event {
            Event::Response { response, .. } => Some(response.status()),
            _ => None,
        })
    }

    /// Whether the reader of `key` was woken.
    pub(in crate::proto) fn readable(&mut self, key: StreamKey) -> bool {
        self.pick(|event| matches!(event, Event::Readable(found) if *found == key).then_some(())).is_some()
    }

    /// Opens a CONNECT and forgets its HEADERS.
    #[track_caller]
    pub(in crate::proto) fn open(&mut self) -> StreamKey {
        let key = self.ask(Request::connect("10.0.0.1:80"), false);
        self.skip();
        key
    }

    /// Opens a stream with that request.
    #[track_caller]
    pub(in crate::proto) fn ask(&mut self, request: Request, end: bool) -> StreamKey {
        let key = self.engine.open(&mut Some(request), end).expect("a slot is free");
        self.flush();
        key
    }

    /// Opens an accepted tunnel, on either side.
    #[track_caller]
    pub(in crate::proto) fn tunnel(&mut self, id: u32) -> StreamKey {
        if frames::id(id).initiator() != self.engine.side() {
            let key = self.send(frames::headers(id)).incoming();
            self.engine.respond(key, crate::proto::Response::new(200), false).expect("it is open");
            self.expect(frames::response(id, 200, false));
            return key;
        }
        let key = self.open();
        assert_eq!(key.id().get(), id);
        self.send(frames::response(id, 200, false));
        assert_eq!(self.status(), Some(200));
        key
    }

    /// Reads what is there; how much, and what came last.
    pub(in crate::proto) fn read(&mut self, key: StreamKey) -> (usize, Result<Read, StreamError>) {
        let mut octets = 0;
        loop {
            match self.engine.read(key, usize::MAX) {
                Ok(Read::Data(data)) => octets += data.len(),
                end => return (octets, end),
            }
        }
    }

    /// Resets a stream of the engine.
    pub(in crate::proto) fn reset(&mut self, key: StreamKey, code: ErrorCode) -> &mut Self {
        self.engine.reset(key, code);
        self.flush()
    }

    /// The peer's octets end.
    pub(in crate::proto) fn eof(&mut self) -> &mut Self {
        self.engine.handle_eof(self.now);
        self.flush()
    }
}
