//! What one direction of a relay has moved, and since when it has not.
//!
//! Filled in by the directions, read by the watch over silence and by the relay's report. Has no clock: times are
//! milliseconds since the tunnel began, and come as arguments.

use std::time::Duration;

use crate::outcome::Direction;
use crate::progress::{Look, MINUTE};

/// One direction's count.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    octets: u64,
    /// When an octet moved last.
    moved: u64,
    pub(crate) finished: bool,
    /// Octets wait for TCP to take them.
    pub(crate) stuck: bool,
    /// It has ended, or moves after a silence: who watches may sleep up to the limit, and has to look.
    changed: bool,
}

impl Counter {
    /// Octets were handed on.
    pub(crate) fn moved(&mut self, octets: usize, now: u64) {
        self.octets += u64::try_from(octets).unwrap_or(u64::MAX);
        self.changed |= now.saturating_sub(self.moved) >= MINUTE_MILLIS;
        self.moved = now;
    }

    /// It has ended in peace.
    pub(crate) const fn finish(&mut self, now: u64) {
        self.finished = true;
        // The half-closed limit counts from here.
        self.moved = now;
        self.changed = true;
    }

    /// Whether there is something to look at, told once.
    pub(crate) const fn take_change(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }

    /// As it ended.
    pub(crate) const fn ended(&self) -> Direction {
        Direction { octets: self.octets, finished: self.finished }
    }

    /// As it stands while `waiting` octets of those that were counted have not left.
    pub(crate) const fn look(&self, waiting: u64) -> Look {
        Look {
            moved: Duration::from_millis(self.moved),
            left: self.octets.saturating_sub(waiting),
            backlogged: waiting > 0 || self.stuck,
        }
    }
}

const MINUTE_MILLIS: u64 = MINUTE.as_secs() * 1000;
