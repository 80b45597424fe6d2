//! Idle streams that the peer has named in PRIORITY_UPDATE (RFC 9218 7.1): counted, so that a limit can hold, and
//! their urgency kept for when they are opened.
//!
//! Called by `priority` and `recv`. Never keeps more than a fixed number of them.

use std::collections::BTreeMap;

use hbone_frame::StreamId;

/// So many are told apart; a peer with a higher limit is not judged beyond them.
const REMEMBERED: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Signal {
    urgency: u8,
    /// The peer knew the limit: it counts.
    counts: bool,
}

#[derive(Debug, Default)]
pub(super) struct Prioritised {
    idle: BTreeMap<StreamId, Signal>,
}

impl Prioritised {
    /// Takes a signal for an idle stream of which there may be `room` in all. `false` when it is one too many.
    pub(super) fn note(&mut self, id: StreamId, urgency: u8, room: usize) -> bool {
        let known = self.idle.get(&id).is_some_and(|signal| signal.counts);
        if !known && self.idle.values().filter(|signal| signal.counts).count() >= room {
            return false;
        }
        self.remember(id, Signal { urgency, counts: true });
        true
    }

    /// Takes a signal of a peer that cannot know how many there may be.
    pub(super) fn note_unjudged(&mut self, id: StreamId, urgency: u8) {
        let counts = self.idle.get(&id).is_some_and(|signal| signal.counts);
        self.remember(id, Signal { urgency, counts });
    }

    /// The peer has opened that stream: it and those below are no longer idle (RFC 9113 5.1.1). Returns its urgency
    /// if it was named.
    pub(super) fn opened(&mut self, id: StreamId) -> Option<u8> {
        if self.idle.is_empty() {
            return None;
        }
        let above = id.next().map(|next| self.idle.split_off(&next)).unwrap_or_default();
        let opened = std::mem::replace(&mut self.idle, above);
        opened.get(&id).map(|signal| signal.urgency)
    }

    fn remember(&mut self, id: StreamId, signal: Signal) {
        if self.idle.len() < REMEMBERED || self.idle.contains_key(&id) {
            self.idle.insert(id, signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: u32) -> StreamId {
        StreamId::new(value).unwrap()
    }

    #[test]
    fn one_more_than_there_is_room_for_is_told_and_a_repetition_is_not() {
        let mut prioritised = Prioritised::default();
        assert!((prioritised.note(id(1), 3, 2), prioritised.note(id(9), 3, 2)) == (true, true));
        assert!(prioritised.note(id(1), 3, 2));
        assert!(!prioritised.note(id(11), 3, 2));
        prioritised.opened(id(1));
        assert!(prioritised.note(id(11), 3, 2));
        assert!(!prioritised.note(id(13), 3, 2));
    }

    #[test]
    fn the_last_signal_is_kept_for_the_stream_and_those_below_are_forgotten() {
        let mut prioritised = Prioritised::default();
        for (stream, urgency) in [(1, 0), (3, 1), (3, 5), (9, 7)] {
            assert!(prioritised.note(id(stream), urgency, 9));
        }
        assert_eq!(prioritised.opened(id(3)), Some(5));
        assert_eq!(prioritised.opened(id(5)), None);
        assert_eq!(prioritised.opened(id(9)), Some(7));
        assert!(prioritised.idle.is_empty());
    }

    #[test]
    fn what_came_before_the_limit_was_known_is_not_counted_against_it() {
        let mut prioritised = Prioritised::default();
        for n in 0..10 {
            prioritised.note_unjudged(id(2 * n + 1), 1);
        }
        assert!(prioritised.note(id(21), 2, 1));
        assert!(!prioritised.note(id(23), 2, 1));
        assert_eq!(prioritised.opened(id(19)), Some(1));
    }

    #[test]
    fn memory_is_bounded_whatever_the_limit_is() {
        let mut prioritised = Prioritised::default();
        assert!((0..10_000).all(|n| prioritised.note(id(2 * n + 1), 3, usize::MAX)));
        assert_eq!(prioritised.idle.len(), REMEMBERED);
    }
}
