//! Small payloads once they are whole: octets to frames, with the rules on their contents.

use bytes::Bytes;

use crate::control::{self, Priority};
use crate::frame::Frame;
use crate::malformed::Malformed;
use crate::settings::Settings;
use crate::stream_id::StreamId;

/// A frame with a small payload, with what its head has told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Control {
    /// Five octets.
    Priority { stream: StreamId },
    /// Four octets.
    Reset { stream: StreamId },
    /// Entries of six octets.
    Settings,
    /// Nothing.
    SettingsAck,
    /// Eight octets.
    Ping { ack: bool },
    /// Eight octets and debug data, of which `beyond` octets are not kept.
    Goaway { beyond: u32 },
    /// Four octets.
    WindowUpdate { stream: Option<StreamId> },
    /// Four octets and a field value.
    PriorityUpdate,
}

/// Reads a payload. What is kept of it is copied: a few octets should not pin a whole chunk of input.
pub(super) fn parse(control: Control, payload: &[u8]) -> Result<Frame, Malformed> {
    Ok(match control {
        Control::Priority { stream } => {
            let octets = payload.try_into().map_err(|_| Malformed::PriorityLength)?;
            Frame::Priority { stream, priority: Priority::parse(octets) }
        }
        Control::Reset { stream } => {
            Frame::Reset { stream, code: control::reset(payload).ok_or(Malformed::ResetLength)? }
        }
        Control::Settings => Frame::Settings(Settings::parse(payload)?),
        Control::SettingsAck => Frame::SettingsAck,
        Control::Ping { ack } => {
            Frame::Ping { ack, payload: payload.try_into().map_err(|_| Malformed::PingLength)? }
        }
        Control::Goaway { .. } => {
            let (last, code, debug) = control::goaway(payload).ok_or(Malformed::GoawayLength)?;
            Frame::Goaway { last, code, debug: Bytes::copy_from_slice(debug) }
        }
        Control::WindowUpdate { stream } => {
            match (control::window_update(payload).ok_or(Malformed::WindowUpdateLength)?, stream) {
                // RFC 9113 6.9: an increment of 0 is an error of the scope that it was meant for.
                (0, Some(_)) => return Err(Malformed::WindowUpdateZero),
                (0, None) => return Err(Malformed::ConnectionWindowUpdateZero),
                (increment, stream) => Frame::WindowUpdate { stream, increment },
            }
        }
        Control::PriorityUpdate => {
            let (stream, value) = control::priority_update(payload).ok_or(Malformed::PriorityUpdateLength)?;
            let stream = stream.ok_or(Malformed::PriorityUpdateZero)?;
            Frame::PriorityUpdate { stream, value: Bytes::copy_from_slice(value) }
        }
    })
}
