//! Idle streams that the peer has named in PRIORITY_UPDATE (RFC 9218 7.1): counted, so that a limit can hold.
//!
//! Called by `recv`. Keeps identifiers and no priorities, and never more than a fixed number of them.

use std::collections::BTreeSet;

use hbone_frame::StreamId;

/// So many are told apart; a peer with a higher limit is not judged beyond them.
const REMEMBERED: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Prioritised {
    idle: BTreeSet<StreamId>,
}

impl Prioritised {
    /// Takes an idle stream of which there may be `room` in all. `false` when it is one too many.
    pub(super) fn note(&mut self, id: StreamId, room: usize) -> bool {
        if self.idle.contains(&id) {
            return true;
        }
        if self.idle.len() >= room {
            return false;
        }
        if self.idle.len() < REMEMBERED {
            self.idle.insert(id);
        }
        true
    }

    /// The peer has opened that stream: it and those below are no longer idle (RFC 9113 5.1.1).
    pub(super) fn opened(&mut self, id: StreamId) {
        if self.idle.is_empty() {
            return;
        }
        match id.next() {
            Some(next) => self.idle = self.idle.split_off(&next),
            None => self.idle.clear(),
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
        assert!(prioritised.note(id(1), 2) && prioritised.note(id(9), 2) && prioritised.note(id(1), 2));
        assert!(!prioritised.note(id(11), 2));
        prioritised.opened(id(1));
        assert!(prioritised.note(id(11), 2));
        assert!(!prioritised.note(id(13), 2));
    }

    #[test]
    fn memory_is_bounded_whatever_the_limit_is() {
        let mut prioritised = Prioritised::default();
        assert!((0..100_000).all(|n| prioritised.note(id(2 * n + 1), usize::MAX)));
        assert_eq!(prioritised.idle.len(), REMEMBERED);
    }
}
