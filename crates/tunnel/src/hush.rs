//! A bound on lines of the log that strangers can cause: so many in a minute, then one that counts the rest.
//!
//! Used by the inbound side, one for each listener. Writes nothing itself.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// The bound.
#[derive(Debug, Default)]
pub(crate) struct Hush {
    state: Mutex<State>,
    hiding: Notify,
}

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    told: u32,
    hidden: u64,
    /// When the hidden ones are to be told.
    due: Option<Instant>,
}

impl Hush {
    /// Whether one more line may be written now; if not, it is counted.
    pub(crate) fn may_tell(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        let since = state.since.filter(|since| now < *since + SPAN);
        if since.is_none() {
            state.told = 0;
        }
        let since = *state.since.insert(since.unwrap_or(now));
        if state.told < MOST {
            state.told += 1;
            return true;
        }
        state.hidden += 1;
        state.due.get_or_insert(since + SPAN);
        self.hiding.notify_one();
        false
    }

    /// Waits for the end of a minute in which lines were hidden; how many.
    pub(crate) async fn summary(&self) -> u64 {
        loop {
            let due = self.state.lock().due;
            match due {
                Some(due) => {
                    sleep_until(due).await;
                    if let Some(hidden) = self.take() {
                        return hidden;
                    }
                }
                None => self.hiding.notified().await,
            }
        }
    }

    /// What is hidden and not told yet.
    pub(crate) fn take(&self) -> Option<u64> {
        let mut state = self.state.lock();
        state.due = None;
        let hidden = std::mem::take(&mut state.hidden);
        (hidden > 0).then_some(hidden)
    }
}

const SPAN: Duration = Duration::from_secs(60);
const MOST: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{sleep, timeout};

    #[tokio::test(start_paused = true)]
    async fn ten_lines_in_a_minute_are_told_and_the_rest_is_counted_at_its_end() {
        let (hush, start) = (Hush::default(), Instant::now());
        assert!(timeout(SPAN * 5, hush.summary()).await.is_err(), "nothing is hidden");
        let start_of_flood = Instant::now();
        let told = (0..1000).filter(|_| hush.may_tell()).count();
        assert_eq!(told, 10);
        // Who waits may be interrupted, as in the loop of a listener.
        assert!(timeout(SPAN / 2, hush.summary()).await.is_err());
        assert_eq!(hush.summary().await, 990);
        assert_eq!(start_of_flood.elapsed(), SPAN);
        assert!(start.elapsed() > SPAN && hush.take().is_none());
        assert_eq!((0..20).filter(|_| hush.may_tell()).count(), 10, "a new minute");
        assert_eq!(hush.summary().await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_are_rare_are_all_told() {
        let hush = Hush::default();
        for _ in 0..100 {
            assert!(hush.may_tell());
            sleep(SPAN / 9).await;
        }
        assert!(hush.take().is_none());
    }
}
