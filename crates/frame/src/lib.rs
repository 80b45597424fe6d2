//! HTTP/2 on the level of octets: frames (RFC 9113), field compression (HPACK, RFC 7541).
//!
//! Octets come in through an incremental decoder and go out through an encoder; both are pure functions of
//! what they are given. This crate does no I/O, reads no clock, takes no lock and knows no stream states.

#![forbid(unsafe_code)]

mod arena;
mod code;
mod control;
mod decode;
pub mod encode;
mod field;
mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod head;
pub mod hpack;
mod malformed;
mod settings;
mod stream_id;
#[cfg(test)]
mod tests;

pub use code::ErrorCode;
pub use control::Priority;
pub use decode::{Decoder, DecoderConfig};
pub use field::{FIELD_OVERHEAD, Field, Fields, Iter};
pub use frame::{DataPiece, Frame, HeaderBlock};
pub use head::{
    DEFAULT_MAX_FRAME_SIZE, DEFAULT_WINDOW, Flags, FrameHead, Kind, LARGEST_MAX_FRAME_SIZE, MAX_WINDOW,
    PREFACE,
};
pub use malformed::{Fault, Malformed, Scope};
pub use settings::{SettingId, Settings};
pub use stream_id::{Side, StreamId};
