//! Whatever is encoded comes back, and a decoder with tight limits keeps the table of one with wide limits.

use proptest::prelude::*;

use super::support::{List, WIDE, decode, encode, fields, list};
use crate::Fields;
use crate::hpack::{Decoder, Encoder, Limits, fuzzing};

/// One step of a connection: new sizes of the table, then a list.
#[derive(Clone, Debug)]
struct Step {
    sizes: Vec<u16>,
    list: List,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec![
            ":method", ":path", ":authority", ":status", "cookie", "via", "baggage", "traceparent", "x", "",
        ])
        .prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec!["", "/", "GET", "CONNECT", "200", "some-value", "10.0.0.1:80"])
            .prop_map(|value| value.as_bytes().to_vec()),
        2 => prop::collection::vec(any::<u8>(), 0..100),
        1 => prop::collection::vec(32u8..127, 0..3000),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(0..5000u16, 1..4)];
    let field = (name(), value(), prop::bool::weighted(0.1));
    (sizes, prop::collection::vec(field, 0..12)).prop_map(|(sizes, list)| Step { sizes, list })
}

proptest! {
    #[test]
    fn what_is_encoded_comes_back(cap in 0..6000usize, steps in prop::collection::vec(step(), 1..20)) {
        let (mut encoder, mut decoder) = (Encoder::new(cap), Decoder::new(4096));
        for Step { sizes, list: sent } in steps {
            for size in sizes {
                encoder.set_max_table_size(size.into());
                decoder.set_max_table_size(size.into());
            }
            let block = encode(&mut encoder, &fields(&sent));
            prop_assert_eq!(list(&decode(&mut decoder, &block)), sent);
        }
    }

    #[test]
    fn a_tight_decoder_keeps_the_table_of_a_wide_one(steps in prop::collection::vec(step(), 1..20)) {
        let tight = Limits { list_size: 800, fields: 5, name: 20, value: 100 };
        let (mut encoder, mut wide, mut narrow) = (Encoder::new(4096), Decoder::new(4096), Decoder::new(4096));
        for Step { list: sent, .. } in steps {
            let block = encode(&mut encoder, &fields(&sent));
            prop_assert_eq!(&list(&decode(&mut wide, &block)), &sent);
            let mut out = Fields::new();
            if narrow.decode(&block, &tight, &mut out).is_err() {
                return Ok(()); // a flood
            }
            prop_assert!(sent.starts_with(&list(&out)));
            prop_assert_eq!(narrow.footprint().1, wide.footprint().1);
            prop_assert!(out.size() <= tight.list_size && out.len() <= tight.fields);
            for index in 62..62 + wide.footprint().1 / 32 {
                let mut reference = Vec::new();
                crate::hpack::integer::encode(index, 7, 0x80, &mut reference);
                let (mut ours, mut theirs) = (Fields::new(), Fields::new());
                let results = (narrow.decode(&reference, &WIDE, &mut ours), wide.decode(&reference, &WIDE, &mut theirs));
                prop_assert_eq!(results.0, results.1);
                prop_assert_eq!(ours, theirs);
            }
        }
    }

    #[test]
    fn rfc7541_5_2_huffman_gives_back_any_octets(octets in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut coded = Vec::new();
        crate::hpack::huffman::encode(&octets, &mut coded);
        prop_assert_eq!(coded.len(), crate::hpack::huffman::encoded_len(&octets));
        let mut out = b"before".to_vec();
        prop_assert_eq!(crate::hpack::huffman::decode(&coded, octets.len(), &mut out), Ok(true));
        prop_assert_eq!(&out[6..], &octets[..]);
        if let Some(short) = octets.len().checked_sub(1) {
            out.truncate(6);
            prop_assert_eq!(crate::hpack::huffman::decode(&coded, short, &mut out), Ok(false));
            prop_assert_eq!(&out[..], b"before");
        }
    }

    #[test]
    fn fuzz_bodies_hold_on_random_octets(script in prop::collection::vec(any::<u8>(), 0..2000)) {
        fuzzing::hpack_decode(&script);
        fuzzing::hpack_roundtrip(&script);
    }

    #[test]
    fn fuzz_bodies_hold_on_short_blocks_of_small_octets(
        script in prop::collection::vec(prop_oneof![0..12u8, any::<u8>(), Just(0xbe), Just(0x40)], 0..400),
    ) {
        fuzzing::hpack_decode(&script);
        fuzzing::hpack_roundtrip(&script);
    }
}
