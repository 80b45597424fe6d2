//! What the engine tells its application. Plain data.

use std::time::Duration;

use bytes::Bytes;
use hbone_frame::ErrorCode;

use super::connect::{Request, Response};
use super::error::ConnectionError;
use super::streams::StreamKey;

/// Something that the application may want to act on, in order.
#[derive(Debug)]
pub enum Event {
    /// The peer's first SETTINGS have arrived.
    Established,
    /// The peer opened a stream. It holds a slot until `release`.
    Incoming {
        /// The new stream.
        key: StreamKey,
        /// Its head.
        request: Request,
        /// Whether the peer has already finished its direction.
        end: bool,
    },
    /// The final response to a stream that this end opened; informational ones are dropped and counted.
    Response {
        /// The stream.
        key: StreamKey,
        /// The head.
        response: Response,
        /// Whether the peer has already finished its direction.
        end: bool,
    },
    /// `read` has something new: octets, the end, or a failure.
    Readable(StreamKey),
    /// `capacity` has room again after it had none, or the stream failed.
    Writable(StreamKey),
    /// `open` may succeed again, or has failed for good.
    Openable,
    /// A PING was answered.
    Pong {
        /// What `ping` returned.
        id: u64,
        /// Time from its emission to its answer.
        rtt: Duration,
    },
    /// The peer sent GOAWAY and will take no new streams.
    Goaway {
        /// Its code.
        code: ErrorCode,
        /// Its debug data, at most 1 KiB.
        debug: Bytes,
    },
    /// The connection has ended; every stream has failed or finished. The last event.
    Closed(ConnectionError),
}

/// What `read` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Octets, at least one.
    Data(Bytes),
    /// Nothing yet; `Event::Readable` follows.
    Pending,
    /// END_STREAM: every octet was delivered.
    End,
}
