//! Since when a tunnel is silent, although a peer may drip: a judge without a clock.
//!
//! Asked by the relay, about once a minute while anything moves. A direction is *backlogged* while octets wait that
//! the far end does not take. One that has been backlogged for a minute counts as moving only if at least so many
//! octets left in the last one: a window that is opened octet by octet, or a source that still adds to a queue that
//! nobody empties, keeps no tunnel alive. A direction that is not backlogged moves with every octet. Ends nothing
//! itself.

use std::time::Duration;

/// How long a direction may be backlogged before its progress is judged, and how often it is.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// One direction at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// When an octet was last taken over, since the tunnel began.
    pub(crate) moved: Duration,
    /// Octets that have left.
    pub(crate) left: u64,
    /// Others wait to.
    pub(crate) backlogged: bool,
}

/// What was seen of both directions.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Octets that have to leave in a minute.
    least: u64,
    directions: [Direction; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Direction {
    active: Duration,
    /// Since when it is judged, and what had left by then.
    mark: Option<(Duration, u64)>,
    /// The last whole minute brought too little.
    stalled: bool,
}

impl Progress {
    pub(crate) fn new(least: u64) -> Self {
        Self { least: least.max(1), directions: [Direction::default(); 2] }
    }

    /// When the tunnel last moved. Times count from its beginning.
    pub(crate) fn look(&mut self, now: Duration, looks: [Look; 2]) -> Duration {
        let least = self.least;
        let both = self.directions.iter_mut().zip(looks);
        both.map(|(direction, look)| direction.look(now, look, least)).max().unwrap_or(now)
    }

    /// Whether a direction is backlogged: then the next look has to come within a minute.
    pub(crate) fn is_judging(&self) -> bool {
        self.directions.iter().any(|direction| direction.mark.is_some())
    }
}

impl Direction {
    fn look(&mut self, now: Duration, look: Look, least: u64) -> Duration {
        match self.mark.filter(|_| look.backlogged) {
            None => {
                // A backlog was worked off since the last look: that is movement, whenever its octets were taken over.
                if self.mark.is_some_and(|(_, left)| look.left > left) {
                    self.active = now;
                }
                self.stalled = false;
                self.mark = look.backlogged.then_some((now, look.left));
            }
            Some((_, left)) if look.left.saturating_sub(left) >= least => {
                self.stalled = false;
                self.active = now;
                self.mark = Some((now, look.left));
            }
            Some((since, _)) if now.saturating_sub(since) >= MINUTE => {
                self.stalled = true;
                self.mark = Some((now, look.left));
            }
            Some(_) => {}
        }
        if !self.stalled {
            self.active = self.active.max(look.moved);
        }
        self.active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);
    const QUIET: Look = Look { moved: Duration::ZERO, left: 0, backlogged: false };

    /// Looks once a minute at one direction until it was silent for an hour, for `most` at the most; when that was.
    fn silent_at(most: Duration, mut at: impl FnMut(Duration) -> Look) -> Option<Duration> {
        let mut progress = Progress::new(1024);
        let mut now = Duration::ZERO;
        while now < most {
            let active = progress.look(now, [at(now), QUIET]);
            if now.saturating_sub(active) >= HOUR {
                return Some(now);
            }
            now += MINUTE;
        }
        None
    }

    #[test]
    fn h43_a_window_opened_octet_by_octet_keeps_no_tunnel_alive() {
        // Ten octets a second, and each time 32 KiB have left, the source adds as many.
        let found = silent_at(24 * HOUR, |now| {
            let left = now.as_secs() * 10;
            let moved = Duration::from_secs(left / 32_768 * 3277);
            Look { moved, left, backlogged: true }
        });
        assert_eq!(found, Some(HOUR));
    }

    #[test]
    fn h43_a_source_that_adds_to_a_queue_that_nobody_empties_keeps_no_tunnel_alive() {
        let found = silent_at(24 * HOUR, |now| Look { moved: now, left: 7, backlogged: true });
        assert_eq!(found, Some(HOUR));
    }

    #[test]
    fn h43_a_slow_reader_that_keeps_the_pace_lives_for_a_day() {
        let pace = |now: Duration| now.as_secs() / 60 * 1024;
        let at = |now: Duration| Look { moved: SECOND, left: pace(now), backlogged: true };
        assert_eq!(silent_at(24 * HOUR, at), None);
        let less = |now: Duration| Look { moved: SECOND, left: pace(now) / 2, backlogged: true };
        assert_eq!(silent_at(24 * HOUR, less), Some(HOUR + MINUTE));
    }

    #[test]
    fn h43_a_terminal_that_moves_an_octet_now_and_then_lives_for_a_day() {
        let at = |now: Duration| {
            let last = now.as_secs() / 1800 * 1800;
            Look { moved: Duration::from_secs(last), left: last / 1800, backlogged: false }
        };
        assert_eq!(silent_at(24 * HOUR, at), None);
    }

    #[test]
    fn h43_a_paused_reader_is_left_after_the_whole_limit_and_not_sooner() {
        // It reads well for two hours, pauses for 59 minutes, reads on for a minute, and pauses for good.
        let at = |now: Duration| {
            let minutes = now.as_secs() / 60;
            let read = minutes.min(120) + u64::from(minutes >= 179);
            let moved = Duration::from_secs(60 * if minutes < 179 { minutes.min(120) } else { 179 });
            Look { moved, left: read * 1_000_000, backlogged: true }
        };
        assert_eq!(silent_at(24 * HOUR, at), Some(179 * MINUTE + HOUR));
    }

    #[test]
    fn h43_a_backlog_that_is_worked_off_forgives_what_was() {
        let mut progress = Progress::new(1024);
        let stuck = |moved| Look { moved, left: 5, backlogged: true };
        assert_eq!(progress.look(SECOND, [stuck(SECOND), QUIET]), SECOND);
        assert_eq!(progress.look(2 * MINUTE, [stuck(2 * MINUTE), QUIET]), SECOND);
        assert!(progress.is_judging());
        let free = Look { moved: 3 * MINUTE, left: 6, backlogged: false };
        assert_eq!(progress.look(3 * MINUTE, [free, QUIET]), 3 * MINUTE);
        assert!(!progress.is_judging());
        // The minute begins anew.
        assert_eq!(progress.look(4 * MINUTE, [stuck(4 * MINUTE), QUIET]), 4 * MINUTE);
        let soon = 4 * MINUTE + SECOND;
        assert_eq!(progress.look(soon, [stuck(soon), QUIET]), soon);
    }

    #[test]
    fn t27_the_last_batch_of_a_backlog_is_movement_when_it_leaves() {
        let mut progress = Progress::new(1024);
        let stuck = Look { moved: SECOND, left: 5000, backlogged: true };
        for n in 1..20 {
            assert_eq!(progress.look(n * MINUTE, [stuck, QUIET]), SECOND);
        }
        let free = Look { moved: SECOND, left: 5100, backlogged: false };
        assert_eq!(progress.look(20 * MINUTE, [free, QUIET]), 20 * MINUTE);
        assert_eq!(progress.look(21 * MINUTE, [free, QUIET]), 20 * MINUTE);
    }

    #[test]
    fn h43_one_direction_that_moves_is_enough() {
        let mut progress = Progress::new(1024);
        for n in 0..24 * 60 {
            let now = n * MINUTE;
            let stuck = Look { moved: now, left: 0, backlogged: true };
            let moves = Look { moved: now, left: u64::from(n), backlogged: false };
            assert_eq!(progress.look(now, [stuck, moves]), now);
        }
    }
}
