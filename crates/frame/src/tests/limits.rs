//! Limits of the decoder, at the limit and one beyond.

use bytes::Bytes;

use crate::code::ErrorCode;
use crate::decode::{Decoder, DecoderConfig};
use crate::encode::{self, HeadersFrame};
use crate::frame::Frame;
use crate::head::{Flags, FrameHead, Kind};
use crate::malformed::{Fault, Malformed};
use crate::settings::{SettingId, Settings};
use crate::stream_id::StreamId;

fn one() -> StreamId {
    StreamId::new(1).expect("not zero")
}

/// The first thing that the decoder tells about `wire`.
fn first(config: DecoderConfig, wire: Vec<u8>) -> Result<Option<Frame>, Malformed> {
    let mut decoder = Decoder::new(config);
    decoder.feed(Bytes::from(wire));
    decoder.next().map_err(|fault: Fault| fault.malformed)
}

fn open_block(fragment: &[u8], out: &mut Vec<u8>) {
    HeadersFrame {
        stream: one(),
        end_stream: false,
        end_headers: false,
        priority: None,
        padding: None,
        fragment,
    }
    .encode(out);
}

#[test]
fn h04_eight_continuations_are_fine_and_the_ninth_ends_the_connection() {
    for (count, expected) in [(8, None), (9, Some(Malformed::TooManyContinuations))] {
        let mut wire = Vec::new();
        open_block(b"a", &mut wire);
        for n in 1..=count {
            encode::continuation(one(), n == count, b"b", &mut wire);
        }
        assert_eq!(first(DecoderConfig::default(), wire).err(), expected, "{count} CONTINUATION");
    }
    assert_eq!(Malformed::TooManyContinuations.code(), ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn h05_one_empty_continuation_is_fine_and_the_second_ends_the_connection() {
    for (count, expected) in [(1, None), (2, Some(Malformed::TooManyEmptyContinuations))] {
        let mut wire = Vec::new();
        open_block(b"a", &mut wire);
        for _ in 0..count {
            encode::continuation(one(), false, b"", &mut wire);
        }
        encode::continuation(one(), true, b"b", &mut wire);
        assert_eq!(first(DecoderConfig::default(), wire).err(), expected, "{count} empty");
    }
}

#[test]
fn a_header_block_may_be_as_large_as_the_limit_however_it_is_framed() {
    let config = || DecoderConfig { max_header_block: 1000, ..DecoderConfig::default() };
    for (size, fits) in [(1000, true), (1001, false)] {
        let block = vec![7; size];
        for frame_size in [16_384, 600, 200] {
            let mut wire = Vec::new();
            encode::headers(one(), true, &block, frame_size, &mut wire);
            let told = first(config(), wire);
            assert_eq!(told.is_ok_and(|frame| frame.is_some()), fits, "{size} in {frame_size}");
            let mut wire = Vec::new();
            encode::push_promise(one(), StreamId::new(2).unwrap(), &block, frame_size, &mut wire);
            assert_eq!(first(config(), wire).is_ok(), fits, "{size} in {frame_size}");
        }
    }
}

#[test]
fn padding_and_priority_do_not_count_as_header_block() {
    let config = DecoderConfig { max_header_block: 10, ..DecoderConfig::default() };
    let priority = crate::Priority { exclusive: false, dependency: 0, weight: 0 };
    for (size, expected) in [(10, None), (11, Some(Malformed::HeaderBlockTooLarge))] {
        let fragment = &[7; 11][..size];
        let (stream, end_stream, end_headers) = (one(), false, true);
        let (priority, padding) = (Some(priority), Some(255));
        let frame = HeadersFrame { stream, end_stream, end_headers, priority, padding, fragment };
        let mut wire = Vec::new();
        frame.encode(&mut wire);
        assert_eq!(first(config.clone(), wire).err(), expected);
    }
}

#[test]
fn a_header_block_too_large_is_refused_at_its_head() {
    let config = DecoderConfig { max_frame_size: 1 << 20, ..DecoderConfig::default() };
    let length = 64 * 1024 + 262;
    let head = FrameHead { length, kind: Kind::HEADERS, flags: Flags::END_HEADERS, stream: Some(one()) };
    assert_eq!(first(config.clone(), head.encode().into()), Err(Malformed::HeaderBlockTooLarge));
    let head = FrameHead { length: length - 1, ..head };
    assert_eq!(first(config, head.encode().into()), Ok(None));
}

#[test]
fn push_promise_is_refused_at_its_head_where_push_is_off() {
    let off = DecoderConfig { push: false, ..DecoderConfig::default() };
    let head = FrameHead { length: 5, kind: Kind::PUSH_PROMISE, flags: Flags::NONE, stream: Some(one()) };
    assert_eq!(first(off.clone(), head.encode().into()), Err(Malformed::PushPromise));
    assert_eq!(first(DecoderConfig::default(), head.encode().into()), Ok(None));
    let head = FrameHead { stream: None, ..head };
    assert_eq!(first(off, head.encode().into()), Err(Malformed::PushPromiseOnConnection));
}

#[test]
fn h22_32_settings_are_fine_and_one_more_ends_the_connection() {
    let settings = |count| -> Settings { (0..count).map(|n| (SettingId::MAX_HEADER_LIST_SIZE, n)).collect() };
    let mut wire = Vec::new();
    encode::settings(&settings(32), &mut wire);
    assert_eq!(first(DecoderConfig::default(), wire), Ok(Some(Frame::Settings(settings(32)))));
    for count in [33, 2730] {
        let mut wire = Vec::new();
        encode::settings(&settings(count), &mut wire);
        wire.truncate(9);
        assert_eq!(first(DecoderConfig::default(), wire), Err(Malformed::TooManySettings));
    }
}

#[test]
fn h23_settings_values_are_held_to_their_ranges_exactly() {
    let ranges = [
        (SettingId::HEADER_TABLE_SIZE, 0_u32, u32::MAX, None),
        (SettingId::ENABLE_PUSH, 0, 1, Some(Malformed::SettingsEnablePush)),
        (SettingId::MAX_CONCURRENT_STREAMS, 0, u32::MAX, None),
        (SettingId::INITIAL_WINDOW_SIZE, 0, 0x7fff_ffff, Some(Malformed::SettingsInitialWindowSize)),
        (SettingId::MAX_FRAME_SIZE, 16_384, 16_777_215, Some(Malformed::SettingsMaxFrameSize)),
        (SettingId::MAX_HEADER_LIST_SIZE, 0, u32::MAX, None),
        (SettingId(7), 0, u32::MAX, None),
        (SettingId::ENABLE_CONNECT_PROTOCOL, 0, 1, Some(Malformed::SettingsEnableConnectProtocol)),
        (SettingId::NO_RFC7540_PRIORITIES, 0, 1, Some(Malformed::SettingsNoRfc7540Priorities)),
        (SettingId(0xffff), 0, u32::MAX, None),
    ];
    for (id, least, most, malformed) in ranges {
        let edges = [0, 1, least.saturating_sub(1), least, least + 1, most - 1, most, most.saturating_add(1)];
        for value in edges.into_iter().chain([u32::MAX]) {
            let mut wire = Vec::new();
            let settings: Settings = [(SettingId::HEADER_TABLE_SIZE, 9), (id, value)].into_iter().collect();
            encode::settings(&settings, &mut wire);
            let expected = if (least..=most).contains(&value) { None } else { malformed };
            let told = first(DecoderConfig::default(), wire);
            assert_eq!(told.as_ref().err().copied(), expected, "{id} = {value}");
            assert_eq!(told.is_ok(), expected.is_none());
        }
    }
}

#[test]
fn h33_unknown_kinds_of_every_length_are_told_once_and_skipped() {
    let config = DecoderConfig { max_frame_size: 70_000, ..DecoderConfig::default() };
    for kind in (0x0a..=0xff).filter(|&kind| Kind(kind) != Kind::PRIORITY_UPDATE).map(Kind) {
        for length in [0, 1, 9, 16_384, 70_000] {
            let mut decoder = Decoder::new(config.clone());
            let (flags, stream) = (Flags(0xff), (length % 2 == 1).then(one));
            let mut wire = Vec::new();
            encode::frame(kind, flags, stream, &vec![0; length as usize], &mut wire);
            encode::settings_ack(&mut wire);
            let mut told = Vec::new();
            for chunk in wire.chunks(10_000) {
                decoder.feed(Bytes::copy_from_slice(chunk));
                while let Some(frame) = decoder.next().unwrap() {
                    told.push(frame);
                }
            }
            assert_eq!(told, [Frame::Unknown { kind, flags, length, stream }, Frame::SettingsAck]);
        }
    }
}

#[test]
fn h35_the_first_1024_octets_of_debug_data_are_kept() {
    let debug: Vec<u8> = (0..=255).cycle().take(9000).collect();
    let mut wire = Vec::new();
    encode::goaway(None, ErrorCode::ENHANCE_YOUR_CALM, &debug, &mut wire);
    encode::settings_ack(&mut wire);
    let mut decoder = Decoder::new(DecoderConfig::default());
    decoder.feed(Bytes::from(wire));
    let Ok(Some(Frame::Goaway { last: None, code, debug: kept })) = decoder.next() else {
        panic!("expected GOAWAY")
    };
    assert_eq!((code, &kept[..]), (ErrorCode::ENHANCE_YOUR_CALM, &debug[..1024]));
    assert_eq!(decoder.next(), Ok(Some(Frame::SettingsAck)));
}

#[test]
fn frames_may_be_as_large_as_the_limit() {
    for (length, expected) in [(16_384, None), (16_385, Some(Malformed::FrameTooLarge))] {
        for kind in [Kind::DATA, Kind(0xaa)] {
            let head = FrameHead { length, kind, flags: Flags::NONE, stream: Some(one()) };
            assert_eq!(first(DecoderConfig::default(), head.encode().into()).err(), expected);
        }
    }
}
