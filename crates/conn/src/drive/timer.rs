//! The driver's one timer, over tokio's. Asked by `driver` alone; whoever else has a deadline learns from the parking
//! when the driver looks again.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

use super::clock;
use super::park::Park;
use super::shared::{Effects, State};

/// One tokio timer, moved only when it must fire earlier or has fired: most deadlines only ever move later.
#[derive(Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
}

impl Timer {
    /// Under the lock: tells the others that the driver sleeps, and until when at the latest.
    pub(super) fn park(
        &self,
        state: &mut State,
        park: Park,
        cx: &Context<'_>,
        effects: &mut Effects,
    ) -> Option<Instant> {
        let due = state.conn.poll_timeout();
        let armed = match (due, self.armed) {
            (Some(due), Some(armed)) => Some(due.min(armed)),
            (due, armed) => due.or(armed),
        };
        effects.retire(state.driver.parking.rest(park, armed, cx));
        due
    }

    /// Whether the timer has fired; else it will at `due` or before. A timer that has fired is always noticed
    /// here, without a deadline too: others must not take it for one that is still to fire.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>, due: Option<Instant>) -> bool {
        if let Some(due) = due
            && self.armed.is_none_or(|armed| due < armed)
        {
            self.arm(due);
        }
        self.armed.is_some() && self.poll_fired(cx)
    }

    pub(super) fn poll_until(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        while self.poll_due(cx, Some(until)) {
            if clock::now() >= until {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    fn arm(&mut self, due: Instant) {
        self.armed = Some(due);
        let due = tokio::time::Instant::from_std(due);
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(due),
            None => self.sleep = Some(Box::pin(tokio::time::sleep_until(due))),
        }
    }

    fn poll_fired(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(sleep) = &mut self.sleep else { return false };
        let fired = sleep.as_mut().poll(cx).is_ready();
        if fired {
            self.armed = None;
        }
        fired
    }
}
