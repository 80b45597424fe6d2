//! An orderly end: who holds a [`Drain`] hears that the node shuts down, and until when tunnels may finish.
//!
//! Made by the node, given to every listener. Counts live tunnels, and how they ended once the end was
//! announced. Closes nothing itself: each owner of a socket does that.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// A fresh pair: the node keeps the first, listeners get clones of the second.
pub fn drain() -> (Shutdown, Drain) {
    let (until, heard) = watch::channel(None);
    let (live, _) = watch::channel(0);
    let counts = Arc::new(Counts { live, finished: AtomicU64::new(0), reset: AtomicU64::new(0) });
    (Shutdown { until, counts: Arc::clone(&counts) }, Drain { until: heard, counts })
}

/// The node's end: starts the shutdown and waits for it.
#[derive(Debug)]
pub struct Shutdown {
    until: watch::Sender<Option<Instant>>,
    counts: Arc<Counts>,
}

/// How many tunnels stood when the shutdown began, or came to stand after, by how they ended. What was refused
/// is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Tunnels that ended in peace.
    pub finished: u64,
    /// Tunnels that were reset, by a peer or at the deadline.
    pub reset: u64,
}

impl Shutdown {
    /// Announces the end: listeners stop accepting, connections say GOAWAY, tunnels that are live after
    /// `deadline` are reset. Called again it can only shorten the time.
    pub fn start(&self, deadline: Duration) {
        let asked = Instant::now() + deadline;
        self.until.send_modify(|until| *until = Some(until.map_or(asked, |set| set.min(asked))));
    }

    /// Waits until the last tunnel has ended. Meant to be called after [`Shutdown::start`].
    pub async fn finished(&self) -> DrainReport {
        let mut live = self.counts.live.subscribe();
        // Fails only when the sender is gone, and `self` holds it.
        let _ = live.wait_for(|live| *live == 0).await;
        DrainReport {
            finished: self.counts.finished.load(Ordering::Relaxed),
            reset: self.counts.reset.load(Ordering::Relaxed),
        }
    }

    /// Tunnels that are live now.
    pub fn live(&self) -> u64 {
        *self.counts.live.borrow()
    }
}

/// A listener's end.
#[derive(Clone, Debug)]
pub struct Drain {
    until: watch::Receiver<Option<Instant>>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    live: watch::Sender<u64>,
    finished: AtomicU64,
    reset: AtomicU64,
}

impl Drain {
    /// Waits for the announcement; the time that tunnels have from then on. Pending for ever when there will
    /// be none.
    pub async fn started(&self) -> Duration {
        let mut until = self.until.clone();
        let announced = match until.wait_for(Option::is_some).await {
            Ok(until) => *until,
            Err(_) => None,
        };
        match announced {
            Some(until) => until.saturating_duration_since(Instant::now()),
            None => pending().await,
        }
    }

    /// Whether the end was announced.
    pub fn is_draining(&self) -> bool {
        self.until.borrow().is_some()
    }

    /// Waits until the deadline has passed.
    pub(crate) async fn expired(&self) {
        let mut changes = self.until.clone();
        loop {
            let until = *changes.borrow_and_update();
            let changed = match until {
                // Boxed: every tunnel awaits this, few ever come here.
                Some(until) => {
                    let passes = Box::pin(async {
                        tokio::select! {
                            () = sleep_until(until) => None,
                            changed = changes.changed() => Some(changed),
                        }
                    });
                    let Some(changed) = passes.await else { return };
                    changed
                }
                None => changes.changed().await,
            };
            if changed.is_err() {
                // The node's end is gone: what was announced stands.
                return match until {
                    Some(until) => Box::pin(sleep_until(until)).await,
                    None => pending().await,
                };
            }
        }
    }

    /// Counts one tunnel, or the attempt at one, from now until the guard is dropped.
    pub(crate) fn enter(&self) -> Live {
        self.counts.live.send_modify(|live| *live += 1);
        Live { drain: self.clone(), stage: Stage::Asked }
    }
}

/// A live tunnel.
#[derive(Debug)]
pub(crate) struct Live {
    drain: Drain,
    stage: Stage,
}

/// How far a tunnel has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It may still be refused: then it was none, and the report does not know it.
    Asked,
    Stands,
    Finished,
}

impl Live {
    /// The tunnel was answered with 200.
    pub(crate) const fn stands(&mut self) {
        self.stage = Stage::Stands;
    }

    /// The tunnel ended in peace.
    pub(crate) const fn finished(&mut self) {
        self.stage = Stage::Finished;
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let counts = &self.drain.counts;
        if self.drain.is_draining() {
            match self.stage {
                Stage::Asked => {}
                Stage::Stands => drop(counts.reset.fetch_add(1, Ordering::Relaxed)),
                Stage::Finished => drop(counts.finished.fetch_add(1, Ordering::Relaxed)),
            }
        }
        counts.live.send_modify(|live| *live -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use tokio::time::timeout;

    const SECOND: Duration = Duration::from_secs(1);

    async fn elapsed(work: impl Future<Output = ()>) -> u64 {
        let start = Instant::now();
        work.await;
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_heard_by_all_and_the_deadline_passes() {
        let (shutdown, drain) = drain();
        assert!(!drain.is_draining());
        assert!(timeout(SECOND, drain.started()).await.is_err());
        shutdown.start(SECOND * 30);
        assert_eq!(drain.clone().started().await, SECOND * 30);
        assert_eq!(elapsed(drain.expired()).await, 30);
    }

    #[tokio::test(start_paused = true)]
    async fn f11_a_second_start_only_shortens() {
        let (shutdown, drain) = drain();
        shutdown.start(SECOND * 30);
        shutdown.start(SECOND * 60);
        let waiting = {
            let drain = drain.clone();
            tokio::spawn(async move { elapsed(drain.expired()).await })
        };
        tokio::time::sleep(SECOND * 3).await;
        shutdown.start(Duration::ZERO);
        assert_eq!(waiting.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn f11_the_report_counts_what_was_live_at_the_start() {
        let (shutdown, drain) = drain();
        drain.enter().finished();
        let (mut first, mut second, refused) = (drain.enter(), drain.enter(), drain.enter());
        second.stands();
        assert_eq!(shutdown.live(), 3);
        shutdown.start(SECOND);
        first.finished();
        drop(first);
        assert!(timeout(Duration::from_millis(1), shutdown.finished()).await.is_err());
        drop((second, refused));
        assert_eq!(shutdown.finished().await, DrainReport { finished: 1, reset: 1 });
    }
}
