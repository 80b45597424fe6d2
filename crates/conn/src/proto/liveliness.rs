//! Whether short messages are under way beside other streams: what is in flight has to stay small for their sake.
//!
//! `send` and `recv` tell of messages; `send` asks how large a flight may be, `shortage` whether credit of streams is
//! to be held back. Knows neither streams nor windows.

use std::time::{Duration, Instant};

/// For so long after a short message another one is expected.
const LASTS: Duration = Duration::from_millis(20);
/// A flight beside short messages, in octets: what they wait for in front of them.
pub(super) const FLIGHT: usize = 64 * 1024;
/// The window of a stream beside short messages over a short path, in octets: what stands in the sockets before them.
/// With less a stream that is alone falls behind, since its ends take turns.
pub(super) const WINDOW: u32 = 128 * 1024;
/// The largest frame of the peer that may be a message, in octets.
pub(super) const SHORT: u32 = 1024;
/// Streams of a connection beyond which their credit is not held back: all of them are looked at when that begins or
/// ends.
pub(super) const MOST_STREAMS: usize = 4096;

/// When a short message was last sent or received while there were other streams.
#[derive(Debug, Default)]
pub(super) struct Liveliness {
    last: Option<Instant>,
}

impl Liveliness {
    /// There is one now.
    pub(super) const fn message(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Whether another one is expected soon.
    #[inline]
    pub(super) fn lasts(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.saturating_duration_since(last) < LASTS)
    }

    /// When it ends, if no other message comes.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.last.map(|last| last + LASTS)
    }
}
