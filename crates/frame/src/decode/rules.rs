//! What a frame head alone decides: may this frame come, and what is to be done with its payload.
//!
//! The rules of RFC 9113 4.2 and 6 on stream 0, on lengths and on the order within a header block stand
//! here; those on the contents of a payload beside the code that reads it. Every limit that can be judged
//! before the payload arrives is judged here, so that nothing is held in vain.

use crate::decode::block::Block;
use crate::decode::config::DecoderConfig;
use crate::decode::payload::Control;
use crate::head::{Flags, FrameHead, Kind};
use crate::malformed::Malformed;
use crate::settings::Settings;
use crate::stream_id::StreamId;

/// What to do with a payload.
pub(super) enum Plan {
    /// Hand it out in pieces.
    Data { stream: StreamId, padded: bool, end_stream: bool },
    /// Wait for its first `need` octets, then look at them.
    Payload { expect: Expect, need: u32 },
    /// Report the head, skip the payload.
    Skip,
}

/// A payload that is looked at when it is whole, with what its head has told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expect {
    /// The fragment of HEADERS.
    Headers { stream: StreamId, flags: Flags },
    /// The fragment of PUSH_PROMISE.
    PushPromise { stream: StreamId, flags: Flags },
    /// A further fragment.
    Continuation { end_headers: bool },
    /// Anything else.
    Control(Control),
}

/// Judges a head. `open` is the header block that is not complete.
#[inline]
pub(super) fn admit(
    head: &FrameHead,
    config: &DecoderConfig,
    open: Option<&Block>,
) -> Result<Plan, Malformed> {
    // RFC 9113 4.2: may be of stream scope for DATA; but a peer that ignores the limit ignores it everywhere.
    if head.length > config.max_frame_size {
        return Err(Malformed::FrameTooLarge);
    }
    if let Some(block) = open {
        return continuation(head, config, block);
    }
    if head.kind == Kind::DATA {
        let stream = head.stream.ok_or(Malformed::DataOnConnection)?;
        let padded = head.flags.contains(Flags::PADDED);
        if padded && head.length == 0 {
            return Err(Malformed::FrameTooShort);
        }
        return Ok(Plan::Data { stream, padded, end_stream: head.flags.contains(Flags::END_STREAM) });
    }
    others(head, config)
}

fn others(head: &FrameHead, config: &DecoderConfig) -> Result<Plan, Malformed> {
    let flags = head.flags;
    let expect = match head.kind {
        Kind::HEADERS => {
            let stream = head.stream.ok_or(Malformed::HeadersOnConnection)?;
            fits(head, config)?;
            Expect::Headers { stream, flags }
        }
        Kind::PUSH_PROMISE => {
            let stream = head.stream.ok_or(Malformed::PushPromiseOnConnection)?;
            if !config.push {
                return Err(Malformed::PushPromise);
            }
            fits(head, config)?;
            Expect::PushPromise { stream, flags }
        }
        // RFC 9113 6.10: must follow HEADERS, PUSH_PROMISE or CONTINUATION without END_HEADERS.
        Kind::CONTINUATION => return Err(Malformed::ContinuationWithoutHeaders),
        Kind::GOAWAY => return goaway(head, config),
        _ => match control(head, config)? {
            Some(control) => Expect::Control(control),
            None => return Ok(Plan::Skip),
        },
    };
    Ok(Plan::Payload { expect, need: head.length })
}

/// The frames whose payload is small; `None` for an unknown kind.
fn control(head: &FrameHead, config: &DecoderConfig) -> Result<Option<Control>, Malformed> {
    Ok(Some(match head.kind {
        Kind::PRIORITY => {
            let stream = head.stream.ok_or(Malformed::PriorityOnConnection)?;
            length(head, 5, Malformed::PriorityLength)?;
            Control::Priority { stream }
        }
        Kind::RST_STREAM => {
            let stream = head.stream.ok_or(Malformed::ResetOnConnection)?;
            length(head, 4, Malformed::ResetLength)?;
            Control::Reset { stream }
        }
        Kind::SETTINGS => settings(head, config)?,
        Kind::PING => {
            no_stream(head, Malformed::PingOnStream)?;
            length(head, 8, Malformed::PingLength)?;
            Control::Ping { ack: head.flags.contains(Flags::ACK) }
        }
        Kind::WINDOW_UPDATE => {
            length(head, 4, Malformed::WindowUpdateLength)?;
            Control::WindowUpdate { stream: head.stream }
        }
        Kind::PRIORITY_UPDATE => {
            no_stream(head, Malformed::PriorityUpdateOnStream)?;
            let Some(value) = head.length.checked_sub(4) else {
                return Err(Malformed::PriorityUpdateLength);
            };
            if value as usize > config.max_priority_update {
                return Err(Malformed::PriorityUpdateTooLong);
            }
            Control::PriorityUpdate
        }
        _ => return Ok(None),
    }))
}

fn settings(head: &FrameHead, config: &DecoderConfig) -> Result<Control, Malformed> {
    no_stream(head, Malformed::SettingsOnStream)?;
    if head.flags.contains(Flags::ACK) {
        length(head, 0, Malformed::SettingsAckLength)?;
        return Ok(Control::SettingsAck);
    }
    let length = head.length as usize;
    if !length.is_multiple_of(Settings::ENTRY_LEN) {
        return Err(Malformed::SettingsLength);
    }
    if length / Settings::ENTRY_LEN > config.max_settings {
        return Err(Malformed::TooManySettings);
    }
    Ok(Control::Settings)
}

fn goaway(head: &FrameHead, config: &DecoderConfig) -> Result<Plan, Malformed> {
    no_stream(head, Malformed::GoawayOnStream)?;
    let Some(debug) = head.length.checked_sub(8) else { return Err(Malformed::GoawayLength) };
    let kept = debug.min(u32::try_from(config.max_goaway_debug).unwrap_or(u32::MAX));
    let expect = Expect::Control(Control::Goaway { beyond: debug - kept });
    Ok(Plan::Payload { expect, need: 8 + kept })
}

/// The only frame that may come within a header block.
fn continuation(head: &FrameHead, config: &DecoderConfig, block: &Block) -> Result<Plan, Malformed> {
    // RFC 9113 6.10: any other kind, unknown ones as well, and any other stream is a connection error.
    if head.kind != Kind::CONTINUATION || head.stream != Some(block.stream()) {
        return Err(Malformed::Interleaved);
    }
    if block.continuations >= config.max_continuations {
        return Err(Malformed::TooManyContinuations);
    }
    if head.length == 0 && block.empty >= config.max_empty_continuations {
        return Err(Malformed::TooManyEmptyContinuations);
    }
    if block.len() + head.length as usize > config.max_header_block {
        return Err(Malformed::HeaderBlockTooLarge);
    }
    let end_headers = head.flags.contains(Flags::END_HEADERS);
    Ok(Plan::Payload { expect: Expect::Continuation { end_headers }, need: head.length })
}

/// Refuses a first fragment that is too large even if all that may surround it does.
fn fits(head: &FrameHead, config: &DecoderConfig) -> Result<(), Malformed> {
    let least = (head.length as usize).saturating_sub(MOST_AROUND_FRAGMENT);
    if least > config.max_header_block { Err(Malformed::HeaderBlockTooLarge) } else { Ok(()) }
}

fn length(head: &FrameHead, length: u32, otherwise: Malformed) -> Result<(), Malformed> {
    if head.length == length { Ok(()) } else { Err(otherwise) }
}

fn no_stream(head: &FrameHead, otherwise: Malformed) -> Result<(), Malformed> {
    if head.stream.is_none() { Ok(()) } else { Err(otherwise) }
}

/// A pad-length octet, a priority, the most padding.
const MOST_AROUND_FRAGMENT: usize = 1 + 5 + 255;
