//! A short memory of streams that have ended, to tell late frames from wrong ones (RFC 9113 5.1).
//!
//! After our own RST_STREAM the peer may still have frames under way: they are tolerated. After the peer's own
//! end they are errors. What falls out of the memory while it may still be in flight raises a mark below which
//! everything is tolerated: forgetting must not kill an honest peer.

use std::collections::VecDeque;

use hbone_frame::StreamId;

const REMEMBERED: usize = 128;
/// Heads that may be under way when we reset a stream: sixteen informational ones, the final one, trailers.
const MOST_HEADS: u8 = 18;

/// How a stream ended, as far as late frames of the peer are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// We reset it before the peer had ended its direction.
    ByUs,
    /// The peer had ended its direction, by END_STREAM or RST_STREAM.
    ByPeer,
}

#[derive(Clone, Copy)]
struct Entry {
    id: StreamId,
    ending: Ending,
    /// HEADERS since it ended.
    heads: u8,
}

#[derive(Default)]
pub(super) struct ClosedStreams {
    recent: VecDeque<Entry>,
    /// The highest that was ever remembered, by parity: what lies above need not be looked for.
    highest: [Option<StreamId>; 2],
    tolerated: [Option<StreamId>; 2],
}

impl ClosedStreams {
    #[inline]
    pub(super) fn remember(&mut self, id: StreamId, ending: Ending) {
        if self.recent.len() >= REMEMBERED
            && let Some(Entry { id: forgotten, ending: Ending::ByUs, .. }) = self.recent.pop_front()
        {
            let mark = &mut self.tolerated[forgotten.get() as usize % 2];
            *mark = (*mark).max(Some(forgotten));
        }
        let highest = &mut self.highest[id.get() as usize % 2];
        *highest = (*highest).max(Some(id));
        self.recent.push_back(Entry { id, ending, heads: 0 });
    }

    /// How the stream ended; `None` when that is not remembered.
    pub(super) fn recall(&self, id: StreamId) -> Option<Ending> {
        if Some(id) > self.highest[id.get() as usize % 2] {
            return None;
        }
        if let Some(entry) = self.recent.iter().rev().find(|entry| entry.id == id) {
            return Some(entry.ending);
        }
        (Some(id) <= self.tolerated[id.get() as usize % 2]).then_some(Ending::ByUs)
    }

    /// HEADERS came for a stream that we had reset. `false` when no honest peer has so many under way.
    pub(super) fn takes_head(&mut self, id: StreamId) -> bool {
        let Some(entry) = self.recent.iter_mut().rev().find(|entry| entry.id == id) else { return false };
        entry.heads = entry.heads.saturating_add(1);
        entry.heads <= MOST_HEADS
    }

    /// The peer has ended its direction of a stream that we had reset.
    pub(super) fn ended_by_peer(&mut self, id: StreamId) {
        if let Some(entry) = self.recent.iter_mut().rev().find(|entry| entry.id == id) {
            entry.ending = Ending::ByPeer;
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
    fn endings_are_recalled_and_may_change() {
        let mut closed = ClosedStreams::default();
        closed.remember(id(1), Ending::ByUs);
        closed.remember(id(5), Ending::ByPeer);
        assert_eq!(closed.recall(id(1)), Some(Ending::ByUs));
        assert_eq!(closed.recall(id(3)), None);
        closed.ended_by_peer(id(1));
        assert_eq!(closed.recall(id(1)), Some(Ending::ByPeer));
    }

    #[test]
    fn a_forgotten_reset_stays_tolerated_and_memory_is_bounded() {
        let mut closed = ClosedStreams::default();
        closed.remember(id(1), Ending::ByUs);
        for n in 1..100_000 {
            closed.remember(id(2 * n + 1), Ending::ByPeer);
        }
        assert_eq!(closed.recall(id(1)), Some(Ending::ByUs));
        assert_eq!(closed.recall(id(3)), None);
        assert_eq!(closed.recent.len(), REMEMBERED);
    }
}
