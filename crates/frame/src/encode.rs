//! Frames to octets: free functions that append to a buffer of the caller (RFC 9113 6).
//!
//! Called by the engine when it builds a flight, and by tests that play a peer. Nothing is checked: an
//! argument is written as it is, so that a test can send what no honest peer would.

use crate::code::ErrorCode;
use crate::control::Priority;
use crate::head::{Flags, FrameHead, Kind};
use crate::settings::Settings;
use crate::stream_id::StreamId;

/// The nine octets before `length` octets of data, which the caller sends separately (RFC 9113 6.1).
#[inline]
pub fn data_head(stream: StreamId, length: u32, end_stream: bool, out: &mut Vec<u8>) {
    let flags = Flags::NONE.with(Flags::END_STREAM, end_stream);
    let head = FrameHead { length, kind: Kind::DATA, flags, stream: Some(stream) };
    out.extend_from_slice(&head.encode());
}

/// A whole DATA frame without padding.
pub fn data(stream: StreamId, data: &[u8], end_stream: bool, out: &mut Vec<u8>) {
    frame(Kind::DATA, Flags::NONE.with(Flags::END_STREAM, end_stream), Some(stream), data, out);
}

/// A whole DATA frame with `padding` octets of zero after the data.
pub fn data_padded(stream: StreamId, data: &[u8], padding: u8, end_stream: bool, out: &mut Vec<u8>) {
    let flags = Flags::PADDED.with(Flags::END_STREAM, end_stream);
    let head = FrameHead { length: 0, kind: Kind::DATA, flags, stream: Some(stream) };
    with_payload(head, out, |out| {
        out.push(padding);
        out.extend_from_slice(data);
        pad(padding, out);
    });
}

/// HEADERS, and CONTINUATION frames if `block` is longer than `max_frame_size` octets (RFC 9113 6.2, 6.10).
///
/// `max_frame_size` is the peer's setting; 0 is taken as 1.
pub fn headers(stream: StreamId, end_stream: bool, block: &[u8], max_frame_size: u32, out: &mut Vec<u8>) {
    let (first, rest) = split(block, max_frame_size);
    let flags = Flags::NONE.with(Flags::END_STREAM, end_stream).with(Flags::END_HEADERS, rest.is_empty());
    frame(Kind::HEADERS, flags, Some(stream), first, out);
    continuations(stream, rest, max_frame_size, out);
}

/// One HEADERS frame with every part of it chosen (RFC 9113 6.2). Made for tests: this project sends neither
/// priorities nor padding.
#[derive(Clone, Copy, Debug)]
pub struct HeadersFrame<'a> {
    /// The stream.
    pub stream: StreamId,
    /// Whether END_STREAM is set.
    pub end_stream: bool,
    /// Whether END_HEADERS is set; if not, [`continuation`] has to follow.
    pub end_headers: bool,
    /// The priority, if there is to be one.
    pub priority: Option<Priority>,
    /// Octets of padding, if the frame is to be padded; `Some(0)` is the pad-length octet alone.
    pub padding: Option<u8>,
    /// The fragment of the header block.
    pub fragment: &'a [u8],
}

impl HeadersFrame<'_> {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let flags = Flags::NONE
            .with(Flags::END_STREAM, self.end_stream)
            .with(Flags::END_HEADERS, self.end_headers)
            .with(Flags::PADDED, self.padding.is_some())
            .with(Flags::PRIORITY, self.priority.is_some());
        let head = FrameHead { length: 0, kind: Kind::HEADERS, flags, stream: Some(self.stream) };
        with_payload(head, out, |out| {
            out.extend(self.padding);
            out.extend(self.priority.iter().flat_map(|priority| priority.encode()));
            out.extend_from_slice(self.fragment);
            pad(self.padding.unwrap_or(0), out);
        });
    }
}

/// One CONTINUATION frame (RFC 9113 6.10).
pub fn continuation(stream: StreamId, end_headers: bool, fragment: &[u8], out: &mut Vec<u8>) {
    let flags = Flags::NONE.with(Flags::END_HEADERS, end_headers);
    frame(Kind::CONTINUATION, flags, Some(stream), fragment, out);
}

/// PRIORITY (RFC 9113 6.3).
pub fn priority(stream: StreamId, priority: Priority, out: &mut Vec<u8>) {
    frame(Kind::PRIORITY, Flags::NONE, Some(stream), &priority.encode(), out);
}

/// RST_STREAM (RFC 9113 6.4).
pub fn reset(stream: StreamId, code: ErrorCode, out: &mut Vec<u8>) {
    frame(Kind::RST_STREAM, Flags::NONE, Some(stream), &code.0.to_be_bytes(), out);
}

/// SETTINGS (RFC 9113 6.5).
pub fn settings(settings: &Settings, out: &mut Vec<u8>) {
    let head = FrameHead { length: 0, kind: Kind::SETTINGS, flags: Flags::NONE, stream: None };
    with_payload(head, out, |out| {
        for (id, value) in settings.iter() {
            out.extend_from_slice(&id.0.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
    });
}

/// The acknowledgement of SETTINGS (RFC 9113 6.5.3).
pub fn settings_ack(out: &mut Vec<u8>) {
    frame(Kind::SETTINGS, Flags::ACK, None, &[], out);
}

/// PUSH_PROMISE, and CONTINUATION frames if the block does not fit into `max_frame_size` octets (RFC 9113
/// 6.6). Made for tests: this project never pushes.
pub fn push_promise(
    stream: StreamId,
    promised: StreamId,
    block: &[u8],
    max_frame_size: u32,
    out: &mut Vec<u8>,
) {
    let promised = promised.get().to_be_bytes();
    let (first, rest) = split(block, max_frame_size.saturating_sub(4));
    let flags = Flags::NONE.with(Flags::END_HEADERS, rest.is_empty());
    let head = FrameHead { length: 0, kind: Kind::PUSH_PROMISE, flags, stream: Some(stream) };
    with_payload(head, out, |out| {
        out.extend_from_slice(&promised);
        out.extend_from_slice(first);
    });
    continuations(stream, rest, max_frame_size, out);
}

/// PING (RFC 9113 6.7).
pub fn ping(ack: bool, payload: [u8; 8], out: &mut Vec<u8>) {
    frame(Kind::PING, Flags::NONE.with(Flags::ACK, ack), None, &payload, out);
}

/// GOAWAY; `last` is the last stream of the peer that was or may be processed (RFC 9113 6.8).
pub fn goaway(last: Option<StreamId>, code: ErrorCode, debug: &[u8], out: &mut Vec<u8>) {
    let head = FrameHead { length: 0, kind: Kind::GOAWAY, flags: Flags::NONE, stream: None };
    with_payload(head, out, |out| {
        out.extend_from_slice(&last.map_or(0, StreamId::get).to_be_bytes());
        out.extend_from_slice(&code.0.to_be_bytes());
        out.extend_from_slice(debug);
    });
}

/// WINDOW_UPDATE of a stream, or of the connection if `stream` is `None` (RFC 9113 6.9). `increment` is
/// 1 to 2^31-1 octets.
pub fn window_update(stream: Option<StreamId>, increment: u32, out: &mut Vec<u8>) {
    frame(Kind::WINDOW_UPDATE, Flags::NONE, stream, &increment.to_be_bytes(), out);
}

/// PRIORITY_UPDATE (RFC 9218 7.1).
pub fn priority_update(stream: StreamId, value: &[u8], out: &mut Vec<u8>) {
    let head = FrameHead { length: 0, kind: Kind::PRIORITY_UPDATE, flags: Flags::NONE, stream: None };
    with_payload(head, out, |out| {
        out.extend_from_slice(&stream.get().to_be_bytes());
        out.extend_from_slice(value);
    });
}

/// A frame of any kind with any payload shorter than 16 MiB.
#[inline]
pub fn frame(kind: Kind, flags: Flags, stream: Option<StreamId>, payload: &[u8], out: &mut Vec<u8>) {
    let head = FrameHead { length: length(payload.len()), kind, flags, stream };
    out.extend_from_slice(&head.encode());
    out.extend_from_slice(payload);
}

/// Appends `head`, what `payload` appends, and then the right length into the head.
fn with_payload(mut head: FrameHead, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&head.encode());
    payload(out);
    head.length = length(out.len() - start - FrameHead::LEN);
    out[start..start + FrameHead::LEN].copy_from_slice(&head.encode());
}

fn continuations(stream: StreamId, mut rest: &[u8], max_frame_size: u32, out: &mut Vec<u8>) {
    while !rest.is_empty() {
        let (fragment, after) = split(rest, max_frame_size);
        continuation(stream, after.is_empty(), fragment, out);
        rest = after;
    }
}

fn split(block: &[u8], most: u32) -> (&[u8], &[u8]) {
    block.split_at(block.len().min(most.max(1) as usize))
}

/// RFC 9113 6.1: padding octets are zero.
fn pad(padding: u8, out: &mut Vec<u8>) {
    out.resize(out.len() + usize::from(padding), 0);
}

/// The 24 bits of a length field; longer payloads are the caller's mistake and cannot be framed.
fn length(octets: usize) -> u32 {
    debug_assert!(octets <= 0x00ff_ffff, "a frame is shorter than 16 MiB");
    octets as u32
}
