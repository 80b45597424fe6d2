//! One direction of a virtual transport: short writes in, pieces of every size out, late, stalled, or cut off.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone_conn::{Side, Transmit};

use super::chance::Chance;
use super::referee::Tally;

/// A direction; the sender's flight included.
pub(super) struct Leg {
    /// What the sender has committed and not yet written.
    pub(super) flight: Transmit,
    pub(super) delay: Duration,
    pub(super) stalled: bool,
    /// After so many octets nothing more comes out.
    pub(super) cut_at: Option<u64>,
    /// The sender has shut it down.
    pub(super) shut: bool,
    /// The receiver has been told of its end.
    pub(super) ended: bool,
    pub(super) entered: Tally,
    pub(super) left: Tally,
    /// Octets that fit in at a time.
    room: usize,
    /// The largest piece that is written or read at once.
    most: usize,
    pieces: VecDeque<(Instant, Bytes)>,
    held: usize,
}

impl Leg {
    pub(super) fn new(from: Side, chance: &mut Chance) -> Self {
        Self {
            flight: Transmit::new(),
            delay: Duration::from_micros(chance.pick(&[0, 0, 100, 5000])),
            stalled: false,
            cut_at: None,
            shut: false,
            ended: false,
            entered: Tally::new(from),
            left: Tally::new(from),
            room: chance.pick(&[100, 4096, 65_536, 1 << 20]),
            most: chance.pick(&[1, 7, 1500, 1500, 16_384, 65_536, 65_536, 1 << 18]),
            pieces: VecDeque::new(),
            held: 0,
        }
    }

    /// Writes a part of the flight. `false`: there is none, or no room.
    pub(super) fn write(&mut self, now: Instant, chance: &mut Chance) -> bool {
        let room = self.room.saturating_sub(self.held).min(self.most).min(self.flight.len());
        if self.shut || room == 0 {
            return false;
        }
        let size = if chance.once_in(2) { room } else { chance.size(room) };
        let mut slices = [IoSlice::new(&[]); 5];
        let most = 1 + chance.below(slices.len());
        let filled = self.flight.io_slices(&mut slices[..most]);
        let mut piece = Vec::with_capacity(size);
        for slice in &slices[..filled] {
            piece.extend_from_slice(&slice[..slice.len().min(size - piece.len())]);
        }
        let piece = Bytes::from(piece);
        self.flight.advance(piece.len());
        self.entered.pass(piece.clone());
        self.held += piece.len();
        self.pieces.push_back((now + self.delay, piece));
        true
    }

    /// When the next octet comes out.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.pieces.front().filter(|_| !self.stalled && !self.is_cut()).map(|piece| piece.0)
    }

    /// The next octets, if some are due.
    pub(super) fn read(&mut self, now: Instant, chance: &mut Chance) -> Option<Bytes> {
        if self.next_due()? > now {
            return None;
        }
        let (due, mut piece) = self.pieces.pop_front()?;
        let mut size = if chance.once_in(2) { piece.len() } else { chance.size(piece.len()) }.min(self.most);
        if let Some(cut) = self.cut_at {
            size = size.min(usize::try_from(cut - self.left.octets).unwrap_or(usize::MAX));
        }
        let octets = piece.split_to(size);
        if !piece.is_empty() {
            self.pieces.push_front((due, piece));
        }
        self.held -= octets.len();
        self.left.pass(octets.clone());
        Some(octets)
    }

    /// Whether it was cut off where the receiver now stands.
    pub(super) fn is_cut(&self) -> bool {
        self.cut_at == Some(self.left.octets)
    }

    /// Whether nothing is under way, of the flight neither.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && (self.flight.is_empty() || self.shut)
    }

    /// Whether its end is what comes next.
    pub(super) fn is_over(&self) -> bool {
        self.shut && self.pieces.is_empty() && !self.ended
    }

    /// The sender writes nothing more; what it has not written is lost.
    pub(super) fn shut(&mut self) {
        self.shut = true;
        self.flight = Transmit::new();
    }
}
