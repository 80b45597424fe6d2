//! Sections 3 and 4: prefaces, frame heads, sizes, field blocks.

use hbone_frame::hpack::CompressionError;
use hbone_frame::{ErrorCode, Frame, Malformed, PREFACE, SettingId, Side};

use super::frames::*;
use super::script::{Script, Seen, plain};
use super::{both, last, tunnels};
use crate::proto::{Config, Event, Read, Request, Transmit, Violation};

const FRAME_SIZE_ERROR: ErrorCode = ErrorCode::FRAME_SIZE_ERROR;

/// The octets of the next flight.
fn flight(script: &mut Script) -> Vec<u8> {
    let mut flight = Transmit::new();
    script.engine.poll_transmit(script.now, &mut flight);
    flight.pieces().flatten().copied().collect()
}

/// The payload of the first HEADERS frame in `octets`, which are whole frames.
fn first_block(mut octets: &[u8]) -> &[u8] {
    loop {
        let (head, rest) = octets.split_at(9);
        let length = usize::from(head[1]) << 8 | usize::from(head[2]);
        if head[3] == 0x1 {
            return &rest[..length];
        }
        octets = &rest[length..];
    }
}

#[test]
fn rfc9113_3_4_a_client_begins_with_the_preface_and_settings() {
    let mut script = Script::strangers(Side::Client, plain());
    script.engine.open(&mut Some(Request::connect("10.0.0.1:80")), false).unwrap();
    let octets = flight(&mut script);
    assert_eq!(&octets[..24], PREFACE);
    assert_eq!((octets[24 + 3], &octets[24 + 5..24 + 9]), (0x4, &[0; 4][..]), "SETTINGS on stream 0");
}

#[test]
fn rfc9113_3_4_a_server_begins_with_settings_whatever_it_has_to_answer() {
    let mut script = Script::strangers(Side::Server, plain());
    let octets = [PREFACE.to_vec(), settings(&[]), ping(1), headers(1)].concat();
    script.engine.handle_bytes(script.now, octets.into());
    let seen = script.take();
    assert!(matches!(seen[0], Seen::Other(Frame::Settings(_))), "{seen:?}");
    assert!(
        matches!(seen[1], Seen::Other(Frame::SettingsAck)),
        "ours first, then the acknowledgement: {seen:?}"
    );
    assert!(matches!(seen[2], Seen::Other(Frame::Ping { ack: true, .. })), "{seen:?}");
}

#[test]
fn rfc9113_3_4_a_client_need_not_wait_for_the_servers_settings() {
    let mut script = Script::strangers(Side::Client, plain());
    script.ask(Request::connect("10.0.0.1:80"), false);
    let seen = script.take();
    assert!(
        matches!(seen[..], [Seen::Other(Frame::Settings(_)), Seen::Headers { stream: 1, .. }]),
        "{seen:?}"
    );
}

#[test]
fn rfc9113_3_4_every_octet_of_the_preface_is_compared() {
    for at in 0..PREFACE.len() {
        let mut wrong = PREFACE.to_vec();
        wrong[at] ^= 1;
        let mut script = Script::strangers(Side::Server, plain());
        script.flush().skip().send(wrong);
        script.expect_end(0, Violation::Frame(Malformed::Preface));
    }
}

#[test]
fn rfc9113_4_1_unknown_types_are_discarded_on_every_stream() {
    for (mut script, key) in tunnels() {
        for stream in [0, 1, 2, 3, 99] {
            for kind in [0x0a, 0x0b, 0x0f, 0x11, 0xff] {
                script.send(raw(kind, 0xff, stream, b"grease"));
            }
        }
        script.send(data(1, 3)).expect_alive();
        assert_eq!(script.read(key), (3, Ok(Read::Pending)));
    }
}

#[test]
fn rfc9113_4_1_unused_flags_are_ignored() {
    for (mut script, key) in tunnels() {
        // All flags but END_STREAM and PADDED.
        script.send(raw(0x0, 0xf6, 1, b"abc")).expect_nothing();
        assert_eq!(script.read(key), (3, Ok(Read::Pending)));
        script.send(raw(0x4, 0xfe, 0, &[])).expect(settings_ack());
        script.send(raw(0x6, 0xfe, 0, &7_u64.to_be_bytes())).expect(pong(7));
        script.send(raw(0x8, 0xff, 1, &[0, 0, 0, 1])).send(raw(0x8, 0xff, 0, &[0, 0, 0, 1]));
        script.send(raw(0x2, 0xff, 1, &[0, 0, 0, 3, 0])).expect_alive();
        script.send(raw(0x3, 0xff, 1, &[0, 0, 0, 8])).expect_alive();
        assert_eq!(script.engine.active_streams(), 0);
        script.send(raw(0x7, 0xff, 0, &[0, 0, 0, 99, 0, 0, 0, 0]));
        assert!(script.pick(|event| matches!(event, Event::Goaway { .. }).then_some(())).is_some());
    }
    // Of HEADERS: neither END_STREAM nor PADDED nor PRIORITY.
    let mut script = Script::server();
    script.send(raw(0x1, 0x4 | 0xd2, 1, &block(CONNECT))).incoming();
}

#[test]
fn rfc9113_4_1_reserved_bits_are_ignored() {
    let reserved = |mut frame: Vec<u8>, at: usize| {
        frame[at] |= 0x80;
        frame
    };
    for (mut script, key) in tunnels() {
        script.send(reserved(data(1, 3), 5)).expect_nothing();
        assert_eq!(script.read(key), (3, Ok(Read::Pending)));
        script.send(reserved(ping(5), 5)).expect(pong(5));
        script.send(reserved(settings(&[]), 5)).expect(settings_ack());
        // Of WINDOW_UPDATE's increment and GOAWAY's last stream too.
        script.engine.write(key, vec![0; 65_536].into()).unwrap();
        script.expect(data(1, 65_535)).send(update(0, 1)).send(reserved(update(1, 1), 9)).expect(data(1, 1));
        script.send(reserved(goaway(1, ErrorCode::NO_ERROR), 9));
        assert_eq!(script.engine.stream_error(key), None, "stream 1 is not above the last one");
    }
}

#[test]
fn rfc9113_4_2_frames_of_16384_octets_are_taken() {
    for (mut script, key) in tunnels() {
        script.send(raw(0x0, 0, 1, &[0; 16_384])).send(raw(0x77, 0, 1, &[0; 16_384])).expect_nothing();
        assert_eq!(script.read(key), (16_384, Ok(Read::Pending)));
    }
    let mut script = Script::server();
    let mut fields = block(CONNECT);
    while fields.len() + 1003 <= 16_384 {
        fields.extend_from_slice(&block(&[("a", &"v".repeat(997))]));
    }
    let rest = 16_384 - fields.len();
    let padding = [&[u8::try_from(rest.min(255)).unwrap()][..], &fields, &vec![0; rest.min(255)]].concat();
    script.send(raw(0x1, 0x4 | 0x8, 1, &padding)).incoming();
}

#[test]
fn rfc9113_4_2_a_larger_frame_of_any_type_ends_the_connection_at_its_head() {
    let too_large = Violation::Frame(Malformed::FrameTooLarge);
    assert_eq!(too_large.code(), FRAME_SIZE_ERROR);
    for kind in [0x0, 0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 0x10, 0x77] {
        for (mut script, _) in tunnels() {
            let stream = u32::from(matches!(kind, 0x0..=0x3 | 0x5 | 0x8 | 0x9));
            let frame = raw(kind, 0, stream, &[0; 16_385]);
            let last = last(&script);
            script.send(frame[..9].to_vec()).expect_end(last, too_large);
        }
    }
}

#[test]
fn rfc9113_4_2_our_own_larger_limit_holds() {
    let config = Config { max_frame_size: 20_000, ..plain() };
    let mut script = Script::with(Side::Server, config);
    let key = script.tunnel(1);
    script.send(raw(0x0, 0, 1, &[0; 20_000])).expect_nothing();
    assert_eq!(script.read(key), (20_000, Ok(Read::Pending)));
    script.send(raw(0x0, 0, 1, &[0; 20_001])).expect_end(1, Violation::Frame(Malformed::FrameTooLarge));
}

#[test]
fn rfc9113_4_2_frames_too_short_for_their_fields_end_the_connection() {
    let too_short = Violation::Frame(Malformed::FrameTooShort);
    assert_eq!(too_short.code(), FRAME_SIZE_ERROR);
    let frames = [raw(0x0, 0x8, 1, &[]), raw(0x1, 0x4 | 0x8, 1, &[]), raw(0x1, 0x4 | 0x20, 1, &[0; 4])];
    for frame in frames {
        for (mut script, _) in tunnels() {
            let last = last(&script);
            script.send(frame.clone()).expect_end(last, too_short);
        }
    }
}

#[test]
fn rfc9113_4_3_a_block_that_cannot_be_decoded_ends_the_connection_wherever_it_stands() {
    let fault = Violation::Compression(CompressionError::IndexZero);
    assert_eq!(fault.code(), ErrorCode::COMPRESSION_ERROR);
    let broken = |stream| raw(0x1, 0x4, stream, &[0x80]);
    Script::server().send(broken(1)).expect_fault(fault);
    // On an open stream, on one that we have reset, on one that is closed.
    for (mut script, key) in tunnels() {
        script.send(broken(1)).expect_fault(fault);
        let (mut script, _) = (Script::server(), key);
        let key = script.tunnel(1);
        script.reset(key, ErrorCode::CANCEL).send(broken(1)).expect_fault(fault);
    }
    let mut script = Script::client();
    script.open();
    script.send(broken(1)).expect_fault(fault);
    // Split over CONTINUATION.
    let mut script = Script::server();
    script.send(open_block(1, &[])).send(continuation(1, true, &[0x80])).expect_fault(fault);
}

#[test]
fn rfc9113_4_3_the_fragments_of_a_block_are_joined_wherever_they_are_cut() {
    let fields = block(&[CONNECT, &[("x-long", "value")]].concat());
    for at in 1..fields.len() {
        let mut script = Script::server();
        script.send(open_block(1, &fields[..at])).send(continuation(1, true, &fields[at..])).incoming();
    }
}

#[test]
fn rfc9113_4_3_1_after_a_reduction_our_next_block_begins_with_a_size_update() {
    for (size, first) in [(0, &[0x20][..]), (100, &[0x3f, 0x45]), (4095, &[0x3f, 0xe0, 0x1f])] {
        let mut script = Script::client();
        script.send(settings(&[(SettingId::HEADER_TABLE_SIZE, size)])).expect(settings_ack());
        script.engine.open(&mut Some(Request::connect("10.0.0.1:80")), false).unwrap();
        let octets = flight(&mut script);
        assert!(first_block(&octets).starts_with(first), "{size}");
        let mut script = Script::server();
        let key = script.send(headers(1)).incoming();
        script.send(settings(&[(SettingId::HEADER_TABLE_SIZE, size)])).expect(settings_ack());
        script.engine.respond(key, crate::proto::Response::new(200), false).unwrap();
        let octets = flight(&mut script);
        assert!(first_block(&octets).starts_with(first), "{size}");
    }
}

#[test]
fn rfc9113_4_3_1_after_our_reduction_a_block_with_a_size_update_is_taken() {
    let config = Config { header_table_size: 0, ..plain() };
    let mut script = Script::strangers(Side::Server, config);
    script.send(PREFACE.to_vec()).send(settings(&[])).send(settings_ack()).skip();
    let updated = [&[0x20][..], &block(CONNECT)].concat();
    script.send(raw(0x1, 0x4, 1, &updated)).incoming();
    // Before the acknowledgement the reduction is not in force.
    let config = Config { header_table_size: 0, ..plain() };
    let mut script = Script::strangers(Side::Server, config);
    script.send(PREFACE.to_vec()).send(settings(&[])).send(headers(1)).incoming();
}

#[test]
fn rfc9113_4_3_the_tables_are_those_of_the_connection_and_of_one_direction() {
    let insert = [&[0x40][..], &block(&[("x-key", "value")])[1..]].concat();
    let mut script = Script::server();
    script.send(raw(0x1, 0x4, 1, &[&block(CONNECT)[..], &insert].concat())).incoming();
    script.send(raw(0x1, 0x4, 3, &[&block(CONNECT)[..], &[0xbe]].concat())).incoming();
    // Nothing that we send changes what 62 means to the peer.
    for mut script in both() {
        if script.engine.side() == Side::Client {
            script.ask(Request::connect("10.0.0.1:80"), false);
            script.send(raw(0x1, 0x4, 1, &[0xbe]));
            script.expect_fault(Violation::Compression(CompressionError::IndexOutOfRange));
        }
    }
}
