//! Every frame is decoded as it was encoded.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::code::ErrorCode;
use crate::control::Priority;
use crate::decode::{Decoder, DecoderConfig};
use crate::encode::{self, HeadersFrame};
use crate::frame::{DataPiece, Frame, HeaderBlock};
use crate::head::{Flags, Kind};
use crate::settings::{SettingId, Settings};
use crate::stream_id::StreamId;

fn stream() -> impl Strategy<Value = StreamId> {
    (1..=StreamId::MAX.get()).prop_map(|id| StreamId::new(id).expect("not zero"))
}

fn octets(most: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=most).prop_map(Bytes::from)
}

fn priority() -> impl Strategy<Value = Priority> {
    let parts = (any::<bool>(), 0..=StreamId::MAX.get(), any::<u8>());
    parts.prop_map(|(exclusive, dependency, weight)| Priority { exclusive, dependency, weight })
}

fn settings() -> impl Strategy<Value = Settings> {
    let entry = prop_oneof![
        (Just(SettingId::HEADER_TABLE_SIZE), any::<u32>()),
        (Just(SettingId::ENABLE_PUSH), 0_u32..=1),
        (Just(SettingId::MAX_CONCURRENT_STREAMS), any::<u32>()),
        (Just(SettingId::INITIAL_WINDOW_SIZE), 0_u32..=0x7fff_ffff),
        (Just(SettingId::MAX_FRAME_SIZE), 16_384_u32..=16_777_215),
        (Just(SettingId::MAX_HEADER_LIST_SIZE), any::<u32>()),
        (Just(SettingId::ENABLE_CONNECT_PROTOCOL), 0_u32..=1),
        (Just(SettingId::NO_RFC7540_PRIORITIES), 0_u32..=1),
        ((10_u16..=u16::MAX).prop_map(SettingId), any::<u32>()),
    ];
    vec(entry, 0..=32).prop_map(Settings::from_iter)
}

fn data() -> impl Strategy<Value = Frame> {
    let padding = prop_oneof![Just(0_u32), 1_u32..=256];
    (stream(), octets(16_128), padding, any::<bool>()).prop_map(|(stream, data, overhead, end_stream)| {
        let charge = overhead + data.len() as u32;
        let (first, last) = (true, true);
        Frame::Data(DataPiece { stream, charge, overhead, data, first, last, end_stream })
    })
}

fn block() -> impl Strategy<Value = Frame> {
    let priority = proptest::option::of(priority());
    prop_oneof![
        (stream(), octets(40_000), any::<bool>(), Just(None)),
        (stream(), octets(16_000), any::<bool>(), priority),
    ]
    .prop_map(|(stream, block, end_stream, priority)| {
        Frame::Headers(HeaderBlock { stream, block, end_stream, priority })
    })
}

fn frame() -> impl Strategy<Value = Frame> {
    let code = || any::<u32>().prop_map(ErrorCode);
    let even = stream().prop_filter_map("even", |id| StreamId::new(id.get() & !1));
    let unknown = prop_oneof![0x0a_u8..0x10, 0x11_u8..=0xff].prop_map(Kind);
    let flags = any::<u8>().prop_map(Flags);
    let maybe = || proptest::option::of(stream());
    prop_oneof![
        data(),
        block(),
        (stream(), priority()).prop_map(|(stream, priority)| Frame::Priority { stream, priority }),
        (stream(), code()).prop_map(|(stream, code)| Frame::Reset { stream, code }),
        settings().prop_map(Frame::Settings),
        Just(Frame::SettingsAck),
        (stream(), even, octets(40_000)).prop_map(|(stream, promised, block)| Frame::PushPromise {
            stream,
            promised,
            block
        }),
        (any::<bool>(), any::<[u8; 8]>()).prop_map(|(ack, payload)| Frame::Ping { ack, payload }),
        (maybe(), code(), octets(1024)).prop_map(|(last, code, debug)| Frame::Goaway { last, code, debug }),
        (maybe(), 1..=0x7fff_ffff_u32)
            .prop_map(|(stream, increment)| Frame::WindowUpdate { stream, increment }),
        (stream(), octets(1024)).prop_map(|(stream, value)| Frame::PriorityUpdate { stream, value }),
        (unknown, flags, 0_u32..16_384, maybe())
            .prop_map(|(kind, flags, length, stream)| { Frame::Unknown { kind, flags, length, stream } }),
    ]
}

/// Frames as this crate would send them; with padding and priorities if the frame has them.
fn send(frame: &Frame, out: &mut Vec<u8>) {
    match frame {
        Frame::Data(piece) => match piece.overhead.checked_sub(1) {
            Some(padding) => {
                let padding = padding.try_into().expect("at most 255");
                encode::data_padded(piece.stream, &piece.data, padding, piece.end_stream, out);
            }
            None => {
                encode::data_head(piece.stream, piece.charge, piece.end_stream, out);
                out.extend_from_slice(&piece.data);
            }
        },
        Frame::Headers(HeaderBlock { stream, block, end_stream, priority: None }) => {
            encode::headers(*stream, *end_stream, block, 16_384, out);
        }
        Frame::Headers(HeaderBlock { stream, block, end_stream, priority }) => HeadersFrame {
            stream: *stream,
            end_stream: *end_stream,
            end_headers: true,
            priority: *priority,
            padding: Some(7),
            fragment: block,
        }
        .encode(out),
        Frame::Priority { stream, priority } => encode::priority(*stream, *priority, out),
        Frame::Reset { stream, code } => encode::reset(*stream, *code, out),
        Frame::Settings(settings) => encode::settings(settings, out),
        Frame::SettingsAck => encode::settings_ack(out),
        Frame::PushPromise { stream, promised, block } => {
            encode::push_promise(*stream, *promised, block, 16_384, out);
        }
        Frame::Ping { ack, payload } => encode::ping(*ack, *payload, out),
        Frame::Goaway { last, code, debug } => encode::goaway(*last, *code, debug, out),
        Frame::WindowUpdate { stream, increment } => encode::window_update(*stream, *increment, out),
        Frame::PriorityUpdate { stream, value } => encode::priority_update(*stream, value, out),
        Frame::Unknown { kind, flags, length, stream } => {
            encode::frame(*kind, *flags, *stream, &vec![0xa5; *length as usize], out);
        }
    }
}

proptest! {
    #[test]
    fn frames_are_decoded_as_they_were_encoded(frames in vec(frame(), 1..6)) {
        let mut wire = Vec::new();
        for frame in &frames {
            send(frame, &mut wire);
        }
        let mut decoder = Decoder::new(DecoderConfig::default());
        decoder.feed(Bytes::from(wire));
        for frame in frames {
            prop_assert_eq!(decoder.next(), Ok(Some(frame)));
        }
        prop_assert_eq!(decoder.next(), Ok(None));
        prop_assert!(!decoder.mid_frame());
    }
}

#[test]
fn a_block_that_fills_its_frame_needs_no_continuation() {
    let stream = StreamId::new(1).unwrap();
    for (octets, frames) in [(0, 1), (10, 1), (11, 2), (20, 2), (21, 3)] {
        let mut wire = Vec::new();
        encode::headers(stream, false, &vec![1; octets], 10, &mut wire);
        assert_eq!(wire.len(), octets + 9 * frames, "{octets} octets");
    }
}
