//! Rules of RFC 7541 that no hostile block and no choice of the encoder proves already, by section.

use super::support::{WIDE, decode, encode, fields, indexed_literal, list, plain};
use crate::Fields;
use crate::hpack::{CompressionError, Decoder, Encoder, Limits, Verdict};

#[test]
fn rfc7541_2_1_order_and_repetition_of_fields_are_kept() {
    let fields = plain(&[("b", "2"), ("a", "1"), ("b", "2"), ("a", "3"), ("a", "1")]);
    let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096));
    for _ in 0..3 {
        let block = encode(&mut encoder, &fields);
        assert_eq!(list(&decode(&mut decoder, &block)), list(&fields));
    }
}

#[test]
fn rfc7541_2_2_encoder_and_decoder_of_one_end_share_no_table() {
    let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096));
    encode(&mut encoder, &plain(&[("ours", "1")]));
    decode(&mut decoder, &indexed_literal(b"theirs", b"2"));
    assert_eq!(list(&decode(&mut decoder, &[0xbe])), list(&plain(&[("theirs", "2")])));
    assert_eq!(encode(&mut encoder, &plain(&[("ours", "1")])), [0xbe]);
}

#[test]
fn rfc7541_2_3_2_the_newest_entry_has_the_lowest_index_and_duplicates_are_no_error() {
    let mut decoder = Decoder::new(4096);
    for (name, value) in [("a", "1"), ("a", "1"), ("b", "2")] {
        decode(&mut decoder, &indexed_literal(name.as_bytes(), value.as_bytes()));
    }
    let out = decode(&mut decoder, &[0xbe, 0xbf, 0xc0]);
    assert_eq!(list(&out), list(&plain(&[("b", "2"), ("a", "1"), ("a", "1")])));
}

#[test]
fn rfc7541_2_3_3_indices_up_to_61_are_static_and_62_is_the_first_dynamic_one() {
    let mut decoder = Decoder::new(4096);
    assert_eq!(list(&decode(&mut decoder, &[0xbd])), list(&plain(&[("www-authenticate", "")])));
    let result = decoder.decode(&[0xbe], &WIDE, &mut Fields::new());
    assert_eq!(result, Err(CompressionError::IndexOutOfRange));
    decode(&mut decoder, &indexed_literal(b"a", b"1"));
    assert_eq!(decode(&mut decoder, &[0xbe]).len(), 1);
    let result = decoder.decode(&[0xbf], &WIDE, &mut Fields::new());
    assert_eq!(result, Err(CompressionError::IndexOutOfRange));
}

#[test]
fn rfc7541_4_1_an_entry_counts_its_octets_and_32() {
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, &indexed_literal(b"name", b"value"));
    assert_eq!(decoder.footprint().1, 4 + 5 + 32);
    // Strings count as they are decoded, not as they were coded: eight times 'a' in five octets.
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, &[0x40, 0x85, 0x18, 0xc6, 0x31, 0x8c, 0x63, 0x00]);
    assert_eq!(decoder.footprint().1, 8 + 32);
}

#[test]
fn rfc7541_4_3_a_smaller_table_drops_the_oldest_entries_only_as_far_as_needed() {
    let mut decoder = Decoder::new(4096);
    for name in [b"a", b"b", b"c"] {
        decode(&mut decoder, &indexed_literal(name, b""));
    }
    assert_eq!(decoder.footprint().1, 99);
    // 66: two entries of 33 octets fit exactly.
    let out = decode(&mut decoder, &[0x3f, 0x23, 0xbe, 0xbf]);
    assert_eq!(list(&out), list(&plain(&[("c", ""), ("b", "")])));
    let result = decoder.decode(&[0xc0], &WIDE, &mut Fields::new());
    assert_eq!(result, Err(CompressionError::IndexOutOfRange));
    // 0 empties it.
    decode(&mut decoder, &[0x20]);
    assert_eq!(decoder.footprint().1, 0);
}

#[test]
fn rfc7541_4_4_room_is_made_before_an_entry_is_added() {
    let mut decoder = Decoder::new(70);
    for name in [b"a", b"b", b"c"] {
        decode(&mut decoder, &indexed_literal(name, b""));
    }
    let out = decode(&mut decoder, &[0xbe, 0xbf]);
    assert_eq!(list(&out), list(&plain(&[("c", ""), ("b", "")])));
    assert_eq!(decoder.footprint().1, 66);
}

#[test]
fn rfc7541_5_1_leading_zeros_of_an_integer_are_taken_up_to_the_limit() {
    // Index 15 as 15 + 0, with an octet that adds nothing: legal, if wasteful.
    let mut decoder = Decoder::new(4096);
    let out = decode(&mut decoder, &[0x0f, 0x80, 0x00, 0x01, b'x']);
    assert_eq!(list(&out), list(&plain(&[("accept-charset", "x")])));
}

#[test]
fn rfc7541_6_2_only_the_form_with_indexing_enters_the_table() {
    for (first, entries) in [(0x40, 1), (0x00, 0), (0x10, 0)] {
        let mut decoder = Decoder::new(4096);
        let out = decode(&mut decoder, &[first, 1, b'a', 1, b'1']);
        assert_eq!(out.len(), 1);
        assert_eq!(decoder.footprint().1, entries * 34, "{first:#x}");
    }
}

#[test]
fn rfc7541_6_2_3_a_field_that_came_never_indexed_is_sent_on_never_indexed() {
    let mut decoder = Decoder::new(4096);
    let out = decode(&mut decoder, &[0x10, 1, b'k', 1, b'v', 0x00, 1, b'k', 1, b'v']);
    let sensitive: Vec<bool> = out.iter().map(|field| field.sensitive).collect();
    assert_eq!(sensitive, [true, false]);
    let mut encoder = Encoder::new(4096);
    for _ in 0..3 {
        let secret = fields(&list(&out)[..1]);
        assert_eq!(encode(&mut encoder, &secret)[0] & 0xf0, 0x10);
    }
}

#[test]
fn rfc7541_6_3_a_size_update_up_to_the_limit_holds_and_the_limit_may_rise() {
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, &[0x20]);
    decode(&mut decoder, &indexed_literal(b"a", b"1"));
    assert_eq!(decoder.footprint().1, 0, "a table of nothing keeps nothing");
    decode(&mut decoder, &[0x3f, 0xe1, 0x1f]);
    decode(&mut decoder, &indexed_literal(b"a", b"1"));
    assert_eq!(decoder.footprint().1, 34);
    decoder.set_max_table_size(8192);
    decode(&mut decoder, &[0x3f, 0xe1, 0x3f]);
}

#[test]
fn rfc7541_7_4_strings_over_our_limits_cost_no_more_than_their_block() {
    let limits = Limits { name: 4, value: 4, ..WIDE };
    for block in [indexed_literal(b"12345", b"1"), indexed_literal(b"1", b"12345")] {
        let mut out = Fields::new();
        assert_eq!(Decoder::new(4096).decode(&block, &limits, &mut out), Ok(Verdict::TooLarge));
        assert_eq!(out.len(), 0);
    }
}
