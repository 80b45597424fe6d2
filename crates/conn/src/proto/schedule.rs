//! Whose DATA leaves next: lone ends, then streams that were idle, then the busy ones in turn.
//!
//! A stream that was idle goes before those that are busy, unless one of them is more urgent: short messages of the
//! less urgent must not pass for urgent.
//!
//! Busy streams of one urgency (RFC 9218) take turns. Among several urgencies the lowest that waits has four turns of
//! five; the fifth goes to those that are less urgent, in turn. So each urgency that waits has one turn of 35 at the
//! least, whatever the others do: urgency is a hint, and nobody starves by it. Whether a stream is incremental makes no
//! difference: a tunnel may never end, and who stood behind one that has to be served whole would wait for ever.
//!
//! Holds keys only; whether a stream still has something to send is judged when its turn comes, so that
//! nothing has to be taken out of the middle. A stream stands in at most one list ([`Place`]).

use std::collections::VecDeque;

use super::half::Place;
use super::streams::{Stream, StreamKey};
use super::urgency::{LEVELS, USUAL};

/// A first flight of at most this many octets goes before the busy streams that are not more urgent.
const FRESH: usize = 16 * 1024;

/// Turns of fresh streams before a busy one has its own, and of urgent ones before a less urgent one: first does not
/// mean only.
const FAVOURED: u32 = 4;

/// Busy streams by their urgency; the list of the usual one stays empty.
#[derive(Default)]
struct Ranks {
    lists: [VecDeque<StreamKey>; LEVELS],
    /// Turns of the most urgent since a less urgent one had its own.
    favoured: u32,
    /// The less urgent level that had the last of those.
    last: usize,
}

impl Ranks {
    fn is_empty(&self) -> bool {
        self.lists.iter().all(VecDeque::is_empty)
    }

    fn len(&self) -> usize {
        self.lists.iter().map(VecDeque::len).sum()
    }

    /// The next in turn, of these and of the usual ones.
    fn next(&mut self, usual: &mut VecDeque<StreamKey>) -> Option<StreamKey> {
        std::mem::swap(usual, &mut self.lists[usize::from(USUAL)]);
        let key = self.level().and_then(|level| self.lists[level].pop_front());
        std::mem::swap(usual, &mut self.lists[usize::from(USUAL)]);
        key
    }

    /// Whose turn it is.
    fn level(&mut self) -> Option<usize> {
        let waits = |level: &usize| !self.lists[*level].is_empty();
        let first = (0..LEVELS).find(waits)?;
        let mut less = (1..=LEVELS).map(|step| (self.last + step) % LEVELS).filter(|level| *level > first);
        let Some(less) = less.find(waits) else { return Some(first) };
        if self.favoured < FAVOURED {
            self.favoured += 1;
            return Some(first);
        }
        (self.favoured, self.last) = (0, less);
        Some(less)
    }
}

#[derive(Default)]
pub(super) struct Schedule {
    /// Streams with a lone END_STREAM, which needs no credit.
    ending: VecDeque<StreamKey>,
    fresh: VecDeque<StreamKey>,
    /// Busy streams of the usual urgency.
    busy: VecDeque<StreamKey>,
    /// Those of another, once somebody has used one.
    ranks: Option<Box<Ranks>>,
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
        } else if stream.send.place == Place::Nowhere
            && stream.send.queue.len() <= FRESH
            && !self.is_outranked(stream.send.urgency)
        {
            stream.send.place = Place::Fresh;
            self.fresh.push_back(stream.key);
        } else {
            self.again(stream);
        }
    }

    /// The stream has more to send after its turn.
    pub(super) fn again(&mut self, stream: &mut Stream) {
        stream.send.place = Place::Busy;
        if stream.send.urgency == USUAL {
            self.busy.push_back(stream.key);
        } else {
            let ranks = self.ranks.get_or_insert_default();
            ranks.lists[usize::from(stream.send.urgency) % LEVELS].push_back(stream.key);
        }
    }

    /// The next stream in turn; without credit of the connection only lone ends have one.
    pub(super) fn next(&mut self, credit: bool) -> Option<StreamKey> {
        if let Some(key) = self.ending.pop_front() {
            return Some(key);
        }
        if !credit {
            return None;
        }
        if self.favoured < FAVOURED || !self.has_busy() {
            self.favoured = self.favoured.saturating_add(1);
            if let Some(key) = self.fresh.pop_front() {
                return Some(key);
            }
        }
        self.favoured = 0;
        match &mut self.ranks {
            None => self.busy.pop_front(),
            Some(ranks) => ranks.next(&mut self.busy),
        }
    }

    fn has_busy(&self) -> bool {
        !self.busy.is_empty() || self.ranks.as_ref().is_some_and(|ranks| !ranks.is_empty())
    }

    /// Whether a busy stream waits that is more urgent than that.
    fn is_outranked(&self, urgency: u8) -> bool {
        let below = ..usize::from(urgency).min(LEVELS);
        let ranked = |ranks: &Ranks| ranks.lists[below].iter().any(|list| !list.is_empty());
        (urgency > USUAL && !self.busy.is_empty()) || self.ranks.as_deref().is_some_and(ranked)
    }

    /// Every list.
    fn lists_mut(&mut self) -> impl Iterator<Item = &mut VecDeque<StreamKey>> {
        let ranks = self.ranks.iter_mut().flat_map(|ranks| ranks.lists.iter_mut());
        [&mut self.ending, &mut self.fresh, &mut self.busy].into_iter().chain(ranks)
    }

    /// Whether somebody's turn would come.
    pub(super) fn is_ready(&self, credit: bool) -> bool {
        !self.ending.is_empty() || (credit && (!self.fresh.is_empty() || self.has_busy()))
    }

    /// Whether exactly one stream waits, or none.
    pub(super) fn is_alone(&self) -> bool {
        self.fresh.len() + self.busy.len() + self.ranks.as_ref().map_or(0, |ranks| ranks.len()) <= 1
    }

    /// Drops keys that are not live from lists of more than `most`.
    pub(super) fn forget_stale(&mut self, most: usize, live: impl Fn(StreamKey) -> bool) {
        for list in self.lists_mut() {
            if list.len() > most {
                list.retain(|key| live(*key));
            }
        }
    }

    /// Gives back room beyond `places` in each list.
    pub(super) fn give_back(&mut self, places: usize) {
        if self.ranks.as_ref().is_some_and(|ranks| ranks.is_empty()) {
            self.ranks = None;
        }
        for list in self.lists_mut() {
            list.shrink_to(places);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether somebody has used another urgency than the usual one.
    #[cfg(test)]
    pub(super) const fn has_ranks(&self) -> bool {
        self.ranks.is_some()
    }

    /// Every key with the list that it stands in.
    #[cfg(any(test, fuzzing))]
    pub(super) fn listed(&self) -> impl Iterator<Item = (Place, StreamKey)> {
        let ending = self.ending.iter().map(|key| (Place::Ending, *key));
        let fresh = self.fresh.iter().map(|key| (Place::Fresh, *key));
        let ranks = self.ranks.iter().flat_map(|ranks| ranks.lists.iter().flatten());
        ending.chain(fresh).chain(self.busy.iter().chain(ranks).map(|key| (Place::Busy, *key)))
    }
}
