//! Stream identifiers and the two sides of a connection (RFC 9113 5.1.1).
//!
//! A [`StreamId`] is never zero and never has the reserved bit: the connection itself ("stream 0") is
//! `Option::None` wherever a frame may belong to it. Knows nothing of stream states.

use std::fmt;
use std::num::NonZeroU32;

/// The side of a connection, by the role in HTTP/2 and not by who dialled the transport below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Sends the client preface and opens odd-numbered streams.
    Client,
    /// Awaits the client preface; opens even-numbered streams where both ends have agreed to it.
    Server,
}

impl Side {
    /// The other end's side.
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// The first stream identifier that this side may open: 1 or 2.
    pub const fn first_stream(self) -> StreamId {
        match self {
            Self::Client => StreamId(NonZeroU32::MIN),
            Self::Server => StreamId(NonZeroU32::MIN.saturating_add(1)),
        }
    }
}

/// A stream identifier, 1 to 2^31-1 (RFC 9113 5.1.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(NonZeroU32);

impl StreamId {
    /// The largest identifier, 2^31-1.
    pub const MAX: Self = Self(NonZeroU32::new(0x7fff_ffff).expect("2^31-1 is not zero"));

    /// An identifier from the 31 low bits; the reserved bit is ignored as RFC 9113 4.1 asks. `None` for 0.
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value & 0x7fff_ffff) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number, 1 to 2^31-1.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The side that opens streams of this parity: odd the client, even the server.
    pub const fn initiator(self) -> Side {
        if self.0.get() % 2 == 1 { Side::Client } else { Side::Server }
    }

    /// The next identifier of the same parity, `None` once they are used up.
    pub const fn next(self) -> Option<Self> {
        let next = self.0.get() + 2;
        if next > Self::MAX.get() {
            return None;
        }
        Self::new(next)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parity_decides_the_initiator_and_survives_next() {
        let one = Side::Client.first_stream();
        let two = Side::Server.first_stream();
        assert_eq!((one.get(), two.get()), (1, 2));
        assert_eq!(one.next().unwrap().get(), 3);
        assert_eq!(two.next().unwrap().initiator(), Side::Server);
        assert_eq!(Side::Client.peer(), Side::Server);
    }

    #[test]
    fn rfc9113_4_1_zero_is_no_stream_and_the_reserved_bit_is_ignored() {
        assert_eq!(StreamId::new(0), None);
        assert_eq!(StreamId::new(0x8000_0000), None);
        assert_eq!(StreamId::new(0x8000_0005).unwrap().get(), 5);
    }

    #[test]
    fn identifiers_end_at_two_to_the_31_minus_1() {
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::new(0x7fff_fffe).unwrap().next(), None);
        assert_eq!(StreamId::new(0x7fff_fffd).unwrap().next(), Some(StreamId::MAX));
    }
}
