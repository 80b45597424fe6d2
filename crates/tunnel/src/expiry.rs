//! The end of a certificate under a connection that lives on.
//!
//! Awaited by the pool and by the inbound side: a connection whose certificates have ended takes no new tunnel,
//! so that the next one shakes hands with whatever is valid then. Closes nothing itself.

use std::time::{Duration, SystemTime};

use tokio::time::sleep;

/// Resolves at `not_after`; without one never.
pub(crate) async fn passed_if_any(not_after: Option<SystemTime>) {
    match not_after {
        Some(not_after) => passed(not_after).await,
        None => std::future::pending().await,
    }
}

/// Resolves at `not_after`. The wall clock is looked at again every now and then: it may be set, and a machine
/// may sleep.
pub(crate) async fn passed(not_after: SystemTime) {
    passed_by(SystemTime::now, not_after).await;
}

async fn passed_by(clock: impl Fn() -> SystemTime, not_after: SystemTime) {
    while let Ok(left) = not_after.duration_since(clock())
        && !left.is_zero()
    {
        sleep(left.min(LOOK)).await;
    }
}

/// How long tunnels may still finish on a connection whose certificates have ended.
pub(crate) const GRACE: Duration = Duration::from_secs(24 * 3600);

const LOOK: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn t13_the_end_is_noticed_at_its_time_and_soon_after_the_clock_was_set() {
        let (start, jump) = (Instant::now(), AtomicU64::new(0));
        let clock = || {
            let jump = Duration::from_secs(jump.load(Ordering::Relaxed));
            SystemTime::UNIX_EPOCH + start.elapsed() + jump
        };
        passed_by(clock, SystemTime::UNIX_EPOCH + Duration::from_secs(86_400)).await;
        assert_eq!(start.elapsed().as_secs(), 86_400);
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(3 * 86_400);
        let setting = async {
            sleep(Duration::from_secs(100)).await;
            jump.store(10 * 86_400, Ordering::Relaxed);
        };
        tokio::join!(passed_by(clock, end), setting);
        assert!(start.elapsed() <= Duration::from_secs(86_400) + LOOK, "{:?}", start.elapsed());
        let past = Instant::now();
        passed_by(clock, SystemTime::UNIX_EPOCH).await;
        assert_eq!(past, Instant::now());
    }
}
