//! How often and for how long sending was held up by a window, the connection's or a stream's (RFC 9113 5.2).
//!
//! Streams are not timed one by one, which would cost memory in each: the number of those that are held up is
//! multiplied with the time for which it did not change. Time is an argument; between two of them nothing passes.

use std::time::{Duration, Instant};

/// What windows have held up so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stalls {
    /// How often.
    pub count: u64,
    /// For how long, in all; what is held up at the same time counts as often as it is. Up to the last time that the
    /// engine was told.
    pub time: Duration,
}

#[derive(Debug)]
pub(super) struct StallClock {
    /// Who is held up now.
    held: u32,
    since: Instant,
    so_far: Stalls,
}

impl StallClock {
    pub(super) fn new(now: Instant) -> Self {
        Self { held: 0, since: now, so_far: Stalls::default() }
    }

    /// One more is held up.
    pub(super) fn begin(&mut self, now: Instant) {
        self.pass(now);
        self.held += 1;
        self.so_far.count += 1;
    }

    /// One is no longer.
    pub(super) fn end(&mut self, now: Instant) {
        self.pass(now);
        self.held -= 1;
    }

    /// Nobody is any longer.
    pub(super) fn end_all(&mut self, now: Instant) {
        self.pass(now);
        self.held = 0;
    }

    pub(super) const fn held(&self) -> u32 {
        self.held
    }

    /// The sums at that time.
    pub(super) fn at(&self, now: Instant) -> Stalls {
        let time = now.saturating_duration_since(self.since).saturating_mul(self.held);
        Stalls { time: self.so_far.time.saturating_add(time), ..self.so_far }
    }

    fn pass(&mut self, now: Instant) {
        self.so_far = self.at(now);
        self.since = self.since.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::epoch;

    #[test]
    fn what_is_held_up_at_once_counts_as_often_as_it_is() {
        let (start, second) = (epoch(), Duration::from_secs(1));
        let mut clock = StallClock::new(start);
        clock.begin(start + second);
        clock.begin(start + 2 * second);
        clock.end(start + 4 * second);
        assert_eq!(clock.at(start + 10 * second), Stalls { count: 2, time: 11 * second });
        clock.end_all(start + 5 * second);
        assert_eq!(clock.at(start + 99 * second), Stalls { count: 2, time: 6 * second });
    }
}
