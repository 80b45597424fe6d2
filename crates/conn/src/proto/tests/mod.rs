//! Tests of the engine as a whole, in virtual time.
//!
//! Two harnesses: [`pair`], two engines and a wire between them, and [`script`], one engine against a hostile
//! peer that is written as a trace. Then one file for each concern. The ids H.. in test names are the rows of
//! the project's list of attacks.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the variant that it looks for")]

use std::time::Instant;

mod abuse;
mod cut;
mod flow_receiving;
mod flow_sending;
mod frames;
mod goaway;
mod half_states;
mod late_frames;
mod messages;
mod opening;
mod pair;
mod ping;
mod release;
mod rng;
mod scheduling;
mod script;
mod settings;
mod simulate;
mod tuning;
mod wire;

/// Where virtual time begins. Tests add durations to it and never ask a clock again.
#[expect(clippy::disallowed_methods, reason = "an Instant can only be had from the clock")]
pub(super) fn epoch() -> Instant {
    Instant::now()
}
