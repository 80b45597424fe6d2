//! Whether the driver sleeps, and what has to wake it. Plain data under the one lock; wakes nobody itself.
//!
//! The order that loses no wake: the driver looks for work and goes to rest in the same visit under the lock;
//! whoever brings work does so, and asks [`Parking::call`], in the same visit too. A waker that comes out is
//! called, or dropped, unlocked. `tests/park_model.rs` tries every order of these steps.

use std::task::{Context, Waker};
use std::time::Instant;

/// Whether the driver has to be woken for new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Park {
    /// It will look at the engine again by itself.
    Running,
    /// It waits for the wire, the timer, or us.
    Idle,
    /// Its wire takes nothing: what there is to send must wait anyway.
    Blocked,
}

/// What the driver is doing, as far as others must know to wake it.
pub(super) struct Parking {
    park: Park,
    waker: Option<Waker>,
    /// When its timer will fire.
    armed: Option<Instant>,
}

impl Parking {
    /// A driver that is to be polled for the first time.
    pub(super) const fn new() -> Self {
        Self { park: Park::Running, waker: None, armed: None }
    }

    /// The driver will look at the engine again by itself.
    #[inline]
    pub(super) const fn is_running(&self) -> bool {
        matches!(self.park, Park::Running)
    }

    /// The driver looks around.
    pub(super) const fn runs(&mut self) {
        self.park = Park::Running;
    }

    /// The driver has found no work and sleeps, until `armed` at the latest. Returns a waker to be dropped.
    #[must_use = "dropping a waker may run foreign code, which must not happen under the lock"]
    pub(super) fn rest(&mut self, park: Park, armed: Option<Instant>, cx: &Context<'_>) -> Option<Waker> {
        self.park = park;
        self.armed = armed;
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return None;
        }
        self.waker.replace(cx.waker().clone())
    }

    /// After it went to rest the driver found its wire full.
    pub(super) const fn blocks(&mut self) {
        self.park = Park::Blocked;
    }

    /// There may be something for the driver: a deadline, something urgent, or something to send; asked only as far
    /// as the answer matters. Returns its waker if it has to be woken for that; once, until it rests again.
    #[inline]
    pub(super) fn call(
        &mut self,
        due: impl FnOnce() -> Option<Instant>,
        urgent: bool,
        sends: impl FnOnce() -> bool,
    ) -> Option<Waker> {
        let armed = self.armed;
        let sooner = || match (due(), armed) {
            (Some(due), Some(armed)) => due < armed,
            (due, _) => due.is_some(),
        };
        let needed = match self.park {
            Park::Running => false,
            Park::Idle => urgent || sends() || sooner(),
            Park::Blocked => urgent || sooner(),
        };
        if !needed {
            return None;
        }
        self.park = Park::Running;
        self.waker.take()
    }
}
