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
    /// backlog fewer than the least. Looks when its time has come, and at once when something has `changed`; never where
    /// there is no limit.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        start: Instant,
        changed: bool,
        half_closed: bool,
        looks: impl Fn() -> [Look; 2],
    ) -> Poll<Break> {
        if !self.limits.any(half_closed) {
            return Poll::Pending;
        }
        let mut due = changed || !self.armed;
        loop {
            if !due && (!self.armed || timer.as_mut().poll(cx).is_pending()) {
                return Poll::Pending;
            }
            due = false;
            let now = start.elapsed();
            let active = self.progress.look(whole_millis(now), looks());
            let next = match self.limits.limit(half_closed, self.progress.is_judging()) {
                // For as long as octets wait.
                None => MINUTE,
                Some(limit) => {
                    let silent = now.saturating_sub(active);
                    let Some(left) = limit.checked_sub(silent).filter(|left| !left.is_zero()) else {
                        return Poll::Ready(Break::Idle(limit));
                    };
                    // While anything moves or waits, a look a minute; a tunnel at rest is left alone.
                    let restless = self.progress.is_judging() || silent < MINUTE;
                    if restless { left.min(MINUTE) } else { left }
                }
            };
            timer.as_mut().reset(Instant::now() + next);
            self.armed = true;
        }
    }
}

/// As the counters tell times.
fn whole_millis(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::pin::pin;

    use tokio::time::{advance, sleep};

    use super::*;

    const QUIET: Look = Look { moved: Duration::ZERO, left: 0, backlogged: false };
    const LIMIT: Duration = Duration::from_secs(600);

    const fn limits(idle: Option<Duration>, half_closed_idle: Option<Duration>) -> RelayLimits {
        RelayLimits { idle, half_closed_idle, min_progress: 1024 }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_is_looked_at_until_a_direction_ends() {
        let (start, looks) = (Instant::now(), Cell::new(0));
        let mut timer = pin!(sleep(Duration::ZERO));
        let mut silence = Silence::new(limits(None, Some(LIMIT)));
        let look = |moved| {
            looks.set(looks.get() + 1);
            [Look { moved, ..QUIET }, QUIET]
        };
        for n in 0..100 {
            let polled = poll_fn(|cx| {
                let polled =
                    silence.poll(cx, timer.as_mut(), start, n % 2 == 0, false, || look(Duration::ZERO));
                Poll::Ready(polled.is_pending())
            });
            assert!(polled.await);
            advance(MINUTE).await;
        }
        assert_eq!(looks.get(), 0);
        // The limit counts from the end of the direction on.
        let ended = start.elapsed();
        let mut changed = true;
        let broken = poll_fn(|cx| {
            let changed = std::mem::take(&mut changed);
            silence.poll(cx, timer.as_mut(), start, changed, true, || look(ended))
        });
        assert_eq!(broken.await, Break::Idle(LIMIT));
        assert_eq!(start.elapsed(), ended + LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_direction_that_ends_is_heard_of_where_there_is_a_longer_limit() {
        let start = Instant::now();
        let mut timer = pin!(sleep(Duration::ZERO));
        let mut silence = Silence::new(limits(Some(LIMIT * 100), Some(LIMIT)));
        let first =
            poll_fn(|cx| Poll::Ready(silence.poll(cx, timer.as_mut(), start, true, false, || [QUIET; 2])));
        assert!(first.await.is_pending());
        let mut changed = true;
        let broken = poll_fn(|cx| {
            silence.poll(cx, timer.as_mut(), start, std::mem::take(&mut changed), true, || [QUIET; 2])
        });
        assert_eq!(broken.await, Break::Idle(LIMIT));
        assert_eq!(start.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_behind_an_end_suspends_the_limit_until_it_has_gone() {
        let (start, looks) = (Instant::now(), Cell::new(0));
        let mut timer = pin!(sleep(Duration::ZERO));
        let mut silence = Silence::new(limits(None, Some(LIMIT)));
        let broken = poll_fn(|cx| {
            silence.poll(cx, timer.as_mut(), start, false, true, || {
                looks.set(looks.get() + 1);
                let backlogged = start.elapsed() < 60 * MINUTE;
                let left = if backlogged { 0 } else { 5 };
                [Look { backlogged, left, ..QUIET }, QUIET]
            })
        });
        assert_eq!(broken.await, Break::Idle(LIMIT));
        assert_eq!(start.elapsed(), 60 * MINUTE + LIMIT);
        assert!(looks.get() < 80, "{looks:?}");
    }
}
