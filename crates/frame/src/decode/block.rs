//! Header blocks: HEADERS or PUSH_PROMISE and the CONTINUATION frames after it, joined into one
//! (RFC 9113 4.3, 6.2, 6.6, 6.10).
//!
//! A block that comes in one frame stays a slice of the input. How many fragments, and how large, was judged
//! at their heads; only what depends on padding is judged here.

use bytes::{Buf, Bytes, BytesMut};

use crate::control::Priority;
use crate::decode::config::DecoderConfig;
use crate::frame::{Frame, HeaderBlock};
use crate::head::Flags;
use crate::malformed::Malformed;
use crate::stream_id::{Side, StreamId};

/// A header block that is not complete.
#[derive(Debug)]
pub(super) struct Block {
    opening: Opening,
    fragments: BytesMut,
    /// How many CONTINUATION frames it has.
    pub(super) continuations: u32,
    /// How many of these were empty.
    pub(super) empty: u32,
}

/// What the first frame of a block said.
#[derive(Debug)]
enum Opening {
    Headers { stream: StreamId, end_stream: bool, priority: Option<Priority> },
    PushPromise { stream: StreamId, promised: StreamId },
}

impl Block {
    /// The stream on which it has to go on.
    pub(super) const fn stream(&self) -> StreamId {
        match self.opening {
            Opening::Headers { stream, .. } | Opening::PushPromise { stream, .. } => stream,
        }
    }

    /// Octets so far.
    pub(super) fn len(&self) -> usize {
        self.fragments.len()
    }
}

impl Opening {
    fn frame(self, block: Bytes) -> Frame {
        match self {
            Self::Headers { stream, end_stream, priority } => {
                Frame::Headers(HeaderBlock { stream, block, end_stream, priority })
            }
            Self::PushPromise { stream, promised } => Frame::PushPromise { stream, promised, block },
        }
    }
}

/// The payload of HEADERS: its frame, or an open block.
pub(super) fn headers(
    stream: StreamId,
    flags: Flags,
    mut payload: Bytes,
    config: &DecoderConfig,
    open: &mut Option<Block>,
) -> Result<Option<Frame>, Malformed> {
    let padding = pad_length(flags, &mut payload)?;
    let priority = if flags.contains(Flags::PRIORITY) {
        let octets = *payload.first_chunk().ok_or(Malformed::FrameTooShort)?;
        payload.advance(Priority::LEN);
        Some(Priority::parse(octets))
    } else {
        None
    };
    let end_stream = flags.contains(Flags::END_STREAM);
    let opening = Opening::Headers { stream, end_stream, priority };
    begin(opening, unpadded(payload, padding)?, flags, config, open)
}

/// The payload of PUSH_PROMISE: its frame, or an open block.
pub(super) fn push_promise(
    stream: StreamId,
    flags: Flags,
    mut payload: Bytes,
    config: &DecoderConfig,
    open: &mut Option<Block>,
) -> Result<Option<Frame>, Malformed> {
    let padding = pad_length(flags, &mut payload)?;
    let promised = *payload.first_chunk().ok_or(Malformed::FrameTooShort)?;
    payload.advance(promised.len());
    // RFC 9113 6.6: the promised identifier must be one that the server may open next.
    let promised = StreamId::new(u32::from_be_bytes(promised))
        .filter(|promised| promised.initiator() == Side::Server)
        .ok_or(Malformed::PromisedStream)?;
    let opening = Opening::PushPromise { stream, promised };
    begin(opening, unpadded(payload, padding)?, flags, config, open)
}

/// The payload of CONTINUATION: the frame that is now complete, if it is.
pub(super) fn continuation(open: &mut Option<Block>, payload: &[u8], end_headers: bool) -> Option<Frame> {
    let block = open.as_mut()?;
    block.continuations += 1;
    block.empty += u32::from(payload.is_empty());
    block.fragments.extend_from_slice(payload);
    if !end_headers {
        return None;
    }
    let block = open.take()?;
    Some(block.opening.frame(block.fragments.freeze()))
}

fn begin(
    opening: Opening,
    fragment: Bytes,
    flags: Flags,
    config: &DecoderConfig,
    open: &mut Option<Block>,
) -> Result<Option<Frame>, Malformed> {
    if fragment.len() > config.max_header_block {
        return Err(Malformed::HeaderBlockTooLarge);
    }
    if flags.contains(Flags::END_HEADERS) {
        return Ok(Some(opening.frame(fragment)));
    }
    // Copied: the rest may be long in coming, and a slice would pin a whole chunk of input until then.
    *open = Some(Block { opening, fragments: BytesMut::from(&fragment[..]), continuations: 0, empty: 0 });
    Ok(None)
}

/// RFC 9113 6.2: the pad-length octet comes first.
fn pad_length(flags: Flags, payload: &mut Bytes) -> Result<usize, Malformed> {
    if !flags.contains(Flags::PADDED) {
        return Ok(0);
    }
    let padding = *payload.first().ok_or(Malformed::FrameTooShort)?;
    payload.advance(1);
    Ok(usize::from(padding))
}

/// RFC 9113 6.2: padding that leaves no room for the other fields is a connection error.
fn unpadded(mut payload: Bytes, padding: usize) -> Result<Bytes, Malformed> {
    let length = payload.len().checked_sub(padding).ok_or(Malformed::PaddingTooLong)?;
    payload.truncate(length);
    Ok(payload)
}
