//! GOAWAY (RFC 9113 6.8): a drain in two steps from both sides, deadlines, streams beyond the last one.

use std::time::Duration;

use hbone_frame::{ErrorCode, Frame, Side, StreamId, encode};

use super::frames::*;
use super::pair::Pair;
use super::script::{Script, Seen};
use crate::proto::{
    ConnectionError, Event, Flood, OpenError, Read, Request, Response, StreamError, Violation,
};

const SECOND: Duration = Duration::from_secs(1);
const MAX: u32 = 0x7fff_ffff;
const NO_ERROR: ErrorCode = ErrorCode::NO_ERROR;

/// Begins a drain; the payload of the PING that tells when the peer has seen the warning.
fn drain(script: &mut Script, deadline: Option<Duration>) -> u64 {
    let now = script.now;
    script.engine.drain(now, deadline);
    script.expect(goaway(MAX, NO_ERROR));
    let seen = script.take();
    let [Seen::Other(Frame::Ping { ack: false, payload })] = &seen[..] else { panic!("{seen:?}") };
    u64::from_be_bytes(*payload)
}

#[test]
fn rfc9113_6_8_a_server_drains_in_two_steps_and_loses_no_stream() {
    let mut script = Script::server();
    let first = script.tunnel(1);
    let probe = drain(&mut script, None);
    // The client opened this one before it saw the warning.
    let second = script.send(headers(3)).incoming();
    script.send(pong(probe)).expect(goaway(3, NO_ERROR)).expect_nothing();
    // This one came too late: ignored, the client knows.
    script.send(headers(5)).send(data(5, 10)).expect_nothing();
    assert!(!script.has_incoming());
    script.engine.respond(second, Response::new(200), true).unwrap();
    script.send(last_data(3, 0)).expect(response(3, 200, true));
    script.engine.write(first, "bye".into()).unwrap();
    script.engine.finish(first).unwrap();
    script.send(last_data(1, 0)).expect(last_data(1, 3)).expect_nothing();
    assert_eq!(script.closed(), Some(ConnectionError::Closed));
    assert_eq!(script.engine.is_finished(), Some(&ConnectionError::Closed));
}

#[test]
fn a_client_drains_in_one_step_for_the_server_opens_nothing() {
    let mut script = Script::client();
    let key = script.tunnel(1);
    let now = script.now;
    script.engine.drain(now, None);
    script.expect(goaway(0, NO_ERROR)).expect_nothing();
    assert_eq!(
        script.engine.open(&mut Some(Request::connect("10.0.0.1:80")), false),
        Err(OpenError::Draining)
    );
    script.send(last_data(1, 5));
    assert_eq!(script.read(key), (5, Ok(Read::End)));
    script.engine.finish(key).unwrap();
    script.expect(last_data(1, 0)).expect_nothing();
    assert_eq!(script.closed(), Some(ConnectionError::Closed));
}

#[test]
fn a_drain_of_a_server_without_streams_ends_with_the_answer_to_its_ping() {
    let mut script = Script::server();
    let probe = drain(&mut script, None);
    assert_eq!(script.closed(), None);
    script.send(pong(probe)).expect(goaway(0, NO_ERROR)).expect_nothing();
    assert_eq!(script.closed(), Some(ConnectionError::Closed));
}

#[test]
fn a_drain_of_a_client_without_streams_ends_at_once() {
    let mut script = Script::client();
    let now = script.now;
    script.engine.drain(now, None);
    script.expect(goaway(0, NO_ERROR)).expect_nothing();
    assert_eq!(script.closed(), Some(ConnectionError::Closed));
}

#[test]
fn a_second_drain_changes_nothing_but_the_deadline() {
    let mut script = Script::server();
    script.tunnel(1);
    drain(&mut script, None);
    let now = script.now;
    script.engine.drain(now, Some(SECOND));
    script.expect_nothing().after(SECOND).expect(goaway(1, NO_ERROR));
    assert_eq!(script.closed(), Some(ConnectionError::Local(NO_ERROR)));
}

#[test]
fn n7_a_deadline_fails_what_is_left() {
    let mut pair = Pair::new();
    let (near, far) = pair.tunnel();
    let now = pair.now;
    pair.server.engine.drain(now, Some(5 * SECOND));
    pair.run_for(4 * SECOND);
    assert_eq!(pair.client.read_all(near).1, Ok(Read::Pending));
    pair.run_for(2 * SECOND);
    assert_eq!(pair.server.closed(), Some(&ConnectionError::Local(NO_ERROR)));
    let lost = StreamError::Connection(ConnectionError::Local(NO_ERROR));
    assert_eq!(pair.server.read_all(far).1, Err(lost));
    pair.cut(Side::Client, super::pair::Cut::Fin);
    let error = pair.client.read_all(near).1;
    assert_eq!(error, Err(StreamError::Connection(ConnectionError::Eof)));
}

#[test]
fn a_drain_on_both_sides_at_once_ends_in_peace() {
    let mut pair = Pair::new();
    pair.delay(Duration::from_millis(20));
    let (near, far) = {
        let keys = pair.client.engine.open(&mut Some(Request::connect("10.0.0.1:80")), false).unwrap();
        pair.run_for(SECOND);
        (keys, pair.server.incoming().unwrap())
    };
    let now = pair.now;
    pair.client.engine.drain(now, None);
    pair.server.engine.drain(now, None);
    pair.run_for(SECOND);
    pair.server.engine.respond(far, Response::new(200), true).unwrap();
    pair.client.engine.finish(near).unwrap();
    pair.run_for(SECOND);
    assert_eq!(pair.client.read_all(near).1, Ok(Read::End));
    assert_eq!(pair.client.closed(), Some(&ConnectionError::Closed));
    assert_eq!(pair.server.closed(), Some(&ConnectionError::Closed));
}

#[test]
fn rfc9113_6_8_streams_beyond_the_last_one_fail_as_not_processed() {
    let mut script = Script::client();
    let (kept, lost) = (script.tunnel(1), script.open());
    assert_eq!(script.read(lost), (0, Ok(Read::Pending)));
    script.send(goaway(1, NO_ERROR)).expect_nothing();
    assert!(script.readable(lost));
    assert_eq!(script.read(lost), (0, Err(StreamError::Goaway)));
    assert_eq!(script.engine.write(lost, "x".into()), Err(StreamError::Goaway));
    script.send(data(1, 3));
    assert_eq!(script.read(kept), (3, Ok(Read::Pending)));
    assert_eq!(script.engine.open_slots(), 0);
    let event = script.pick(|event| match event {
        Event::Goaway { code, .. } => Some(*code),
        _ => None,
    });
    assert_eq!(event, Some(NO_ERROR));
}

#[test]
fn rfc9113_8_7_what_had_not_left_when_the_connection_ended_was_not_processed() {
    let ends: [fn(&mut Script); 3] = [
        |script| script.engine.handle_eof(script.now),
        |script| script.engine.handle_io_error(script.now, std::io::ErrorKind::BrokenPipe),
        |script| script.engine.close(NO_ERROR),
    ];
    for end in ends {
        let mut script = Script::client();
        let sent = script.tunnel(1);
        let open = |script: &mut Script| {
            script.engine.open(&mut Some(Request::connect("10.0.0.1:80")), false).unwrap()
        };
        let (unsent, late, unwanted) = (open(&mut script), open(&mut script), open(&mut script));
        script.engine.set_deadline(late, Some(script.now)).unwrap();
        script.engine.handle_timeout(script.now);
        script.engine.reset(unwanted, ErrorCode::CANCEL);
        end(&mut script);
        let error = |key| script.engine.stream_error(key).unwrap();
        assert_eq!(error(unsent), StreamError::Goaway);
        assert!(matches!(error(sent), StreamError::Connection(_)), "nobody can know: {}", error(sent));
        assert_eq!(error(late), StreamError::Deadline, "what it failed of before stays");
        assert_eq!(error(unwanted), StreamError::Cancelled(ErrorCode::CANCEL));
    }
}

#[test]
fn what_this_end_had_not_answered_when_the_connection_ended_may_have_been_processed() {
    let mut script = Script::server();
    let key = script.send(headers(1)).incoming();
    script.eof();
    assert_eq!(script.engine.stream_error(key), Some(StreamError::Connection(ConnectionError::Eof)));
}

#[test]
fn rfc9113_6_8_a_waiting_opener_learns_that_the_peer_goes_away() {
    let mut script = Script::client();
    script.send(settings(&[(hbone_frame::SettingId::MAX_CONCURRENT_STREAMS, 1)])).skip();
    script.open();
    let mut request = Some(Request::connect("10.0.0.1:80"));
    assert_eq!(script.engine.open(&mut request, false), Err(OpenError::Blocked));
    script.send(goaway(1, NO_ERROR));
    assert!(script.pick(|event| matches!(event, Event::Openable).then_some(())).is_some());
    assert_eq!(script.engine.open(&mut request, false), Err(OpenError::Draining));
}

#[test]
fn a_client_ends_in_peace_once_the_peer_has_gone_away_and_no_stream_is_left() {
    let mut script = Script::client();
    let key = script.tunnel(1);
    script.send(goaway(1, NO_ERROR)).send(last_data(1, 0)).expect_nothing();
    script.engine.finish(key).unwrap();
    script.expect(last_data(1, 0)).expect(goaway(0, NO_ERROR)).expect_nothing();
    assert_eq!(script.closed(), Some(ConnectionError::Closed));
}

#[test]
fn a_goaway_with_a_code_names_it_when_the_connection_ends() {
    let calm = ErrorCode::ENHANCE_YOUR_CALM;
    let mut script = Script::client();
    let key = script.tunnel(1);
    let mut frame = Vec::new();
    encode::goaway(StreamId::new(1), calm, b"too much", &mut frame);
    script.send(frame).eof();
    let error = ConnectionError::Goaway { code: calm, debug: "too much".into() };
    assert_eq!(script.closed(), Some(error.clone()));
    assert_eq!(script.read(key), (0, Err(StreamError::Connection(error))));
}

#[test]
fn an_end_of_the_transport_without_goaway_is_no_peace() {
    for mut script in [Script::server(), Script::client()] {
        script.eof();
        assert_eq!(script.closed(), Some(ConnectionError::Eof));
    }
}

#[test]
fn an_end_of_the_transport_after_the_peers_goaway_is_peace_unless_streams_are_cut() {
    let mut script = Script::server();
    script.send(goaway(0, NO_ERROR)).eof();
    assert_eq!(script.closed(), Some(ConnectionError::Closed));
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.send(goaway(0, NO_ERROR)).eof();
    assert_eq!(script.closed(), Some(ConnectionError::Eof));
    assert_eq!(script.read(key), (0, Err(StreamError::Connection(ConnectionError::Eof))));
}

#[test]
fn h35_the_last_identifier_may_fall_and_not_rise() {
    let mut script = Script::client();
    script.tunnel(1);
    let key = script.open();
    script.send(goaway(MAX, NO_ERROR)).send(goaway(3, NO_ERROR)).expect_nothing();
    assert_eq!(script.read(key), (0, Ok(Read::Pending)));
    script.send(goaway(1, NO_ERROR)).expect_nothing();
    assert_eq!(script.read(key), (0, Err(StreamError::Goaway)));
    script.send(goaway(3, NO_ERROR)).expect_end(0, Violation::GoawayRaised);
}

#[test]
fn h35_at_most_1_kib_of_debug_data_is_kept() {
    let mut script = Script::server();
    script.tunnel(1);
    let mut frame = Vec::new();
    encode::goaway(StreamId::new(1), NO_ERROR, &[b'x'; 16_000], &mut frame);
    script.send(frame);
    let kept = script.pick(|event| match event {
        Event::Goaway { debug, .. } => Some(debug.len()),
        _ => None,
    });
    assert_eq!(kept, Some(1024));
    script.expect_alive();
}

#[test]
fn h35_a_flood_of_goaway_ends_the_connection() {
    let mut script = Script::server();
    script.tunnel(1);
    let sent = (0..5000).take_while(|_| script.send(goaway(0, NO_ERROR)).closed().is_none()).count();
    assert!(sent <= 1001, "{sent}");
    script.expect_fault(Violation::Flood(Flood::Glitches));
}

#[test]
fn rfc9113_6_8_our_last_identifier_does_not_rise_either() {
    let mut script = Script::server();
    script.tunnel(1);
    let probe = drain(&mut script, None);
    script.send(pong(probe)).expect(goaway(1, NO_ERROR));
    script.send(headers(3)).expect_nothing();
    script.send(data(7, 1)).expect_end(1, Violation::IdleStream);
}

#[test]
fn rfc9113_5_4_1_close_ends_at_once_with_the_code() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.engine.write(key, "lost".into()).unwrap();
    script.engine.close(ErrorCode::INTERNAL_ERROR);
    script.engine.close(NO_ERROR);
    script.expect(goaway(1, ErrorCode::INTERNAL_ERROR)).expect_nothing();
    assert_eq!(script.closed(), Some(ConnectionError::Local(ErrorCode::INTERNAL_ERROR)));
    script.eof();
    assert_eq!(script.engine.is_finished(), Some(&ConnectionError::Local(ErrorCode::INTERNAL_ERROR)));
}

#[test]
fn h34_everything_after_the_fatal_error_is_ignored() {
    let causes = [data(9, 1), raw(0x6, 0, 0, b"short"), push_promise(1, 2), settings_ack(), headers(1)];
    let frames = [
        headers(11),
        data(1, 5),
        rst(1, NO_ERROR),
        ping(3),
        update(0, 1),
        settings(&[]),
        goaway(0, NO_ERROR),
        raw(0x77, 0xff, 3, b"?"),
    ];
    for cause in causes {
        let mut script = Script::server();
        script.tunnel(1);
        script.send(cause);
        if script.closed().is_none() {
            script.engine.close(NO_ERROR);
            script.flush();
        }
        let end = script.closed().expect("it was fatal");
        let (events, stats) = (script.events.len(), script.engine.stats());
        script.skip();
        for frame in &frames {
            script.send(frame.clone()).expect_nothing();
        }
        script.eof().after(100 * SECOND);
        assert_eq!((script.closed(), script.events.len()), (Some(end), events));
        assert_eq!(script.engine.stats(), stats);
    }
}

#[test]
fn h62_a_warning_that_nobody_answers_is_followed_by_the_last_goaway() {
    let mut script = Script::server();
    let probe = drain(&mut script, None);
    script.after(9 * SECOND).send(ping(1)).expect(pong(1)).expect_nothing();
    script.after(SECOND).expect(goaway(0, NO_ERROR)).expect_nothing();
    assert_eq!(script.closed(), Some(ConnectionError::Closed));
    script.send(pong(probe)).expect_nothing();
}
