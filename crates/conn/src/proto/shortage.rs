//! What a connection does while the memory that it shares with others is short, or short messages are under way.
//!
//! Charges the budget with what the streams hold and looks how it stands: once an input, and by a timer while credit
//! is withheld, so that it is announced although nothing comes. Credit is also withheld beside short messages over a
//! short path: what is in flight on other streams stands in the sockets before them. Refusing streams is up to `recv` and `connection`.

use std::time::{Duration, Instant};

use super::config::Config;
use super::liveliness;
use super::memory::{Charge, Pressure};
use super::state::State;
use super::timer::Timer;

/// After so long a connection that was short of memory looks whether it still is.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl State {
    /// After anything that streams hold, or their credit, has changed: charges it. While credit is withheld a timer
    /// looks after it: the memory may be given back elsewhere.
    #[inline]
    pub(super) fn charge_memory(&mut self) {
        if self.charge.is_shared() {
            self.charge.holds(self.stats.unread + self.stats.queued);
        }
        if self.charge.withheld && !self.timers.is_set(Timer::Memory) {
            self.look_again(self.heard());
        }
    }

    /// Once an input: how short memory is, and whether short messages are under way. When more is allowed, credit
    /// that was withheld is listed; when less is, what is too little for a large window may be enough for the one
    /// that is left.
    #[inline]
    pub(super) fn heed_memory(&mut self, now: Instant) {
        if self.heed_changes(now) {
            self.list_withheld(now);
        }
    }

    fn heed_changes(&mut self, now: Instant) -> bool {
        let before = (self.charge.pressure(), self.charge.lively);
        self.charge.heed();
        self.charge.lively = self.is_lively(now);
        before != (self.charge.pressure(), self.charge.lively)
    }

    /// Some time after credit was withheld: whether it still has to be.
    pub(super) fn look_for_memory(&mut self, now: Instant) {
        self.heed_changes(now);
        self.list_withheld(now);
    }

    /// Whether credit is held back for the sake of short messages. Over a long path it is what fills it.
    fn is_lively(&self, now: Instant) -> bool {
        self.liveliness.lasts(now)
            && self.config.window_tuning
            && self.path.is_short()
            && self.streams.active_in_all() <= liveliness::MOST_STREAMS
    }

    fn list_withheld(&mut self, now: Instant) {
        self.charge.withheld = false;
        self.timers.stop(Timer::Memory);
        for stream in self.streams.iter_mut() {
            if stream.recv.joins_credit(&mut self.charge) {
                self.credit.push_back(stream.key);
            }
        }
        if self.charge.withheld {
            self.look_again(now);
        }
    }

    /// Credit is withheld: a timer looks after it.
    fn look_again(&mut self, now: Instant) {
        if !self.is_open() {
            return;
        }
        let lively = self.liveliness.ends().filter(|_| self.charge.lively);
        self.timers.set(Timer::Memory, lively.unwrap_or(now + LOOK_AGAIN));
    }

    /// Whether memory is too short for one stream more, with the window that its sender would have at once.
    pub(super) fn lacks_memory_for_a_stream(&self) -> bool {
        let streams = self.streams.active_in_all() + 1;
        self.charge.refuses(streams.saturating_mul(self.config.initial_window_size as usize))
    }
}

/// Octets by which the window of a stream may grow now, when all windows of its connection have grown by `grown`.
pub(super) fn room_to_grow(charge: &Charge, config: &Config, grown: u32) -> u32 {
    match charge.pressure() {
        Pressure::None => config.max_window_growth.saturating_sub(grown),
        Pressure::Growth | Pressure::Credit | Pressure::Streams => 0,
    }
}
