//! Where the streams of one initiator stand: from identifiers to numbers of slots.
//!
//! Identifiers rise by two at least (RFC 9113 5.1.1), so they are kept in their order and appended at the end;
//! how far an identifier is from both ends of the list bounds its place, and where no stream is missing in
//! between, tells it. No hash: a peer that chooses its identifiers badly costs one binary search. Used by
//! `streams` alone.

use hbone_frame::StreamId;

/// Entries for which a list keeps room between silences, however few stand in it.
const KEPT: usize = 128;

/// Stands for the slot of a stream that has gone.
const GONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: StreamId,
    index: u32,
}

/// The streams of one initiator, in the order of their identifiers.
#[derive(Debug, Default)]
pub(super) struct Ids {
    entries: Vec<Entry>,
    /// Entries that are not [`GONE`].
    live: usize,
}

impl Ids {
    /// Adds a stream whose identifier is above all that were added before.
    pub(super) fn push(&mut self, id: StreamId, index: u32) {
        debug_assert!(self.entries.last().is_none_or(|last| last.id < id), "{id} does not rise");
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact((self.entries.len() / 2).max(16));
        }
        self.entries.push(Entry { id, index });
        self.live += 1;
    }

    /// The slot of that stream.
    #[inline]
    pub(super) fn find(&self, id: StreamId) -> Option<u32> {
        let index = self.entries[self.place(id)?].index;
        (index != GONE).then_some(index)
    }

    /// Forgets that stream.
    pub(super) fn remove(&mut self, id: StreamId) {
        let Some(place) = self.place(id) else { return };
        if std::mem::replace(&mut self.entries[place].index, GONE) == GONE {
            return;
        }
        self.live -= 1;
        while self.entries.pop_if(|last| last.index == GONE).is_some() {}
        if self.entries.len() > 2 * self.live + 32 {
            self.entries.retain(|entry| entry.index != GONE);
        }
        if self.entries.capacity() > 4 * self.entries.len() + KEPT {
            self.entries.shrink_to(self.entries.len() + 16);
        }
    }

    /// Gives back what is kept to be used again.
    pub(super) fn rest(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// Streams that are known.
    #[cfg(any(test, fuzzing))]
    pub(super) const fn len(&self) -> usize {
        self.live
    }

    /// The place of an identifier. As many stand behind it as half its distance from the last one at most, and
    /// so before it: the two bounds are one where none is missing.
    #[inline]
    fn place(&self, id: StreamId) -> Option<usize> {
        let (first, last) = (self.entries.first()?.id, self.entries.last()?.id);
        if id < first || id > last {
            return None;
        }
        let end = self.entries.len() - 1;
        let lowest = end.saturating_sub((last.get() - id.get()) as usize / 2);
        if self.entries[lowest].id == id {
            return Some(lowest);
        }
        let highest = end.min((id.get() - first.get()) as usize / 2);
        let within = self.entries.get(lowest..=highest)?;
        within.binary_search_by_key(&id, |entry| entry.id).ok().map(|place| lowest + place)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn id(value: u32) -> StreamId {
        StreamId::new(value).unwrap()
    }

    proptest! {
        #[test]
        fn what_was_added_and_not_removed_is_found_and_nothing_else(
            operations in prop::collection::vec((any::<bool>(), 1_u32..40, any::<prop::sample::Index>()), 1..300),
            side in 0_u32..2,
        ) {
            let (mut ids, mut model, mut next) = (Ids::default(), BTreeMap::new(), 1 + side);
            for (add, step, which) in operations {
                if add || model.is_empty() {
                    // Mostly the next one, at times a leap.
                    next += if step < 30 { 2 } else { 2 * step };
                    ids.push(id(next), next * 7);
                    model.insert(next, next * 7);
                } else {
                    let gone = *model.keys().nth(which.index(model.len())).unwrap();
                    ids.remove(id(gone));
                    ids.remove(id(gone));
                    model.remove(&gone);
                }
                for value in (1 + side..next + 4).step_by(2) {
                    prop_assert_eq!(ids.find(id(value)), model.get(&value).copied());
                }
                prop_assert_eq!(ids.len(), model.len());
                prop_assert!(ids.entries.len() <= 2 * model.len() + 32);
            }
        }
    }

    #[test]
    fn one_that_stays_among_millions_that_come_and_go_keeps_nothing_of_them() {
        let mut ids = Ids::default();
        ids.push(id(1), 0);
        for n in 1..1_000_000 {
            ids.push(id(2 * n + 1), 1);
            if n > 10 {
                ids.remove(id(2 * (n - 10) + 1));
            }
        }
        assert_eq!(ids.find(id(1)), Some(0));
        assert_eq!(ids.find(id(3)), None);
        assert!(ids.entries.capacity() < 200, "{}", ids.entries.capacity());
    }
}
