//! Octets waiting in one direction of a stream: large pieces as they came, small ones gathered.
//!
//! Memory follows octets and not frames: pieces smaller than [`SMALL`] are copied into the queue's tail chunk,
//! so that a thousand 1-octet pieces neither pin a thousand read buffers nor cost a thousand heads. The chunks
//! of all queues of a connection lie in one table ([`Chunks`]), so that an empty queue costs 16 octets and one
//! that fills and empties allocates nothing of its own. A queue that goes is cleared first.

use bytes::{Bytes, BytesMut};

/// Pieces below this size are copied, larger ones shared.
const SMALL: usize = 2048;
/// The room of a tail chunk, at the least.
const TAIL: usize = 4096;
/// A lone message of at most that size shares memory with those of other streams.
const LONE: usize = 1024;
/// Octets of that memory at a time: what a lone message pins at the most.
const SHARED: usize = 4096;

enum Chunk {
    /// A slice, and the number of the input that it was cut from.
    Shared(Bytes, u32),
    Gathering(BytesMut),
}

/// The number of an input that is no read buffer: what the application hands over.
pub(super) const OWN: u32 = 0;

/// Places for which a table without chunks keeps room between silences.
const CROWD: usize = 512;
/// Stands for no chunk.
const NONE: u32 = u32::MAX;

/// A place in the table.
struct Link {
    /// `None`: vacant.
    chunk: Option<Chunk>,
    /// The place of the chunk behind it in its queue, or the next vacant place; or [`NONE`].
    next: u32,
}

/// The chunks of all queues of a connection.
pub(super) struct Chunks {
    links: Vec<Link>,
    /// The place that was vacated last.
    vacant: u32,
    count: usize,
    /// Room for lone messages. Once all of them are gone it is used again.
    lone: BytesMut,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { links: Vec::new(), vacant: NONE, count: 0, lone: BytesMut::new() }
    }
}

impl Chunks {
    /// Gives up what is kept for use again: the vacant places behind the last chunk.
    pub(super) fn rest(&mut self) {
        while self.links.pop_if(|link| link.chunk.is_none()).is_some() {}
        self.links.shrink_to_fit();
        self.lone = BytesMut::new();
        self.vacant = NONE;
        for (number, link) in self.links.iter_mut().enumerate() {
            if link.chunk.is_none() {
                link.next = std::mem::replace(&mut self.vacant, number as u32);
            }
        }
    }

    /// Chunks of all queues together.
    #[cfg(any(test, fuzzing))]
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Its number. There are far fewer than 2^32: every one holds octets of a window or of an application's writes.
    #[inline]
    fn insert(&mut self, chunk: Chunk) -> u32 {
        self.count += 1;
        let number = self.vacant;
        match self.links.get_mut(number as usize) {
            Some(place) => {
                place.chunk = Some(chunk);
                self.vacant = std::mem::replace(&mut place.next, NONE);
                number
            }
            None => {
                self.links.push(Link { chunk: Some(chunk), next: NONE });
                self.links.len() as u32 - 1
            }
        }
    }

    /// Vacates a place whose chunk was taken; the place of the one behind it.
    #[inline]
    fn vacate(&mut self, number: u32) -> u32 {
        let Some(place) = self.links.get_mut(number as usize) else { return NONE };
        let next = std::mem::replace(&mut place.next, self.vacant);
        self.vacant = number;
        self.count -= 1;
        if self.count == 0 && self.links.len() > CROWD {
            *self = Self::default();
        }
        next
    }

    /// A copy of a lone message, in memory that it shares with others.
    fn lone(&mut self, data: &[u8]) -> BytesMut {
        if self.lone.capacity() < data.len() {
            self.lone.reserve(SHARED);
        }
        self.lone.extend_from_slice(data);
        self.lone.split()
    }

    fn at(&mut self, number: u32) -> Option<(&mut Chunk, &mut u32)> {
        let Link { chunk, next } = self.links.get_mut(number as usize)?;
        Some((chunk.as_mut()?, next))
    }
}

/// A first-in-first-out queue of octets: a list in the table that every call is given.
pub(super) struct ByteQueue {
    len: usize,
    first: u32,
    last: u32,
}

impl Default for ByteQueue {
    fn default() -> Self {
        Self { len: 0, first: NONE, last: NONE }
    }
}

impl ByteQueue {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a piece of the input `batch`: shared when it is large, or when its input is pinned here anyway;
    /// copied when it is small. `true`: shared.
    pub(super) fn push(&mut self, chunks: &mut Chunks, data: Bytes, batch: u32) -> bool {
        // An empty chunk would be read as no octets, which is how an end looks to many.
        if data.is_empty() {
            return false;
        }
        if data.len() < SMALL {
            let pinned =
                batch != OWN && matches!(self.tail(chunks), Some(Chunk::Shared(_, last)) if *last == batch);
            if !pinned {
                self.push_slice(chunks, &data);
                return false;
            }
        }
        self.len += data.len();
        self.push_chunk(chunks, Chunk::Shared(data, batch));
        true
    }

    /// Copies what was shared of inputs before `batch` (numbers wrap). `true`: slices of later ones remain.
    pub(super) fn copy_older(&self, chunks: &mut Chunks, batch: u32) -> bool {
        let mut remain = false;
        let mut at = self.first;
        while let Some((chunk, next)) = chunks.at(at) {
            at = *next;
            let Chunk::Shared(data, input) = chunk else { continue };
            if input.wrapping_sub(batch) < u32::MAX / 2 {
                remain = true;
            } else {
                *chunk = Chunk::Gathering(BytesMut::from(&data[..]));
            }
        }
        remain
    }

    /// Appends a copy.
    pub(super) fn push_slice(&mut self, chunks: &mut Chunks, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        self.len += data.len();
        if let Some(Chunk::Gathering(tail)) = self.tail(chunks)
            && (tail.capacity() - tail.len() >= data.len() || tail.len() < TAIL / 2)
        {
            tail.extend_from_slice(data);
            return;
        }
        if self.first == NONE && data.len() <= LONE {
            let chunk = chunks.lone(data);
            return self.push_chunk(chunks, Chunk::Gathering(chunk));
        }
        // Exactly what a large one needs; room to gather once pieces pile up.
        let room = if self.first == NONE || data.len() >= TAIL { data.len() } else { TAIL };
        let mut tail = BytesMut::with_capacity(room);
        tail.extend_from_slice(data);
        self.push_chunk(chunks, Chunk::Gathering(tail));
    }

    /// Takes at most `max` octets of the first chunk.
    pub(super) fn pop(&mut self, chunks: &mut Chunks, max: usize) -> Option<Bytes> {
        if max == 0 {
            return None;
        }
        let place = chunks.links.get_mut(self.first as usize)?;
        let rest = match place.chunk.as_mut()? {
            Chunk::Shared(chunk, _) if chunk.len() > max => Some(chunk.split_to(max)),
            Chunk::Gathering(chunk) if chunk.len() > max => Some(chunk.split_to(max).freeze()),
            Chunk::Shared(..) | Chunk::Gathering(_) => None,
        };
        if let Some(data) = rest {
            self.len -= data.len();
            return Some(data);
        }
        let data = match place.chunk.take()? {
            Chunk::Shared(chunk, _) => chunk,
            Chunk::Gathering(chunk) => chunk.freeze(),
        };
        self.len -= data.len();
        self.forget_first(chunks);
        Some(data)
    }

    /// Forgets everything; returns how many octets that were.
    pub(super) fn clear(&mut self, chunks: &mut Chunks) -> usize {
        if self.is_empty() {
            return 0;
        }
        while let Some(place) = chunks.links.get_mut(self.first as usize) {
            place.chunk = None;
            self.forget_first(chunks);
        }
        std::mem::take(&mut self.len)
    }

    /// The octets in all its chunks, which `len` must be, and the number of chunks.
    #[cfg(any(test, fuzzing))]
    pub(super) fn recount(&self, chunks: &Chunks) -> (usize, usize) {
        let (mut octets, mut count) = (0, 0);
        let mut at = self.first;
        while let Some(Link { chunk: Some(chunk), next }) = chunks.links.get(at as usize) {
            octets += match chunk {
                Chunk::Shared(chunk, _) => chunk.len(),
                Chunk::Gathering(chunk) => chunk.len(),
            };
            count += 1;
            assert!(*next != NONE || at == self.last, "the last chunk is another");
            at = *next;
        }
        (octets, count)
    }

    fn tail<'a>(&self, chunks: &'a mut Chunks) -> Option<&'a mut Chunk> {
        Some(chunks.at(self.last)?.0)
    }

    #[inline]
    fn push_chunk(&mut self, chunks: &mut Chunks, chunk: Chunk) {
        let number = chunks.insert(chunk);
        match chunks.at(self.last) {
            Some((_, next)) => *next = number,
            None => self.first = number,
        }
        self.last = number;
    }

    /// The first chunk was taken: the next one is the first.
    #[inline]
    fn forget_first(&mut self, chunks: &mut Chunks) {
        self.first = chunks.vacate(self.first);
        if self.first == NONE {
            self.last = NONE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut ByteQueue, chunks: &mut Chunks, max: usize) -> Vec<u8> {
        std::iter::from_fn(|| queue.pop(chunks, max)).flatten().collect()
    }

    #[test]
    fn octets_leave_in_the_order_they_came_however_they_are_cut() {
        for max in [1, 3, 1000, 5000, usize::MAX] {
            let (mut queue, mut chunks) = (ByteQueue::default(), Chunks::default());
            let mut sent = Vec::new();
            for (i, size) in [1, 5000, 2, 3, 2048, 2047, 1, 9000, 0, 4].into_iter().enumerate() {
                let piece = vec![i as u8; size];
                sent.extend_from_slice(&piece);
                queue.push(&mut chunks, piece.into(), i as u32);
            }
            assert_eq!(queue.len(), sent.len());
            assert_eq!(drain(&mut queue, &mut chunks, max), sent);
            assert!(queue.is_empty());
        }
    }

    #[test]
    fn large_pieces_and_their_rests_are_shared_and_other_small_ones_copied() {
        let buffer = Bytes::from(vec![7; 100_000]);
        let (mut queue, mut chunks) = (ByteQueue::default(), Chunks::default());
        for piece in [(10..5000, 1), (5000..5010, 1), (5010..5020, 2)] {
            queue.push(&mut chunks, buffer.slice(piece.0), piece.1);
        }
        let mut pop = || queue.pop(&mut chunks, usize::MAX).unwrap();
        assert_eq!(pop().as_ptr(), buffer[10..].as_ptr());
        assert_eq!(pop().as_ptr(), buffer[5000..].as_ptr());
        let copied = pop();
        assert_ne!(copied.as_ptr(), buffer[5010..].as_ptr());
        assert_eq!(copied.len(), 10);
    }

    #[test]
    fn nothing_is_no_chunk_behind_a_shared_one_either() {
        let (mut queue, mut chunks) = (ByteQueue::default(), Chunks::default());
        queue.push(&mut chunks, vec![7; 5000].into(), 3);
        assert!(!queue.push(&mut chunks, Bytes::new(), 3));
        assert_eq!(queue.pop(&mut chunks, usize::MAX).unwrap().len(), 5000);
        assert!(queue.pop(&mut chunks, usize::MAX).is_none());
    }

    #[test]
    fn many_tiny_pieces_share_few_chunks() {
        let (mut queue, mut chunks) = (ByteQueue::default(), Chunks::default());
        for i in 0..10_000_u32 {
            queue.push_slice(&mut chunks, &[i as u8]);
        }
        let chunks = std::iter::from_fn(|| queue.pop(&mut chunks, usize::MAX)).count();
        assert!(chunks <= 4, "{chunks} chunks for 10 000 octets");
    }

    #[test]
    fn queues_share_one_table_and_leave_it_empty() {
        let mut chunks = Chunks::default();
        let mut queues: Vec<_> = (0..50).map(|_| ByteQueue::default()).collect();
        for round in 0..5_u8 {
            for (i, queue) in queues.iter_mut().enumerate() {
                queue.push(&mut chunks, vec![i as u8 ^ round; 3000].into(), 1 + u32::from(round));
            }
        }
        assert_eq!(chunks.count(), 250);
        assert!(queues[7].copy_older(&mut chunks, 3));
        assert_eq!(queues[3].clear(&mut chunks), 15_000);
        chunks.rest();
        for (i, queue) in queues.iter_mut().enumerate() {
            if i % 2 == 0 {
                assert_eq!(queue.clear(&mut chunks), 15_000);
                queue.push_slice(&mut chunks, b"again");
                assert_eq!(drain(queue, &mut chunks, 3), b"again");
            } else if i != 3 {
                let expected: Vec<u8> = (0..5).flat_map(|round| [i as u8 ^ round; 3000]).collect();
                assert_eq!(drain(queue, &mut chunks, 1000), expected);
            }
            assert!(queue.is_empty());
        }
        assert_eq!(chunks.count(), 0);
        chunks.rest();
        assert!(chunks.links.capacity() == 0 && chunks.vacant == NONE);
    }
}
