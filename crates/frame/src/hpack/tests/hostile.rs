//! Peers that break the rules or use them against us. The ids are those of the threat list.

use super::support::{WIDE, decode, encode, fresh, indexed_literal, list, plain, string};
use crate::hpack::{CompressionError, Decoder, Encoder, Limits, Verdict, huffman, integer};
use crate::{ErrorCode, Fields};

const SIZE_LIMITS: Limits = Limits { list_size: 32 * 1024, fields: usize::MAX, name: 1024, value: 16 * 1024 };

#[test]
fn h01_a_reference_bomb_is_not_copied_past_the_list_and_ends_past_four_lists() {
    let mut decoder = Decoder::new(4096);
    let mut out = Fields::new();
    let entry = indexed_literal(b"x", &[b'v'; 4096 - 33]);
    assert_eq!(decoder.decode(&entry, &SIZE_LIMITS, &mut out), Ok(Verdict::Whole));
    for (references, expected) in [
        (8, Ok(Verdict::Whole)),
        (9, Ok(Verdict::TooLarge)),
        (32, Ok(Verdict::TooLarge)),
        (33, Err(CompressionError::Flood)),
        (16_384, Err(CompressionError::Flood)),
    ] {
        let block = vec![0xbe; references];
        assert_eq!(decoder.decode(&block, &SIZE_LIMITS, &mut out), expected, "{references} references");
        assert_eq!(out.size(), 8 * 4096, "no more than the list is kept");
    }
    assert_eq!(CompressionError::Flood.code(), ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn h01_references_to_static_entries_are_charged_with_their_overhead() {
    let block = vec![0x82; 32 * 1024];
    assert_eq!(fresh(&block), Err(CompressionError::Flood));
}

#[test]
fn h02_crumbs_are_counted_one_by_one() {
    let mut out = Fields::new();
    let block = vec![0xa0; 101]; // static index 32: cookie with an empty value
    let verdict = Decoder::new(4096).decode(&block, &Limits::default(), &mut out);
    assert_eq!((verdict, out.len()), (Ok(Verdict::TooLarge), 100));
}

#[test]
fn h03_huffman_strings_end_at_the_limit_and_a_block_of_them_is_a_flood() {
    let mut value = Vec::new();
    huffman::encode(&[b'0'; 20_000], &mut value);
    let mut field = vec![0x0f, 0x0f]; // static index 30, not indexed
    integer::encode(value.len(), 7, 0x80, &mut field);
    field.extend_from_slice(&value);
    let mut out = Fields::new();
    let verdict = Decoder::new(4096).decode(&field, &Limits::default(), &mut out);
    assert_eq!((verdict, out.len(), out.arena().len()), (Ok(Verdict::TooLarge), 0, 0));
    assert!(out.arena().capacity() < 3 * Limits::default().value, "scratch is bounded by the value's limit");
    assert_eq!(fresh(&field.repeat(11)), Err(CompressionError::Flood));
}

#[test]
fn h07_ten_thousand_empty_names_are_refused_and_not_kept() {
    let mut out = Fields::new();
    let mut decoder = Decoder::new(4096);
    let block = [0x40, 0x00, 0x00].repeat(4000);
    assert_eq!(decoder.decode(&block, &Limits::default(), &mut out), Ok(Verdict::TooLarge));
    assert_eq!(out.len(), 100);
    let block = [0x40, 0x00, 0x00].repeat(10_000);
    assert_eq!(decoder.decode(&block, &Limits::default(), &mut out), Err(CompressionError::Flood));
}

#[test]
fn h08_integers_that_never_end_are_refused_in_every_representation() {
    for first in [0xff, 0x7f, 0x3f, 0x1f, 0x0f] {
        let endless: Vec<u8> = [first].into_iter().chain([0x80; 64]).collect();
        assert_eq!(fresh(&endless), Err(CompressionError::IntegerTooLong), "{first:#x}");
        for cut in 1..5 {
            assert_eq!(
                fresh(&endless[..cut]),
                Err(CompressionError::IntegerTruncated),
                "{first:#x} cut {cut}"
            );
        }
        let largest = [first, 0xff, 0xff, 0xff, 0x7f];
        assert!(fresh(&largest).is_err(), "the largest integer is no index and no size");
    }
    let names = [[0x40, 0xff, 0x80, 0x80, 0x80, 0x80, 0x00], [0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff]];
    for block in names {
        assert_eq!(fresh(&block), Err(CompressionError::IntegerTooLong));
    }
}

#[test]
fn h09_a_string_longer_than_its_block_is_refused_at_the_length() {
    for huffman in [0, 0x80] {
        let mut block = vec![0x40];
        integer::encode(1 << 27, 7, huffman, &mut block);
        block.extend_from_slice(&[b'a'; 100]);
        assert_eq!(fresh(&block), Err(CompressionError::StringTruncated));
    }
}

#[test]
fn h09_a_block_cut_at_any_octet_is_whole_up_to_a_field_or_refused() {
    let mut block = indexed_literal(b"name", b"value");
    let first = block.len();
    block.extend_from_slice(&indexed_literal(b"other", b"thing"));
    for cut in 0..block.len() {
        let result = fresh(&block[..cut]);
        if cut == 0 || cut == first {
            assert_eq!(result, Ok(Verdict::Whole));
        } else {
            let error = result.unwrap_err();
            assert!(matches!(error, CompressionError::StringTruncated | CompressionError::IntegerTruncated));
        }
    }
}

#[test]
fn h10_padding_of_every_length_and_value_is_judged() {
    // '0' has the code 00000: n of them leave (8 - 5n mod 8) mod 8 bits to fill.
    for symbols in 0..16usize {
        let bits = symbols * 5;
        for octets in bits / 8..bits / 8 + 4 {
            let pad = (octets * 8).checked_sub(bits).filter(|pad| *pad < 24);
            let Some(pad) = pad else { continue };
            for value in [0, 1, (1u32 << pad) >> 1, ((1u32 << pad) - 1) & !1, (1 << pad) - 1] {
                if value >> pad != 0 {
                    continue;
                }
                let coded = (u128::from(value)).to_be_bytes();
                let coded = &coded[16 - octets..];
                let mut out = Vec::new();
                let result = huffman::decode(coded, 100, &mut out);
                let ones = value == (1 << pad) - 1;
                if ones && pad < 8 {
                    assert_eq!((result, out.len()), (Ok(true), symbols));
                } else if ones {
                    assert_eq!(result, Err(CompressionError::HuffmanPaddingTooLong), "{pad} bits");
                } else if pad < 5 {
                    assert_eq!(result, Err(CompressionError::HuffmanPaddingInvalid), "{value:#b} of {pad}");
                }
            }
        }
    }
}

#[test]
fn h10_eos_inside_a_string_is_refused_wherever_it_stands() {
    for symbols in 0..40 {
        // Symbols of five bits each, then the thirty ones of EOS, then filled with ones.
        let bits = symbols * 5;
        let mut coded = vec![0u8; bits / 8];
        let mut rest = u64::MAX >> (bits % 8);
        for _ in 0..(bits % 8 + 30usize).div_ceil(8) {
            coded.push((rest >> 56) as u8);
            rest = rest << 8 | 0xff;
        }
        for more in 0..4 {
            let mut coded = coded.clone();
            coded.extend(std::iter::repeat_n(0xff, more));
            let mut block = vec![0x10, 0x01, b'n'];
            integer::encode(coded.len(), 7, 0x80, &mut block);
            block.extend_from_slice(&coded);
            assert_eq!(fresh(&block), Err(CompressionError::HuffmanEos), "after {symbols} symbols");
        }
    }
}

#[test]
fn h10_a_long_code_cut_short_is_refused() {
    let mut coded = Vec::new();
    huffman::encode(&[0x16], &mut coded); // thirty bits
    for cut in 1..coded.len() {
        assert!(huffman::decode(&coded[..cut], 100, &mut Vec::new()).is_err(), "cut at {cut}");
    }
}

#[test]
fn h11_a_size_update_over_the_limit_is_refused() {
    assert_eq!(fresh(&[0x3f, 0xe1, 0x1f]), Ok(Verdict::Whole), "4096 is the limit");
    assert_eq!(fresh(&[0x3f, 0xe2, 0x1f]), Err(CompressionError::SizeUpdateOverLimit));
}

#[test]
fn h11_a_size_update_behind_a_field_is_refused() {
    for block in [&[0x82, 0x20][..], &[0x20, 0x82, 0x20], &[0x00, 0x00, 0x00, 0x3f, 0x00]] {
        assert_eq!(fresh(block), Err(CompressionError::SizeUpdateInsideBlock));
    }
    let mut late = vec![0x82; 101];
    late.push(0x20);
    assert_eq!(
        fresh(&late),
        Err(CompressionError::SizeUpdateInsideBlock),
        "also where the list is too large"
    );
}

#[test]
fn h11_two_size_updates_are_fine_three_and_ten_thousand_are_not() {
    assert_eq!(fresh(&[0x20, 0x3f, 0x00, 0x82]), Ok(Verdict::Whole));
    assert_eq!(fresh(&[0x20, 0x21, 0x22, 0x82]), Err(CompressionError::TooManySizeUpdates));
    assert_eq!(fresh(&[0x20; 10_000]), Err(CompressionError::TooManySizeUpdates));
}

#[test]
fn h11_a_reduction_must_be_confirmed_by_the_next_block() {
    let reduced = |block: &[u8]| {
        let mut decoder = Decoder::new(4096);
        decoder.set_max_table_size(100);
        decoder.set_max_table_size(1000);
        decoder.decode(block, &WIDE, &mut Fields::new())
    };
    assert_eq!(reduced(&[0x82]), Err(CompressionError::SizeUpdateMissing));
    assert_eq!(reduced(&[]), Err(CompressionError::SizeUpdateMissing));
    assert_eq!(
        reduced(&[0x3f, 0xc9, 0x07, 0x82]),
        Err(CompressionError::SizeUpdateMissing),
        "the final size only"
    );
    assert_eq!(reduced(&[0x3f, 0x45, 0x82]), Ok(Verdict::Whole), "100");
    assert_eq!(reduced(&[0x20, 0x3f, 0xc9, 0x07, 0x82]), Ok(Verdict::Whole), "0, then 1000");
    assert_eq!(reduced(&[0x20, 0x3f, 0xca, 0x07]), Err(CompressionError::SizeUpdateOverLimit), "1001");

    let mut raised = Decoder::new(4096);
    raised.set_max_table_size(8192);
    assert_eq!(
        raised.decode(&[0x82], &WIDE, &mut Fields::new()),
        Ok(Verdict::Whole),
        "a raise may be ignored"
    );
}

#[test]
fn h11_a_size_update_evicts() {
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, &indexed_literal(b"a", b"1"));
    decode(&mut decoder, &indexed_literal(b"b", b"2"));
    decode(&mut decoder, &[0x3f, 0x04]); // 35, one entry less
    let out = decode(&mut decoder, &[0xbe]);
    assert_eq!(list(&out), list(&plain(&[("b", "2")])));
    let result = decoder.decode(&[0xbf], &WIDE, &mut Fields::new());
    assert_eq!(result, Err(CompressionError::IndexOutOfRange));
}

#[test]
fn h12_an_entry_may_name_the_entry_it_evicts() {
    for value_len in [0, 20, 4096 - 32 - 100] {
        let name = [b'n'; 100];
        let mut decoder = Decoder::new(4096);
        decode(&mut decoder, &indexed_literal(&name, &vec![b'1'; 4096 - 32 - 100]));
        let mut block = vec![0x7e]; // name of the newest entry
        string(&vec![b'2'; value_len], &mut block);
        block.push(0xbe);
        let out = decode(&mut decoder, &block);
        let expected = (name.to_vec(), vec![b'2'; value_len], false);
        assert_eq!(list(&out), [expected.clone(), expected]);
        let bound = if value_len > 0 { 132 + value_len } else { 132 };
        assert_eq!(decoder.footprint().1, bound.max(132), "the named entry was evicted");
    }
}

#[test]
fn h12_a_table_of_empty_entries_is_bounded() {
    let mut decoder = Decoder::new(4096);
    for _ in 0..1000 {
        decode(&mut decoder, &[0x40, 0x00, 0x00].repeat(50));
        let (held, size) = decoder.footprint();
        assert!(size <= 4096 && held <= 3 * 4096, "{held} octets held");
    }
    assert_eq!(decode(&mut decoder, &[0xff, 0x3e]).len(), 1, "the 128th entry, index 189");
    let result = decoder.decode(&[0xff, 0x3f], &WIDE, &mut Fields::new());
    assert_eq!(result, Err(CompressionError::IndexOutOfRange));
}

#[test]
fn h12_an_entry_larger_than_the_table_empties_it() {
    for limits in [WIDE, Limits { value: 10, ..WIDE }, Limits { fields: 0, ..WIDE }] {
        let mut decoder = Decoder::new(4096);
        decode(&mut decoder, &indexed_literal(b"a", b"1"));
        let block = indexed_literal(b"x", &[b'v'; 4096 - 32]);
        assert!(decoder.decode(&block, &limits, &mut Fields::new()).is_ok());
        assert_eq!(decoder.footprint().1, 0);
        let result = decoder.decode(&[0xbe], &WIDE, &mut Fields::new());
        assert_eq!(result, Err(CompressionError::IndexOutOfRange));
    }
}

#[test]
fn h13_a_table_of_four_gibioctets_is_clamped_to_our_cap() {
    let mut encoder = Encoder::new(16_384);
    encoder.set_max_table_size(u32::MAX);
    let mut decoder = Decoder::new(16_384);
    let fields = plain(&[("a", "b")]);
    let block = encode(&mut encoder, &fields);
    assert_eq!(block[..4], [0x3f, 0xe1, 0x7f, 0x40], "the update says 16384");
    assert_eq!(list(&decode(&mut decoder, &block)), list(&fields));

    let mut encoder = Encoder::new(4096);
    encoder.set_max_table_size(u32::MAX);
    assert_eq!(
        encode(&mut encoder, &plain(&[(":method", "GET")])),
        [0x82],
        "nothing changes, nothing is said"
    );
    for nth in 0..20_000 {
        encode(&mut encoder, &plain(&[(&format!("name-{nth}"), &format!("value-{nth}"))]));
        assert!(encoder.held() <= 4 * 4096);
    }
}

#[test]
fn h14_twenty_five_thousand_names_are_refused_at_field_101() {
    let field = |nth: usize| indexed_literal(format!("{nth:x}").as_bytes(), b"");
    let mut out = Fields::new();
    let mut decoder = Decoder::new(4096);
    let block: Vec<u8> = (0..2000).flat_map(field).collect();
    assert_eq!(decoder.decode(&block, &Limits::default(), &mut out), Ok(Verdict::TooLarge));
    assert_eq!(out.len(), 100);
    let newest = decode(&mut decoder, &[0xbe]);
    assert_eq!(newest.get(b"7cf"), Some(&b""[..]), "the table is right all the same");
    let block: Vec<u8> = (0..25_000).flat_map(field).collect();
    assert_eq!(decoder.decode(&block, &Limits::default(), &mut out), Err(CompressionError::Flood));
}

#[test]
fn rfc7541_2_3_3_indices_beyond_the_tables_are_refused() {
    for block in [&[0x80][..], &[0x81, 0x80]] {
        assert_eq!(fresh(block), Err(CompressionError::IndexZero));
    }
    let mut late = vec![0x82; 101];
    late.push(0x80);
    assert_eq!(fresh(&late), Err(CompressionError::IndexZero), "also where the list is too large");
    for block in [&[0xbe][..], &[0xff, 0x80, 0x01], &[0x7e, 0x00], &[0x0f, 0x2f, 0x00], &[0x1f, 0x2f, 0x00]] {
        assert_eq!(fresh(block), Err(CompressionError::IndexOutOfRange), "{block:x?}");
    }
}

#[test]
fn each_limit_makes_the_list_too_large_and_keeps_what_was_before() {
    let tight = Limits { list_size: 34 + 34 + 45, fields: 3, name: 8, value: 10 };
    let cases: [(&[(&str, &str)], bool); 8] = [
        (&[("a", "1"), ("b", "2"), ("c", "1234567890")], false),
        (&[("a", "1"), ("b", "2"), ("12345678", "1234")], false),
        (&[("a", "1"), ("b", "2"), ("12345678", "123456")], true),
        (&[("a", "1"), ("b", "2"), ("c", "12345678901")], true),
        (&[("a", "1"), ("b", "2"), ("123456789", "1")], true),
        (&[("a", "1"), ("b", "2"), ("content-length", "1")], true),
        (&[("a", "1"), ("b", "2"), ("", ""), ("", "")], true),
        (&[("a", "1"), ("b", "2"), ("12345", "123456789")], true),
    ];
    for (pairs, too_large) in cases {
        let fields = plain(pairs);
        let (mut encoder, mut decoder, mut out) = (Encoder::new(4096), Decoder::new(4096), Fields::new());
        // First as literals, then as references.
        for _ in 0..2 {
            let block = encode(&mut encoder, &fields);
            let expected = if too_large { Verdict::TooLarge } else { Verdict::Whole };
            assert_eq!(decoder.decode(&block, &tight, &mut out), Ok(expected), "{fields:?}");
            assert!(list(&fields).starts_with(&list(&out)));
            assert_eq!(
                out.len(),
                if too_large { pairs.len().min(3) - usize::from(pairs.len() == 3) } else { 3 }
            );
        }
    }
}

#[test]
fn every_error_has_a_code_a_section_and_words_of_its_own() {
    use CompressionError as E;
    let all = [
        E::IntegerTruncated,
        E::IntegerTooLong,
        E::StringTruncated,
        E::HuffmanEos,
        E::HuffmanPaddingTooLong,
        E::HuffmanPaddingInvalid,
        E::IndexZero,
        E::IndexOutOfRange,
        E::SizeUpdateOverLimit,
        E::SizeUpdateInsideBlock,
        E::TooManySizeUpdates,
        E::SizeUpdateMissing,
        E::Flood,
    ];
    let words: std::collections::HashSet<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), all.len());
    for error in all {
        let expected =
            if error == E::Flood { ErrorCode::ENHANCE_YOUR_CALM } else { ErrorCode::COMPRESSION_ERROR };
        assert_eq!(error.code(), expected);
        assert!(error.to_string().contains(error.section()));
    }
}
