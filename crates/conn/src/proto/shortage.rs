//! What a connection does while the memory that it shares with others is short.
//!
//! Charges the budget with what the streams hold and looks how it stands: once an input, and by a timer while it is
//! short, so that credit that was withheld is announced although nothing comes. Refusing streams is up to `recv` and
//! `connection`.

use std::time::{Duration, Instant};

use super::memory::Pressure;
use super::state::State;
use super::timer::Timer;

/// After so long a connection that was short of memory looks whether it still is.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl State {
    /// Charges what the streams hold.
    pub(super) fn charge_memory(&mut self) {
        self.charge.holds(self.stats.unread + self.stats.queued);
    }

    /// Once an input, and now and then while memory is short: how short it is. When there is more, credit that was
    /// withheld is listed.
    pub(super) fn heed_memory(&mut self, now: Instant) {
        let pressure = self.charge.pressure();
        let eased = pressure < std::mem::replace(&mut self.pressure, pressure);
        if pressure == Pressure::None {
            self.timers.stop(Timer::Memory);
        } else if self.is_open() && !self.timers.is_set(Timer::Memory) {
            self.timers.set(Timer::Memory, now + LOOK_AGAIN);
        }
        if !eased {
            return;
        }
        for key in self.streams.keys() {
            if self.streams.get_mut(key).is_some_and(|stream| stream.recv.joins_credit(pressure)) {
                self.credit.push_back(key);
            }
        }
    }

    /// Octets by which the window of a stream may grow now.
    pub(super) fn room_to_grow(&self) -> u32 {
        match self.pressure {
            Pressure::None => self.config.max_window_growth.saturating_sub(self.window_growth),
            Pressure::Growth | Pressure::Credit | Pressure::Streams => 0,
        }
    }
}
