//! Attacks through header blocks (H01 to H17): what the rows share. The rows stand in `heads_blocks` (how a block
//! comes), `heads_hpack` (how it is coded) and `heads_fields` (what it says).

use crate::frames::*;

/// Streams that a client under attack has: as many as it opens before it knows the peer's limit.
pub(super) const TUNNELS: u32 = 100;

/// A whole request for a tunnel, with `extra` behind its fields.
pub(super) fn request(out: &mut Vec<u8>, stream: u32, extra: &[u8]) {
    block(out, stream, &with_extra(extra));
}

/// The block of that request.
pub(super) fn with_extra(extra: &[u8]) -> Vec<u8> {
    [&connect_block("target.example:443")[..], extra].concat()
}

/// A whole answer to a tunnel, with `extra` behind its status.
pub(super) fn answer(out: &mut Vec<u8>, stream: u32, extra: &[u8]) {
    block(out, stream, &[&[0x88], extra].concat());
}

/// HEADERS that need no CONTINUATION.
pub(super) fn block(out: &mut Vec<u8>, stream: u32, block: &[u8]) {
    frame(out, HEADERS, END_HEADERS, stream, block);
}

/// The head of a frame without its payload.
pub(super) fn head_alone(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, length: u32) {
    let from = out.len();
    frame(out, kind, flags, stream, &[]);
    out[from..from + 3].copy_from_slice(&length.to_be_bytes()[1..]);
}

/// An integer behind the bits of `first` that are its prefix (RFC 7541 5.1).
pub(super) fn integer(block: &mut Vec<u8>, first: u8, prefix: u32, value: usize) {
    let mask = (1 << prefix) - 1;
    if value < mask {
        return block.push(first | value as u8);
    }
    block.push(first | mask as u8);
    let mut rest = value - mask;
    while rest >= 128 {
        block.push(0x80 | (rest % 128) as u8);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// A literal field, not indexed, whose value is the Huffman code `coded`.
pub(super) fn huffman_field(block: &mut Vec<u8>, name: &[u8], coded: &[u8]) {
    block.push(0);
    string_length(block, name.len());
    block.extend_from_slice(name);
    integer(block, 0x80, 7, coded.len());
    block.extend_from_slice(coded);
}
