//! The `hpack` crate: lists and blocks, no frames.

use hbone_frame::Fields;

/// One direction that compresses.
pub(super) struct Sender(hpack::Encoder<'static>);

impl Sender {
    pub(super) fn new() -> Self {
        Self(hpack::Encoder::new())
    }

    pub(super) fn send(&mut self, fields: &Fields) -> usize {
        self.0.encode(fields.iter().map(|field| (field.name, field.value))).len()
    }
}

/// One direction that decompresses.
pub(super) struct Receiver(hpack::Decoder<'static>);

impl Receiver {
    pub(super) fn new() -> Self {
        Self(hpack::Decoder::new())
    }

    /// The number of lists.
    pub(super) fn receive(&mut self, blocks: &[Vec<u8>]) -> usize {
        blocks.iter().filter(|block| self.0.decode(block).is_ok_and(|list| !list.is_empty())).count()
    }
}
