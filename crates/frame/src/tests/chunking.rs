//! What comes out does not depend on how the octets were cut.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::decode::{Decoder, DecoderConfig};
use crate::encode;
use crate::frame::{DataPiece, Frame};
use crate::fuzzing::{agree, frame_decode};
use crate::head::{Flags, Kind, PREFACE};
use crate::stream_id::StreamId;

/// Any frame, more often than not a right one: known kind, likely length, few streams.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![6 => 0_u8..10, 1 => Just(0x10), 1 => any::<u8>()];
    let flags = prop_oneof![Just(0_u8), Just(1), Just(4), Just(5), Just(8), Just(0x0d), any::<u8>()];
    let stream = prop_oneof![2 => Just(0_u32), 4 => 1_u32..4, 1 => any::<u32>()];
    let payload = prop_oneof![
        Just(vec![]),
        vec(0_u8..6, 4),
        vec(any::<u8>(), 5),
        vec(0_u8..3, 6),
        vec(0_u8..9, 8),
        vec(any::<u8>(), 0..40),
        vec(Just(3_u8), 200..400),
    ];
    (kind, flags, stream, payload).prop_map(|(kind, flags, stream, payload)| {
        let mut out = Vec::new();
        encode::frame(Kind(kind), Flags(flags), StreamId::new(stream), &payload, &mut out);
        out
    })
}

/// Frames that no decoder refuses, so that long runs are tested too.
fn right_frame() -> impl Strategy<Value = Vec<u8>> {
    let stream = (1_u32..100).prop_map(|id| StreamId::new(id).expect("not zero"));
    let octets = vec(any::<u8>(), 0..300);
    (0..7, stream, octets, any::<u8>(), any::<bool>()).prop_map(|(kind, stream, octets, pad, flag)| {
        let mut out = Vec::new();
        match kind {
            0 => encode::data(stream, &octets, flag, &mut out),
            1 => encode::data_padded(stream, &octets, pad, flag, &mut out),
            2 => encode::headers(stream, flag, &octets, 64, &mut out),
            3 => encode::window_update(flag.then_some(stream), 1 + u32::from(pad), &mut out),
            4 => encode::frame(Kind(0xee), Flags(pad), Some(stream), &octets, &mut out),
            5 => encode::goaway(Some(stream), crate::ErrorCode::CANCEL, &octets, &mut out),
            _ => encode::ping(flag, [pad; 8], &mut out),
        }
        out
    })
}

proptest! {
    #[test]
    fn right_frames_come_out_the_same_however_they_are_cut(
        frames in vec(right_frame(), 0..30),
        cuts in vec(any::<u8>(), 0..12),
        end in any::<prop::sample::Index>(),
    ) {
        let mut wire = frames.concat();
        let config = DecoderConfig { max_goaway_debug: 64, ..DecoderConfig::default() };
        let whole = agree(&config, false, &wire, &cuts);
        prop_assert_eq!(whole.items.len(), frames.len());
        prop_assert!(!whole.mid_frame && !whole.in_header_block);
        wire.truncate(end.index(wire.len() + 1));
        agree(&config, false, &wire, &cuts);
    }

    #[test]
    fn any_frames_come_out_the_same_however_they_are_cut(
        frames in vec(any_frame(), 0..12),
        cuts in vec(any::<u8>(), 0..12),
        preface in any::<bool>(),
    ) {
        let start = if preface { &PREFACE[..] } else { &[] };
        let wire = [start, &frames.concat()].concat();
        agree(&DecoderConfig::default(), preface, &wire, &cuts);
        let small = DecoderConfig { max_header_block: 30, max_goaway_debug: 5, ..DecoderConfig::default() };
        agree(&small, preface, &wire, &cuts);
    }

    #[test]
    fn any_octets_do_not_upset_the_fuzz_target(octets in vec(any::<u8>(), 0..600)) {
        frame_decode(&octets);
    }
}

fn decoder(chunks: &[&[u8]]) -> Decoder {
    let mut decoder = Decoder::new(DecoderConfig::default());
    for chunk in chunks {
        decoder.feed(Bytes::copy_from_slice(chunk));
    }
    decoder
}

fn piece(decoder: &mut Decoder) -> DataPiece {
    match decoder.next() {
        Ok(Some(Frame::Data(piece))) => piece,
        other => panic!("expected DATA, got {other:?}"),
    }
}

#[test]
fn a_data_frame_in_one_chunk_is_one_piece() {
    let mut wire = Vec::new();
    let stream = StreamId::new(1).unwrap();
    encode::data_padded(stream, b"hello", 3, true, &mut wire);
    encode::data(stream, b"", false, &mut wire);
    let mut decoder = decoder(&[&wire]);
    let hello = piece(&mut decoder);
    assert_eq!((hello.charge, hello.overhead, &hello.data[..]), (9, 4, &b"hello"[..]));
    assert!(hello.first && hello.last && hello.end_stream);
    let empty = piece(&mut decoder);
    assert_eq!((empty.charge, empty.overhead, empty.data.len()), (0, 0, 0));
    assert!(empty.first && empty.last && !empty.end_stream);
    assert_eq!(decoder.next(), Ok(None));
    assert!(!decoder.mid_frame());
}

#[test]
fn a_data_frame_is_charged_as_soon_as_its_head_is_known() {
    let mut wire = Vec::new();
    encode::data(StreamId::new(1).unwrap(), b"hello", true, &mut wire);
    let mut decoder = decoder(&[&wire[..9]]);
    let first = piece(&mut decoder);
    assert_eq!((first.charge, first.data.len(), first.first, first.last), (5, 0, true, false));
    assert_eq!(decoder.next(), Ok(None));
    assert!(decoder.mid_frame());
    decoder.feed(Bytes::copy_from_slice(&wire[9..12]));
    let second = piece(&mut decoder);
    assert_eq!((second.charge, &second.data[..], second.first, second.last), (0, &b"hel"[..], false, false));
    decoder.feed(Bytes::copy_from_slice(&wire[12..]));
    let third = piece(&mut decoder);
    assert_eq!((&third.data[..], third.last, third.end_stream), (&b"lo"[..], true, true));
}

#[test]
fn the_end_of_late_padding_is_told_by_an_empty_last_piece() {
    let mut wire = Vec::new();
    encode::data_padded(StreamId::new(1).unwrap(), b"hello", 3, true, &mut wire);
    let mut decoder = decoder(&[&wire[..9]]);
    assert_eq!(decoder.next(), Ok(None), "without the pad length the overhead is not known");
    decoder.feed(Bytes::copy_from_slice(&wire[9..16]));
    let data = piece(&mut decoder);
    assert_eq!((data.charge, data.overhead, &data.data[..], data.last), (9, 4, &b"hello"[..], false));
    assert_eq!(decoder.next(), Ok(None));
    decoder.feed(Bytes::copy_from_slice(&wire[16..]));
    let end = piece(&mut decoder);
    assert_eq!((end.charge, end.data.len(), end.last, end.end_stream), (0, 0, true, true));
}

#[test]
fn chunks_may_be_fed_ahead() {
    let mut wire = Vec::new();
    let stream = StreamId::new(1).unwrap();
    encode::ping(false, [7; 8], &mut wire);
    encode::headers(stream, true, b"block", 2, &mut wire);
    let chunks: Vec<&[u8]> = wire.chunks(1).collect();
    let mut decoder = decoder(&chunks);
    assert_eq!(decoder.next(), Ok(Some(Frame::Ping { ack: false, payload: [7; 8] })));
    let Ok(Some(Frame::Headers(headers))) = decoder.next() else { panic!("expected HEADERS") };
    assert_eq!((&headers.block[..], headers.end_stream), (&b"block"[..], true));
    assert_eq!(decoder.next(), Ok(None));
}

#[test]
fn a_header_block_is_open_from_its_head_to_its_last_octet() {
    let mut wire = Vec::new();
    encode::headers(StreamId::new(1).unwrap(), true, b"block", 3, &mut wire);
    let mut decoder = Decoder::new(DecoderConfig::default());
    for (at, octet) in wire.iter().enumerate() {
        assert_eq!(decoder.in_header_block(), (9..wire.len()).contains(&at), "octet {at}");
        decoder.feed(Bytes::copy_from_slice(&[*octet]));
        let complete = decoder.next().unwrap().is_some();
        assert_eq!(complete, at + 1 == wire.len());
    }
    assert!(!decoder.in_header_block());
}
