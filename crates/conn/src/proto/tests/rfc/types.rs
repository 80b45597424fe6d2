//! Sections 6.1 to 6.8 and 6.10: what each type of frame must and must not be.

use hbone_frame::{ErrorCode, Frame, Malformed, SettingId};

use super::frames::*;
use super::script::{Script, Seen};
use super::{both, last, tunnels};
use crate::proto::{Event, OpenError, Read, Request, Response, StreamError, Violation};

const PROTOCOL_ERROR: ErrorCode = ErrorCode::PROTOCOL_ERROR;
const FRAME_SIZE_ERROR: ErrorCode = ErrorCode::FRAME_SIZE_ERROR;

/// The frame ends the connection on both roles, with stream 1 open.
#[track_caller]
fn ends(frame: &[u8], malformed: Malformed, code: ErrorCode) {
    let violation = Violation::Frame(malformed);
    assert_eq!(violation.code(), code);
    for (mut script, _) in tunnels() {
        let last = last(&script);
        script.send(frame.to_vec()).expect_end(last, violation);
    }
}

#[test]
fn rfc9113_6_1_data_without_a_stream_ends_the_connection() {
    ends(&raw(0x0, 0, 0, b"abc"), Malformed::DataOnConnection, PROTOCOL_ERROR);
    ends(&raw(0x0, 1, 0, &[]), Malformed::DataOnConnection, PROTOCOL_ERROR);
}

#[test]
fn rfc9113_6_1_padding_as_long_as_the_payload_ends_the_connection() {
    ends(&raw(0x0, 0x8, 1, &[1]), Malformed::PaddingTooLong, PROTOCOL_ERROR);
    ends(&raw(0x0, 0x8, 1, &[10, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Malformed::PaddingTooLong, PROTOCOL_ERROR);
    ends(&raw(0x0, 0x9, 1, &[255, 0]), Malformed::PaddingTooLong, PROTOCOL_ERROR);
}

#[test]
fn rfc9113_6_1_padding_is_taken_off_whatever_its_octets_are() {
    for (mut script, key) in tunnels() {
        script.send(raw(0x0, 0x8, 1, &[3, b'a', b'b', 9, 9, 9])).send(raw(0x0, 0x8, 1, &[0, b'c']));
        script.send(raw(0x0, 0x8, 1, &[0])).send(raw(0x0, 0x8, 1, &[2, 0, 0])).expect_nothing();
        assert_eq!(script.read(key), (3, Ok(Read::Pending)));
    }
}

#[test]
fn rfc9113_6_1_data_on_a_stream_that_is_not_open_is_answered_with_stream_closed() {
    let mut script = Script::server();
    script.send(head(1, GET, true)).incoming();
    script.send(data(1, 1)).expect(rst(1, ErrorCode::STREAM_CLOSED)).expect_alive();
    let mut script = Script::client();
    let key = script.open();
    script.send(response(1, 200, true)).skip().send(data(1, 1)).expect(rst(1, ErrorCode::STREAM_CLOSED));
    assert_eq!(script.read(key), (0, Ok(Read::End)));
}

#[test]
fn rfc9113_6_2_headers_without_a_stream_end_the_connection() {
    ends(&raw(0x1, 0x4, 0, &block(GET)), Malformed::HeadersOnConnection, PROTOCOL_ERROR);
}

#[test]
fn rfc9113_6_2_padding_longer_than_what_is_left_ends_the_connection() {
    ends(&raw(0x1, 0xc, 1, &[1]), Malformed::PaddingTooLong, PROTOCOL_ERROR);
    ends(&raw(0x1, 0x2c, 1, &[2, 0, 0, 0, 0, 0, 1]), Malformed::PaddingTooLong, PROTOCOL_ERROR);
}

#[test]
fn rfc9113_6_2_padding_and_priority_are_taken_off_the_block() {
    let mut script = Script::server();
    let payload = [&[5][..], &[0x80, 0, 0, 7, 200], &block(CONNECT), &[1, 2, 3, 4, 5]].concat();
    script.send(raw(0x1, 0x4 | 0x8 | 0x20, 1, &payload)).incoming();
}

#[test]
fn rfc9113_6_2_only_continuations_of_its_stream_may_follow_an_open_block() {
    let others = [
        data(1, 1),
        headers(1),
        headers(3),
        priority(1, 0),
        rst(1, ErrorCode::CANCEL),
        settings(&[]),
        settings_ack(),
        push_promise(1, 2),
        ping(1),
        goaway(0, ErrorCode::NO_ERROR),
        update(0, 1),
        update(1, 1),
        raw(0x10, 0, 0, &[0, 0, 0, 1]),
        raw(0xee, 0, 0, &[]),
        continuation(3, true, &[]),
        raw(0x9, 0x4, 0, &[]),
    ];
    for other in others {
        for (mut script, _) in tunnels() {
            let last = last(&script);
            let more = continuation(1, false, &block(&[("a", "b")]));
            script.send(open_block(1, &block(GET))).send(more).send(other.clone());
            script.expect_end(last, Violation::Frame(Malformed::Interleaved));
        }
    }
}

#[test]
fn rfc9113_6_2_end_stream_of_headers_holds_although_continuations_follow() {
    let mut script = Script::server();
    let fields = block(GET);
    script.send(raw(0x1, 0x1, 1, &fields[..5])).send(continuation(1, true, &fields[5..]));
    let ended = script.pick(|event| match event {
        Event::Incoming { end, .. } => Some(*end),
        _ => None,
    });
    assert_eq!(ended, Some(true));
}

#[test]
fn rfc9113_6_3_priority_without_a_stream_ends_the_connection() {
    ends(&raw(0x2, 0, 0, &[0, 0, 0, 1, 1]), Malformed::PriorityOnConnection, PROTOCOL_ERROR);
}

#[test]
fn rfc9113_6_3_priority_of_another_length_is_an_error_of_its_stream() {
    for length in [0, 4, 6, 40] {
        for (mut script, _) in tunnels() {
            script.send(raw(0x2, 0, 1, &vec![0; length])).expect(rst(1, FRAME_SIZE_ERROR)).expect_alive();
        }
    }
}

#[test]
fn rfc9113_6_3_priority_changes_no_state() {
    let mut script = Script::server();
    script.send(priority(5, 0)).expect_nothing();
    assert_eq!(script.engine.active_streams(), 0);
    script.send(headers(3)).incoming();
    script.send(headers(5)).incoming();
}

#[test]
fn rfc9113_6_4_rst_stream_without_a_stream_ends_the_connection() {
    ends(&raw(0x3, 0, 0, &[0; 4]), Malformed::ResetOnConnection, PROTOCOL_ERROR);
}

#[test]
fn rfc9113_6_4_rst_stream_of_another_length_ends_the_connection() {
    for length in [0, 3, 5, 8] {
        ends(&raw(0x3, 0, 1, &vec![0; length]), Malformed::ResetLength, FRAME_SIZE_ERROR);
    }
}

#[test]
fn rfc9113_6_5_settings_on_a_stream_end_the_connection() {
    ends(&raw(0x4, 0, 1, &[]), Malformed::SettingsOnStream, PROTOCOL_ERROR);
    ends(&raw(0x4, 1, 1, &[]), Malformed::SettingsOnStream, PROTOCOL_ERROR);
}

#[test]
fn rfc9113_6_5_an_acknowledgement_with_a_payload_ends_the_connection() {
    ends(&raw(0x4, 1, 0, &[0, 3, 0, 0, 0, 1]), Malformed::SettingsAckLength, FRAME_SIZE_ERROR);
    ends(&raw(0x4, 1, 0, &[0]), Malformed::SettingsAckLength, FRAME_SIZE_ERROR);
}

#[test]
fn rfc9113_6_5_settings_of_a_length_that_is_no_multiple_of_6_end_the_connection() {
    for length in [1, 5, 7, 13] {
        ends(&raw(0x4, 0, 0, &vec![0; length]), Malformed::SettingsLength, FRAME_SIZE_ERROR);
    }
}

#[test]
fn rfc9113_6_5_settings_may_come_at_any_time_and_the_last_value_holds() {
    let mut script = Script::client();
    let limit = |value| (SettingId::MAX_CONCURRENT_STREAMS, value);
    script.send(settings(&[limit(3), limit(9), limit(2)])).expect(settings_ack());
    assert_eq!(script.engine.open_slots(), 2);
    script.open();
    script.send(settings(&[limit(4)])).expect(settings_ack());
    assert_eq!(script.engine.open_slots(), 3);
}

#[test]
fn rfc9113_6_5_2_unknown_settings_are_ignored() {
    for mut script in both() {
        let grease: Vec<_> = [0_u16, 7, 0x0a0a, 0xffff].map(|id| (SettingId(id), u32::MAX)).to_vec();
        script.send(settings(&grease)).expect(settings_ack()).expect_alive();
    }
}

#[test]
fn rfc9113_6_5_3_values_hold_for_what_follows_the_acknowledgement() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.engine.write(key, vec![0; 65_535].into()).unwrap();
    script.skip().send(update(0, 100_000)).skip();
    script.engine.write(key, vec![0; 100].into()).unwrap();
    script.expect_nothing();
    // Credit and frame size of one frame; the acknowledgement precedes the DATA that they permit.
    script.send(settings(&[(SettingId::INITIAL_WINDOW_SIZE, 65_635)]));
    script.expect(settings_ack()).expect(data(1, 100)).expect_nothing();
}

#[test]
fn rfc9113_6_6_push_promise_is_refused_by_both_roles_in_every_state() {
    let state = |script: &mut Script, which: u8| {
        let key = script.tunnel(1);
        match which {
            0 => {}
            1 => drop(script.send(last_data(1, 0))),
            2 => drop(script.reset(key, ErrorCode::CANCEL)),
            _ => {
                script.send(last_data(1, 0));
                script.engine.finish(key).unwrap();
            }
        }
        script.skip();
    };
    for which in 0..4 {
        for mut script in both() {
            state(&mut script, which);
            let last = last(&script);
            script.send(push_promise(1, 2)).expect_end(last, Violation::Frame(Malformed::PushPromise));
        }
    }
    assert_eq!(Violation::Frame(Malformed::PushPromise).code(), PROTOCOL_ERROR);
}

#[test]
fn rfc9113_6_6_malformed_push_promises_end_the_connection() {
    let promise = |flags, stream, payload: &[u8]| raw(0x5, flags, stream, payload);
    ends(&promise(0x4, 0, &[0, 0, 0, 2]), Malformed::PushPromiseOnConnection, PROTOCOL_ERROR);
    ends(&promise(0x4, 1, &[0, 0, 0, 3]), Malformed::PushPromise, PROTOCOL_ERROR);
    ends(&promise(0x4, 1, &[0, 0, 0, 0]), Malformed::PushPromise, PROTOCOL_ERROR);
    ends(&promise(0xc, 1, &[2, 0, 0, 0, 2, 0]), Malformed::PushPromise, PROTOCOL_ERROR);
    ends(&promise(0x0, 1, &[]), Malformed::PushPromise, PROTOCOL_ERROR);
}

#[test]
fn rfc9113_6_7_ping_on_a_stream_ends_the_connection() {
    ends(&raw(0x6, 0, 1, &[0; 8]), Malformed::PingOnStream, PROTOCOL_ERROR);
    ends(&raw(0x6, 1, 1, &[0; 8]), Malformed::PingOnStream, PROTOCOL_ERROR);
}

#[test]
fn rfc9113_6_7_ping_of_another_length_ends_the_connection() {
    for length in [0, 7, 9] {
        ends(&raw(0x6, 0, 0, &vec![0; length]), Malformed::PingLength, FRAME_SIZE_ERROR);
        ends(&raw(0x6, 1, 0, &vec![0; length]), Malformed::PingLength, FRAME_SIZE_ERROR);
    }
}

#[test]
fn rfc9113_6_7_an_answer_is_not_answered() {
    for mut script in both() {
        let id = script.engine.ping().unwrap();
        script.skip().send(pong(id)).send(pong(1234)).expect_nothing().expect_alive();
    }
}

#[test]
fn rfc9113_6_7_answers_leave_before_data() {
    for (mut script, key) in tunnels() {
        script.engine.write(key, vec![0; 1000].into()).unwrap();
        let now = script.now;
        script.engine.handle_bytes(now, ping(3).into());
        script.expect(pong(3)).expect(data(1, 1000)).expect_nothing();
    }
}

#[test]
fn rfc9113_6_8_goaway_on_a_stream_or_too_short_ends_the_connection() {
    ends(&raw(0x7, 0, 1, &[0; 8]), Malformed::GoawayOnStream, PROTOCOL_ERROR);
    ends(&raw(0x7, 0, 0, &[0; 7]), Malformed::GoawayLength, FRAME_SIZE_ERROR);
}

#[test]
fn rfc9113_6_8_after_a_goaway_nothing_is_opened() {
    let mut script = Script::client();
    script.open();
    script.send(goaway(0x7fff_ffff, ErrorCode::NO_ERROR));
    let mut request = Some(Request::connect("10.0.0.1:80"));
    assert_eq!(script.engine.open(&mut request, false), Err(OpenError::Draining));
    script.expect_nothing();
}

#[test]
fn rfc9113_6_8_what_lies_beyond_our_goaway_still_counts_for_tables_and_windows() {
    let mut script = Script::server();
    script.tunnel(1);
    let now = script.now;
    script.engine.drain(now, None);
    let seen = script.take();
    let Some(Seen::Other(Frame::Ping { payload, .. })) = seen.last() else { panic!("{seen:?}") };
    script.send(pong(u64::from_be_bytes(*payload))).expect(goaway(1, ErrorCode::NO_ERROR));
    let insert = [&[0x40][..], &block(&[("x-key", "value")])[1..]].concat();
    script.send(raw(0x1, 0x4, 3, &[&block(CONNECT)[..], &insert].concat())).expect_nothing();
    script.send(data(3, 40_000)).expect(update(0, 40_000)).expect_nothing();
    // The reference is known: no COMPRESSION_ERROR, and trailers of a tunnel are an error of that stream only.
    script.send(raw(0x1, 0x5, 1, &[0xbe])).expect(rst(1, PROTOCOL_ERROR));
}

#[test]
fn rfc9113_6_8_our_goaway_covers_every_stream_that_the_application_has_seen() {
    let mut script = Script::server();
    for id in [1, 5, 11] {
        script.send(headers(id)).incoming();
    }
    script.engine.close(ErrorCode::INTERNAL_ERROR);
    script.expect(goaway(11, ErrorCode::INTERNAL_ERROR)).expect_nothing();
}

#[test]
fn rfc9113_6_10_continuation_without_an_open_block_ends_the_connection() {
    let alone = Malformed::ContinuationWithoutHeaders;
    ends(&continuation(1, true, &[]), alone, PROTOCOL_ERROR);
    ends(&raw(0x9, 0x4, 0, &[]), alone, PROTOCOL_ERROR);
    ends(&[update(0, 1), continuation(1, true, &[])].concat(), alone, PROTOCOL_ERROR);
    // After a block that was whole.
    let mut script = Script::server();
    script.send(headers(1)).skip().send(continuation(1, true, &block(&[("a", "b")])));
    script.expect_end(1, Violation::Frame(alone));
}

#[test]
fn rfc9113_8_1_a_response_may_be_whole_before_its_request_is() {
    let mut script = Script::server();
    let key = script.send(head(1, GET, false)).incoming();
    script.engine.respond(key, Response::new(200), true).unwrap();
    script.expect(response(1, 200, true)).expect_nothing();
    script.send(data(1, 5)).send(last_data(1, 5)).expect_nothing();
    assert_eq!(script.read(key), (10, Ok(Read::End)));
    let mut script = Script::client();
    let key = script.ask(Request::new("POST", "https", "a.example", "/"), false);
    script.skip().send(response(1, 200, true));
    script.engine.write(key, "still".into()).unwrap();
    script.expect(data(1, 5)).send(rst(1, ErrorCode::NO_ERROR));
    assert_eq!((script.status(), script.read(key)), (Some(200), (0, Ok(Read::End))));
    assert_eq!(script.engine.write(key, "x".into()), Err(StreamError::Reset(ErrorCode::NO_ERROR)));
}
