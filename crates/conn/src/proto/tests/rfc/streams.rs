//! Section 5: states, identifiers, error handling, extension.

use hbone_frame::{ErrorCode, Frame, Malformed, SettingId};

use super::frames::*;
use super::script::{Script, Seen};
use super::{both, last, tunnels};
use crate::proto::{ConnectionError, Event, OpenError, Read, Request, Response, StreamError, Violation};

const CANCEL: ErrorCode = ErrorCode::CANCEL;

#[test]
fn rfc9113_5_1_a_stream_of_ours_is_idle_until_its_head_has_left() {
    let guesses = [response(1, 200, false), data(1, 1), update(1, 1), rst(1, CANCEL)];
    for guess in guesses {
        let mut script = Script::client();
        script.engine.open(&mut Some(Request::connect("10.0.0.1:80")), false).unwrap();
        let now = script.now;
        script.engine.handle_bytes(now, guess.into());
        script.expect_end(0, Violation::IdleStream);
    }
}

#[test]
fn rfc9113_5_1_nothing_is_sent_on_a_stream_that_the_peer_has_reset() {
    for (mut script, key) in tunnels() {
        script.engine.write(key, vec![0; 100_000].into()).unwrap();
        script.skip().send(rst(1, CANCEL)).send(update(1, 50_000)).send(update(0, 50_000));
        assert_eq!(script.engine.write(key, "x".into()), Err(StreamError::Reset(CANCEL)));
        assert!(script.engine.finish(key).is_err());
        script.engine.reset(key, ErrorCode::INTERNAL_ERROR);
        script.engine.release(key);
        script.expect_nothing().expect_alive();
    }
}

#[test]
fn rfc9113_5_1_after_our_end_stream_only_credit_and_resets_leave() {
    for (mut script, key) in tunnels() {
        script.engine.finish(key).unwrap();
        script.expect(last_data(1, 0)).expect_nothing();
        assert_eq!(script.engine.write(key, "x".into()), Err(StreamError::Finished));
        assert!(script.engine.respond(key, Response::new(200), true).is_err());
        script.send(data(1, 40_000));
        assert_eq!(script.read(key), (40_000, Ok(Read::Pending)));
        script.expect(update(0, 40_000)).expect(update(1, 40_000)).expect_nothing();
        script.reset(key, CANCEL).expect(rst(1, CANCEL)).expect_nothing();
    }
}

#[test]
fn rfc9113_5_1_priority_is_taken_in_every_state() {
    let mut script = Script::server();
    script.send(priority(9, 0)).send(priority(2, 0)).expect_nothing();
    let key = script.tunnel(1);
    script.send(priority(1, 0)).send(last_data(1, 0)).send(priority(1, 0)).expect_nothing();
    script.engine.finish(key).unwrap();
    script.expect(last_data(1, 0)).send(priority(1, 0)).expect_nothing();
    script.engine.release(key);
    script.send(priority(1, 0)).expect_alive();
}

#[test]
fn rfc9113_5_1_1_our_identifiers_are_odd_and_rise() {
    let mut script = Script::client();
    for wanted in (1..60).step_by(2) {
        let key = script.ask(Request::connect("10.0.0.1:80"), false);
        assert_eq!(key.id().get(), wanted);
        script.expect(headers(wanted));
    }
}

#[test]
fn rfc9113_5_1_1_an_identifier_below_an_opened_one_ends_the_connection() {
    let mut script = Script::server();
    script.send(headers(5)).skip().send(headers(3)).expect_end(5, Violation::StreamIdFell);
    assert_eq!(Violation::StreamIdFell.code(), ErrorCode::PROTOCOL_ERROR);
}

#[test]
fn rfc9113_5_1_2_a_stream_over_our_limit_is_refused_and_half_closed_ones_count() {
    let config = crate::proto::Config { max_concurrent_streams: 2, ..super::script::plain() };
    let mut script = Script::with(hbone_frame::Side::Server, config);
    script.tunnel(1);
    script.send(head(3, GET, true)).incoming();
    script.send(headers(5)).expect(rst(5, ErrorCode::REFUSED_STREAM)).expect_alive();
    assert!(!script.has_incoming());
}

#[test]
fn rfc9113_5_1_2_a_limit_of_nothing_opens_nothing() {
    let mut script = Script::client();
    script.send(settings(&[(SettingId::MAX_CONCURRENT_STREAMS, 0)])).skip();
    let mut request = Some(Request::connect("10.0.0.1:80"));
    assert_eq!(script.engine.open(&mut request, false), Err(OpenError::Blocked));
    script.expect_nothing();
}

#[test]
fn rfc9113_5_2_1_only_data_is_held_back_by_windows() {
    let mut script = Script::client();
    script.send(settings(&[(SettingId::INITIAL_WINDOW_SIZE, 0)])).skip();
    let key = script.ask(Request::connect("10.0.0.1:80"), false);
    script.expect(headers(1)).send(response(1, 200, false));
    script.engine.write(key, "held".into()).unwrap();
    script.send(ping(1)).expect(pong(1)).send(settings(&[])).expect(settings_ack());
    script.reset(key, CANCEL).expect(rst(1, CANCEL)).expect_nothing();
}

#[test]
fn rfc9113_5_2_2_reading_goes_on_while_a_stream_is_blocked_both_ways() {
    for (mut script, key) in tunnels() {
        // Our queue waits for credit and our window is full of what nobody reads.
        script.engine.write(key, vec![0; 200_000].into()).unwrap();
        script.skip().send(data(1, 65_535)).skip();
        assert!(script.engine.wants_read());
        script.send(update(0, 10)).send(update(1, 10)).expect(data(1, 10)).expect_alive();
    }
}

#[test]
fn rfc9113_5_4_one_connection_error_is_reported_and_nothing_after_it() {
    for (mut script, _) in tunnels() {
        let last = last(&script);
        let octets = [raw(0x6, 0, 1, &[0; 8]), raw(0x8, 0, 0, &[0; 4]), headers(2), ping(1)].concat();
        script.send(octets).expect_end(last, Violation::Frame(Malformed::PingOnStream));
        script.send(ping(2)).send(data(1, 1)).expect_nothing();
    }
}

#[test]
fn rfc9113_5_4_1_goaway_names_the_last_stream_and_the_code_and_then_the_transport_may_close() {
    let mut script = Script::server();
    script.tunnel(1);
    script.tunnel(7);
    script.skip().send(raw(0x8, 0, 0, &[0; 4]));
    script.expect_end(7, Violation::Frame(Malformed::ConnectionWindowUpdateZero));
    assert!(script.engine.is_finished().is_some(), "what drives the engine closes the transport now");
}

#[test]
fn rfc9113_5_4_1_an_error_while_draining_is_told_by_another_goaway() {
    let mut script = Script::server();
    script.tunnel(1);
    let now = script.now;
    script.engine.drain(now, None);
    script.skip().send(raw(0x8, 0, 0, &[0; 4])).expect(goaway(1, ErrorCode::PROTOCOL_ERROR)).expect_nothing();
}

#[test]
fn rfc9113_5_4_2_our_reset_is_the_last_frame_of_its_stream_and_there_is_one() {
    for (mut script, key) in tunnels() {
        script.engine.write(key, vec![0; 100_000].into()).unwrap();
        script.skip().reset(key, CANCEL).expect(rst(1, CANCEL));
        script.engine.reset(key, ErrorCode::INTERNAL_ERROR);
        script.send(update(1, 9)).send(update(0, 9)).send(data(1, 30_000)).send(data(1, 30_000));
        script.engine.release(key);
        let frames = script.take();
        let credit = |seen: &Seen| matches!(seen, Seen::Other(Frame::WindowUpdate { stream: None, .. }));
        assert!(frames.iter().all(credit), "{frames:?}");
    }
}

#[test]
fn rfc9113_5_4_3_streams_of_a_lost_connection_have_failed_and_are_not_retryable() {
    for (mut script, key) in tunnels() {
        script.send(data(1, 5)).eof();
        let lost = StreamError::Connection(ConnectionError::Eof);
        assert_eq!(script.engine.stream_error(key), Some(lost), "neither Goaway nor Reset(REFUSED_STREAM)");
    }
}

#[test]
fn rfc9113_5_5_unknown_values_of_every_extensible_element_are_ignored() {
    for (mut script, key) in tunnels() {
        script.send(settings(&[(SettingId(0x7), 1), (SettingId(0xffff), u32::MAX)])).expect(settings_ack());
        script.send(raw(0xfe, 0xff, 0, &[1; 100])).expect_alive();
        script.send(rst(1, ErrorCode(0xdead_beef))).expect_alive();
        assert_eq!(script.engine.stream_error(key), Some(StreamError::Reset(ErrorCode(0xdead_beef))));
    }
}

#[test]
fn rfc9113_5_5_an_extension_within_a_field_block_ends_the_connection() {
    for (mut script, _) in tunnels() {
        let last = last(&script);
        script.send(open_block(1, &block(GET))).send(raw(0xfe, 0, 1, b"?"));
        script.expect_end(last, Violation::Frame(Malformed::Interleaved));
    }
}

#[test]
fn rfc9113_7_unknown_error_codes_are_passed_on_and_do_nothing_special() {
    for mut script in both() {
        script.send(goaway(0, ErrorCode(0x1234_5678)));
        let code = script.pick(|event| match event {
            Event::Goaway { code, .. } => Some(*code),
            _ => None,
        });
        assert_eq!(code, Some(ErrorCode(0x1234_5678)));
    }
}
