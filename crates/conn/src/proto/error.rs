//! What can go wrong, as the application sees it: of a connection, of a stream, of an attempt to open one.
//!
//! What a peer did wrong is in `violation`; misuse by the caller is another type, [`Misuse`]. Nothing here decides
//! what to do about a fault.

use std::fmt;
use std::io;

use bytes::Bytes;
use hbone_frame::ErrorCode;

pub use super::violation::{Flood, Violation};

/// What was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// The peer's preface and first SETTINGS.
    Handshake,
    /// The acknowledgement of our SETTINGS.
    SettingsAck,
    /// The rest of a header block.
    HeaderBlock,
    /// Any octet after a PING.
    Keepalive,
}

/// Why a connection has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionError {
    /// In peace: drained, no stream was lost.
    Closed,
    /// The peer closed the transport while the connection was in use.
    Eof,
    /// The peer ended the connection with an error code.
    Goaway {
        /// The code of the GOAWAY frame.
        code: ErrorCode,
        /// Its debug data, at most 1 KiB.
        debug: Bytes,
    },
    /// The peer broke a rule.
    Protocol(Violation),
    /// The peer was silent for too long.
    Timeout(Timeout),
    /// The transport failed.
    Io(io::ErrorKind),
    /// This end's application closed it with that code.
    Local(ErrorCode),
}

impl Timeout {
    /// As [`ConnectionError::label`]: `timeout_` and what was waited for.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Handshake => "timeout_handshake",
            Self::SettingsAck => "timeout_settings_ack",
            Self::HeaderBlock => "timeout_header_block",
            Self::Keepalive => "timeout_keepalive",
        }
    }
}

impl ConnectionError {
    /// A short name for counters and metrics, in snake case. Stable, one of a finite set, and nothing that a peer has
    /// sent is part of it. For a broken rule it is the rule's own, [`Violation::label`].
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Eof => "eof",
            Self::Goaway { .. } => "goaway",
            Self::Protocol(violation) => violation.label(),
            Self::Timeout(timeout) => timeout.label(),
            Self::Io(_) => "io",
            Self::Local(_) => "local",
        }
    }

    /// The code that GOAWAY carried, the peer's or our own; `None` where there was no GOAWAY. Its
    /// [`ErrorCode::label`] is finite too.
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Goaway { code, .. } | Self::Local(code) => Some(*code),
            Self::Protocol(violation) => Some(violation.code()),
            Self::Closed | Self::Eof | Self::Timeout(_) | Self::Io(_) => None,
        }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection was closed in peace"),
            Self::Eof => f.write_str("the peer closed the transport without GOAWAY"),
            Self::Goaway { code, debug } if debug.is_empty() => {
                write!(f, "the peer ended the connection: {code}")
            }
            Self::Goaway { code, debug } => {
                write!(f, "the peer ended the connection: {code} \"{}\"", debug.escape_ascii())
            }
            Self::Protocol(violation) => write!(f, "the peer broke a rule: {violation}"),
            Self::Timeout(Timeout::Handshake) => f.write_str("no HTTP/2 SETTINGS from the peer in time"),
            Self::Timeout(Timeout::SettingsAck) => f.write_str("our SETTINGS were not acknowledged in time"),
            Self::Timeout(Timeout::HeaderBlock) => f.write_str("a header block was not completed in time"),
            Self::Timeout(Timeout::Keepalive) => f.write_str("the peer does not answer PING"),
            Self::Io(kind) => write!(f, "the transport failed: {kind}"),
            Self::Local(code) => write!(f, "closed by this end: {code}"),
        }
    }
}

impl std::error::Error for ConnectionError {}

impl From<ConnectionError> for io::Error {
    fn from(error: ConnectionError) -> Self {
        let kind = match error {
            ConnectionError::Io(kind) => kind,
            ConnectionError::Timeout(_) => io::ErrorKind::TimedOut,
            ConnectionError::Closed | ConnectionError::Local(_) => io::ErrorKind::NotConnected,
            ConnectionError::Eof | ConnectionError::Goaway { .. } | ConnectionError::Protocol(_) => {
                io::ErrorKind::ConnectionReset
            }
        };
        Self::new(kind, error)
    }
}

/// Why a stream has failed. A stream that failed never reports its end as clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// RST_STREAM from the peer; after a truncation even NO_ERROR and CANCEL are errors.
    Reset(ErrorCode),
    /// This end reset it.
    Cancelled(ErrorCode),
    /// The peer broke a rule on this stream; this end reset it.
    Protocol(Violation),
    /// It was not done by its deadline; this end reset it with CANCEL.
    Deadline,
    /// The peer did not process it: it lies beyond GOAWAY's last stream, or its head had not left when the connection
    /// ended. Safe to retry elsewhere.
    Goaway,
    /// The connection has ended. A request of this end had left: nobody can know what became of it.
    Connection(ConnectionError),
    /// The direction is finished already, or the stream is not in a state for this call.
    Finished,
}

impl StreamError {
    /// A short name for counters and metrics, in snake case. Stable, one of a finite set, and nothing that a peer has
    /// sent is part of it. For a broken rule it is [`Violation::label`], for a lost connection
    /// [`ConnectionError::label`].
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Reset(_) => "reset",
            Self::Cancelled(_) => "cancelled",
            Self::Protocol(violation) => violation.label(),
            Self::Deadline => "deadline",
            Self::Goaway => "not_processed",
            Self::Connection(error) => error.label(),
            Self::Finished => "finished",
        }
    }

    /// The code that RST_STREAM carried, the peer's or our own; `None` where there was none.
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Reset(code) | Self::Cancelled(code) => Some(*code),
            Self::Protocol(violation) => Some(violation.code()),
            Self::Deadline => Some(ErrorCode::CANCEL),
            Self::Goaway | Self::Connection(_) | Self::Finished => None,
        }
    }

    /// Whether the peer has certainly not processed the stream, so that the same request may be sent again, on this
    /// connection or another, whatever it does (RFC 9113 8.7). For all other errors nobody can know: only a request
    /// that may be done twice may then be sent again.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Goaway | Self::Reset(ErrorCode::REFUSED_STREAM))
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset(code) => write!(f, "the peer reset the stream: {code}"),
            Self::Cancelled(code) => write!(f, "the stream was reset by this end: {code}"),
            Self::Protocol(violation) => write!(f, "the peer broke a rule on the stream: {violation}"),
            Self::Deadline => f.write_str("the stream was not done by its deadline"),
            Self::Goaway => f.write_str(
                "the peer did not process the stream: it goes away, or the connection ended before",
            ),
            Self::Connection(error) => fmt::Display::fmt(error, f),
            Self::Finished => f.write_str("this direction of the stream is finished"),
        }
    }
}

impl std::error::Error for StreamError {}

impl From<StreamError> for io::Error {
    fn from(error: StreamError) -> Self {
        let kind = match error {
            StreamError::Connection(ConnectionError::Io(kind)) => kind,
            StreamError::Deadline | StreamError::Connection(ConnectionError::Timeout(_)) => {
                io::ErrorKind::TimedOut
            }
            StreamError::Finished => io::ErrorKind::BrokenPipe,
            StreamError::Reset(_)
            | StreamError::Cancelled(_)
            | StreamError::Protocol(_)
            | StreamError::Goaway
            | StreamError::Connection(_) => io::ErrorKind::ConnectionReset,
        };
        Self::new(kind, error)
    }
}

/// What the application asked for and must not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// The head breaks the rule that the violation names.
    Head(Violation),
    /// The peer has not announced SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 3).
    ProtocolNotEnabled,
    /// A server opens streams with CONNECT only.
    NotConnect,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(violation) => fmt::Display::fmt(violation, f),
            Self::ProtocolNotEnabled => f.write_str("the peer has not enabled :protocol (RFC 8441 3)"),
            Self::NotConnect => f.write_str("a server opens streams with CONNECT only"),
        }
    }
}

impl std::error::Error for Misuse {}

/// Why a stream could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// As many streams are open as the peer allows, or a server does not know yet whether it may open any;
    /// `Event::Openable` follows when that changes.
    Blocked,
    /// The connection is going away (either end's GOAWAY); use another one.
    Draining,
    /// The stream identifiers are used up; use another connection.
    Exhausted,
    /// A server opens streams only where both ends have announced it ([`Config::server_streams`]).
    ///
    /// [`Config::server_streams`]: crate::Config::server_streams
    Role,
    /// The request cannot be sent as it is.
    Invalid(Misuse),
    /// The memory that connections share is nearly used up ([`Config::memory`]); try again later.
    ///
    /// [`Config::memory`]: crate::Config::memory
    Memory,
    /// The deadline came before a stream could be opened.
    Deadline,
    /// The connection has ended.
    Closed(ConnectionError),
}

impl OpenError {
    /// As [`StreamError::label`]; where the connection has ended it is [`ConnectionError::label`].
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Draining => "draining",
            Self::Exhausted => "exhausted",
            Self::Role => "role",
            Self::Invalid(_) => "invalid",
            Self::Memory => "memory",
            Self::Deadline => "not_opened_in_time",
            Self::Closed(error) => error.label(),
        }
    }

    /// Whether the same request may be sent on another connection: nothing of it has left. `false` where it would
    /// fail there too.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Blocked | Self::Draining | Self::Exhausted | Self::Deadline | Self::Closed(_) => true,
            Self::Role | Self::Invalid(_) | Self::Memory => false,
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked => f.write_str("the peer's limit of concurrent streams is reached"),
            Self::Draining => f.write_str("the connection is going away"),
            Self::Exhausted => f.write_str("the stream identifiers of the connection are used up"),
            Self::Memory => f.write_str("the memory for connections is nearly used up"),
            Self::Role => f.write_str("this side of the connection opens no streams"),
            Self::Deadline => f.write_str("no stream could be opened by the deadline"),
            Self::Invalid(misuse) => write!(f, "the request cannot be sent: {misuse}"),
            Self::Closed(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for OpenError {}
