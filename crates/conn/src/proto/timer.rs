//! The connection's timers: one deadline for each purpose, time as an argument.

use std::time::{Duration, Instant};

use super::config::Config;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The peer's first SETTINGS.
    Handshake,
    /// The acknowledgement of ours.
    SettingsAck,
    /// The end of a header block.
    HeaderBlock,
    /// Silence of the peer, or the answer to a PING.
    Keepalive,
    /// No stream for too long.
    Idle,
    /// The answer to the PING behind our first GOAWAY.
    Warning,
    /// A drain has to end.
    Drain,
    /// The connection has become old.
    Age,
    /// Memory was short: look again.
    Memory,
}

impl Timer {
    const ALL: [Self; 9] = [
        Self::Handshake,
        Self::SettingsAck,
        Self::HeaderBlock,
        Self::Keepalive,
        Self::Idle,
        Self::Warning,
        Self::Drain,
        Self::Age,
        Self::Memory,
    ];
}

/// A deadline for each [`Timer`], or none.
#[derive(Debug, Default)]
pub(super) struct Timers {
    deadlines: [Option<Instant>; Timer::ALL.len()],
    /// The earliest of them: asked for far more often than one changes.
    next: Option<Instant>,
}

impl Timers {
    /// What a connection waits for, and how long it may last, from its beginning.
    pub(super) fn at_the_beginning(config: &Config, now: Instant) -> Self {
        let mut timers = Self::default();
        timers.set_after(Timer::Handshake, now, config.handshake_timeout);
        let others = [
            (Timer::Keepalive, config.keepalive_interval),
            (Timer::Idle, config.idle_timeout),
            (Timer::Age, config.max_age),
        ];
        for (timer, after) in others {
            if let Some(after) = after {
                timers.set_after(timer, now, after);
            }
        }
        timers
    }

    pub(super) fn set(&mut self, timer: Timer, deadline: Instant) {
        self.put(timer, Some(deadline));
    }

    /// Sets a timer that fires `after` that much from now; never, where no clock reaches that time.
    pub(super) fn set_after(&mut self, timer: Timer, now: Instant, after: Duration) {
        self.put(timer, now.checked_add(after));
    }

    /// As `set_after`, unless it fires before that anyway.
    pub(super) fn set_earlier(&mut self, timer: Timer, now: Instant, after: Duration) {
        let place = self.deadlines[timer as usize];
        self.put(timer, [place, now.checked_add(after)].into_iter().flatten().min());
    }

    #[inline]
    pub(super) fn stop(&mut self, timer: Timer) {
        if self.deadlines[timer as usize].is_some() {
            self.put(timer, None);
        }
    }

    pub(super) fn stop_all(&mut self) {
        *self = Self::default();
    }

    fn put(&mut self, timer: Timer, deadline: Option<Instant>) {
        self.deadlines[timer as usize] = deadline;
        self.next = self.deadlines.iter().flatten().min().copied();
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.deadlines[timer as usize].is_some()
    }

    /// The earliest deadline.
    #[inline]
    pub(super) const fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Takes one timer that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next.is_none_or(|next| next > now) {
            return None;
        }
        let due = |timer: &Timer| self.deadlines[*timer as usize].is_some_and(|deadline| deadline <= now);
        let timer = Timer::ALL.into_iter().find(due)?;
        self.stop(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::epoch;

    #[test]
    fn the_earliest_deadline_rules_and_each_fires_once() {
        let now = epoch();
        let later = now + Duration::from_secs(5);
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Idle, later);
        timers.set(Timer::Keepalive, now);
        assert_eq!(timers.next(), Some(now));
        assert_eq!(timers.take_due(now), Some(Timer::Keepalive));
        assert_eq!(timers.take_due(now), None);
        assert_eq!(timers.take_due(later), Some(Timer::Idle));
        assert_eq!(timers.next(), None);
    }
}
