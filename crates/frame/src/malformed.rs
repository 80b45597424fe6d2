//! Every way in which a peer's frames can be wrong, as one table: code, scope, section, label, text.
//!
//! Found by the decoder, or by the engine where a rule needs what only the engine knows. Faults of field
//! compression are another type, [`crate::hpack::CompressionError`]; faults of stream states belong to the
//! engine. Never caused by our own caller.

use std::error::Error;
use std::fmt;

use crate::code::ErrorCode;
use crate::stream_id::StreamId;

/// What a violation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole connection, with GOAWAY (RFC 9113 5.4.1).
    Connection,
    /// One stream, with RST_STREAM (RFC 9113 5.4.2).
    Stream,
}

macro_rules! violations {
    ($(#[doc = $text:literal] $name:ident: $code:ident, $scope:ident, $section:literal, $label:literal;)*) => {
        /// A violated rule of the frame layer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Malformed {
            $(#[doc = $text] $name,)*
        }

        impl Malformed {
            /// Every violation, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The error code to answer with.
            pub const fn code(self) -> ErrorCode {
                match self {
                    $(Self::$name => ErrorCode::$code,)*
                }
            }

            /// Whether the connection or only the stream ends.
            pub const fn scope(self) -> Scope {
                match self {
                    $(Self::$name => Scope::$scope,)*
                }
            }

            /// The rule, such as `RFC 9113 6.1`.
            pub const fn section(self) -> &'static str {
                match self {
                    $(Self::$name => $section,)*
                }
            }

            /// A short name for counters and metrics: `frame_` and words in snake case. Stable.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }

            const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

violations! {
    /// the client preface is wrong
    Preface: PROTOCOL_ERROR, Connection, "RFC 9113 3.4", "frame_preface";
    /// a frame is larger than SETTINGS_MAX_FRAME_SIZE
    FrameTooLarge: FRAME_SIZE_ERROR, Connection, "RFC 9113 4.2", "frame_too_large";
    /// DATA, HEADERS or PUSH_PROMISE is too short for its own fields
    FrameTooShort: FRAME_SIZE_ERROR, Connection, "RFC 9113 4.2", "frame_too_short";
    /// padding is as long as the payload or longer
    PaddingTooLong: PROTOCOL_ERROR, Connection, "RFC 9113 6.1", "frame_padding_too_long";

    /// DATA on stream 0
    DataOnConnection: PROTOCOL_ERROR, Connection, "RFC 9113 6.1", "frame_data_on_connection";
    /// HEADERS on stream 0
    HeadersOnConnection: PROTOCOL_ERROR, Connection, "RFC 9113 6.2", "frame_headers_on_connection";
    /// PRIORITY on stream 0
    PriorityOnConnection: PROTOCOL_ERROR, Connection, "RFC 9113 6.3", "frame_priority_on_connection";
    /// RST_STREAM on stream 0
    ResetOnConnection: PROTOCOL_ERROR, Connection, "RFC 9113 6.4", "frame_reset_on_connection";
    /// SETTINGS on a stream
    SettingsOnStream: PROTOCOL_ERROR, Connection, "RFC 9113 6.5", "frame_settings_on_stream";
    /// PUSH_PROMISE on stream 0
    PushPromiseOnConnection: PROTOCOL_ERROR, Connection, "RFC 9113 6.6", "frame_push_promise_on_connection";
    /// PUSH_PROMISE although push is off
    PushPromise: PROTOCOL_ERROR, Connection, "RFC 9113 6.6", "frame_push_promise";
    /// PING on a stream
    PingOnStream: PROTOCOL_ERROR, Connection, "RFC 9113 6.7", "frame_ping_on_stream";
    /// GOAWAY on a stream
    GoawayOnStream: PROTOCOL_ERROR, Connection, "RFC 9113 6.8", "frame_goaway_on_stream";
    /// PRIORITY_UPDATE on a stream
    PriorityUpdateOnStream: PROTOCOL_ERROR, Connection, "RFC 9218 7.1", "frame_priority_update_on_stream";

    /// PRIORITY of a length other than 5
    PriorityLength: FRAME_SIZE_ERROR, Stream, "RFC 9113 6.3", "frame_priority_length";
    /// RST_STREAM of a length other than 4
    ResetLength: FRAME_SIZE_ERROR, Connection, "RFC 9113 6.4", "frame_reset_length";
    /// SETTINGS of a length that is no multiple of 6
    SettingsLength: FRAME_SIZE_ERROR, Connection, "RFC 9113 6.5", "frame_settings_length";
    /// an acknowledgement of SETTINGS with a payload
    SettingsAckLength: FRAME_SIZE_ERROR, Connection, "RFC 9113 6.5", "frame_settings_ack_length";
    /// PING of a length other than 8
    PingLength: FRAME_SIZE_ERROR, Connection, "RFC 9113 6.7", "frame_ping_length";
    /// GOAWAY shorter than 8
    GoawayLength: FRAME_SIZE_ERROR, Connection, "RFC 9113 6.8", "frame_goaway_length";
    /// WINDOW_UPDATE of a length other than 4
    WindowUpdateLength: FRAME_SIZE_ERROR, Connection, "RFC 9113 6.9", "frame_window_update_length";
    /// PRIORITY_UPDATE shorter than 4
    PriorityUpdateLength: FRAME_SIZE_ERROR, Connection, "RFC 9218 7.1", "frame_priority_update_length";

    /// SETTINGS_ENABLE_PUSH is neither 0 nor 1
    SettingsEnablePush: PROTOCOL_ERROR, Connection, "RFC 9113 6.5.2", "frame_settings_enable_push";
    /// SETTINGS_INITIAL_WINDOW_SIZE is above 2^31-1
    SettingsInitialWindowSize: FLOW_CONTROL_ERROR, Connection, "RFC 9113 6.5.2",
        "frame_settings_initial_window_size";
    /// SETTINGS_MAX_FRAME_SIZE is not within 2^14 to 2^24-1
    SettingsMaxFrameSize: PROTOCOL_ERROR, Connection, "RFC 9113 6.5.2", "frame_settings_max_frame_size";
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL is neither 0 nor 1
    SettingsEnableConnectProtocol: PROTOCOL_ERROR, Connection, "RFC 8441 3",
        "frame_settings_enable_connect_protocol";
    /// SETTINGS_NO_RFC7540_PRIORITIES is neither 0 nor 1
    SettingsNoRfc7540Priorities: PROTOCOL_ERROR, Connection, "RFC 9218 2.1",
        "frame_settings_no_rfc7540_priorities";
    /// SETTINGS_SERVER_STREAMS is neither 0 nor 1
    SettingsServerStreams: PROTOCOL_ERROR, Connection, "docs/protocol.md 4",
        "frame_settings_server_streams";

    /// a stream that depends on itself
    SelfDependency: PROTOCOL_ERROR, Stream, "RFC 7540 5.3.1", "frame_self_dependency";
    /// PUSH_PROMISE promises stream 0 or a stream of the client
    PromisedStream: PROTOCOL_ERROR, Connection, "RFC 9113 6.6", "frame_promised_stream";
    /// WINDOW_UPDATE of a stream by 0
    WindowUpdateZero: PROTOCOL_ERROR, Stream, "RFC 9113 6.9", "frame_window_update_zero";
    /// WINDOW_UPDATE of the connection by 0
    ConnectionWindowUpdateZero: PROTOCOL_ERROR, Connection, "RFC 9113 6.9",
        "frame_connection_window_update_zero";
    /// PRIORITY_UPDATE of stream 0
    PriorityUpdateZero: PROTOCOL_ERROR, Connection, "RFC 9218 7.1", "frame_priority_update_zero";

    /// a header block is interrupted by another frame
    Interleaved: PROTOCOL_ERROR, Connection, "RFC 9113 6.10", "frame_interleaved";
    /// CONTINUATION without a header block to continue
    ContinuationWithoutHeaders: PROTOCOL_ERROR, Connection, "RFC 9113 6.10",
        "frame_continuation_without_headers";

    /// a header block has too many CONTINUATION frames
    TooManyContinuations: ENHANCE_YOUR_CALM, Connection, "RFC 9113 10.5", "frame_too_many_continuations";
    /// a header block has too many empty CONTINUATION frames
    TooManyEmptyContinuations: ENHANCE_YOUR_CALM, Connection, "RFC 9113 10.5",
        "frame_too_many_empty_continuations";
    /// a header block is too large
    HeaderBlockTooLarge: ENHANCE_YOUR_CALM, Connection, "RFC 9113 10.5.1", "frame_header_block_too_large";
    /// SETTINGS has too many entries
    TooManySettings: ENHANCE_YOUR_CALM, Connection, "RFC 9113 10.5", "frame_too_many_settings";
    /// PRIORITY_UPDATE has too long a value
    PriorityUpdateTooLong: ENHANCE_YOUR_CALM, Connection, "RFC 9113 10.5", "frame_priority_update_too_long";
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text().trim_start(), self.section())
    }
}

impl Error for Malformed {}

/// A violation and where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The violated rule.
    pub malformed: Malformed,
    /// The stream of the frame at fault, `None` if it belonged to the connection. Present whenever the scope
    /// is [`Scope::Stream`]; with [`Scope::Connection`] it only says where to look.
    pub stream: Option<StreamId>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stream {
            Some(stream) => write!(f, "stream {stream}: {}", self.malformed),
            None => fmt::Display::fmt(&self.malformed, f),
        }
    }
}

impl Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_tells_the_stream_the_rule_and_the_section() {
        let fault = Fault { malformed: Malformed::PriorityLength, stream: StreamId::new(3) };
        assert_eq!(fault.to_string(), "stream 3: PRIORITY of a length other than 5 (RFC 9113 6.3)");
        let fault = Fault { malformed: Malformed::Preface, stream: None };
        assert_eq!(fault.to_string(), "the client preface is wrong (RFC 9113 3.4)");
    }

    #[test]
    fn only_three_violations_spare_the_connection() {
        let spared: Vec<_> = Malformed::ALL.iter().filter(|m| m.scope() == Scope::Stream).collect();
        assert_eq!(
            spared,
            [&Malformed::PriorityLength, &Malformed::SelfDependency, &Malformed::WindowUpdateZero]
        );
    }
}
