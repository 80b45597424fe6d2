//! The 9-octet frame head, frame kinds and flags, and the constants of the wire (RFC 9113 3.4, 4.1, 6).
//!
//! Parsing a head cannot fail: any nine octets are a head. Whether a frame may have that length, kind or
//! stream is judged by the decoder; kinds and flags that are not registered stay as they came.

use std::fmt;

use crate::stream_id::StreamId;

/// The 24 octets with which a client begins (RFC 9113 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest payload in octets that a peer takes before its SETTINGS say otherwise (RFC 9113 6.5.2).
pub const DEFAULT_MAX_FRAME_SIZE: u32 = 16_384;

/// The largest value in octets that SETTINGS_MAX_FRAME_SIZE may have, 2^24-1 (RFC 9113 6.5.2).
pub const LARGEST_MAX_FRAME_SIZE: u32 = 0x00ff_ffff;

/// The flow-control window in octets with which the connection and every stream begin (RFC 9113 6.9.2).
pub const DEFAULT_WINDOW: u32 = 65_535;

/// The largest flow-control window in octets, 2^31-1 (RFC 9113 6.9.1).
pub const MAX_WINDOW: u32 = 0x7fff_ffff;

/// The head of a frame: what the nine octets before each payload say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// The length of the payload in octets, 0 to 2^24-1; the head is not counted.
    pub length: u32,
    /// The kind of frame.
    pub kind: Kind,
    /// The flags; their meaning depends on the kind.
    pub flags: Flags,
    /// The stream, or `None` for the connection ("stream 0").
    pub stream: Option<StreamId>,
}

impl FrameHead {
    /// The length of a head on the wire in octets.
    pub const LEN: usize = 9;

    /// Reads a head; the reserved bit before the stream identifier is ignored (RFC 9113 4.1).
    #[inline]
    pub const fn parse(octets: &[u8; Self::LEN]) -> Self {
        let [a, b, c, kind, flags, s, t, u, v] = *octets;
        Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind: Kind(kind),
            flags: Flags(flags),
            stream: StreamId::new(u32::from_be_bytes([s, t, u, v])),
        }
    }

    /// The nine octets of this head. The 24 low bits of `length` are written.
    #[inline]
    pub const fn encode(&self) -> [u8; Self::LEN] {
        let [_, a, b, c] = self.length.to_be_bytes();
        let stream = match self.stream {
            Some(stream) => stream.get(),
            None => 0,
        };
        let [s, t, u, v] = stream.to_be_bytes();
        [a, b, c, self.kind.0, self.flags.0, s, t, u, v]
    }
}

/// The kind of a frame, any octet; the known ones are associated constants.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl Kind {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The registered name, such as `WINDOW_UPDATE`, or `None`.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Octets of a stream (RFC 9113 6.1).
    DATA = 0x0;
    /// Opens a stream, or carries a response or trailers (RFC 9113 6.2).
    HEADERS = 0x1;
    /// The deprecated priority signal (RFC 9113 6.3).
    PRIORITY = 0x2;
    /// Ends a stream abnormally (RFC 9113 6.4).
    RST_STREAM = 0x3;
    /// Parameters of the connection (RFC 9113 6.5).
    SETTINGS = 0x4;
    /// Announces a stream that the server will open (RFC 9113 6.6).
    PUSH_PROMISE = 0x5;
    /// Measures a round trip, keeps a connection alive (RFC 9113 6.7).
    PING = 0x6;
    /// Ends a connection (RFC 9113 6.8).
    GOAWAY = 0x7;
    /// Gives credit (RFC 9113 6.9).
    WINDOW_UPDATE = 0x8;
    /// Continues a header block (RFC 9113 6.10).
    CONTINUATION = 0x9;
    /// Changes the priority of a stream (RFC 9218 7.1).
    PRIORITY_UPDATE = 0x10;
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:02x}", self.0),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The flags of a frame; bits that its kind does not define mean nothing (RFC 9113 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Acknowledges SETTINGS or PING.
    pub const ACK: Self = Self(0x1);
    /// The sender's half of the stream ends with this frame: DATA, HEADERS.
    pub const END_STREAM: Self = Self(0x1);
    /// The header block ends with this frame: HEADERS, PUSH_PROMISE, CONTINUATION.
    pub const END_HEADERS: Self = Self(0x4);
    /// A pad-length octet comes first and padding last: DATA, HEADERS, PUSH_PROMISE.
    pub const PADDED: Self = Self(0x8);
    /// Five octets of priority precede the block: HEADERS.
    pub const PRIORITY: Self = Self(0x20);

    /// Whether all bits of `flags` are set.
    #[inline]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These flags, and those of `flags` if `when`.
    #[inline]
    pub const fn with(self, flags: Self, when: bool) -> Self {
        if when { Self(self.0 | flags.0) } else { self }
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9113_4_1_a_head_is_read_as_it_was_written() {
        let head = FrameHead {
            length: 0x00ab_cdef,
            kind: Kind(0xfe),
            flags: Flags::END_STREAM.with(Flags::PADDED, true).with(Flags::PRIORITY, false),
            stream: Some(StreamId::MAX),
        };
        let octets = head.encode();
        assert_eq!(octets, [0xab, 0xcd, 0xef, 0xfe, 0x09, 0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(FrameHead::parse(&octets), head);
    }

    #[test]
    fn rfc9113_4_1_the_reserved_bit_of_a_head_is_ignored() {
        let head = FrameHead::parse(&[0, 0, 0, 6, 0, 0x80, 0, 0, 0]);
        assert_eq!((head.stream, head.kind.to_string()), (None, "PING".to_owned()));
        assert_eq!(FrameHead::parse(&[0, 0, 0, 0xa, 0, 0x80, 0, 0, 7]).stream, StreamId::new(7));
        assert_eq!(Kind(0xa).to_string(), "0x0a");
    }
}
