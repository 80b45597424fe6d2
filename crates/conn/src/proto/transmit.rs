//! A flight: octets committed to the wire, ready for one vectored write.
//!
//! Frame heads and small frames lie in one scratch buffer; DATA payloads are shared, not copied. The engine
//! appends, the driver writes and advances.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Payloads up to this size are copied beside their head: one slice less in the vectored write.
const INLINE: usize = 512;

enum Segment {
    /// A part of the scratch buffer.
    Scratch { start: usize, end: usize },
    /// A payload.
    Payload(Bytes),
}

/// What is to be written next, in order.
#[derive(Default)]
pub struct Transmit {
    scratch: Vec<u8>,
    /// Octets of the scratch buffer that segments already cover.
    covered: usize,
    segments: VecDeque<Segment>,
    len: usize,
}

impl Transmit {
    /// Nothing to write; allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether everything was written.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Octets not yet written.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// How many pieces there are to be written.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Fills `slices` with what is to be written, in order; returns how many were filled.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            *slice = IoSlice::new(self.octets(segment));
            filled += 1;
        }
        filled
    }

    /// The octets in order, piece by piece, for a consumer that copies or seals them.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.iter().map(|segment| self.octets(segment))
    }

    /// `n` octets have been written.
    pub fn advance(&mut self, mut n: usize) {
        self.len = self.len.saturating_sub(n);
        while n > 0 {
            let Some(first) = self.segments.front_mut() else { break };
            let size = match first {
                Segment::Scratch { start, end } => *end - *start,
                Segment::Payload(data) => data.len(),
            };
            if size <= n {
                n -= size;
                self.segments.pop_front();
                continue;
            }
            match first {
                Segment::Scratch { start, .. } => *start += n,
                Segment::Payload(data) => drop(data.split_to(n)),
            }
            break;
        }
        if self.segments.is_empty() {
            self.scratch.clear();
            self.covered = 0;
            // An idle connection keeps no large buffer.
            if self.scratch.capacity() > 16 * 1024 {
                self.scratch = Vec::new();
            }
        }
    }

    /// The buffer for whole small frames; `commit` makes what was appended part of the flight.
    pub(super) fn scratch(&mut self) -> &mut Vec<u8> {
        &mut self.scratch
    }

    /// Covers what was appended to the scratch buffer.
    pub(super) fn commit(&mut self) {
        let end = self.scratch.len();
        if end == self.covered {
            return;
        }
        self.len += end - self.covered;
        match self.segments.back_mut() {
            Some(Segment::Scratch { end: last, .. }) if *last == self.covered => *last = end,
            _ => self.segments.push_back(Segment::Scratch { start: self.covered, end }),
        }
        self.covered = end;
    }

    /// Appends a payload behind what was committed.
    pub(super) fn payload(&mut self, data: Bytes) {
        if data.len() <= INLINE {
            self.scratch.extend_from_slice(&data);
            return self.commit();
        }
        self.commit();
        self.len += data.len();
        self.segments.push_back(Segment::Payload(data));
    }

    fn octets<'a>(&'a self, segment: &'a Segment) -> &'a [u8] {
        match segment {
            Segment::Scratch { start, end } => &self.scratch[*start..*end],
            Segment::Payload(data) => data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight() -> (Transmit, Vec<u8>) {
        let mut transmit = Transmit::new();
        let mut expected = Vec::new();
        for size in [10, 100, 5000, 3, 20_000, 513, 512] {
            let payload = vec![size as u8; size];
            transmit.scratch().extend_from_slice(b"head");
            transmit.commit();
            transmit.payload(payload.clone().into());
            expected.extend_from_slice(b"head");
            expected.extend_from_slice(&payload);
        }
        (transmit, expected)
    }

    #[test]
    fn short_writes_of_every_size_lose_nothing() {
        for step in [1, 2, 7, 511, 4096, 1 << 20] {
            let (mut transmit, expected) = flight();
            assert_eq!(transmit.len(), expected.len());
            let mut written = Vec::new();
            while !transmit.is_empty() {
                let mut slices = [IoSlice::new(&[]); 4];
                let count = transmit.io_slices(&mut slices);
                let mut room = step;
                for slice in &slices[..count] {
                    let n = room.min(slice.len());
                    written.extend_from_slice(&slice[..n]);
                    room -= n;
                }
                transmit.advance(step - room);
            }
            assert_eq!(written, expected, "steps of {step}");
        }
    }

    #[test]
    fn heads_and_small_payloads_share_a_slice() {
        let (transmit, _) = flight();
        let sizes: Vec<_> = transmit.pieces().map(<[u8]>::len).collect();
        assert_eq!(sizes, [4 + 10 + 4 + 100 + 4, 5000, 4 + 3 + 4, 20_000, 4, 513, 4 + 512]);
    }
}
