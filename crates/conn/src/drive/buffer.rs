//! Buffers for reading: their size follows the traffic, their memory is used again.
//!
//! Pieces of a buffer are handed out as `Bytes` without a copy. When all pieces of a buffer are gone it is read
//! into again; a few buffers take turns, so that a reader that lags a little costs no allocation. Used by the
//! wires; knows no socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::buf::Limit;
use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};

/// The smallest and the first size of a read, in octets.
pub(super) const MIN_READ: usize = 16 * 1024;
/// The largest size of a read, in octets: what is read before anything is written again. A flight of 256 KiB and
/// the heads of its frames fit.
pub(super) const MAX_READ: usize = 264 * 1024;
/// Small reads in a row before the size is halved.
const PATIENCE: u8 = 8;
/// Buffers kept beside the current one.
const SPARES: usize = 3;
/// The least room worth a system call.
const MIN_ROOM: usize = 2048;

/// The first read after a silence goes through the stack: who waits for a silent peer holds no buffer.
const COLD: usize = 2048;

/// Reads a little without a buffer and hands it to `take`; returns how much, 0 at the end of the transport.
pub(super) fn poll_cold<T: AsyncRead + Unpin>(
    io: &mut T,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]),
) -> Poll<io::Result<usize>> {
    let mut octets = [0; COLD];
    let mut target = ReadBuf::new(&mut octets);
    ready!(Pin::new(io).poll_read(cx, &mut target))?;
    take(target.filled());
    Poll::Ready(Ok(target.filled().len()))
}

/// How much to ask for in the next read.
#[derive(Debug)]
pub(super) struct ReadSize {
    size: usize,
    small: u8,
}

impl ReadSize {
    pub(super) const fn new() -> Self {
        Self { size: MIN_READ, small: 0 }
    }

    pub(super) const fn get(&self) -> usize {
        self.size
    }

    /// Learns from a read that brought `taken` octets where `offered` would have fitted.
    pub(super) fn learn(&mut self, offered: usize, taken: usize) {
        if taken == offered && offered >= self.size {
            self.size = (self.size * 2).min(MAX_READ);
            self.small = 0;
        } else if taken < self.size / 4 {
            self.small += 1;
            if self.small == PATIENCE {
                self.size = (self.size / 2).max(MIN_READ);
                self.small = 0;
            }
        } else {
            self.small = 0;
        }
    }
}

/// A few buffers that take turns. `current` is always empty but for what is being filled.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// There may be memory.
    warm: bool,
    current: BytesMut,
    spare: Vec<BytesMut>,
}

impl Pool {
    /// Whether there is no memory.
    pub(super) const fn is_cold(&self) -> bool {
        !self.warm
    }

    /// Makes room in the current buffer for about `size` octets and returns how many fit, at least 1.
    pub(super) fn prepare(&mut self, size: usize) -> usize {
        let enough = (size / 2).min(MAX_READ / 2);
        let enough = if size <= MIN_READ { MIN_ROOM.min(size) } else { enough };
        if self.room() < enough && !self.current.try_reclaim(size) {
            self.rotate(size);
        }
        self.room()
    }

    /// Makes room for `size` octets in the current buffer.
    #[cfg(feature = "tls")]
    pub(super) fn reserve(&mut self, size: usize) {
        let whole = size.max(MIN_READ);
        if self.room() < size && !self.current.try_reclaim(whole) {
            self.rotate(whole);
        }
    }

    /// The current buffer, able to take at most `max` octets.
    pub(super) fn target(&mut self, max: usize) -> Limit<&mut BytesMut> {
        (&mut self.current).limit(max)
    }

    /// The current buffer.
    pub(super) fn current(&mut self) -> &mut BytesMut {
        &mut self.current
    }

    /// Hands out what was filled.
    pub(super) fn take(&mut self) -> Bytes {
        self.current.split().freeze()
    }

    /// Lets all memory go that nobody uses.
    pub(super) fn release(&mut self) {
        *self = Self::default();
    }

    fn room(&self) -> usize {
        self.current.capacity() - self.current.len()
    }

    /// The current buffer is pinned by its readers: takes one whose readers are done, or a new one.
    fn rotate(&mut self, size: usize) {
        self.warm = true;
        let free = self.spare.iter_mut().position(|buffer| buffer.try_reclaim(size));
        let next = match free {
            Some(index) => self.spare.swap_remove(index),
            None => BytesMut::with_capacity(size),
        };
        let last = std::mem::replace(&mut self.current, next);
        if self.spare.len() == SPARES {
            self.spare.remove(0);
        }
        self.spare.push(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(pool: &mut Pool, size: usize, octets: usize) -> Bytes {
        let room = pool.prepare(size);
        assert!(room >= 1);
        pool.target(room).put_bytes(7, octets.min(room));
        pool.take()
    }

    #[test]
    fn the_size_grows_with_full_reads_and_shrinks_only_after_several_small_ones() {
        let mut size = ReadSize::new();
        for _ in 0..10 {
            size.learn(size.get(), size.get());
        }
        assert_eq!(size.get(), MAX_READ);
        for _ in 0..PATIENCE - 1 {
            size.learn(MAX_READ, 100);
        }
        size.learn(MAX_READ, MAX_READ / 2);
        size.learn(MAX_READ, 100);
        assert_eq!(size.get(), MAX_READ);
        for _ in 0..100 {
            size.learn(MAX_READ, 100);
        }
        assert_eq!(size.get(), MIN_READ);
    }

    #[test]
    fn filling_the_tail_of_a_buffer_is_no_reason_to_grow() {
        let mut size = ReadSize::new();
        size.learn(2048, 2048);
        assert_eq!(size.get(), MIN_READ);
    }

    #[test]
    fn a_buffer_is_used_again_once_its_pieces_are_gone() {
        let mut pool = Pool::default();
        let first = fill(&mut pool, MAX_READ, MAX_READ);
        let at = first.as_ptr();
        drop(first);
        for _ in 0..10 {
            assert_eq!(fill(&mut pool, MAX_READ, MAX_READ).as_ptr(), at);
        }
    }

    #[test]
    fn a_lagging_reader_makes_buffers_take_turns_without_new_memory() {
        let mut pool = Pool::default();
        let mut held = std::collections::VecDeque::new();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let piece = fill(&mut pool, MAX_READ, MAX_READ);
            assert!(piece.iter().all(|&octet| octet == 7));
            seen.insert(piece.as_ptr());
            held.push_back(piece);
            if held.len() > 2 {
                held.pop_front();
            }
        }
        assert!(seen.len() <= SPARES + 1, "{} buffers", seen.len());
    }

    #[test]
    fn small_reads_share_one_buffer() {
        let mut pool = Pool::default();
        let pieces: Vec<_> = (0..50).map(|_| fill(&mut pool, MIN_READ, 100)).collect();
        let span = pieces[49].as_ptr() as usize - pieces[0].as_ptr() as usize;
        assert_eq!(span, 4900);
    }
}
