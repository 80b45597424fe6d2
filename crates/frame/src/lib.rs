//! HTTP/2 on the level of octets: frames (RFC 9113), field compression (HPACK, RFC 7541).
//!
//! Octets come in through an incremental decoder and go out through an encoder; both are pure functions of
//! what they are given. This crate does no I/O, reads no clock, takes no lock and knows no stream states.

mod code;
mod field;
mod stream_id;

pub use code::ErrorCode;
pub use field::{FIELD_OVERHEAD, Field, Fields, Iter};
pub use stream_id::{Side, StreamId};
