//! Which connection takes a new tunnel, when one more is dialled, and how long a failed peer is left alone.
//!
//! Called by the pool under its lock. Pure: time and chance are arguments.

use std::time::{Duration, Instant};

/// Limits of the connections to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Tunnels that one connection takes before another is dialled; at least 1.
    pub(crate) tunnels: u32,
    /// Connections; at least 1.
    pub(crate) connections: usize,
}

/// A connection as the plan sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Neither end is going away.
    pub(crate) usable: bool,
    /// Tunnels that are on it.
    pub(crate) tunnels: u32,
    /// The peer's own limit leaves room.
    pub(crate) room: bool,
    /// It has just refused the tunnel that is to be placed.
    pub(crate) refused: bool,
}

/// What to do with a new tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Open it on the connection of this place in the list.
    Use(usize),
    /// Dial one more connection.
    Dial,
    /// A dial is on its way: share it.
    Share,
    /// The peer has failed lately: ask again then.
    WaitUntil(Instant),
    /// Everything is full: wait for a slot on the connection of this place.
    Queue(usize),
}

/// Places a new tunnel: on the least loaded connection that has room, else on a new one.
pub(crate) fn plan(
    loads: &[Load],
    dialling: bool,
    not_before: Option<Instant>,
    limits: Limits,
    now: Instant,
) -> Plan {
    let usable = || loads.iter().enumerate().filter(|(_, load)| load.usable);
    let least = |(_, load): &(usize, &Load)| load.tunnels;
    let open = usable()
        .filter(|(_, load)| load.room && !load.refused && load.tunnels < limits.tunnels)
        .min_by_key(least);
    if let Some((place, _)) = open {
        return Plan::Use(place);
    }
    if usable().count() < limits.connections.max(1) {
        return match not_before {
            _ if dialling => Plan::Share,
            Some(at) if at > now => Plan::WaitUntil(at),
            _ => Plan::Dial,
        };
    }
    usable().min_by_key(least).map_or(Plan::Dial, |(place, _)| Plan::Queue(place))
}

/// How long a peer is left alone after dials that failed: twice as long each time, with a random part so that
/// many nodes do not come back at once. Never gives up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    most: Duration,
    failures: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    pub(crate) const fn new(base: Duration, most: Duration) -> Self {
        Self { base, most, failures: 0, not_before: None }
    }

    /// A dial failed. `chance` is any number; between half and all of the span is waited.
    pub(crate) fn failed(&mut self, now: Instant, chance: u64) {
        let doublings = self.failures.min(20);
        self.failures = self.failures.saturating_add(1);
        let span = self.base.saturating_mul(1 << doublings).min(self.most);
        let part = u32::try_from(chance % 1024).unwrap_or(0);
        self.not_before = now.checked_add(span / 2 + (span / 2).saturating_mul(part) / 1024);
    }

    /// A dial succeeded.
    pub(crate) const fn succeeded(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }

    /// When the next dial may start; `None` at once.
    pub(crate) const fn not_before(&self) -> Option<Instant> {
        self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { tunnels: 3, connections: 2 };

    fn with(tunnels: u32) -> Load {
        Load { usable: true, tunnels, room: true, refused: false }
    }

    fn place(loads: &[Load]) -> Plan {
        plan(loads, false, None, LIMITS, Instant::now())
    }

    #[test]
    fn the_least_loaded_connection_takes_the_tunnel() {
        assert_eq!(place(&[with(2), with(1)]), Plan::Use(1));
        assert_eq!(place(&[with(0), with(0)]), Plan::Use(0));
    }

    #[test]
    fn one_more_is_dialled_when_all_are_at_the_limit_and_none_beyond_the_most() {
        assert_eq!(place(&[]), Plan::Dial);
        assert_eq!(place(&[with(3)]), Plan::Dial);
        assert_eq!(place(&[Load { room: false, ..with(1) }]), Plan::Dial);
        assert_eq!(place(&[with(4), with(3)]), Plan::Queue(1));
    }

    #[test]
    fn a_connection_that_is_going_away_is_passed_over_and_makes_room_for_another() {
        let leaving = Load { usable: false, ..with(0) };
        assert_eq!(place(&[leaving, with(1)]), Plan::Use(1));
        assert_eq!(place(&[leaving, leaving, with(3)]), Plan::Dial);
    }

    #[test]
    fn a_connection_that_refused_is_asked_again_only_when_there_is_no_other() {
        let refused = Load { refused: true, ..with(0) };
        assert_eq!(place(&[refused, with(2)]), Plan::Use(1));
        assert_eq!(place(&[refused]), Plan::Dial);
        assert_eq!(place(&[refused, with(3)]), Plan::Queue(0));
    }

    #[test]
    fn a_dial_on_its_way_is_shared_and_a_failed_peer_is_left_alone() {
        let now = Instant::now();
        let later = now + Duration::from_secs(1);
        assert_eq!(plan(&[], true, None, LIMITS, now), Plan::Share);
        assert_eq!(plan(&[], true, Some(later), LIMITS, now), Plan::Share);
        assert_eq!(plan(&[], false, Some(later), LIMITS, now), Plan::WaitUntil(later));
        assert_eq!(plan(&[], false, Some(now), LIMITS, now), Plan::Dial);
        assert_eq!(plan(&[with(0)], false, Some(later), LIMITS, now), Plan::Use(0));
    }

    #[test]
    fn the_pause_doubles_to_its_ceiling_and_a_success_ends_it() {
        let (now, base, most) = (Instant::now(), Duration::from_millis(100), Duration::from_secs(5));
        let mut backoff = Backoff::new(base, most);
        let mut spans = Vec::new();
        for _ in 0..70 {
            backoff.failed(now, u64::MAX);
            spans.push(backoff.not_before().unwrap() - now);
        }
        assert!(spans[0] > base * 9 / 10 && spans[0] <= base, "{spans:?}");
        assert!(spans[1] > base * 18 / 10 && spans[1] <= base * 2, "{spans:?}");
        assert!(spans[69] > most * 9 / 10 && spans[69] <= most, "{spans:?}");
        let mut low = Backoff::new(base, most);
        low.failed(now, 0);
        assert_eq!(low.not_before().unwrap() - now, base / 2);
        backoff.succeeded();
        assert_eq!(backoff.not_before(), None);
    }
}
