//! What can go wrong, as data: a variant per violated rule, with its code and its section.
//!
//! [`Violation`] blames the peer; [`ConnectionError`] and [`StreamError`] are what the application sees.
//! Misuse by the caller is another type, [`Misuse`]. Nothing here decides what to do about a fault.

use std::fmt;
use std::io;

use bytes::Bytes;
use hbone_frame::hpack::CompressionError;
use hbone_frame::{ErrorCode, Malformed};

/// A rule that the peer broke, found by this end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A frame that breaks a rule of its own layout.
    Frame(Malformed),
    /// A header block that cannot be decoded.
    Compression(CompressionError),
    /// The first frame was not SETTINGS.
    FirstFrameNotSettings,
    /// A SETTINGS acknowledgement that nobody asked for.
    UnexpectedSettingsAck,
    /// A value that this role may not send, such as ENABLE_PUSH 1 from a server.
    SettingNotAllowed,
    /// A stream opened with an identifier of the wrong parity, or where this role opens none.
    StreamParity,
    /// A stream opened with an identifier below an earlier one.
    StreamIdFell,
    /// A frame for a stream that was never opened.
    IdleStream,
    /// A frame for a stream that has ended.
    ClosedStream,
    /// DATA or HEADERS after the peer's own END_STREAM.
    HalfClosed,
    /// DATA before the head of the message.
    DataBeforeHead,
    /// More DATA than the connection's window allows.
    ConnectionWindow,
    /// More DATA than the stream's window allows.
    StreamWindow,
    /// WINDOW_UPDATE or SETTINGS that lift a window over 2^31-1.
    WindowOverflow,
    /// PUSH_PROMISE, which both roles refuse here.
    PushPromise,
    /// A stream that depends on itself.
    SelfDependency,
    /// More streams than announced.
    StreamLimit,
    /// HEADERS on an established tunnel.
    HeadersOnTunnel,
    /// A trailer section without END_STREAM.
    TrailersWithoutEnd,
    /// A pseudo-field in trailers.
    PseudoInTrailers,
    /// A field name or value with forbidden octets.
    FieldOctets,
    /// A pseudo-field that is unknown, repeated, late, missing or not allowed in this message.
    PseudoField,
    /// A pseudo-field whose value breaks its grammar.
    PseudoValue,
    /// `:authority` and `host` disagree, or `:authority` carries user information.
    Authority,
    /// A connection-specific field.
    ConnectionField,
    /// `:protocol` without our SETTINGS_ENABLE_CONNECT_PROTOCOL.
    ProtocolNotEnabled,
    /// `content-length` that is not a number, repeated with other values, or other than what was sent.
    ContentLength,
    /// A header list over the announced limit.
    HeaderListTooLarge,
    /// An informational response with END_STREAM, 101, or more of them than tolerated.
    Informational,
    /// GOAWAY whose last stream identifier is above an earlier one.
    GoawayRaised,
    /// PRIORITY_UPDATE from a server.
    PriorityUpdateFromServer,
    /// PRIORITY_UPDATE of a push stream that nobody has promised.
    PriorityUpdateOfIdlePush,
    /// PRIORITY_UPDATE of more idle streams than may be opened.
    PriorityUpdateOverLimit,
    /// Behaviour that only costs: see [`Flood`].
    Flood(Flood),
}

/// Which budget a peer has used up. All budgets decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flood {
    /// RST_STREAM received.
    Resets,
    /// RST_STREAM received before the stream was answered (CVE-2023-44487).
    EarlyResets,
    /// RST_STREAM that the peer made us send (CVE-2025-8671).
    ProvokedResets,
    /// PING.
    Pings,
    /// SETTINGS.
    Settings,
    /// Control frames that the peer provokes but does not read.
    Replies,
    /// Frames that are legal and do nothing.
    Glitches,
}

impl Violation {
    /// The error code that RST_STREAM or GOAWAY carries for it.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Frame(malformed) => malformed.code(),
            Self::Compression(error) => error.code(),
            Self::ConnectionWindow | Self::StreamWindow | Self::WindowOverflow => {
                ErrorCode::FLOW_CONTROL_ERROR
            }
            Self::ClosedStream | Self::HalfClosed => ErrorCode::STREAM_CLOSED,
            Self::StreamLimit => ErrorCode::REFUSED_STREAM,
            Self::Flood(_) | Self::HeaderListTooLarge => ErrorCode::ENHANCE_YOUR_CALM,
            Self::FirstFrameNotSettings
            | Self::UnexpectedSettingsAck
            | Self::SettingNotAllowed
            | Self::StreamParity
            | Self::StreamIdFell
            | Self::IdleStream
            | Self::DataBeforeHead
            | Self::PushPromise
            | Self::SelfDependency
            | Self::HeadersOnTunnel
            | Self::TrailersWithoutEnd
            | Self::PseudoInTrailers
            | Self::FieldOctets
            | Self::PseudoField
            | Self::PseudoValue
            | Self::Authority
            | Self::ConnectionField
            | Self::ProtocolNotEnabled
            | Self::ContentLength
            | Self::Informational
            | Self::GoawayRaised
            | Self::PriorityUpdateFromServer
            | Self::PriorityUpdateOfIdlePush
            | Self::PriorityUpdateOverLimit => ErrorCode::PROTOCOL_ERROR,
        }
    }

    /// The section that states the rule.
    pub fn section(self) -> &'static str {
        self.describe().0
    }

    /// Section and plain words, one table. Faults of the layers below tell their own.
    fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::Frame(malformed) => (malformed.section(), "malformed frame"),
            Self::Compression(_) => ("RFC 9113 4.3", "header block cannot be decoded"),
            Self::FirstFrameNotSettings => ("RFC 9113 3.4", "the first frame is not SETTINGS"),
            Self::UnexpectedSettingsAck => ("RFC 9113 6.5.3", "SETTINGS acknowledgement without SETTINGS"),
            Self::SettingNotAllowed => ("RFC 9113 6.5.2", "a setting that this role may not send"),
            Self::StreamParity => ("RFC 9113 5.1.1", "stream identifier of the wrong parity"),
            Self::StreamIdFell => ("RFC 9113 5.1.1", "stream identifier below an earlier one"),
            Self::IdleStream => ("RFC 9113 5.1", "frame on an idle stream"),
            Self::ClosedStream => ("RFC 9113 5.1", "frame on a closed stream"),
            Self::HalfClosed => ("RFC 9113 5.1", "frame after END_STREAM"),
            Self::DataBeforeHead => ("RFC 9113 8.1", "DATA before HEADERS"),
            Self::ConnectionWindow => ("RFC 9113 6.9.1", "DATA beyond the connection's window"),
            Self::StreamWindow => ("RFC 9113 6.9.1", "DATA beyond the stream's window"),
            Self::WindowOverflow => ("RFC 9113 6.9.1", "window above 2^31-1"),
            Self::PushPromise => ("RFC 9113 6.6", "PUSH_PROMISE although push is off"),
            Self::SelfDependency => ("RFC 7540 5.3.1", "stream depends on itself"),
            Self::StreamLimit => ("RFC 9113 5.1.2", "more streams than announced"),
            Self::HeadersOnTunnel => ("RFC 9113 8.5", "HEADERS on an established tunnel"),
            Self::TrailersWithoutEnd => ("RFC 9113 8.1", "trailers without END_STREAM"),
            Self::PseudoInTrailers => ("RFC 9113 8.1", "pseudo-field in trailers"),
            Self::FieldOctets => ("RFC 9113 8.2.1", "forbidden octet in a field"),
            Self::PseudoField => ("RFC 9113 8.3", "pseudo-fields are wrong for this message"),
            Self::PseudoValue => ("RFC 9113 8.3.1", "invalid value of a pseudo-field"),
            Self::Authority => ("RFC 9113 8.3.1", "invalid or contradicted authority"),
            Self::ConnectionField => ("RFC 9113 8.2.2", "connection-specific field"),
            Self::ProtocolNotEnabled => ("RFC 8441 3", ":protocol was not enabled"),
            Self::ContentLength => ("RFC 9113 8.1.1", "content-length does not match"),
            Self::HeaderListTooLarge => ("RFC 9113 10.5.1", "header list over the announced limit"),
            Self::Informational => ("RFC 9113 8.1", "informational responses out of bounds"),
            Self::GoawayRaised => ("RFC 9113 6.8", "GOAWAY raised its last stream identifier"),
            Self::PriorityUpdateFromServer => ("RFC 9218 7.1", "PRIORITY_UPDATE from a server"),
            Self::PriorityUpdateOfIdlePush => ("RFC 9218 7.1", "PRIORITY_UPDATE of an idle push stream"),
            Self::PriorityUpdateOverLimit => ("RFC 9218 7.1", "PRIORITY_UPDATE of too many idle streams"),
            Self::Flood(flood) => ("RFC 9113 10.5", flood.name()),
        }
    }
}

impl Flood {
    /// The name of its counter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resets => "too many RST_STREAM",
            Self::EarlyResets => "too many streams reset before their answer",
            Self::ProvokedResets => "too many stream errors",
            Self::Pings => "too many PING",
            Self::Settings => "too many SETTINGS",
            Self::Replies => "replies are not read",
            Self::Glitches => "too many frames without effect",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (section, words) = self.describe();
        if let Self::Frame(malformed) = self {
            fmt::Display::fmt(malformed, f)
        } else if let Self::Compression(error) = self {
            write!(f, "{words}: {error}")
        } else {
            write!(f, "{words} ({section})")
        }
    }
}

impl std::error::Error for Violation {}

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
    /// The peer did not process it (beyond GOAWAY's last stream, or never sent): safe to retry elsewhere.
    Goaway,
    /// The connection has ended.
    Connection(ConnectionError),
    /// The direction is finished already, or the stream is not in a state for this call.
    Finished,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset(code) => write!(f, "the peer reset the stream: {code}"),
            Self::Cancelled(code) => write!(f, "the stream was reset by this end: {code}"),
            Self::Protocol(violation) => write!(f, "the peer broke a rule on the stream: {violation}"),
            Self::Goaway => f.write_str("the peer is going away and did not process the stream"),
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
            StreamError::Connection(ConnectionError::Timeout(_)) => io::ErrorKind::TimedOut,
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
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head(violation) => fmt::Display::fmt(violation, f),
            Self::ProtocolNotEnabled => f.write_str("the peer has not enabled :protocol (RFC 8441 3)"),
        }
    }
}

impl std::error::Error for Misuse {}

/// Why a stream could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// As many streams are open as the peer allows; `Event::Openable` follows when that changes.
    Blocked,
    /// The connection is going away (either end's GOAWAY); use another one.
    Draining,
    /// The stream identifiers are used up; use another connection.
    Exhausted,
    /// This role opens no streams here.
    Role,
    /// The request cannot be sent as it is.
    Invalid(Misuse),
    /// The connection has ended.
    Closed(ConnectionError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked => f.write_str("the peer's limit of concurrent streams is reached"),
            Self::Draining => f.write_str("the connection is going away"),
            Self::Exhausted => f.write_str("the stream identifiers of the connection are used up"),
            Self::Role => f.write_str("this side of the connection opens no streams"),
            Self::Invalid(misuse) => write!(f, "the request cannot be sent: {misuse}"),
            Self::Closed(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for OpenError {}
