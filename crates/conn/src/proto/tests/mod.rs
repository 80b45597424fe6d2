//! Tests of the engine as a whole, in virtual time.

use std::time::Instant;

/// Where virtual time begins. Tests add durations to it and never ask a clock again.
#[expect(clippy::disallowed_methods, reason = "an Instant can only be had from the clock")]
pub(super) fn epoch() -> Instant {
    Instant::now()
}
