//! The limits of the decoder: what a peer may make it hold.

use crate::head::DEFAULT_MAX_FRAME_SIZE;

/// What the decoder accepts; beyond it the connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecoderConfig {
    /// The largest payload in octets, as announced in SETTINGS_MAX_FRAME_SIZE: 16,384 to 16,777,215. Costs no
    /// memory: only the payloads limited below are ever held.
    pub max_frame_size: u32,
    /// The largest compressed header block in octets, all fragments together. While a block is incomplete up
    /// to three times as much is held, since buffers grow by doubling.
    pub max_header_block: usize,
    /// How many CONTINUATION frames a header block may have.
    pub max_continuations: u32,
    /// How many of these may be empty.
    pub max_empty_continuations: u32,
    /// Whether PUSH_PROMISE may come; without, its head ends the connection. To be false at a server, and at a
    /// client whose acknowledged SETTINGS_ENABLE_PUSH is 0 (RFC 9113 6.6, 8.4).
    pub push: bool,
    /// How many entries a SETTINGS frame may have.
    pub max_settings: usize,
    /// How many octets of a GOAWAY frame's debug data are kept; the rest is skipped.
    pub max_goaway_debug: usize,
    /// The longest field value in octets that a PRIORITY_UPDATE may have.
    pub max_priority_update: usize,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self {
            max_frame_size: DEFAULT_MAX_FRAME_SIZE,
            max_header_block: 64 * 1024,
            max_continuations: 8,
            max_empty_continuations: 1,
            push: true,
            max_settings: 32,
            max_goaway_debug: 1024,
            max_priority_update: 1024,
        }
    }
}
