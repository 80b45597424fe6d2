//! A budget of memory that all connections of a process share.
//!
//! A connection charges what it pins: octets that were not read and octets that wait to be sent, in coarse steps, so
//! that no frame costs an atomic operation. What the budget says is asked once an input, not once a frame. Counts and
//! judges only: what is done about pressure, `shortage`, `recv` and `send` do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::liveliness;

/// A bound on the octets that the connections which share it hold for their streams (see [`Config::memory`]).
///
/// From half of it on, windows grow no more and credit returns up to 64 KiB a stream. From three quarters on, only
/// streams whose readers have left nothing unread get credit, up to 16 KiB. From nine tenths on, new streams are
/// refused (REFUSED_STREAM, [`OpenError::Memory`]). What lives goes on. Connections without this budget are not
/// counted; nor is up to 64 KiB of each.
///
/// From half of it on, every connection also judges itself by its *equal share*, the budget divided by the connections
/// that hold something: at half, three quarters and nine tenths of that the same follows for it alone. And one that
/// holds, and with one stream more would have promised its peer, at most half of its equal share takes and opens
/// streams however little is left, so that who takes all shuts nobody out. Of 1 GiB and 15 connections that hold
/// something, one more may so have 128 tunnels with windows of 256 KiB; together they may pass the budget by about a
/// third of it while the connections that hold something double.
///
/// [`Config::memory`]: crate::Config::memory
/// [`OpenError::Memory`]: crate::OpenError::Memory
#[derive(Debug)]
pub struct MemoryBudget {
    limit: usize,
    charged: AtomicUsize,
    /// Connections that have charged something.
    holders: AtomicUsize,
}

/// How near its end a budget is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pressure {
    /// Less than half is used.
    #[default]
    None,
    /// Half: nothing grows.
    Growth,
    /// Three quarters: who does not read gets no credit.
    Credit,
    /// Nine tenths: no new streams.
    Streams,
}

impl Pressure {
    const fn of(used: usize, all: usize) -> Self {
        let left = all.saturating_sub(used);
        if left <= all / 10 {
            Self::Streams
        } else if left <= all / 4 {
            Self::Credit
        } else if left <= all / 2 {
            Self::Growth
        } else {
            Self::None
        }
    }
}

impl MemoryBudget {
    /// A budget of so many octets, at least 1.
    pub const fn new(octets: usize) -> Self {
        let limit = if octets == 0 { 1 } else { octets };
        Self { limit, charged: AtomicUsize::new(0), holders: AtomicUsize::new(0) }
    }

    /// Its size in octets.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Octets that are charged to it now.
    pub fn charged(&self) -> usize {
        self.charged.load(Ordering::Relaxed)
    }

    /// Whether a connection that holds nothing yet could not open a stream now, with windows of `window` octets.
    pub fn is_short(&self, window: u32) -> bool {
        self.refuses(0, window as usize)
    }

    /// What each may hold if all who hold something, one that holds `own` among them, hold as much.
    fn share(&self, own: usize) -> usize {
        let others = usize::from(own == 0);
        self.limit / self.holders.load(Ordering::Relaxed).saturating_add(others).max(1)
    }

    /// How things stand for one that holds `own`; as if one part in `slack` more were used.
    fn pressure(&self, own: usize, slack: Option<usize>) -> Pressure {
        let slack = |all: usize| slack.map_or(0, |part| all / part);
        let of_all = Pressure::of(self.charged().saturating_add(slack(self.limit)), self.limit);
        if of_all == Pressure::None {
            return of_all;
        }
        let share = self.share(own);
        of_all.max(Pressure::of(own.saturating_add(slack(share)), share))
    }

    /// Whether one that holds `own`, and has promised its peer so many octets, takes no new streams.
    fn refuses(&self, own: usize, promised: usize) -> bool {
        self.pressure(own, None) == Pressure::Streams && own.max(promised) > self.share(own) / 2
    }
}

/// What one connection has charged, and what it knows of the budget. Given back when dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Option<Arc<MemoryBudget>>,
    charged: usize,
    pressure: Pressure,
    /// Credit of a stream may be due that is only held back.
    pub(super) withheld: bool,
    /// Short messages are under way over a short path: credit is held back for their sake (`shortage`).
    pub(super) lively: bool,
}

impl Charge {
    pub(super) const fn new(budget: Option<Arc<MemoryBudget>>) -> Self {
        Self { budget, charged: 0, pressure: Pressure::None, withheld: false, lively: false }
    }

    /// Whether there is a budget: without one memory is never short.
    #[inline]
    pub(super) const fn is_shared(&self) -> bool {
        self.budget.is_some()
    }

    /// The connection holds so many octets now.
    pub(super) fn holds(&mut self, octets: usize) {
        let Some(budget) = &self.budget else { return };
        if octets < self.charged + STEP && self.charged < octets + STEP {
            return;
        }
        let due = octets / STEP * STEP;
        if due > self.charged {
            budget.charged.fetch_add(due - self.charged, Ordering::Relaxed);
        } else {
            budget.charged.fetch_sub(self.charged - due, Ordering::Relaxed);
        }
        match (self.charged > 0, due > 0) {
            (false, true) => drop(budget.holders.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(budget.holders.fetch_sub(1, Ordering::Relaxed)),
            (false, false) | (true, true) => {}
        }
        self.charged = due;
    }

    /// Looks how things stand; `true` when they are better than they were. That takes a sixteenth more than what
    /// makes them worse, so that one who hovers at a limit does not ease and press with every input.
    pub(super) fn heed(&mut self) -> bool {
        let Some(budget) = &self.budget else { return false };
        let eased = budget.pressure(self.charged, Some(SLACK)).min(self.pressure);
        let pressure = budget.pressure(self.charged, None).max(eased);
        pressure < std::mem::replace(&mut self.pressure, pressure)
    }

    /// How things stood at the last look.
    pub(super) const fn pressure(&self) -> Pressure {
        self.pressure
    }

    /// Whether credit of any stream is held back.
    #[inline]
    pub(super) const fn holds_back(&self) -> bool {
        self.lively || !matches!(self.pressure, Pressure::None)
    }

    /// The largest window, in octets, that the peer may have now on a stream of which something is `unread`; `None`:
    /// its own. One that reads what comes is not stopped by those that do not.
    #[inline]
    pub(super) const fn window(&self, unread: bool) -> Option<u32> {
        match self.pressure {
            Pressure::None if self.lively => Some(liveliness::WINDOW),
            Pressure::None => None,
            Pressure::Growth => Some(64 * 1024),
            Pressure::Credit | Pressure::Streams if unread => Some(0),
            Pressure::Credit | Pressure::Streams => Some(16 * 1024),
        }
    }

    /// Whether there is no memory now for one stream more: then so many octets are promised to the peer.
    pub(super) fn refuses(&self, promised: usize) -> bool {
        self.budget.as_ref().is_some_and(|budget| budget.refuses(self.charged, promised))
    }

    /// What is charged, if anybody counts.
    #[cfg(any(test, fuzzing))]
    pub(super) fn charged(&self) -> Option<usize> {
        self.budget.is_some().then_some(self.charged)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.holds(0);
    }
}

/// Octets by which a charge moves.
pub(super) const STEP: usize = 64 * 1024;
/// The part of a budget, or of a share, that must be free beyond a limit before things are better.
const SLACK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_moves_in_steps_and_returns_with_its_owner() {
        let budget = Arc::new(MemoryBudget::new(1 << 20));
        let mut charge = Charge::new(Some(Arc::clone(&budget)));
        for (octets, charged) in
            [(STEP - 1, 0), (STEP, STEP), (STEP + 5, STEP), (1, STEP), (0, 0), (200_000, 3 * STEP)]
        {
            charge.holds(octets);
            assert_eq!(budget.charged(), charged, "{octets}");
        }
        let mut other = Charge::new(Some(Arc::clone(&budget)));
        other.holds(STEP);
        drop(charge);
        assert_eq!(budget.charged(), STEP);
        drop(other);
        assert_eq!(budget.charged(), 0);
    }

    #[test]
    fn pressure_rises_at_a_half_three_quarters_and_nine_tenths() {
        let budget = Arc::new(MemoryBudget::new(100 * STEP));
        let mut charge = Charge::new(Some(Arc::clone(&budget)));
        let mut at = |steps: usize| {
            charge.holds(steps * STEP);
            charge.heed();
            charge.pressure()
        };
        for (steps, pressure) in [
            (49, Pressure::None),
            (50, Pressure::Growth),
            (74, Pressure::Growth),
            (75, Pressure::Credit),
            (89, Pressure::Credit),
            (90, Pressure::Streams),
            (200, Pressure::Streams),
            (0, Pressure::None),
        ] {
            assert_eq!(at(steps), pressure, "{steps}");
        }
    }

    #[test]
    fn pressure_falls_only_a_sixteenth_below_where_it_rises() {
        let budget = Arc::new(MemoryBudget::new(160 * STEP));
        let mut charge = Charge::new(Some(Arc::clone(&budget)));
        for (steps, pressure, eased) in [
            (80, Pressure::Growth, false),
            (79, Pressure::Growth, false),
            (80, Pressure::Growth, false),
            (70, Pressure::Growth, false),
            (69, Pressure::None, true),
            (79, Pressure::None, false),
            (144, Pressure::Streams, false),
            (134, Pressure::Streams, false),
            (133, Pressure::Credit, true),
            (109, Pressure::Growth, true),
        ] {
            charge.holds(steps * STEP);
            assert_eq!((charge.heed(), charge.pressure()), (eased, pressure), "{steps}");
        }
    }

    #[test]
    fn from_half_on_each_is_judged_by_its_equal_share_too() {
        let budget = Arc::new(MemoryBudget::new(100 * STEP));
        let mut charges: Vec<_> = (0..4).map(|_| Charge::new(Some(Arc::clone(&budget)))).collect();
        let mut hold = |steps: [usize; 4]| {
            for (charge, steps) in charges.iter_mut().zip(steps) {
                charge.holds(steps * STEP);
            }
            charges.iter_mut().map(|charge| (charge.heed(), charge.pressure()).1).collect::<Vec<_>>()
        };
        use Pressure::{Credit, Growth, None, Streams};
        // Below half everyone takes what it likes.
        assert_eq!(hold([49, 0, 0, 0]), [None, None, None, None]);
        // A share is 25.
        assert_eq!(hold([24, 19, 6, 1]), [Streams, Credit, Growth, Growth]);
        // Of two who hold something it is 50.
        assert_eq!(hold([0, 0, 0, 0]), [None, None, None, None]);
        assert_eq!(hold([45, 5, 0, 0]), [Streams, Growth, Growth, Growth]);
    }
}
