//! Chance for pauses that must not coincide. Not for secrets.

use std::hash::{BuildHasher, RandomState};

/// Any number.
pub(crate) fn chance() -> u64 {
    RandomState::new().hash_one(0_u8)
}
