//! What the decoder hands out: one value per frame, except DATA (pieces) and header blocks (joined).
//!
//! A frame that exists is well formed by itself; whether it may come now, on this stream and from this
//! side, is the engine's question.

use bytes::Bytes;

use crate::code::ErrorCode;
use crate::control::Priority;
use crate::head::{Flags, Kind};
use crate::settings::Settings;
use crate::stream_id::StreamId;

/// A decoded frame (RFC 9113 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Octets of a DATA frame, as far as they have arrived.
    Data(DataPiece),
    /// HEADERS with its CONTINUATION frames.
    Headers(HeaderBlock),
    /// The deprecated PRIORITY. May depend on itself: see [`Priority::depends_on`].
    Priority {
        /// The stream that is to be reordered.
        stream: StreamId,
        /// Its place.
        priority: Priority,
    },
    /// RST_STREAM.
    Reset {
        /// The stream that ends.
        stream: StreamId,
        /// Why.
        code: ErrorCode,
    },
    /// SETTINGS, every value in range.
    Settings(Settings),
    /// The acknowledgement of SETTINGS.
    SettingsAck,
    /// PUSH_PROMISE with its CONTINUATION frames.
    PushPromise {
        /// The client's stream on which the promise came.
        stream: StreamId,
        /// The promised stream, even.
        promised: StreamId,
        /// The whole header block of the promised request, compressed.
        block: Bytes,
    },
    /// PING.
    Ping {
        /// Whether it answers a PING of ours.
        ack: bool,
        /// The opaque octets, to be sent back if it does not.
        payload: [u8; 8],
    },
    /// GOAWAY.
    Goaway {
        /// The last stream of ours that the peer has or may have processed, `None` if there is none.
        last: Option<StreamId>,
        /// Why.
        code: ErrorCode,
        /// The beginning of the debug data, at most [`crate::DecoderConfig::max_goaway_debug`] octets.
        debug: Bytes,
    },
    /// WINDOW_UPDATE.
    WindowUpdate {
        /// The stream, or `None` for the connection.
        stream: Option<StreamId>,
        /// Octets of new credit, 1 to 2^31-1.
        increment: u32,
    },
    /// PRIORITY_UPDATE (RFC 9218 7.1).
    PriorityUpdate {
        /// The stream that is to be reordered.
        stream: StreamId,
        /// A priority field value, not parsed.
        value: Bytes,
    },
    /// The head of a frame of a kind that this crate does not know; its payload is skipped as it comes
    /// (RFC 9113 5.5).
    Unknown {
        /// The kind.
        kind: Kind,
        /// The flags.
        flags: Flags,
        /// The length of the payload in octets.
        length: u32,
        /// The stream, or `None` for the connection.
        stream: Option<StreamId>,
    },
}

/// A part of a DATA frame, sliced out of the input without a copy (RFC 9113 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataPiece {
    /// The stream.
    pub stream: StreamId,
    /// The flow-controlled length in octets of the whole frame, padding included (RFC 9113 6.9.1), on its
    /// first piece; 0 on all others. Known before the octets have come: they are sure to take that credit.
    pub charge: u32,
    /// The octets of `charge` that will never be data, the pad-length octet and the padding: 0 to 256, on the
    /// first piece; 0 on all others.
    pub overhead: u32,
    /// Octets of data, without padding. May be empty on the first and the last piece only.
    pub data: Bytes,
    /// Whether a frame begins with this piece.
    pub first: bool,
    /// Whether the frame is complete with this piece, padding included.
    pub last: bool,
    /// Whether the peer's half of the stream ends here; only on the last piece.
    pub end_stream: bool,
}

/// A whole header block with what its HEADERS frame said (RFC 9113 4.3, 6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderBlock {
    /// The stream.
    pub stream: StreamId,
    /// The compressed block: the fragments of HEADERS and all CONTINUATION frames, without padding. Must be
    /// run through the HPACK decoder in any case, else the connection's compression state is lost.
    pub block: Bytes,
    /// Whether the peer's half of the stream ends with this block.
    pub end_stream: bool,
    /// The deprecated priority. May depend on itself: see [`Priority::depends_on`].
    pub priority: Option<Priority>,
}
