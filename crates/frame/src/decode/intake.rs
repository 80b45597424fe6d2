//! The input of the decoder: chunks as they were fed, consumed from the front.
//!
//! Octets are sliced out of their chunk wherever they lie in one piece. Only what spans chunks and has to be
//! looked at as a whole (heads, small payloads) is joined in one reused buffer, which grows with the octets
//! that came and not with those that were announced.

use std::collections::VecDeque;
use std::mem;

use bytes::{Buf, Bytes, BytesMut};

use crate::head::FrameHead;

/// Chunks of input, and the joined octets of one item that spans them.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// The chunk at the front; empty only if there is no octet beyond `joined`.
    current: Bytes,
    /// Chunks that were fed before the one at the front was used up.
    later: VecDeque<Bytes>,
    /// The beginning of an item that spans chunks: octets before `current`.
    joined: BytesMut,
}

impl Intake {
    /// Appends a chunk.
    #[inline]
    pub(super) fn feed(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        if self.current.is_empty() {
            self.current = chunk;
        } else {
            self.later.push_back(chunk);
        }
    }

    /// Whether any octet is held.
    pub(super) fn has_octets(&self) -> bool {
        !self.current.is_empty() || !self.joined.is_empty()
    }

    /// A frame head, once it is whole.
    #[inline]
    pub(super) fn head(&mut self) -> Option<FrameHead> {
        if !self.gather(FrameHead::LEN) {
            return None;
        }
        let head = FrameHead::parse(self.gathered(FrameHead::LEN).first_chunk()?);
        self.consume(FrameHead::LEN);
        Some(head)
    }

    /// One octet. Not to be called between `gather` and `consume`.
    #[inline]
    pub(super) fn octet(&mut self) -> Option<u8> {
        let octet = self.current.first().copied()?;
        self.advance(1);
        Some(octet)
    }

    /// At most `most` octets out of the chunk at the front, without a copy; empty if there are none.
    #[inline]
    pub(super) fn slice(&mut self, most: u32) -> Bytes {
        let most = most as usize;
        if most < self.current.len() {
            self.current.split_to(most)
        } else {
            mem::replace(&mut self.current, self.later.pop_front().unwrap_or_default())
        }
    }

    /// Drops at most `most` octets and says how many.
    pub(super) fn skip(&mut self, most: u32) -> u32 {
        let mut left = most;
        while left > 0 && !self.current.is_empty() {
            let n = (left as usize).min(self.current.len());
            self.advance(n);
            left -= n as u32;
        }
        most - left
    }

    /// Whether `need` octets are at hand in one piece. If not they are joined as they come: call again with the
    /// same `need` after the next chunk.
    #[inline]
    pub(super) fn gather(&mut self, need: usize) -> bool {
        (self.joined.is_empty() && self.current.len() >= need) || self.join(need)
    }

    /// The octets that `gather` found.
    #[inline]
    pub(super) fn gathered(&self, need: usize) -> &[u8] {
        if self.joined.is_empty() { &self.current[..need] } else { &self.joined }
    }

    /// Drops the octets that `gather` found.
    #[inline]
    pub(super) fn consume(&mut self, need: usize) {
        if self.joined.is_empty() {
            self.advance(need);
        } else {
            self.joined.clear();
        }
    }

    /// Takes the octets that `gather` found: a slice of the chunk, or the joined buffer itself.
    pub(super) fn take(&mut self, need: usize) -> Bytes {
        if !self.joined.is_empty() {
            return mem::take(&mut self.joined).freeze();
        }
        let octets = self.current.slice(..need);
        self.advance(need);
        octets
    }

    #[cold]
    fn join(&mut self, need: usize) -> bool {
        while self.joined.len() < need {
            let n = (need - self.joined.len()).min(self.current.len());
            if n == 0 {
                return false;
            }
            self.joined.extend_from_slice(&self.current[..n]);
            self.advance(n);
        }
        true
    }

    /// Moves the front by `n` octets of the current chunk; a chunk that is used up is let go at once.
    #[inline]
    fn advance(&mut self, n: usize) {
        if n < self.current.len() {
            self.current.advance(n);
        } else {
            self.current = self.later.pop_front().unwrap_or_default();
        }
    }
}
