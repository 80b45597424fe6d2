//! Deadlines of streams: reset with CANCEL, never an end, gone with their streams.

use std::time::Duration;

use hbone_frame::ErrorCode;

use super::frames::{data, last_data, rst, settings, update};
use super::pair::Pair;
use super::script::{Script, plain};
use crate::proto::{Config, Event, Read, Response, StreamError};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_stream_that_is_not_done_is_reset_with_cancel_and_says_so() {
    let mut script = Script::client();
    let key = script.tunnel(1);
    let deadline = script.now + 5 * SECOND;
    script.engine.set_deadline(key, Some(deadline)).unwrap();
    assert_eq!(script.engine.poll_timeout(), Some(deadline));
    script.send(data(1, 10)).after(5 * SECOND - Duration::from_nanos(1)).expect_nothing();
    assert_eq!(script.engine.stream_error(key), None);
    script.after(Duration::from_nanos(1)).expect(rst(1, ErrorCode::CANCEL)).expect_nothing();
    assert_eq!(script.read(key), (0, Err(StreamError::Deadline)));
    assert_eq!(script.engine.write(key, "x".into()), Err(StreamError::Deadline));
    assert!(script.readable(key) && script.engine.poll_timeout().is_none());
    script.engine.release(key);
    script.send(last_data(1, 10)).expect_alive();
}

#[test]
fn a_stream_that_is_done_in_time_has_no_deadline_left() {
    let mut script = Script::client();
    let key = script.tunnel(1);
    let deadline = script.now + SECOND;
    script.engine.set_deadline(key, Some(deadline)).unwrap();
    script.engine.finish(key).unwrap();
    script.flush().skip().send(last_data(1, 10));
    assert_eq!(script.engine.poll_timeout(), None);
    assert_eq!(script.engine.set_deadline(key, Some(deadline)), Err(StreamError::Finished));
    script.after(9 * SECOND).expect_nothing();
    assert_eq!(script.read(key), (10, Ok(Read::End)));
}

#[test]
fn what_was_complete_before_the_deadline_stays_readable_to_its_end() {
    let mut script = Script::client();
    let key = script.tunnel(1);
    script.engine.set_deadline(key, Some(script.now + SECOND)).unwrap();
    script.send(last_data(1, 10)).after(SECOND).expect(rst(1, ErrorCode::CANCEL));
    assert_eq!(script.read(key), (10, Ok(Read::End)));
    assert_eq!(script.engine.write(key, "x".into()), Err(StreamError::Deadline));
}

#[test]
fn a_deadline_may_be_moved_and_taken_away() {
    let mut script = Script::client();
    let key = script.tunnel(1);
    let now = script.now;
    for seconds in [9, 3, 6] {
        script.engine.set_deadline(key, Some(now + seconds * SECOND)).unwrap();
        assert_eq!(script.engine.poll_timeout(), Some(now + seconds * SECOND));
    }
    script.after(5 * SECOND).expect_nothing();
    script.engine.set_deadline(key, None).unwrap();
    assert_eq!(script.engine.poll_timeout(), None);
    script.after(9 * SECOND).expect_nothing().expect_alive();
}

#[test]
fn deadlines_fire_in_order_and_only_for_their_own_streams() {
    let mut pair = Pair::with(7, Config { keepalive_interval: None, ..Config::default() }, Config::default());
    let tunnels: Vec<_> = (0..5).map(|_| pair.tunnel()).collect();
    for (second, (near, _)) in [4, 2, 5, 1].into_iter().zip(&tunnels) {
        pair.client.engine.set_deadline(*near, Some(pair.now + second * SECOND)).unwrap();
    }
    pair.run_for(2 * SECOND);
    let failed = |pair: &Pair| -> Vec<_> {
        tunnels.iter().map(|(near, _)| pair.client.engine.stream_error(*near).is_some()).collect()
    };
    assert_eq!(failed(&pair), [false, true, false, true, false]);
    pair.run_for(9 * SECOND);
    assert_eq!(failed(&pair), [true, true, true, true, false]);
    for (_, far) in &tunnels[..4] {
        assert_eq!(pair.server.engine.stream_error(*far), Some(StreamError::Reset(ErrorCode::CANCEL)));
    }
    assert_eq!(pair.server.engine.stream_error(tunnels[4].1), None);
}

#[test]
fn a_thousand_streams_with_far_deadlines_leave_nothing_behind() {
    let mut pair = Pair::with(7, Config { keepalive_interval: None, ..Config::default() }, Config::default());
    for _ in 0..1000 {
        let (near, far) = pair.tunnel();
        pair.client.engine.set_deadline(near, Some(pair.now + 9999 * SECOND)).unwrap();
        pair.server.engine.set_deadline(far, Some(pair.now + 9999 * SECOND)).unwrap();
        pair.client.engine.release(near);
        pair.settle();
        pair.server.engine.release(far);
    }
    // The invariants, checked at every step, let no entry outlive its stream.
    assert_eq!(pair.client.engine.state.deadlines.next(), None);
    assert_eq!(pair.server.engine.state.deadlines.next(), None);
}

#[test]
fn a_stream_that_waits_for_credit_does_not_outlast_its_deadline() {
    let mut script = Script::client();
    let key = script.tunnel(1);
    script.engine.write(key, vec![7; 100_000].into()).unwrap();
    script.engine.finish(key).unwrap();
    script.engine.set_deadline(key, Some(script.now + SECOND)).unwrap();
    script.engine.release(key);
    script.flush().skip().after(SECOND).expect(rst(1, ErrorCode::CANCEL));
    script.send(update(1, 100_000)).expect_alive();
    assert_eq!(script.engine.held_streams(), 0);
}

#[test]
fn a_stream_whose_head_has_not_left_is_never_sent() {
    let mut script = Script::with(hbone_frame::Side::Client, plain());
    let key = script.engine.open(&mut Some(crate::proto::Request::connect("10.0.0.1:80")), false).unwrap();
    script.engine.set_deadline(key, Some(script.now)).unwrap();
    script.engine.handle_timeout(script.now);
    script.expect_nothing();
    assert_eq!(script.engine.stream_error(key), Some(StreamError::Deadline));
}

#[test]
fn a_server_may_set_one_too() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.engine.set_deadline(key, Some(script.now + SECOND)).unwrap();
    script.after(SECOND).expect(rst(1, ErrorCode::CANCEL));
    assert_eq!(script.engine.respond(key, Response::new(200), true), Err(StreamError::Deadline));
    assert!(!script.events.iter().any(|event| matches!(event, Event::Closed(_))));
    script.send(settings(&[])).skip().expect_alive();
}
