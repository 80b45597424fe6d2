//! Whose DATA leaves next: lone ends, then streams that were idle, then the busy ones in turn.
//!
//! Holds keys only; whether a stream still has something to send is judged when its turn comes, so that
//! nothing has to be taken out of the middle. A stream stands in at most one list ([`Place`]).

use std::collections::VecDeque;

use super::half::Place;
use super::streams::{Stream, StreamKey};

/// A first flight of at most this many octets goes before the busy streams.
const FRESH: usize = 16 * 1024;

/// Turns of fresh streams before a busy one has its own: first does not mean only.
const FAVOURED: u32 = 4;

#[derive(Default)]
pub(super) struct Schedule {
    /// Streams with a lone END_STREAM, which needs no credit.
    ending: VecDeque<StreamKey>,
    fresh: VecDeque<StreamKey>,
    busy: VecDeque<StreamKey>,
    /// Turns of fresh streams since a busy one had its own.
    favoured: u32,
}

impl Schedule {
    /// The stream has got something to send: it takes its place, if it has none.
    pub(super) fn enlist(&mut self, stream: &mut Stream) {
        if !matches!(stream.send.place, Place::Nowhere | Place::Blocked) {
            return;
        }
        if stream.send.queue.is_empty() {
            stream.send.place = Place::Ending;
            self.ending.push_back(stream.key);
        } else if stream.send.place == Place::Nowhere && stream.send.queue.len() <= FRESH {
            stream.send.place = Place::Fresh;
            self.fresh.push_back(stream.key);
        } else {
            self.again(stream);
        }
    }

    /// The stream has more to send after its turn.
    pub(super) fn again(&mut self, stream: &mut Stream) {
        stream.send.place = Place::Busy;
        self.busy.push_back(stream.key);
    }

    /// The next stream in turn; without credit of the connection only lone ends have one.
    pub(super) fn next(&mut self, credit: bool) -> Option<StreamKey> {
        if let Some(key) = self.ending.pop_front() {
            return Some(key);
        }
        if !credit {
            return None;
        }
        if self.favoured < FAVOURED || self.busy.is_empty() {
            self.favoured = self.favoured.saturating_add(1);
            if let Some(key) = self.fresh.pop_front() {
                return Some(key);
            }
        }
        self.favoured = 0;
        self.busy.pop_front()
    }

    /// Whether somebody's turn would come.
    pub(super) fn is_ready(&self, credit: bool) -> bool {
        !self.ending.is_empty() || (credit && !(self.fresh.is_empty() && self.busy.is_empty()))
    }

    /// Whether exactly one stream waits, or none.
    pub(super) fn is_alone(&self) -> bool {
        self.fresh.len() + self.busy.len() <= 1
    }

    /// Drops keys that are not live from lists of more than `most`.
    pub(super) fn forget_stale(&mut self, most: usize, live: impl Fn(StreamKey) -> bool) {
        for list in [&mut self.ending, &mut self.fresh, &mut self.busy] {
            if list.len() > most {
                list.retain(|key| live(*key));
            }
        }
    }

    /// Gives back room beyond `places` in each list.
    pub(super) fn give_back(&mut self, places: usize) {
        for list in [&mut self.ending, &mut self.fresh, &mut self.busy] {
            if list.capacity() > places {
                list.shrink_to(places);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Every key with the list that it stands in.
    #[cfg(any(test, fuzzing))]
    pub(super) fn listed(&self) -> impl Iterator<Item = (Place, StreamKey)> {
        let ending = self.ending.iter().map(|key| (Place::Ending, *key));
        let fresh = self.fresh.iter().map(|key| (Place::Fresh, *key));
        ending.chain(fresh).chain(self.busy.iter().map(|key| (Place::Busy, *key)))
    }
}
