//! Tests of the engine as a whole, in virtual time.
//!
//! One file for each concern, on the harnesses of `testing`. The ids H.. in test names are the rows of the
//! project's list of attacks.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the variant that it looks for")]

use super::testing::{frames, pair, rng, script, wire, world};

mod abuse;
mod age;
mod cut;
mod deadlines;
mod flow_receiving;
mod flow_sending;
mod goaway;
mod half_states;
mod labels;
mod late_frames;
mod liveliness;
mod memory;
mod messages;
mod month;
mod opening;
mod ping;
mod release;
mod rfc;
mod scheduling;
mod server_streams;
mod settings;
mod simulate;
mod stats;
mod tuning;
mod urgency;
