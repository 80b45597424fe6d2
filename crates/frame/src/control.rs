//! Payloads of a fixed layout: PRIORITY, RST_STREAM, PING, GOAWAY, WINDOW_UPDATE (RFC 9113 6.3 to 6.9).
//!
//! Plain conversions between values and octets for the decoder and the encoder. A payload of the wrong
//! length is `None`; what that means is for the caller to say.

use crate::code::ErrorCode;
use crate::stream_id::StreamId;

/// The deprecated priority signal of RFC 9113 5.3.2: read, and good for nothing else than to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Priority {
    /// Whether the stream would become the only child of the stream it depends on.
    pub exclusive: bool,
    /// The stream it depends on, 0 to 2^31-1; 0 is the root.
    pub dependency: u32,
    /// The weight as on the wire, 0 to 255: one less than the weight of 1 to 256 that it means.
    pub weight: u8,
}

impl Priority {
    /// The length on the wire in octets.
    pub const LEN: usize = 5;

    /// Whether `stream` would depend on itself: a stream error by RFC 7540 5.3.1, for the engine to raise.
    pub const fn depends_on(self, stream: StreamId) -> bool {
        self.dependency == stream.get()
    }

    /// Reads the five octets.
    pub(crate) const fn parse(octets: [u8; Self::LEN]) -> Self {
        let [a, b, c, d, weight] = octets;
        let word = u32::from_be_bytes([a, b, c, d]);
        Self { exclusive: word & RESERVED != 0, dependency: word & !RESERVED, weight }
    }

    /// The five octets.
    pub(crate) const fn encode(self) -> [u8; Self::LEN] {
        let flag = if self.exclusive { RESERVED } else { 0 };
        let [a, b, c, d] = (self.dependency & !RESERVED | flag).to_be_bytes();
        [a, b, c, d, self.weight]
    }
}

/// The payload of RST_STREAM: its code.
pub(crate) fn reset(payload: &[u8]) -> Option<ErrorCode> {
    Some(ErrorCode(u32::from_be_bytes(payload.try_into().ok()?)))
}

/// The payload of WINDOW_UPDATE: the increment, 0 to 2^31-1, without the reserved bit.
pub(crate) fn window_update(payload: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(payload.try_into().ok()?) & !RESERVED)
}

/// The fixed part of GOAWAY: last stream (`None` is 0: nothing was processed) and code; then debug data.
pub(crate) fn goaway(payload: &[u8]) -> Option<(Option<StreamId>, ErrorCode, &[u8])> {
    let (last, rest) = payload.split_first_chunk::<4>()?;
    let (code, debug) = rest.split_first_chunk::<4>()?;
    Some((StreamId::new(u32::from_be_bytes(*last)), ErrorCode(u32::from_be_bytes(*code)), debug))
}

/// The payload of PRIORITY_UPDATE (RFC 9218 7.1): the stream, `None` if it is 0, and the field value.
pub(crate) fn priority_update(payload: &[u8]) -> Option<(Option<StreamId>, &[u8])> {
    let (stream, value) = payload.split_first_chunk::<4>()?;
    Some((StreamId::new(u32::from_be_bytes(*stream)), value))
}

/// The bit above a 31-bit number: reserved, or the exclusive flag of a priority.
const RESERVED: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exclusive_flag_is_the_top_bit_of_the_dependency() {
        let priority = Priority { exclusive: true, dependency: 5, weight: 9 };
        assert_eq!(priority.encode(), [0x80, 0, 0, 5, 9]);
        assert_eq!(Priority::parse([0x80, 0, 0, 5, 9]), priority);
        assert!(priority.depends_on(StreamId::new(5).unwrap()));
    }

    #[test]
    fn rfc9113_4_1_reserved_bits_are_ignored_and_wrong_lengths_are_none() {
        assert_eq!(window_update(&[0x80, 0, 0, 1]), Some(1));
        assert_eq!(window_update(&[0, 0, 1]), None);
        assert_eq!(goaway(&[0x80, 0, 0, 0, 0, 0, 0, 2]), Some((None, ErrorCode::INTERNAL_ERROR, &[][..])));
        assert_eq!(goaway(&[0; 7]), None);
        assert_eq!(reset(&[0; 5]), None);
    }
}
