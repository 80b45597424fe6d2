//! The octets that the demo sends: a ring of 8 MiB, so that no cache flatters the figures, and its digest.
//! Used by client.rs and server.rs.

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Octets to send, made once, sliced without copying.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    ring: Bytes,
}

/// A digest that is built while octets pass.
#[derive(Debug)]
pub(super) struct Sum(Option<Sha256>);

impl Payload {
    /// Fills the ring from a xorshift generator: the same octets in every run.
    pub(super) fn new() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut ring = Vec::with_capacity(RING);
        while ring.len() < RING {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ring.extend_from_slice(&state.to_le_bytes());
        }
        Self { ring: Bytes::from(ring) }
    }

    /// At most `max` octets at `offset` of the endless repetition of the ring; never empty unless `max` is 0.
    pub(super) fn piece(&self, offset: u64, max: u64) -> Bytes {
        let start = usize::try_from(offset % RING as u64).unwrap_or(0);
        let room = (RING - start).min(PIECE);
        let length = usize::try_from(max).unwrap_or(usize::MAX).min(room);
        self.ring.slice(start..start + length)
    }
}

impl Sum {
    /// A digest when `wanted`, else nothing is computed.
    pub(super) fn new(wanted: bool) -> Self {
        Self(wanted.then(Sha256::new))
    }

    /// Takes octets in.
    pub(super) fn update(&mut self, octets: &[u8]) {
        if let Some(sum) = &mut self.0 {
            sum.update(octets);
        }
    }

    /// The digest in hexadecimal; empty when none was wanted.
    pub(super) fn finish(self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for octet in self.0.map(|sum| sum.finalize().to_vec()).unwrap_or_default() {
            let _ = write!(text, "{octet:02x}");
        }
        text
    }
}

const RING: usize = 8 << 20;
const PIECE: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_repeated_ring() {
        let payload = Payload::new();
        let mut offset = (RING - 10) as u64;
        let first = payload.piece(offset, 100);
        assert_eq!(first.len(), 10);
        offset += first.len() as u64;
        assert_eq!(payload.piece(offset, 100), payload.piece(0, 100));
        assert_eq!(payload.piece(0, 0).len(), 0);
    }

    #[test]
    fn the_digest_is_sha256() {
        let mut sum = Sum::new(true);
        sum.update(b"abc");
        assert_eq!(sum.finish(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Sum::new(false).finish(), "");
    }
}
