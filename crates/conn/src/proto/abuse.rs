//! Budgets against peers that cost more than they bring. All of them decay.
//!
//! A budget refills with time, so that an honest connection may live for ever; a counter over a connection's
//! life would kill it one day. Time is an argument. Decides nothing: the caller ends the connection.

use std::time::{Duration, Instant};

use super::error::Flood;
use super::limits::{Limits, Rate};

/// A token bucket.
#[derive(Clone, Copy, Debug)]
struct Budget {
    burst: f32,
    per_second: f32,
    tokens: f32,
    refilled: Instant,
}

impl Budget {
    fn new(rate: Rate, now: Instant) -> Self {
        let burst = f32::from(rate.burst);
        Self { burst, per_second: f32::from(rate.per_second), tokens: burst, refilled: now }
    }

    /// Takes one token; `false` when there is none.
    fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.refilled);
        // Refilled in steps, so that tiny intervals are not lost to rounding.
        if elapsed >= Duration::from_millis(10) {
            self.tokens = self.burst.min(self.tokens + elapsed.as_secs_f32() * self.per_second);
            self.refilled = now;
        }
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    /// The part of the burst that is used up, 0 to 1.
    fn used(&self) -> f32 {
        1.0 - self.tokens / self.burst
    }
}

/// Octets of DATA for which a peer may announce credit, for the stream and for the connection, however large the
/// frame was that brought them: well under the 4 KiB of the readers that announce most often.
const PIECE: usize = 1024;
/// What a peer may have earned at the most: a window of 32 MiB in such pieces.
const MOST_EARNED: u32 = 64 * 1024;

/// The budgets of one connection.
#[derive(Debug)]
pub(super) struct Abuse {
    resets: Budget,
    early_resets: Budget,
    provoked_resets: Budget,
    pings: Budget,
    settings: Budget,
    glitches: Budget,
    updates: Budget,
    /// WINDOW_UPDATEs that DATA of ours has earned the peer.
    earned: u32,
}

impl Abuse {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            resets: Budget::new(limits.resets, now),
            early_resets: Budget::new(limits.early_resets, now),
            provoked_resets: Budget::new(limits.provoked_resets, now),
            pings: Budget::new(limits.pings, now),
            settings: Budget::new(limits.settings, now),
            glitches: Budget::new(limits.glitches, now),
            updates: Budget::new(limits.updates, now),
            earned: 0,
        }
    }

    /// RST_STREAM received; `early` when the stream was not answered yet.
    pub(super) fn reset(&mut self, now: Instant, early: bool) -> Result<(), Flood> {
        if early && !self.early_resets.take(now) {
            return Err(Flood::EarlyResets);
        }
        self.resets.take(now).then_some(()).ok_or(Flood::Resets)
    }

    /// RST_STREAM sent because of the peer's fault.
    pub(super) fn provoked_reset(&mut self, now: Instant) -> Result<(), Flood> {
        self.provoked_resets.take(now).then_some(()).ok_or(Flood::ProvokedResets)
    }

    pub(super) fn ping(&mut self, now: Instant) -> Result<(), Flood> {
        self.pings.take(now).then_some(()).ok_or(Flood::Pings)
    }

    pub(super) fn settings(&mut self, now: Instant) -> Result<(), Flood> {
        self.settings.take(now).then_some(()).ok_or(Flood::Settings)
    }

    /// Something legal without effect. `Ok(true)`: three quarters are used up, it is time to drain.
    pub(super) fn glitch(&mut self, now: Instant) -> Result<bool, Flood> {
        if !self.glitches.take(now) {
            return Err(Flood::Glitches);
        }
        Ok(self.glitches.used() >= 0.75)
    }

    /// This end sent DATA: each frame may be answered by updates of the stream and of the connection, and peers that
    /// read a large frame in pieces give every piece back. Frames that the peer's windows made tiny are not to be
    /// told.
    pub(super) fn data_sent(&mut self, frames: u32, octets: usize) {
        let pieces = u32::try_from(octets / PIECE).unwrap_or(u32::MAX);
        let earned = frames.saturating_mul(4).saturating_add(pieces.saturating_mul(2));
        self.earned = self.earned.saturating_add(earned).min(MOST_EARNED);
    }

    /// A WINDOW_UPDATE came; `false` when neither DATA of ours nor time has earned it: then it is a glitch.
    pub(super) fn window_update_is_earned(&mut self, now: Instant) -> bool {
        if self.earned == 0 {
            return self.updates.take(now);
        }
        self.earned -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::epoch;

    #[test]
    fn a_burst_passes_a_flood_does_not_and_time_forgives() {
        let start = epoch();
        let mut abuse = Abuse::new(&Limits::default(), start);
        for _ in 0..100 {
            abuse.ping(start).unwrap();
        }
        assert_eq!(abuse.ping(start), Err(Flood::Pings));
        assert_eq!(abuse.ping(start + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn an_honest_rate_lives_for_a_month() {
        let start = epoch();
        let mut abuse = Abuse::new(&Limits::default(), start);
        for minute in 0..30 * 24 * 60 {
            let now = start + Duration::from_secs(60 * minute);
            for _ in 0..10 {
                assert_eq!(abuse.glitch(now), Ok(false));
            }
        }
    }

    #[test]
    fn three_quarters_of_the_glitches_ask_for_a_drain() {
        let start = epoch();
        let mut abuse = Abuse::new(&Limits::default(), start);
        let first = (1..=1001).find(|_| abuse.glitch(start) == Ok(true)).unwrap();
        assert_eq!(first, 750);
        let end = (751..=2000).find(|_| abuse.glitch(start).is_err()).unwrap();
        assert_eq!(end, 1001);
    }

    #[test]
    fn window_updates_are_earned_by_data() {
        let mut abuse = Abuse::new(&Limits::default(), epoch());
        let now = epoch();
        let free = (0..10_000).take_while(|_| abuse.window_update_is_earned(now)).count();
        assert_eq!(free, 1000);
        abuse.data_sent(1, 100);
        assert!((0..4).all(|_| abuse.window_update_is_earned(now)));
        assert!(!abuse.window_update_is_earned(now));
        abuse.data_sent(1, 256 * 1024);
        assert_eq!((0..10_000).take_while(|_| abuse.window_update_is_earned(now)).count(), 516);
    }
}
