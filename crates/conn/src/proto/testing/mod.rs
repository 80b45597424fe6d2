//! Harnesses around the engine, in virtual time: for its tests and for its fuzz targets.
//!
//! [`pair`]: two engines and a [`wire`] between them. [`script`]: one engine against a peer that is written as a
//! trace of [`frames`]. [`world`]: random applications on a pair, against a model. All chance comes from [`rng`],
//! which may be led by a fuzzer. Built for tests and fuzzing only.

#![cfg_attr(not(test), expect(dead_code, reason = "the tests use more than the fuzz targets"))]

use std::time::Instant;

pub(super) mod frames;
pub(super) mod pair;
pub(super) mod rng;
pub(super) mod script;
pub(super) mod wire;
pub(super) mod world;

/// Where virtual time begins. Tests add durations to it and never ask a clock again.
#[expect(clippy::disallowed_methods, reason = "an Instant can only be had from the clock")]
pub(super) fn epoch() -> Instant {
    Instant::now()
}
