//! Ours beside the `hpack` crate, both ways, on blocks that a generator makes.
//!
//! Where the crate (0.3) differs, it is not asked: it takes size updates of any size, anywhere and any number
//! of them, and panics at one that is cut off; it has no limits; its static table says `accept-` at index 15
//! where RFC 7541 says `accept-charset`; its encoder never uses Huffman code and never indexes by name only.
//! What it shares with us: integers of at most five octets, the rules for padding and EOS.

use proptest::prelude::*;

use super::support::{WIDE, decode, encode, fields, list, string};
use crate::Fields;
use crate::hpack::{Decoder, Encoder, huffman, integer};

/// A string on the wire.
#[derive(Clone, Debug)]
enum Text {
    Plain(Vec<u8>),
    Coded(Vec<u8>),
    /// Octets that only claim to be Huffman code.
    Noise(Vec<u8>),
}

/// A field on the wire.
#[derive(Clone, Debug)]
enum Form {
    Indexed(usize),
    /// Prefix, pattern, index of the name or the name, value.
    Literal(u32, u8, Result<usize, Text>, Text),
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Text::Plain),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Text::Coded),
        prop::collection::vec(32..127u8, 0..200).prop_map(Text::Coded),
    ]
}

/// An index below `end`, but not the one where the crate errs.
fn index(end: usize) -> impl Strategy<Value = usize> {
    prop_oneof![1..15usize, 16..end]
}

fn form() -> impl Strategy<Value = Form> {
    let kind = prop::sample::select(vec![(6, 0x40), (6, 0x40), (4, 0x00), (4, 0x10)]);
    let name = prop_oneof![index(70).prop_map(Ok), text().prop_map(Err)];
    prop_oneof![
        index(66).prop_map(Form::Indexed),
        (kind, name, text())
            .prop_map(|((prefix, pattern), name, value)| Form::Literal(prefix, pattern, name, value)),
    ]
}

fn write_text(text: &Text, out: &mut Vec<u8>) {
    let coded = match text {
        Text::Plain(octets) => return string(octets, out),
        Text::Coded(octets) => {
            let mut coded = Vec::new();
            huffman::encode(octets, &mut coded);
            coded
        }
        Text::Noise(octets) => octets.clone(),
    };
    integer::encode(coded.len(), 7, 0x80, out);
    out.extend_from_slice(&coded);
}

fn write(form: &Form, out: &mut Vec<u8>) {
    match form {
        Form::Indexed(index) => integer::encode(*index, 7, 0x80, out),
        Form::Literal(prefix, pattern, name, value) => {
            integer::encode(*name.as_ref().unwrap_or(&0), *prefix, *pattern, out);
            if let Err(name) = name {
                write_text(name, out);
            }
            write_text(value, out);
        }
    }
}

/// Both must give the same list, or both an error.
fn compare(
    block: &[u8],
    ours: &mut Decoder,
    theirs: &mut ::hpack::Decoder<'_>,
) -> Result<bool, TestCaseError> {
    let mut out = Fields::new();
    let our_result = ours.decode(block, &WIDE, &mut out);
    let their_result = theirs.decode(block);
    prop_assert_eq!(
        our_result.is_ok(),
        their_result.is_ok(),
        "{:?} and {:?}",
        our_result,
        their_result.is_ok()
    );
    if let Ok(expected) = their_result {
        let decoded: Vec<_> = out.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
        prop_assert_eq!(decoded, expected);
    }
    Ok(our_result.is_ok())
}

proptest! {
    #[test]
    fn both_decoders_agree_on_well_formed_fields(
        size in 0..4096usize,
        blocks in prop::collection::vec(prop::collection::vec(form(), 0..12), 1..8),
    ) {
        let (mut ours, mut theirs) = (Decoder::new(4096), ::hpack::Decoder::new());
        let mut block = Vec::new();
        integer::encode(size, 5, 0x20, &mut block);
        for forms in blocks {
            forms.iter().for_each(|form| write(form, &mut block));
            if !compare(&block, &mut ours, &mut theirs)? {
                return Ok(());
            }
            block.clear();
        }
    }

    #[test]
    fn both_decoders_agree_on_a_block_cut_anywhere(
        forms in prop::collection::vec(form(), 1..4), cut in any::<prop::sample::Index>(),
    ) {
        let mut block = Vec::new();
        forms.iter().for_each(|form| write(form, &mut block));
        let cut = cut.index(block.len());
        compare(&block[..cut], &mut Decoder::new(4096), &mut ::hpack::Decoder::new())?;
    }

    #[test]
    fn both_decoders_agree_on_noise_that_claims_to_be_huffman_code(
        octets in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xff), 0xf0..=0xffu8], 0..24),
    ) {
        let mut block = Vec::new();
        write(&Form::Literal(4, 0x00, Ok(1), Text::Noise(octets)), &mut block);
        compare(&block, &mut Decoder::new(4096), &mut ::hpack::Decoder::new())?;
    }

    #[test]
    fn what_we_encode_the_crate_decodes(
        lists in prop::collection::vec(
            prop::collection::vec((prop::collection::vec(97..105u8, 0..3), prop::collection::vec(any::<u8>(), 0..60), any::<bool>()), 0..10),
            1..20,
        ),
    ) {
        let (mut encoder, mut theirs) = (Encoder::new(4096), ::hpack::Decoder::new());
        for sent in lists {
            let block = encode(&mut encoder, &fields(&sent));
            let expected: Vec<_> = sent.into_iter().map(|(name, value, _)| (name, value)).collect();
            prop_assert_eq!(theirs.decode(&block).unwrap(), expected);
        }
    }

    #[test]
    fn what_the_crate_encodes_we_decode(
        lists in prop::collection::vec(
            prop::collection::vec((prop::collection::vec(97..105u8, 0..3), prop::collection::vec(any::<u8>(), 0..60)), 0..10),
            1..20,
        ),
    ) {
        let (mut theirs, mut decoder) = (::hpack::Encoder::new(), Decoder::new(4096));
        for sent in lists {
            let block = theirs.encode(sent.iter().map(|(name, value)| (&name[..], &value[..])));
            let expected: Fields = sent.into_iter().collect();
            prop_assert_eq!(list(&decode(&mut decoder, &block)), list(&expected));
        }
    }
}

#[test]
fn rfc7541_b_every_symbol_has_the_code_that_the_crate_knows() {
    for symbol in 0..=255u8 {
        let mut block = Vec::new();
        write(&Form::Literal(4, 0x00, Ok(1), Text::Coded(vec![symbol; 3])), &mut block);
        let list = ::hpack::Decoder::new().decode(&block).unwrap();
        assert_eq!(list, [(b":authority".to_vec(), vec![symbol; 3])]);
    }
}
