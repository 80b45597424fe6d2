//! Every way in which a header block can break RFC 7541, and one way in which it is merely too much.
//!
//! All of them end the connection: the two compression contexts can no longer be trusted to agree.

use std::fmt;

use crate::ErrorCode;

/// Why a header block could not be decoded. Each is a connection error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompressionError {
    /// The block ends within an integer, or where one must start.
    IntegerTruncated,
    /// An integer takes more than five octets.
    IntegerTooLong,
    /// A string declares more octets than are left in the block.
    StringTruncated,
    /// A Huffman string contains the symbol EOS.
    HuffmanEos,
    /// A Huffman string ends with eight or more bits of padding.
    HuffmanPaddingTooLong,
    /// A Huffman string ends with bits that are neither a symbol nor the start of EOS.
    HuffmanPaddingInvalid,
    /// An indexed field has the index 0.
    IndexZero,
    /// An index points beyond both tables.
    IndexOutOfRange,
    /// A table size update exceeds the limit that we set.
    SizeUpdateOverLimit,
    /// A table size update stands behind a field.
    SizeUpdateInsideBlock,
    /// More than two table size updates start a block.
    TooManySizeUpdates,
    /// We reduced the table and the peer's next block does not acknowledge it.
    SizeUpdateMissing,
    /// The block decodes to more than four times the permitted list: a decompression bomb.
    Flood,
}

impl CompressionError {
    /// Every error, in the order of the type.
    pub const ALL: &[Self] = &[
        Self::IntegerTruncated,
        Self::IntegerTooLong,
        Self::StringTruncated,
        Self::HuffmanEos,
        Self::HuffmanPaddingTooLong,
        Self::HuffmanPaddingInvalid,
        Self::IndexZero,
        Self::IndexOutOfRange,
        Self::SizeUpdateOverLimit,
        Self::SizeUpdateInsideBlock,
        Self::TooManySizeUpdates,
        Self::SizeUpdateMissing,
        Self::Flood,
    ];

    /// The code for GOAWAY: COMPRESSION_ERROR, or ENHANCE_YOUR_CALM for [`Flood`](Self::Flood).
    pub const fn code(self) -> ErrorCode {
        self.row().0
    }

    /// Where the violated rule stands.
    pub const fn section(self) -> &'static str {
        self.row().1
    }

    /// A short name for counters and metrics: `hpack_` and words in snake case. Stable.
    pub const fn label(self) -> &'static str {
        match self {
            Self::IntegerTruncated => "hpack_integer_truncated",
            Self::IntegerTooLong => "hpack_integer_too_long",
            Self::StringTruncated => "hpack_string_truncated",
            Self::HuffmanEos => "hpack_huffman_eos",
            Self::HuffmanPaddingTooLong => "hpack_huffman_padding_too_long",
            Self::HuffmanPaddingInvalid => "hpack_huffman_padding_invalid",
            Self::IndexZero => "hpack_index_zero",
            Self::IndexOutOfRange => "hpack_index_out_of_range",
            Self::SizeUpdateOverLimit => "hpack_size_update_over_limit",
            Self::SizeUpdateInsideBlock => "hpack_size_update_inside_block",
            Self::TooManySizeUpdates => "hpack_too_many_size_updates",
            Self::SizeUpdateMissing => "hpack_size_update_missing",
            Self::Flood => "hpack_flood",
        }
    }

    const fn row(self) -> (ErrorCode, &'static str, &'static str) {
        const BROKEN: ErrorCode = ErrorCode::COMPRESSION_ERROR;
        match self {
            Self::IntegerTruncated => (BROKEN, "RFC 7541 5.1", "integer cut off"),
            Self::IntegerTooLong => (BROKEN, "RFC 7541 5.1", "integer of more than five octets"),
            Self::StringTruncated => (BROKEN, "RFC 7541 5.2", "string longer than its block"),
            Self::HuffmanEos => (BROKEN, "RFC 7541 5.2", "EOS inside a Huffman string"),
            Self::HuffmanPaddingTooLong => (BROKEN, "RFC 7541 5.2", "Huffman padding longer than 7 bits"),
            Self::HuffmanPaddingInvalid => (BROKEN, "RFC 7541 5.2", "Huffman padding is not a part of EOS"),
            Self::IndexZero => (BROKEN, "RFC 7541 6.1", "index 0"),
            Self::IndexOutOfRange => (BROKEN, "RFC 7541 2.3.3", "index beyond the tables"),
            Self::SizeUpdateOverLimit => (BROKEN, "RFC 7541 6.3", "table size update over the limit"),
            Self::SizeUpdateInsideBlock => (BROKEN, "RFC 7541 4.2", "table size update behind a field"),
            Self::TooManySizeUpdates => (BROKEN, "RFC 7541 4.2", "more than two table size updates"),
            Self::SizeUpdateMissing => (BROKEN, "RFC 7541 4.2", "reduced table size not acknowledged"),
            Self::Flood => {
                (ErrorCode::ENHANCE_YOUR_CALM, "RFC 9113 10.5.1", "field list over four times its limit")
            }
        }
    }
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, section, text) = self.row();
        write!(f, "{text} ({section})")
    }
}

impl std::error::Error for CompressionError {}
