//! This engine's frames: a list becomes a HEADERS frame, octets become frames and lists.

use bytes::Bytes;
use hbone_frame::hpack::{Decoder, Encoder, Limits, Verdict};
use hbone_frame::{DecoderConfig, Fields, Frame, StreamId, encode};

/// Octets that are read at a time.
const READ: usize = 16 * 1024;
const TABLE: usize = 4096;

/// One direction of a connection that sends lists.
pub(super) struct Sender {
    encoder: Encoder,
    block: Vec<u8>,
    out: Vec<u8>,
    stream: StreamId,
}

impl Sender {
    pub(super) fn new() -> Self {
        let stream = StreamId::new(1).expect("1 is a stream");
        Self { encoder: Encoder::new(TABLE), block: Vec::new(), out: Vec::new(), stream }
    }

    /// Makes a frame of a list and lets go of it, as if it had been written.
    pub(super) fn send(&mut self, fields: &Fields) -> usize {
        let octets = self.frame(fields).len();
        self.out.clear();
        octets
    }

    fn frame(&mut self, fields: &Fields) -> &[u8] {
        self.block.clear();
        self.encoder.encode(fields, &mut self.block);
        encode::headers(self.stream, true, &self.block, 16 * 1024, &mut self.out);
        &self.out
    }
}

/// The frames of lists, one after the other.
pub(super) fn frames(sender: &mut Sender, lists: &[Fields]) -> Vec<u8> {
    for list in lists {
        sender.frame(list);
    }
    std::mem::take(&mut sender.out)
}

/// Frames of blocks that somebody else compressed.
pub(super) fn frames_of(blocks: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    let stream = StreamId::new(1).expect("1 is a stream");
    for block in blocks {
        encode::headers(stream, true, block, 16 * 1024, &mut out);
    }
    out
}

/// One direction of a connection that takes lists.
pub(super) struct Receiver {
    frames: hbone_frame::Decoder,
    decoder: Decoder,
    limits: Limits,
    fields: Fields,
}

impl Receiver {
    pub(super) fn new() -> Self {
        let frames = hbone_frame::Decoder::new(DecoderConfig::default());
        Self { frames, decoder: Decoder::new(TABLE), limits: Limits::default(), fields: Fields::new() }
    }

    /// Takes octets as reads bring them; the number of lists in them.
    pub(super) fn receive(&mut self, octets: &[u8]) -> usize {
        let mut lists = 0;
        for read in octets.chunks(READ) {
            self.frames.feed(Bytes::copy_from_slice(read));
            while let Some(frame) = self.frames.next().expect("frames") {
                let Frame::Headers(head) = frame else { continue };
                let verdict = self.decoder.decode(&head.block, &self.limits, &mut self.fields);
                lists += usize::from(verdict == Ok(Verdict::Whole));
            }
        }
        lists
    }
}
