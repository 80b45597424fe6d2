//! SETTINGS: identifiers, an ordered list of values, and the ranges of RFC 9113 6.5.2.
//!
//! A list that came from the wire has only values in range; unknown identifiers are kept, to be ignored by
//! whoever applies the list. Which values may change, and when, is the engine's affair.

use std::fmt;

use crate::head::{DEFAULT_MAX_FRAME_SIZE, LARGEST_MAX_FRAME_SIZE, MAX_WINDOW};
use crate::malformed::Malformed;

/// The identifier of a setting, any 16-bit value; the known ones are associated constants.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SettingId(pub u16);

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl SettingId {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The registered name, such as `MAX_FRAME_SIZE`, or `None`.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

settings! {
    /// Octets of the sender's HPACK decoding table; 4096 until set.
    HEADER_TABLE_SIZE = 0x1;
    /// Whether the receiver may push, 0 or 1; 1 until set.
    ENABLE_PUSH = 0x2;
    /// Streams that the receiver may have open; unlimited until set.
    MAX_CONCURRENT_STREAMS = 0x3;
    /// Octets of a new stream's window, 0 to 2^31-1; 65,535 until set.
    INITIAL_WINDOW_SIZE = 0x4;
    /// Octets of the largest payload, 2^14 to 2^24-1; 2^14 until set.
    MAX_FRAME_SIZE = 0x5;
    /// Octets of the largest field section, by RFC 7541 4.1; unlimited until set.
    MAX_HEADER_LIST_SIZE = 0x6;
    /// Whether extended CONNECT may be used, 0 or 1 (RFC 8441 3); 0 until set.
    ENABLE_CONNECT_PROTOCOL = 0x8;
    /// Whether the priorities of RFC 7540 are ignored, 0 or 1 (RFC 9218 2.1); 0 until set.
    NO_RFC7540_PRIORITIES = 0x9;
    /// Whether the server may open streams, 0 or 1; 0 until set. Of this project and not registered: from the
    /// range for experiments (RFC 7540 11.3). Means something only to an end that has announced it too.
    SERVER_STREAMS = 0xfb02;
}

impl SettingId {
    /// Whether an extension allows `value`. Told apart from the registered settings, which the decoder judges:
    /// to an end that does not use the extension the identifier is unknown, and any value of it is ignored (RFC
    /// 9113 6.5.2).
    ///
    /// # Errors
    /// The rule that the value breaks.
    pub fn judge_extension(self, value: u32) -> Result<(), Malformed> {
        if self == Self::SERVER_STREAMS && value > 1 {
            return Err(Malformed::SettingsServerStreams);
        }
        Ok(())
    }
}

impl fmt::Display for SettingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "0x{:x}", self.0),
        }
    }
}

impl fmt::Debug for SettingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The entries of one SETTINGS frame in order. An identifier may occur more than once: the entries are to
/// be applied one after the other, so the last wins (RFC 9113 6.5.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    entries: Vec<(SettingId, u32)>,
}

impl Settings {
    /// The length of an entry on the wire in octets.
    pub const ENTRY_LEN: usize = 6;

    /// No entry; allocates nothing.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Appends an entry. The value is not checked: it is the caller's own.
    pub fn push(&mut self, id: SettingId, value: u32) {
        self.entries.push((id, value));
    }

    /// The entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (SettingId, u32)> + '_ {
        self.entries.iter().copied()
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value that is in force after all entries have been applied, `None` if `id` does not occur.
    pub fn last(&self, id: SettingId) -> Option<u32> {
        self.entries.iter().rev().find(|entry| entry.0 == id).map(|entry| entry.1)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// A length that is no multiple of six, or the first value that is out of range.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let (entries, []) = payload.as_chunks::<{ Self::ENTRY_LEN }>() else {
            return Err(Malformed::SettingsLength);
        };
        let entries = entries.iter().map(|&[a, b, c, d, e, f]| {
            let id = SettingId(u16::from_be_bytes([a, b]));
            let value = u32::from_be_bytes([c, d, e, f]);
            check(id, value).map(|()| (id, value))
        });
        Ok(Self { entries: entries.collect::<Result<_, _>>()? })
    }
}

impl FromIterator<(SettingId, u32)> for Settings {
    fn from_iter<I: IntoIterator<Item = (SettingId, u32)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

/// RFC 9113 6.5.2, RFC 8441 3, RFC 9218 2.1: the ranges of the known settings.
fn check(id: SettingId, value: u32) -> Result<(), Malformed> {
    let (allowed, otherwise) = match id {
        SettingId::ENABLE_PUSH => (0..=1, Malformed::SettingsEnablePush),
        SettingId::INITIAL_WINDOW_SIZE => (0..=MAX_WINDOW, Malformed::SettingsInitialWindowSize),
        SettingId::MAX_FRAME_SIZE => {
            (DEFAULT_MAX_FRAME_SIZE..=LARGEST_MAX_FRAME_SIZE, Malformed::SettingsMaxFrameSize)
        }
        SettingId::ENABLE_CONNECT_PROTOCOL => (0..=1, Malformed::SettingsEnableConnectProtocol),
        SettingId::NO_RFC7540_PRIORITIES => (0..=1, Malformed::SettingsNoRfc7540Priorities),
        _ => return Ok(()),
    };
    if allowed.contains(&value) { Ok(()) } else { Err(otherwise) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_judged_by_who_uses_it_and_ignored_by_the_decoder() {
        let [a, b] = SettingId::SERVER_STREAMS.0.to_be_bytes();
        let settings = Settings::parse(&[a, b, 0, 0, 0, 2]).unwrap();
        assert_eq!(settings.last(SettingId::SERVER_STREAMS), Some(2));
        assert_eq!(SettingId::SERVER_STREAMS.judge_extension(2), Err(Malformed::SettingsServerStreams));
        assert_eq!(SettingId::SERVER_STREAMS.judge_extension(1), Ok(()));
        assert_eq!(SettingId(0xfafa).judge_extension(2), Ok(()));
        // RFC 7540 11.3: 0xf000 to 0xffff is for experiments.
        assert!((0xf000..=0xffff).contains(&SettingId::SERVER_STREAMS.0));
    }

    #[test]
    fn rfc9113_6_5_3_entries_keep_their_order_and_the_last_of_an_id_wins() {
        let mut settings = Settings::new();
        settings.push(SettingId::INITIAL_WINDOW_SIZE, 1);
        settings.push(SettingId(0xfafa), 7);
        settings.push(SettingId::INITIAL_WINDOW_SIZE, 2);
        assert_eq!(settings.last(SettingId::INITIAL_WINDOW_SIZE), Some(2));
        assert_eq!(settings.last(SettingId::MAX_FRAME_SIZE), None);
        let order: Vec<_> = settings.iter().map(|entry| entry.1).collect();
        assert_eq!((order, settings.len()), (vec![1, 7, 2], 3));
        assert_eq!(SettingId(0xfafa).to_string(), "0xfafa");
    }
}
