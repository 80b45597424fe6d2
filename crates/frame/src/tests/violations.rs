//! Every violation by name: the octets that commit it and what the decoder answers.

use std::collections::HashSet;

use bytes::Bytes;

use crate::decode::{Decoder, DecoderConfig};
use crate::encode;
use crate::frame::Frame;
use crate::fuzzing::{Item, agree};
use crate::head::{Flags, Kind, PREFACE};
use crate::malformed::{Fault, Malformed, Scope};
use crate::stream_id::StreamId;

/// What is wrong, then kind, flags, stream and payload of each frame; the last one is at fault.
type Script = (Malformed, &'static [(Kind, u8, u32, &'static [u8])]);

const fn setting(id: u8, value: u32) -> [u8; 6] {
    let [a, b, c, d] = value.to_be_bytes();
    [0, id, a, b, c, d]
}

const SCRIPTS: &[Script] = &[
    (Malformed::FrameTooLarge, &[(Kind::DATA, 0, 1, &[0; 16_385])]),
    (Malformed::FrameTooLarge, &[(Kind(0x77), 0, 0, &[0; 16_385])]),
    (Malformed::FrameTooLarge, &[(Kind::HEADERS, 0, 1, b"a"), (Kind::CONTINUATION, 0, 1, &[0; 16_385])]),
    (Malformed::FrameTooShort, &[(Kind::DATA, 8, 1, &[])]),
    (Malformed::FrameTooShort, &[(Kind::HEADERS, 0x0c, 1, &[])]),
    (Malformed::FrameTooShort, &[(Kind::HEADERS, 0x24, 1, &[0; 4])]),
    (Malformed::FrameTooShort, &[(Kind::HEADERS, 0x2c, 1, &[0; 5])]),
    (Malformed::FrameTooShort, &[(Kind::PUSH_PROMISE, 4, 1, &[0; 3])]),
    (Malformed::FrameTooShort, &[(Kind::PUSH_PROMISE, 0x0c, 1, &[])]),
    (Malformed::PaddingTooLong, &[(Kind::DATA, 8, 1, &[1])]),
    (Malformed::PaddingTooLong, &[(Kind::DATA, 9, 1, &[4, 0, 0, 0])]),
    (Malformed::PaddingTooLong, &[(Kind::HEADERS, 0x0c, 1, &[4, 0, 0, 0])]),
    (Malformed::PaddingTooLong, &[(Kind::HEADERS, 0x2c, 1, &[2, 0, 0, 0, 0, 0, 0])]),
    (Malformed::PaddingTooLong, &[(Kind::PUSH_PROMISE, 0x0c, 1, &[2, 0, 0, 0, 2, 0])]),
    (Malformed::DataOnConnection, &[(Kind::DATA, 0, 0, b"a")]),
    (Malformed::HeadersOnConnection, &[(Kind::HEADERS, 4, 0, b"a")]),
    (Malformed::PriorityOnConnection, &[(Kind::PRIORITY, 0, 0, &[0; 5])]),
    (Malformed::PriorityOnConnection, &[(Kind::PRIORITY, 0, 0, &[0; 6])]),
    (Malformed::ResetOnConnection, &[(Kind::RST_STREAM, 0, 0, &[0; 4])]),
    (Malformed::SettingsOnStream, &[(Kind::SETTINGS, 0, 1, &[])]),
    (Malformed::SettingsOnStream, &[(Kind::SETTINGS, 1, 1, &[])]),
    (Malformed::PushPromiseOnConnection, &[(Kind::PUSH_PROMISE, 4, 0, &[0, 0, 0, 2])]),
    (Malformed::PingOnStream, &[(Kind::PING, 0, 1, &[0; 8])]),
    (Malformed::GoawayOnStream, &[(Kind::GOAWAY, 0, 1, &[0; 8])]),
    (Malformed::PriorityUpdateOnStream, &[(Kind::PRIORITY_UPDATE, 0, 1, &[0, 0, 0, 1])]),
    (Malformed::PriorityLength, &[(Kind::PRIORITY, 0, 1, &[])]),
    (Malformed::PriorityLength, &[(Kind::PRIORITY, 0, 1, &[0; 4])]),
    (Malformed::PriorityLength, &[(Kind::PRIORITY, 0, 1, &[0; 6])]),
    (Malformed::ResetLength, &[(Kind::RST_STREAM, 0, 1, &[0; 3])]),
    (Malformed::ResetLength, &[(Kind::RST_STREAM, 0, 1, &[0; 5])]),
    (Malformed::SettingsLength, &[(Kind::SETTINGS, 0, 0, &[0; 5])]),
    (Malformed::SettingsLength, &[(Kind::SETTINGS, 0, 0, &[0; 7])]),
    (Malformed::SettingsAckLength, &[(Kind::SETTINGS, 1, 0, &[0; 6])]),
    (Malformed::PingLength, &[(Kind::PING, 0, 0, &[0; 7])]),
    (Malformed::PingLength, &[(Kind::PING, 1, 0, &[0; 9])]),
    (Malformed::GoawayLength, &[(Kind::GOAWAY, 0, 0, &[0; 7])]),
    (Malformed::WindowUpdateLength, &[(Kind::WINDOW_UPDATE, 0, 1, &[1; 3])]),
    (Malformed::WindowUpdateLength, &[(Kind::WINDOW_UPDATE, 0, 0, &[1; 5])]),
    (Malformed::PriorityUpdateLength, &[(Kind::PRIORITY_UPDATE, 0, 0, &[0; 3])]),
    (Malformed::SettingsEnablePush, &[(Kind::SETTINGS, 0, 0, &setting(2, 2))]),
    (Malformed::SettingsInitialWindowSize, &[(Kind::SETTINGS, 0, 0, &setting(4, 1 << 31))]),
    (Malformed::SettingsMaxFrameSize, &[(Kind::SETTINGS, 0, 0, &setting(5, 16_383))]),
    (Malformed::SettingsMaxFrameSize, &[(Kind::SETTINGS, 0, 0, &setting(5, 1 << 24))]),
    (Malformed::SettingsEnableConnectProtocol, &[(Kind::SETTINGS, 0, 0, &setting(8, 2))]),
    (Malformed::SettingsNoRfc7540Priorities, &[(Kind::SETTINGS, 0, 0, &setting(9, 2))]),
    (Malformed::PromisedStream, &[(Kind::PUSH_PROMISE, 4, 1, &[0, 0, 0, 0])]),
    (Malformed::PromisedStream, &[(Kind::PUSH_PROMISE, 4, 1, &[0x80, 0, 0, 0])]),
    (Malformed::PromisedStream, &[(Kind::PUSH_PROMISE, 4, 1, &[0, 0, 0, 3])]),
    (Malformed::WindowUpdateZero, &[(Kind::WINDOW_UPDATE, 0, 1, &[0; 4])]),
    (Malformed::WindowUpdateZero, &[(Kind::WINDOW_UPDATE, 0, 1, &[0x80, 0, 0, 0])]),
    (Malformed::ConnectionWindowUpdateZero, &[(Kind::WINDOW_UPDATE, 0, 0, &[0; 4])]),
    (Malformed::PriorityUpdateZero, &[(Kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\0u=1")]),
    (Malformed::Interleaved, &[(Kind::HEADERS, 0, 1, b"a"), (Kind::DATA, 0, 1, b"b")]),
    (Malformed::Interleaved, &[(Kind::HEADERS, 0, 1, b"a"), (Kind::HEADERS, 4, 1, b"b")]),
    (Malformed::Interleaved, &[(Kind::HEADERS, 0, 1, b"a"), (Kind::CONTINUATION, 4, 3, b"b")]),
    (Malformed::Interleaved, &[(Kind::HEADERS, 0, 1, b"a"), (Kind::CONTINUATION, 4, 0, b"b")]),
    (Malformed::Interleaved, &[(Kind::HEADERS, 0, 1, b"a"), (Kind::PING, 0, 0, &[0; 8])]),
    (Malformed::Interleaved, &[(Kind::HEADERS, 0, 1, b"a"), (Kind::PRIORITY, 0, 1, &[])]),
    (Malformed::Interleaved, &[(Kind::HEADERS, 0, 1, b"a"), (Kind(0xbb), 0, 1, b"b")]),
    (
        Malformed::Interleaved,
        &[
            (Kind::PUSH_PROMISE, 0, 1, b"\0\0\0\x02"),
            (Kind::CONTINUATION, 0, 1, b"b"),
            (Kind::GOAWAY, 0, 0, &[0; 8]),
        ],
    ),
    (Malformed::ContinuationWithoutHeaders, &[(Kind::CONTINUATION, 4, 1, b"a")]),
    (Malformed::ContinuationWithoutHeaders, &[(Kind::CONTINUATION, 4, 0, b"a")]),
    (Malformed::ContinuationWithoutHeaders, &[(Kind::HEADERS, 4, 1, b"a"), (Kind::CONTINUATION, 4, 1, b"b")]),
    (
        Malformed::TooManyContinuations,
        &[
            (Kind::HEADERS, 0, 1, b"a"),
            (Kind::CONTINUATION, 0, 1, b"1"),
            (Kind::CONTINUATION, 0, 1, b"2"),
            (Kind::CONTINUATION, 0, 1, b"3"),
            (Kind::CONTINUATION, 4, 1, b"4"),
        ],
    ),
    (
        Malformed::TooManyEmptyContinuations,
        &[(Kind::HEADERS, 0, 1, b"a"), (Kind::CONTINUATION, 0, 1, b""), (Kind::CONTINUATION, 4, 1, b"")],
    ),
    (Malformed::HeaderBlockTooLarge, &[(Kind::HEADERS, 4, 1, &[0; 101])]),
    (Malformed::HeaderBlockTooLarge, &[(Kind::HEADERS, 4, 1, &[0; 400])]),
    (
        Malformed::HeaderBlockTooLarge,
        &[(Kind::HEADERS, 0, 1, &[0; 60]), (Kind::CONTINUATION, 4, 1, &[0; 41])],
    ),
    (Malformed::TooManySettings, &[(Kind::SETTINGS, 0, 0, &[0; 30])]),
    (Malformed::PriorityUpdateTooLong, &[(Kind::PRIORITY_UPDATE, 0, 0, &[1; 15])]),
];

fn config() -> DecoderConfig {
    DecoderConfig {
        max_header_block: 100,
        max_continuations: 3,
        max_settings: 4,
        max_priority_update: 10,
        ..DecoderConfig::default()
    }
}

fn one_of_each_kind() -> Vec<u8> {
    let mut out = Vec::new();
    for kind in (0..=0x11).map(Kind) {
        encode::frame(kind, Flags::END_HEADERS, StreamId::new(1), &[0, 0, 0, 2], &mut out);
        encode::frame(kind, Flags::NONE, None, &[0, 0, 0, 0, 0, 0, 0, 9], &mut out);
    }
    out
}

#[test]
fn every_violation_is_found_by_name_however_it_is_cut() {
    for (malformed, frames) in SCRIPTS {
        let mut wire = Vec::new();
        for (kind, flags, stream, payload) in *frames {
            encode::frame(*kind, Flags(*flags), StreamId::new(*stream), payload, &mut wire);
        }
        let stream = frames.last().and_then(|frame| StreamId::new(frame.2));
        let expected = Item::Fault(Fault { malformed: *malformed, stream });
        for cuts in [&[1_u8][..], &[9], &[10, 3, 200]] {
            let whole = agree(&config(), false, &wire, cuts);
            assert_eq!(whole.items.last(), Some(&expected), "{malformed:?} {frames:x?}");
            let faults = whole.items.iter().filter(|item| matches!(item, Item::Fault(_))).count();
            assert_eq!(faults, 1, "{malformed:?}");
        }
    }
}

#[test]
fn the_scripts_know_every_violation() {
    let scripted: HashSet<_> = SCRIPTS.iter().map(|script| script.0).collect();
    let missing: Vec<_> = Malformed::ALL.iter().filter(|malformed| !scripted.contains(malformed)).collect();
    // The preface and push have their own tests; what an extension means and whether a stream depends on itself is
    // judged by the engine.
    let judged = [
        &Malformed::Preface,
        &Malformed::PushPromise,
        &Malformed::SettingsServerStreams,
        &Malformed::SelfDependency,
    ];
    assert_eq!(missing, judged);
}

#[test]
fn h34_nothing_is_told_after_a_violation_that_ends_the_connection() {
    let fatal = SCRIPTS.iter().filter(|script| script.0.scope() == Scope::Connection);
    for (malformed, frames) in fatal {
        let mut decoder = Decoder::new(config());
        for (kind, flags, stream, payload) in *frames {
            let mut wire = Vec::new();
            encode::frame(*kind, Flags(*flags), StreamId::new(*stream), payload, &mut wire);
            decoder.feed(Bytes::from(wire));
        }
        decoder.feed(Bytes::from(one_of_each_kind()));
        let fault = loop {
            match decoder.next() {
                Ok(frame) => assert!(frame.is_some(), "{malformed:?} was not found"),
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault.malformed, *malformed);
        decoder.feed(Bytes::from(one_of_each_kind()));
        assert_eq!(decoder.next(), Ok(None), "{malformed:?}");
        assert!(!decoder.mid_frame() && !decoder.in_header_block());
    }
}

#[test]
fn after_a_violation_of_a_stream_the_next_frame_is_decoded() {
    for (malformed, frames) in SCRIPTS.iter().filter(|script| script.0.scope() == Scope::Stream) {
        let (kind, flags, stream, payload) = frames[0];
        let mut wire = Vec::new();
        encode::frame(kind, Flags(flags), StreamId::new(stream), payload, &mut wire);
        encode::ping(true, [3; 8], &mut wire);
        let told = agree(&config(), false, &wire, &[1]).items;
        let fault = Item::Fault(Fault { malformed: *malformed, stream: StreamId::new(1) });
        assert_eq!(told, [fault, Item::Frame(Frame::Ping { ack: true, payload: [3; 8] })]);
    }
}

#[test]
fn a_preface_fails_at_its_first_wrong_octet() {
    for at in 0..PREFACE.len() {
        let mut wire = *PREFACE;
        wire[at] ^= 0x20;
        let fault = Item::Fault(Fault { malformed: Malformed::Preface, stream: None });
        assert_eq!(agree(&config(), true, &wire[..at], &[1]).items, []);
        assert_eq!(agree(&config(), true, &wire[..=at], &[1]).items, [fault], "octet {at}");
    }
    let wire = [&PREFACE[..], &[0, 0, 0, 4, 1, 0, 0, 0, 0]].concat();
    assert_eq!(agree(&config(), true, &wire, &[5]).items, [Item::Frame(Frame::SettingsAck)]);
}

#[test]
fn a_stream_that_depends_on_itself_is_handed_up_with_its_block() {
    let mut wire = Vec::new();
    encode::frame(Kind::HEADERS, Flags(0x24), StreamId::new(5), b"\x80\0\0\x05\x01block", &mut wire);
    encode::frame(Kind::PRIORITY, Flags(0), StreamId::new(5), b"\0\0\0\x05\x01", &mut wire);
    let mut decoder = Decoder::new(config());
    decoder.feed(Bytes::from(wire));
    let Ok(Some(Frame::Headers(headers))) = decoder.next() else { panic!("expected HEADERS") };
    assert!(headers.priority.unwrap().depends_on(headers.stream));
    assert_eq!(&headers.block[..], b"block");
    let Ok(Some(Frame::Priority { stream, priority })) = decoder.next() else { panic!("expected PRIORITY") };
    assert!(priority.depends_on(stream));
}
