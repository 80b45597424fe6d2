//! The only source of time in this crate: tokio's clock, so that a paused runtime pauses the driver too.

use std::time::Instant;

/// Now, by the clock that `tokio::time::Sleep` obeys.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
