//! What the tests of HPACK share: hexadecimal, lists in owned form, short ways to decode and encode.

use crate::Fields;
use crate::hpack::{CompressionError, Decoder, Encoder, Limits, Verdict};

/// Limits that no test data reaches.
pub(super) const WIDE: Limits = Limits { list_size: 1 << 22, fields: 1 << 16, name: 1 << 20, value: 1 << 20 };

/// A list in owned form: name, value, sensitive.
pub(super) type List = Vec<(Vec<u8>, Vec<u8>, bool)>;

pub(super) fn list(fields: &Fields) -> List {
    fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec(), field.sensitive)).collect()
}

pub(super) fn fields(list: &[(Vec<u8>, Vec<u8>, bool)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value, sensitive) in list {
        if *sensitive { fields.push_sensitive(name, value) } else { fields.push(name, value) }
    }
    fields
}

pub(super) fn plain(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().copied().collect()
}

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Decodes a block that must be whole.
pub(super) fn decode(decoder: &mut Decoder, block: &[u8]) -> Fields {
    let mut out = Fields::new();
    assert_eq!(decoder.decode(block, &WIDE, &mut out), Ok(Verdict::Whole), "{}", block.escape_ascii());
    out
}

/// Decodes one block with a fresh decoder and the default limits.
pub(super) fn fresh(block: &[u8]) -> Result<Verdict, CompressionError> {
    Decoder::new(4096).decode(block, &Limits::default(), &mut Fields::new())
}

pub(super) fn encode(encoder: &mut Encoder, fields: &Fields) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.encode(fields, &mut out);
    out
}

/// A literal with incremental indexing, name and value plain.
pub(super) fn indexed_literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut block = vec![0x40];
    string(name, &mut block);
    string(value, &mut block);
    block
}

/// A plain string.
pub(super) fn string(octets: &[u8], out: &mut Vec<u8>) {
    crate::hpack::integer::encode(octets.len(), 7, 0, out);
    out.extend_from_slice(octets);
}
