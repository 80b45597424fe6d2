//! Letting go of streams: what still leaves, what is reset, and when a slot is free.

use hbone_frame::{ErrorCode, SettingId};

use super::frames::*;
use super::pair::Pair;
use super::script::Script;
use crate::proto::{Config, Read, Request, Response, StreamError};

const CANCEL: ErrorCode = ErrorCode::CANCEL;
const NO_ERROR: ErrorCode = ErrorCode::NO_ERROR;

#[track_caller]
fn empty(script: &Script) {
    assert_eq!((script.engine.active_streams(), script.engine.held_streams()), (0, 0));
}

#[test]
fn an_unfinished_tunnel_is_reset_with_cancel() {
    for mut script in [Script::server(), Script::client()] {
        let key = script.tunnel(1);
        script.engine.write(key, "never".into()).unwrap();
        script.engine.release(key);
        script.expect(rst(1, CANCEL)).expect_nothing();
        empty(&script);
        script.send(data(1, 100)).send(last_data(1, 0)).expect_alive();
    }
}

#[test]
fn an_unanswered_stream_is_reset_with_cancel() {
    let mut script = Script::server();
    let key = script.send(headers(1)).incoming();
    script.engine.release(key);
    script.expect(rst(1, CANCEL)).expect_nothing();
    empty(&script);
}

#[test]
fn a_request_that_has_not_left_vanishes_without_a_frame() {
    let mut script = Script::client();
    let key = script.engine.open(&mut Some(Request::connect("a:1")), false).unwrap();
    script.engine.write(key, "x".into()).unwrap();
    script.engine.release(key);
    script.expect_nothing();
    empty(&script);
    // Its identifier is spent, and skipping it is legal.
    script.ask(Request::connect("10.0.0.1:80"), false);
    script.expect(headers(3));
}

#[test]
fn finished_octets_still_leave_and_then_the_unwanted_direction_is_reset() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.engine.write(key, vec![0; 70_000].into()).unwrap();
    script.engine.finish(key).unwrap();
    script.engine.release(key);
    script.expect(data(1, 65_535)).expect_nothing();
    assert_eq!(script.engine.held_streams(), 1);
    script.send(update(0, 5000)).send(update(1, 5000)).expect(last_data(1, 4465)).expect(rst(1, CANCEL));
    empty(&script);
}

#[test]
fn finished_octets_still_leave_when_the_peer_has_ended() {
    let mut script = Script::client();
    let key = script.tunnel(1);
    script.send(last_data(1, 10));
    script.engine.write(key, "bye".into()).unwrap();
    script.engine.finish(key).unwrap();
    script.engine.release(key);
    script.expect(last_data(1, 3)).expect_nothing();
    empty(&script);
}

#[test]
fn rfc9113_8_1_a_complete_response_is_followed_by_no_error() {
    let mut script = Script::server();
    let key = script.send(head(1, GET, false)).incoming();
    script.engine.respond(key, Response::new(413), true).unwrap();
    script.engine.release(key);
    script.expect(response(1, 413, true)).expect(rst(1, NO_ERROR)).expect_nothing();
    empty(&script);
    let mut script = Script::server();
    let key = script.send(head(1, GET, false)).incoming();
    script.engine.respond(key, Response::new(413), true).unwrap();
    script.expect(response(1, 413, true));
    script.engine.release(key);
    script.expect(rst(1, NO_ERROR)).expect_nothing();
}

#[test]
fn rfc9113_8_1_no_error_after_a_complete_response_keeps_it() {
    let mut script = Script::client();
    let key = script.ask(Request::new("POST", "https", "a.example", "/"), false);
    script.skip().send(response(1, 413, false)).send(last_data(1, 20)).send(rst(1, NO_ERROR));
    assert_eq!(script.read(key), (20, Ok(Read::End)));
    assert_eq!(script.engine.write(key, "x".into()), Err(StreamError::Reset(NO_ERROR)));
}

#[test]
fn a_peers_reset_ends_what_a_released_stream_still_had_to_send() {
    let mut script = Script::server();
    script.send(settings(&[(SettingId::INITIAL_WINDOW_SIZE, 0)])).skip();
    let key = script.tunnel(1);
    script.engine.write(key, "stuck".into()).unwrap();
    script.engine.finish(key).unwrap();
    script.engine.release(key);
    script.expect_nothing().send(rst(1, CANCEL)).expect_nothing();
    empty(&script);
}

#[test]
fn h26_a_slot_is_held_until_the_application_lets_go() {
    let config = Config { max_concurrent_streams: 2, ..super::script::plain() };
    let mut script = Script::with(hbone_frame::Side::Server, config);
    let mut id = 1;
    let mut keys = Vec::new();
    loop {
        script.send(headers(id));
        if !script.has_incoming() {
            break;
        }
        keys.push(script.incoming());
        script.send(rst(id, CANCEL));
        id += 2;
    }
    // Twice the limit and a little more: work that the application still has in hand is bounded.
    assert_eq!(keys.len(), 20);
    script.expect(rst(id, ErrorCode::REFUSED_STREAM)).expect_nothing();
    script.engine.release(keys[0]);
    script.send(headers(id + 2)).incoming();
}

#[test]
fn unread_octets_of_an_ended_stream_stay_until_release() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.send(last_data(1, 500));
    script.engine.finish(key).unwrap();
    script.expect(last_data(1, 0));
    assert_eq!((script.engine.active_streams(), script.engine.held_streams()), (0, 1));
    assert_eq!(script.read(key), (500, Ok(Read::End)));
    script.engine.release(key);
    empty(&script);
}

#[test]
fn what_a_released_stream_receives_is_dropped_and_credited() {
    let mut script = Script::server();
    script.send(settings(&[(SettingId::INITIAL_WINDOW_SIZE, 0)])).skip();
    let key = script.tunnel(1);
    script.engine.write(key, "stuck".into()).unwrap();
    script.engine.finish(key).unwrap();
    script.send(data(1, 20_000));
    script.engine.release(key);
    script.send(data(1, 20_000)).expect(update(0, 40_000)).expect(update(1, 40_000)).expect_nothing();
    assert_eq!(script.engine.unread(key), 0);
}

#[test]
fn n6_two_ends_that_finish_and_let_go_do_not_wait_for_each_other() {
    let config = Config { initial_window_size: 100, window_tuning: false, ..Config::default() };
    let mut pair = Pair::with(3, config.clone(), config);
    let (near, far) = pair.tunnel();
    for side in [hbone_frame::Side::Client, hbone_frame::Side::Server] {
        let key = if side == hbone_frame::Side::Client { near } else { far };
        let engine = &mut pair.end(side).engine;
        engine.write(key, vec![0; 5000].into()).unwrap();
        engine.finish(key).unwrap();
        engine.release(key);
    }
    pair.settle();
    assert_eq!((pair.client.engine.held_streams(), pair.server.engine.held_streams()), (0, 0));
    assert!(pair.up.left.ended.contains(&1) || pair.down.left.ended.contains(&1));
}

#[test]
fn a_reset_stream_wakes_its_reader_and_its_writer_once_it_fails() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.reset(key, CANCEL).expect(rst(1, CANCEL));
    assert!(script.readable(key));
    let writable = |event: &crate::proto::Event| {
        matches!(event, crate::proto::Event::Writable(found) if *found == key).then_some(())
    };
    assert!(script.pick(writable).is_some());
    script.reset(key, ErrorCode::INTERNAL_ERROR).expect_nothing();
}
