//! Deadlines of single streams, beside them: a stream without one costs nothing.
//!
//! An entry lives as long as its stream is active and has a deadline, no longer: nothing stale is kept. Ordered trees,
//! no hash: they shrink with what they hold, and no two runs differ. Time is an argument; what to do at a deadline the
//! caller decides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::streams::StreamKey;

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    in_order: BTreeSet<(Instant, StreamKey)>,
    of: BTreeMap<StreamKey, Instant>,
}

impl Deadlines {
    /// Sets or moves the deadline of a stream.
    pub(super) fn set(&mut self, key: StreamKey, deadline: Instant) {
        self.remove(key);
        self.of.insert(key, deadline);
        self.in_order.insert((deadline, key));
    }

    /// The stream has no deadline any more.
    pub(super) fn remove(&mut self, key: StreamKey) {
        if let Some(deadline) = self.of.remove(&key) {
            self.in_order.remove(&(deadline, key));
        }
    }

    /// Gives back what is kept to be used again: one node of each tree.
    pub(super) fn rest(&mut self) {
        if self.of.is_empty() {
            *self = Self::default();
        }
    }

    /// The earliest one.
    pub(super) fn next(&self) -> Option<Instant> {
        self.in_order.first().map(|(deadline, _)| *deadline)
    }

    /// Takes one stream whose deadline has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<StreamKey> {
        let (_, key) = *self.in_order.first().filter(|(deadline, _)| *deadline <= now)?;
        self.remove(key);
        Some(key)
    }

    /// Every stream with a deadline, and how many times stand in order.
    #[cfg(any(test, fuzzing))]
    pub(super) fn kept(&self) -> (impl Iterator<Item = StreamKey>, usize) {
        (self.of.keys().copied(), self.in_order.len())
    }
}
