//! A budget of memory that all connections of a process share.
//!
//! A connection charges what it pins: octets that were not read and octets that wait to be sent, in coarse steps, so
//! that no frame costs an atomic operation. What the budget says is asked once an input, not once a frame. Counts
//! only: what is done about pressure, `state`, `recv` and `send` do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bound on the octets that the connections which share it hold for their streams (see [`Config::memory`]).
///
/// From half of it on, windows grow no more and credit returns up to 64 KiB a stream. From three quarters on, only
/// streams whose readers have left nothing unread get credit, up to 16 KiB. From nine tenths on, new streams are refused
/// (REFUSED_STREAM, [`OpenError::Memory`]). What lives goes on. Connections without this budget are not counted;
/// nor is up to 64 KiB of each.
///
/// [`Config::memory`]: crate::Config::memory
/// [`OpenError::Memory`]: crate::OpenError::Memory
#[derive(Debug)]
pub struct MemoryBudget {
    limit: usize,
    charged: AtomicUsize,
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

impl MemoryBudget {
    /// A budget of so many octets, at least 1.
    pub const fn new(octets: usize) -> Self {
        Self { limit: if octets == 0 { 1 } else { octets }, charged: AtomicUsize::new(0) }
    }

    /// Its size in octets.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Octets that are charged to it now.
    pub fn charged(&self) -> usize {
        self.charged.load(Ordering::Relaxed)
    }

    /// Whether so much is charged, nine tenths, that no new streams are taken or opened.
    pub fn is_short(&self) -> bool {
        self.pressure() == Pressure::Streams
    }

    fn pressure(&self) -> Pressure {
        let left = self.limit.saturating_sub(self.charged());
        if left <= self.limit / 10 {
            Pressure::Streams
        } else if left <= self.limit / 4 {
            Pressure::Credit
        } else if left <= self.limit / 2 {
            Pressure::Growth
        } else {
            Pressure::None
        }
    }
}

/// What one connection has charged; given back when dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Option<Arc<MemoryBudget>>,
    charged: usize,
}

impl Charge {
    pub(super) const fn new(budget: Option<Arc<MemoryBudget>>) -> Self {
        Self { budget, charged: 0 }
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
        self.charged = due;
    }

    /// How things stand for all.
    pub(super) fn pressure(&self) -> Pressure {
        self.budget.as_ref().map_or(Pressure::None, |budget| budget.pressure())
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
}
