//! What a peer can do wrong, as one table: code, section, label, words.
//!
//! Found by the engine; faults of single frames and of header compression come from the layer below and keep their
//! own tables. Decides nothing.

use std::fmt;

use hbone_frame::hpack::CompressionError;
use hbone_frame::{ErrorCode, Malformed};

macro_rules! violations {
    ($($(#[doc = $doc:literal])* $name:ident: $code:ident, $section:literal, $label:literal, $words:literal;)*) => {
        /// A rule that the peer broke, found by this end.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Violation {
            /// A frame that breaks a rule of its own layout.
            Frame(Malformed),
            /// A header block that cannot be decoded.
            Compression(CompressionError),
            $($(#[doc = $doc])* $name,)*
            /// Behaviour that only costs: see [`Flood`].
            Flood(Flood),
        }

        impl Violation {
            /// The error code that RST_STREAM or GOAWAY carries for it.
            pub const fn code(self) -> ErrorCode {
                match self {
                    Self::Frame(malformed) => malformed.code(),
                    Self::Compression(error) => error.code(),
                    $(Self::$name => ErrorCode::$code,)*
                    Self::Flood(_) => ErrorCode::ENHANCE_YOUR_CALM,
                }
            }

            /// The section that states the rule.
            pub const fn section(self) -> &'static str {
                match self {
                    Self::Frame(malformed) => malformed.section(),
                    Self::Compression(_) => "RFC 9113 4.3",
                    $(Self::$name => $section,)*
                    Self::Flood(_) => "RFC 9113 10.5",
                }
            }

            /// A short name for counters and metrics, in snake case. Stable, one of a finite set, and nothing that
            /// a peer has sent is part of it. Faults of frames begin with `frame_`, of header compression with
            /// `hpack_`, floods with `flood_`.
            pub const fn label(self) -> &'static str {
                match self {
                    Self::Frame(malformed) => malformed.label(),
                    Self::Compression(error) => error.label(),
                    $(Self::$name => $label,)*
                    Self::Flood(flood) => flood.label(),
                }
            }

            const fn words(self) -> &'static str {
                match self {
                    Self::Frame(_) => "malformed frame",
                    Self::Compression(_) => "header block cannot be decoded",
                    $(Self::$name => $words,)*
                    Self::Flood(flood) => flood.name(),
                }
            }

            /// Every violation.
            #[cfg(test)]
            pub(super) fn all() -> Vec<Self> {
                let frames = Malformed::ALL.iter().copied().map(Self::Frame);
                let blocks = CompressionError::ALL.iter().copied().map(Self::Compression);
                let floods = Flood::ALL.iter().copied().map(Self::Flood);
                frames.chain(blocks).chain([$(Self::$name,)*]).chain(floods).collect()
            }
        }
    };
}

violations! {
    /// The first frame was not SETTINGS.
    FirstFrameNotSettings: PROTOCOL_ERROR, "RFC 9113 3.4", "first_frame_not_settings",
        "the first frame is not SETTINGS";
    /// A SETTINGS acknowledgement that nobody asked for.
    UnexpectedSettingsAck: PROTOCOL_ERROR, "RFC 9113 6.5.3", "unexpected_settings_ack",
        "SETTINGS acknowledgement without SETTINGS";
    /// A value that this role may not send, such as ENABLE_PUSH 1 from a server.
    SettingNotAllowed: PROTOCOL_ERROR, "RFC 9113 6.5.2", "setting_not_allowed",
        "a setting that this role may not send";
    /// A stream opened with an identifier of the wrong parity, or where this role opens none.
    StreamParity: PROTOCOL_ERROR, "RFC 9113 5.1.1", "stream_parity", "stream identifier of the wrong parity";
    /// A stream opened with an identifier below an earlier one.
    StreamIdFell: PROTOCOL_ERROR, "RFC 9113 5.1.1", "stream_id_fell", "stream identifier below an earlier one";
    /// A frame for a stream that was never opened.
    IdleStream: PROTOCOL_ERROR, "RFC 9113 5.1", "idle_stream", "frame on an idle stream";
    /// A frame for a stream that has ended.
    ClosedStream: STREAM_CLOSED, "RFC 9113 5.1", "closed_stream", "frame on a closed stream";
    /// DATA or HEADERS after the peer's own END_STREAM.
    HalfClosed: STREAM_CLOSED, "RFC 9113 5.1", "half_closed", "frame after END_STREAM";
    /// DATA before the head of the message.
    DataBeforeHead: PROTOCOL_ERROR, "RFC 9113 8.1", "data_before_head", "DATA before HEADERS";
    /// More DATA than the connection's window allows.
    ConnectionWindow: FLOW_CONTROL_ERROR, "RFC 9113 6.9.1", "connection_window",
        "DATA beyond the connection's window";
    /// More DATA than the stream's window allows.
    StreamWindow: FLOW_CONTROL_ERROR, "RFC 9113 6.9.1", "stream_window", "DATA beyond the stream's window";
    /// WINDOW_UPDATE or SETTINGS that lift a window over 2^31-1.
    WindowOverflow: FLOW_CONTROL_ERROR, "RFC 9113 6.9.1", "window_overflow", "window above 2^31-1";
    /// A stream that depends on itself.
    SelfDependency: PROTOCOL_ERROR, "RFC 7540 5.3.1", "self_dependency", "stream depends on itself";
    /// More streams than announced.
    StreamLimit: REFUSED_STREAM, "RFC 9113 5.1.2", "stream_limit", "more streams than announced";
    /// HEADERS on an established tunnel.
    HeadersOnTunnel: PROTOCOL_ERROR, "RFC 9113 8.5", "headers_on_tunnel", "HEADERS on an established tunnel";
    /// A trailer section without END_STREAM.
    TrailersWithoutEnd: PROTOCOL_ERROR, "RFC 9113 8.1", "trailers_without_end", "trailers without END_STREAM";
    /// A pseudo-field in trailers.
    PseudoInTrailers: PROTOCOL_ERROR, "RFC 9113 8.1", "pseudo_in_trailers", "pseudo-field in trailers";
    /// A field name or value with forbidden octets.
    FieldOctets: PROTOCOL_ERROR, "RFC 9113 8.2.1", "field_octets", "forbidden octet in a field";
    /// A pseudo-field that is unknown, repeated, late, missing or not allowed in this message.
    PseudoField: PROTOCOL_ERROR, "RFC 9113 8.3", "pseudo_field", "pseudo-fields are wrong for this message";
    /// A pseudo-field whose value breaks its grammar.
    PseudoValue: PROTOCOL_ERROR, "RFC 9113 8.3.1", "pseudo_value", "invalid value of a pseudo-field";
    /// `:authority` and `host` disagree, or `:authority` carries user information.
    Authority: PROTOCOL_ERROR, "RFC 9113 8.3.1", "authority", "invalid or contradicted authority";
    /// A connection-specific field.
    ConnectionField: PROTOCOL_ERROR, "RFC 9113 8.2.2", "connection_field", "connection-specific field";
    /// `:protocol` without our SETTINGS_ENABLE_CONNECT_PROTOCOL.
    ProtocolNotEnabled: PROTOCOL_ERROR, "RFC 8441 3", "protocol_not_enabled", ":protocol was not enabled";
    /// A server opened a stream with another method than CONNECT.
    NotConnect: PROTOCOL_ERROR, "docs/protocol.md 4", "not_connect", "a stream of the server is no CONNECT";
    /// `content-length` that is not a number, repeated with other values, or other than what was sent.
    ContentLength: PROTOCOL_ERROR, "RFC 9113 8.1.1", "content_length", "content-length does not match";
    /// A header list over the announced limit.
    HeaderListTooLarge: ENHANCE_YOUR_CALM, "RFC 9113 10.5.1", "header_list_too_large",
        "header list over the announced limit";
    /// An informational response with END_STREAM, 101, or more of them than tolerated.
    Informational: PROTOCOL_ERROR, "RFC 9113 8.1", "informational", "informational responses out of bounds";
    /// GOAWAY whose last stream identifier is above an earlier one.
    GoawayRaised: PROTOCOL_ERROR, "RFC 9113 6.8", "goaway_raised", "GOAWAY raised its last stream identifier";
    /// PRIORITY_UPDATE from a server.
    PriorityUpdateFromServer: PROTOCOL_ERROR, "RFC 9218 7.1", "priority_update_from_server",
        "PRIORITY_UPDATE from a server";
    /// PRIORITY_UPDATE of a push stream that nobody has promised.
    PriorityUpdateOfIdlePush: PROTOCOL_ERROR, "RFC 9218 7.1", "priority_update_of_idle_push",
        "PRIORITY_UPDATE of an idle push stream";
    /// PRIORITY_UPDATE of more idle streams than may be opened.
    PriorityUpdateOverLimit: PROTOCOL_ERROR, "RFC 9218 7.1", "priority_update_over_limit",
        "PRIORITY_UPDATE of too many idle streams";
}

macro_rules! floods {
    ($(#[doc = $doc:literal] $name:ident: $label:literal, $words:literal;)*) => {
        /// Which budget a peer has used up. All budgets decay.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Flood {
            $(#[doc = $doc] $name,)*
        }

        impl Flood {
            /// Every flood.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name of its counter in plain words.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $words,)*
                }
            }

            /// As [`Violation::label`]: `flood_` and words in snake case.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }
        }
    };
}

floods! {
    /// RST_STREAM received.
    Resets: "flood_resets", "too many RST_STREAM";
    /// RST_STREAM received before the stream was answered (CVE-2023-44487).
    EarlyResets: "flood_early_resets", "too many streams reset before their answer";
    /// RST_STREAM that the peer made us send (CVE-2025-8671).
    ProvokedResets: "flood_provoked_resets", "too many stream errors";
    /// PING.
    Pings: "flood_pings", "too many PING";
    /// SETTINGS.
    Settings: "flood_settings", "too many SETTINGS";
    /// Control frames that the peer provokes but does not read.
    Replies: "flood_replies", "replies are not read";
    /// Frames that are legal and do nothing.
    Glitches: "flood_glitches", "too many frames without effect";
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Frame(malformed) = self {
            fmt::Display::fmt(malformed, f)
        } else if let Self::Compression(error) = self {
            write!(f, "{}: {error}", self.words())
        } else {
            write!(f, "{} ({})", self.words(), self.section())
        }
    }
}

impl std::error::Error for Violation {}
