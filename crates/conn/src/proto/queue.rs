//! Octets waiting in one direction of a stream: large pieces as they came, small ones gathered.
//!
//! Memory follows octets and not frames: pieces smaller than [`SMALL`] are copied into the queue's tail chunk,
//! so that a thousand 1-octet pieces neither pin a thousand read buffers nor cost a thousand heads. A queue of
//! one chunk allocates nothing of its own.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Pieces below this size are copied, larger ones shared.
const SMALL: usize = 2048;
/// Room for chunks that an empty queue keeps.
const KEPT: usize = 16;
/// The room of a tail chunk, at the least.
const TAIL: usize = 4096;

enum Chunk {
    /// A slice, and the number of the input that it was cut from.
    Shared(Bytes, u32),
    Gathering(BytesMut),
}

/// The number of an input that is no read buffer: what the application hands over.
pub(super) const OWN: u32 = 0;

/// A first-in-first-out queue of octets.
#[derive(Default)]
#[expect(clippy::box_collection, reason = "24 octets less in every stream, which has two queues")]
pub(super) struct ByteQueue {
    front: Option<Chunk>,
    rest: Option<Box<VecDeque<Chunk>>>,
    len: usize,
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
    pub(super) fn push(&mut self, data: Bytes, batch: u32) -> bool {
        // An empty chunk would be read as no octets, which is how an end looks to many.
        if data.is_empty() {
            return false;
        }
        let pinned = matches!(self.tail(), Some(Chunk::Shared(_, last)) if *last == batch && batch != OWN);
        if data.len() < SMALL && !pinned {
            self.push_slice(&data);
            return false;
        }
        self.len += data.len();
        self.push_chunk(Chunk::Shared(data, batch));
        true
    }

    /// Copies what was shared of inputs before `batch` (numbers wrap). `true`: slices of later ones remain.
    pub(super) fn copy_older(&mut self, batch: u32) -> bool {
        let mut remain = false;
        let rest = self.rest.iter_mut().flat_map(|rest| rest.iter_mut());
        for chunk in self.front.iter_mut().chain(rest) {
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
    pub(super) fn push_slice(&mut self, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        self.len += data.len();
        if let Some(Chunk::Gathering(tail)) = self.tail()
            && (tail.capacity() - tail.len() >= data.len() || tail.len() < TAIL / 2)
        {
            tail.extend_from_slice(data);
            return;
        }
        // Exactly what a lone message needs; room to gather once pieces pile up.
        let room = if self.front.is_none() || data.len() >= TAIL { data.len() } else { TAIL };
        let mut tail = BytesMut::with_capacity(room);
        tail.extend_from_slice(data);
        self.push_chunk(Chunk::Gathering(tail));
    }

    /// Takes at most `max` octets of the first chunk.
    pub(super) fn pop(&mut self, max: usize) -> Option<Bytes> {
        if max == 0 {
            return None;
        }
        let (data, rest) = match self.front.take()? {
            Chunk::Shared(mut chunk, batch) if chunk.len() > max => {
                (chunk.split_to(max), Some(Chunk::Shared(chunk, batch)))
            }
            Chunk::Gathering(mut chunk) if chunk.len() > max => {
                (chunk.split_to(max).freeze(), Some(Chunk::Gathering(chunk)))
            }
            Chunk::Shared(chunk, _) => (chunk, None),
            Chunk::Gathering(chunk) => (chunk.freeze(), None),
        };
        self.front = rest.or_else(|| self.rest.as_mut().and_then(|chunks| chunks.pop_front()));
        self.len -= data.len();
        if self.front.is_none() && self.rest.as_ref().is_some_and(|rest| rest.capacity() > KEPT) {
            self.rest = None;
        }
        Some(data)
    }

    /// Forgets everything; returns how many octets that were.
    pub(super) fn clear(&mut self) -> usize {
        std::mem::take(self).len
    }

    /// The sum of all chunks, which `len` must be.
    #[cfg(any(test, fuzzing))]
    pub(super) fn recount(&self) -> usize {
        let size = |chunk: &Chunk| match chunk {
            Chunk::Shared(chunk, _) => chunk.len(),
            Chunk::Gathering(chunk) => chunk.len(),
        };
        let rest = self.rest.iter().flat_map(|rest| rest.iter());
        self.front.iter().chain(rest).map(size).sum()
    }

    fn tail(&mut self) -> Option<&mut Chunk> {
        match &mut self.rest {
            Some(rest) if !rest.is_empty() => rest.back_mut(),
            Some(_) | None => self.front.as_mut(),
        }
    }

    fn push_chunk(&mut self, chunk: Chunk) {
        if self.front.is_none() {
            self.front = Some(chunk);
        } else {
            self.rest.get_or_insert_default().push_back(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut ByteQueue, max: usize) -> Vec<u8> {
        std::iter::from_fn(|| queue.pop(max)).flatten().collect()
    }

    #[test]
    fn octets_leave_in_the_order_they_came_however_they_are_cut() {
        for max in [1, 3, 1000, 5000, usize::MAX] {
            let mut queue = ByteQueue::default();
            let mut sent = Vec::new();
            for (i, size) in [1, 5000, 2, 3, 2048, 2047, 1, 9000, 0, 4].into_iter().enumerate() {
                let piece = vec![i as u8; size];
                sent.extend_from_slice(&piece);
                queue.push(piece.into(), i as u32);
            }
            assert_eq!(queue.len(), sent.len());
            assert_eq!(drain(&mut queue, max), sent);
            assert!(queue.is_empty());
        }
    }

    #[test]
    fn large_pieces_and_their_rests_are_shared_and_other_small_ones_copied() {
        let buffer = Bytes::from(vec![7; 100_000]);
        let mut queue = ByteQueue::default();
        for piece in [(10..5000, 1), (5000..5010, 1), (5010..5020, 2)] {
            queue.push(buffer.slice(piece.0), piece.1);
        }
        let mut pop = || queue.pop(usize::MAX).unwrap();
        assert_eq!(pop().as_ptr(), buffer[10..].as_ptr());
        assert_eq!(pop().as_ptr(), buffer[5000..].as_ptr());
        let copied = pop();
        assert_ne!(copied.as_ptr(), buffer[5010..].as_ptr());
        assert_eq!(copied.len(), 10);
    }

    #[test]
    fn nothing_is_no_chunk_behind_a_shared_one_either() {
        let mut queue = ByteQueue::default();
        queue.push(vec![7; 5000].into(), 3);
        assert!(!queue.push(Bytes::new(), 3));
        assert_eq!(queue.pop(usize::MAX).unwrap().len(), 5000);
        assert!(queue.pop(usize::MAX).is_none());
    }

    #[test]
    fn many_tiny_pieces_share_few_chunks() {
        let mut queue = ByteQueue::default();
        for i in 0..10_000_u32 {
            queue.push_slice(&[i as u8]);
        }
        let chunks = std::iter::from_fn(|| queue.pop(usize::MAX)).count();
        assert!(chunks <= 4, "{chunks} chunks for 10 000 octets");
    }
}
