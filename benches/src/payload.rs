//! Octets to send: a rotating source larger than a cache, cut into chunks without copying.

use bytes::Bytes;

/// Large enough that a chunk has left the cache before its turn comes again.
const SOURCE: usize = 8 * 1024 * 1024;

/// An endless source of chunks.
#[derive(Clone, Debug)]
pub struct Payload {
    source: Bytes,
    at: usize,
    chunk: usize,
}

impl Payload {
    /// Chunks of `chunk` octets, at most 8 MiB.
    pub fn new(chunk: usize) -> Self {
        let source = (0..SOURCE).map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as u8).collect::<Vec<_>>();
        Self { source: source.into(), at: 0, chunk }
    }

    /// The next chunk, at most `most` octets.
    pub fn next(&mut self, most: u64) -> Bytes {
        if self.at + self.chunk > self.source.len() {
            self.at = 0;
        }
        let size = self.chunk.min(usize::try_from(most).unwrap_or(usize::MAX));
        let chunk = self.source.slice(self.at..self.at + size);
        self.at += self.chunk;
        chunk
    }
}
