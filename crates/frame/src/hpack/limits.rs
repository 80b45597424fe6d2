//! What one header block may decode to, and what became of it. Used by the decoder and by the engine, which
//! owns the figures; judges nothing itself.

/// The size of both dynamic tables before any SETTINGS, in octets as RFC 7541 4.1 counts them (RFC 9113 6.5.2).
pub const DEFAULT_TABLE_SIZE: usize = 4096;

/// The most that one header block may decode to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of the list, in octets as RFC 7541 4.1 counts them (name + value + 32 a field). Past four times
    /// this the decoder gives up with [`CompressionError::Flood`](super::CompressionError::Flood).
    pub list_size: usize,
    /// Fields in the list.
    pub fields: usize,
    /// Octets of one name.
    pub name: usize,
    /// Octets of one value.
    pub value: usize,
}

impl Default for Limits {
    /// 32 KiB, 100 fields, names up to 1 KiB, values up to 16 KiB.
    fn default() -> Self {
        Self { list_size: 32 * 1024, fields: 100, name: 1024, value: 16 * 1024 }
    }
}

/// What became of a header block that violated no rule of RFC 7541.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The whole list was decoded.
    Whole,
    /// The list exceeds one of the [`Limits`]. The block was read to its end so that the dynamic table is right;
    /// of the list only the fields before the first one that did not fit were kept.
    TooLarge,
}
