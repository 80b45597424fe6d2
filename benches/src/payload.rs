//! Octets to send: a rotating source larger than a cache, cut into pieces without copying.

use std::sync::LazyLock;

use bytes::Bytes;

/// Large enough that a piece has left the cache before its turn comes again.
const SOURCE: usize = 8 * 1024 * 1024;

static OCTETS: LazyLock<Bytes> =
    LazyLock::new(|| (0..SOURCE).map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as u8).collect());

/// An endless source of pieces.
#[derive(Clone, Debug)]
pub struct Payload {
    source: Bytes,
    at: usize,
    size: usize,
}

impl Payload {
    /// Pieces of `size` octets, at most 8 MiB. Sources with different numbers begin at different places.
    pub fn new(size: usize, number: usize) -> Self {
        Self { source: OCTETS.clone(), at: number * size % SOURCE, size }
    }

    /// The next piece.
    pub fn piece(&mut self) -> Bytes {
        if self.at + self.size > self.source.len() {
            self.at = 0;
        }
        let piece = self.source.slice(self.at..self.at + self.size);
        self.at += self.size;
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::{Payload, SOURCE};

    #[test]
    fn pieces_are_whole_and_come_again_only_after_the_whole_source() {
        let mut payload = Payload::new(65_536, 3);
        let first = payload.piece();
        let until_again = (1..).take_while(|_| payload.piece().as_ptr() != first.as_ptr()).count();
        assert_eq!(until_again + 1, SOURCE / 65_536);
        assert_eq!(Payload::new(100_000, 83).piece().len(), 100_000);
    }
}
