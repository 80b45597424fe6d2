//! One direction of a virtual wire: cuts octets into random pieces, delays, stalls, limits the rate, ends.
//!
//! It keeps two tallies, of what entered it and of what left it, made by decoders of its own: against them the
//! windows of both engines are checked, octet by octet.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone_frame::{Decoder, DecoderConfig, Frame, Side};

use super::rng::Rng;
use crate::proto::Config;
use crate::proto::state::State;

/// How octets are cut into reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proto) enum Chop {
    /// As the sender wrote them.
    Whole,
    /// Pieces of every size.
    Random,
}

/// What has passed one end of the wire.
pub(in crate::proto) struct Tally {
    decoder: Decoder,
    /// A frame may be malformed.
    hostile: bool,
    pub(in crate::proto) octets: u64,
    /// DATA by the length of its frames.
    pub(in crate::proto) charged: i64,
    /// Octets of those that are still to come, of a frame whose head has passed.
    pub(in crate::proto) unfinished: i64,
    /// The stream of that frame.
    current: u32,
    /// WINDOW_UPDATE for the connection.
    pub(in crate::proto) credit: i64,
    pub(in crate::proto) charged_of: HashMap<u32, i64>,
    pub(in crate::proto) credit_of: HashMap<u32, i64>,
    /// Streams whose END_STREAM has passed whole.
    pub(in crate::proto) ended: HashSet<u32>,
    pub(in crate::proto) acks: usize,
    pub(in crate::proto) pings: usize,
}

impl Tally {
    /// What an engine of that side sends.
    pub(in crate::proto) fn new(from: Side) -> Self {
        let config = DecoderConfig { max_frame_size: 1 << 24, ..DecoderConfig::default() };
        Self::with(from, config, false)
    }

    /// What anybody sends to an engine of that configuration; as much of it as that understands.
    pub(in crate::proto) fn of_a_stranger(from: Side, config: &Config) -> Self {
        Self::with(from, State::decoder_config(config), true)
    }

    fn with(from: Side, config: DecoderConfig, hostile: bool) -> Self {
        let mut decoder = Decoder::new(config);
        if from == Side::Client {
            decoder.expect_preface();
        }
        Self {
            decoder,
            hostile,
            octets: 0,
            charged: 0,
            unfinished: 0,
            current: 0,
            credit: 0,
            charged_of: HashMap::new(),
            credit_of: HashMap::new(),
            ended: HashSet::new(),
            acks: 0,
            pings: 0,
        }
    }

    /// Octets of that stream that were charged and are still to come.
    pub(in crate::proto) fn unfinished_of(&self, stream: u32) -> i64 {
        if self.current == stream { self.unfinished } else { 0 }
    }

    pub(in crate::proto) fn pass(&mut self, octets: Bytes) {
        self.octets += octets.len() as u64;
        self.decoder.feed(octets);
        loop {
            match self.decoder.next() {
                Ok(None) => break,
                Ok(Some(frame)) => self.count(frame),
                Err(fault) => assert!(self.hostile, "an engine sends well-formed frames: {fault:?}"),
            }
        }
    }

    fn count(&mut self, frame: Frame) {
        match frame {
            Frame::Data(piece) => {
                let charge = i64::from(piece.charge);
                self.charged += charge;
                self.current = piece.stream.get();
                *self.charged_of.entry(piece.stream.get()).or_default() += charge;
                self.unfinished += charge - i64::from(piece.overhead) - piece.data.len() as i64;
                if piece.end_stream {
                    self.ended.insert(piece.stream.get());
                }
            }
            Frame::Headers(block) if block.end_stream => {
                self.ended.insert(block.stream.get());
            }
            Frame::WindowUpdate { stream: None, increment } => self.credit += i64::from(increment),
            Frame::WindowUpdate { stream: Some(id), increment } => {
                *self.credit_of.entry(id.get()).or_default() += i64::from(increment);
            }
            Frame::SettingsAck => self.acks += 1,
            Frame::Ping { ack: false, .. } => self.pings += 1,
            Frame::Headers(_)
            | Frame::Priority { .. }
            | Frame::Reset { .. }
            | Frame::Settings(_)
            | Frame::PushPromise { .. }
            | Frame::Ping { .. }
            | Frame::Goaway { .. }
            | Frame::PriorityUpdate { .. }
            | Frame::Unknown { .. } => {}
        }
    }
}

/// One direction.
pub(in crate::proto) struct Leg {
    pub(in crate::proto) delay: Duration,
    /// Octets a second, or no limit.
    pub(in crate::proto) rate: Option<u64>,
    pub(in crate::proto) stalled: bool,
    pub(in crate::proto) chop: Chop,
    /// After so many octets nothing more passes.
    pub(in crate::proto) cut_at: Option<u64>,
    pub(in crate::proto) entered: Tally,
    pub(in crate::proto) left: Tally,
    pieces: VecDeque<(Instant, Bytes)>,
    /// When the last octet will have entered a wire of that rate.
    busy_until: Instant,
}

impl Leg {
    pub(in crate::proto) fn new(from: Side, now: Instant) -> Self {
        Self {
            delay: Duration::ZERO,
            rate: None,
            stalled: false,
            chop: Chop::Random,
            cut_at: None,
            entered: Tally::new(from),
            left: Tally::new(from),
            pieces: VecDeque::new(),
            busy_until: now,
        }
    }

    pub(in crate::proto) fn enter(&mut self, now: Instant, mut octets: Bytes, rng: &mut Rng) {
        self.entered.pass(octets.clone());
        while !octets.is_empty() {
            let size = match self.chop {
                Chop::Whole => octets.len().min(256 * 1024),
                Chop::Random => rng.size(32 * 1024).min(octets.len()),
            };
            let piece = octets.split_to(size);
            let start = self.busy_until.max(now);
            let takes = self.rate.map_or(0.0, |rate| piece.len() as f64 / rate as f64);
            self.busy_until = start + Duration::from_secs_f64(takes);
            self.pieces.push_back((self.busy_until + self.delay, piece));
        }
    }

    /// When the next piece comes out.
    pub(in crate::proto) fn next_due(&self) -> Option<Instant> {
        self.pieces.front().filter(|_| !self.stalled).map(|piece| piece.0)
    }

    /// The next piece, if it is due.
    pub(in crate::proto) fn leave(&mut self, now: Instant) -> Option<Bytes> {
        if self.next_due()? > now {
            return None;
        }
        let (_, mut piece) = self.pieces.pop_front()?;
        if let Some(cut) = self.cut_at {
            let room = usize::try_from(cut - self.left.octets).unwrap_or(usize::MAX);
            piece.truncate(room);
        }
        if piece.is_empty() {
            return None;
        }
        self.left.pass(piece.clone());
        Some(piece)
    }

    /// Whether its end has been reached.
    pub(in crate::proto) fn is_cut(&self) -> bool {
        self.cut_at == Some(self.left.octets)
    }

    pub(in crate::proto) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}
