//! The watch over a tunnel's silence: one timer, looked after about once a minute while anything moves.
//!
//! Polled by the relay after both directions. What counts as movement `progress` decides, how long a silence may be
//! the limits.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::outcome::{Break, RelayLimits};
use crate::progress::{Look, MINUTE, Progress};

/// The watch.
#[derive(Debug)]
pub(crate) struct Silence {
    limits: RelayLimits,
    progress: Progress,
    /// The timer stands for a look.
    armed: bool,
}

impl Silence {
    pub(crate) fn new(limits: RelayLimits) -> Self {
        Self { limits, progress: Progress::new(limits.min_progress), armed: false }
    }

    /// Ready once nothing has moved for as long as the limit that holds now: no octet, or in a direction with a
    /// backlog fewer than the least. Looks when its time has come, and at once when something has `changed`.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        start: Instant,
        changed: bool,
        half_closed: bool,
        looks: impl Fn() -> [Look; 2],
    ) -> Poll<Break> {
        let mut due = changed || !self.armed;
        loop {
            if !due && (!self.armed || timer.as_mut().poll(cx).is_pending()) {
                return Poll::Pending;
            }
            due = false;
            let now = start.elapsed();
            let active = self.progress.look(whole_millis(now), looks());
            let Some(limit) = self.limits.limit(half_closed, self.progress.is_judging()) else {
                // Looked at again with the next change.
                self.armed = false;
                return Poll::Pending;
            };
            let silent = now.saturating_sub(active);
            let Some(left) = limit.checked_sub(silent).filter(|left| !left.is_zero()) else {
                return Poll::Ready(Break::Idle(limit));
            };
            // While anything moves or waits, a look a minute; a tunnel at rest is left alone.
            let next = if self.progress.is_judging() || silent < MINUTE { left.min(MINUTE) } else { left };
            timer.as_mut().reset(Instant::now() + next);
            self.armed = true;
        }
    }
}

/// As the counters tell times.
fn whole_millis(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
