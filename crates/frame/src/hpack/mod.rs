//! HPACK, the compression of fields (RFC 7541), both ways.
//!
//! The engine owns one [`Decoder`] and one [`Encoder`] a connection and gives them whole header blocks. Nothing
//! here knows frames, streams or the meaning of a field.

mod decode;
mod encode;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod huffman;
mod huffman_table;
mod integer;
mod limits;
mod static_table;
mod table;
#[cfg(test)]
mod tests;

pub use decode::Decoder;
pub use encode::Encoder;
pub use error::CompressionError;
pub use limits::{DEFAULT_TABLE_SIZE, Limits, Verdict};
