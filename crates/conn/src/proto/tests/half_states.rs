//! RFC 9113 5.1, both halves of a stream: each event in each state, by name, for both roles.
//!
//! The state is named as this end sees it. The peer's frames come from a script, the application's events are
//! calls.

use hbone_frame::{ErrorCode, Malformed};

use super::frames::*;
use super::script::Script;
use crate::proto::{Read, Request, Response, StreamError, StreamKey, Violation};

const STREAM_CLOSED: ErrorCode = ErrorCode::STREAM_CLOSED;
const PROTOCOL_ERROR: ErrorCode = ErrorCode::PROTOCOL_ERROR;
const CANCEL: ErrorCode = ErrorCode::CANCEL;

/// A server with stream 1 open and answered, and its key.
fn open_server() -> (Script, StreamKey) {
    let mut script = Script::server();
    let key = script.tunnel(1);
    (script, key)
}

/// A client with stream 1 open and answered, and its key.
fn open_client() -> (Script, StreamKey) {
    let mut script = Script::client();
    let key = script.tunnel(1);
    (script, key)
}

/// The peer has ended its direction of stream 1.
fn half_closed_remote_server() -> (Script, StreamKey) {
    let (mut script, key) = open_server();
    script.send(last_data(1, 3)).expect_nothing();
    (script, key)
}

/// This end has ended its direction of stream 1.
fn half_closed_local_server() -> (Script, StreamKey) {
    let (mut script, key) = open_server();
    script.engine.finish(key).unwrap();
    script.expect(last_data(1, 0)).expect_nothing();
    (script, key)
}

fn half_closed_remote_client() -> (Script, StreamKey) {
    let (mut script, key) = open_client();
    script.send(last_data(1, 3)).expect_nothing();
    (script, key)
}

fn half_closed_local_client() -> (Script, StreamKey) {
    let (mut script, key) = open_client();
    script.engine.finish(key).unwrap();
    script.expect(last_data(1, 0)).expect_nothing();
    (script, key)
}

/// Stream 1 has ended in both directions; the application still holds it.
fn closed_server() -> (Script, StreamKey) {
    let (mut script, key) = half_closed_remote_server();
    script.engine.finish(key).unwrap();
    script.expect(last_data(1, 0));
    assert_eq!(script.engine.active_streams(), 0);
    (script, key)
}

fn closed_client() -> (Script, StreamKey) {
    let (mut script, key) = half_closed_remote_client();
    script.engine.finish(key).unwrap();
    script.expect(last_data(1, 0));
    (script, key)
}

// Idle.

#[test]
fn rfc9113_5_1_idle_server_headers_open_the_stream() {
    let mut script = Script::server();
    let key = script.send(headers(1)).incoming();
    assert_eq!((key.id().get(), script.engine.active_streams()), (1, 1));
}

#[test]
fn rfc9113_5_1_idle_server_headers_with_end_stream_half_close_it() {
    let mut script = Script::server();
    let key = script.send(get(1)).incoming();
    assert_eq!(script.read(key), (0, Ok(Read::End)));
    assert_eq!(script.engine.active_streams(), 1);
}

#[test]
fn rfc9113_5_1_idle_data_is_an_error_of_the_connection() {
    Script::server().send(data(1, 1)).expect_end(0, Violation::IdleStream);
    Script::client().send(data(1, 1)).expect_end(0, Violation::IdleStream);
}

#[test]
fn rfc9113_5_1_idle_rst_stream_is_an_error_of_the_connection() {
    Script::server().send(rst(1, CANCEL)).expect_end(0, Violation::IdleStream);
    Script::server().send(rst(2, CANCEL)).expect_end(0, Violation::IdleStream);
    Script::client().send(rst(1, CANCEL)).expect_end(0, Violation::IdleStream);
    Script::client().send(rst(2, CANCEL)).expect_end(0, Violation::IdleStream);
}

#[test]
fn rfc9113_5_1_idle_window_update_is_an_error_of_the_connection() {
    Script::server().send(update(1, 1)).expect_end(0, Violation::IdleStream);
    Script::client().send(update(1, 1)).expect_end(0, Violation::IdleStream);
    Script::client().send(update(2, 1)).expect_end(0, Violation::IdleStream);
}

#[test]
fn rfc9113_5_1_idle_priority_is_ignored() {
    Script::server().send(priority(1, 0)).expect_alive();
    Script::client().send(priority(1, 3)).expect_alive();
    Script::server().send(priority(7, 7)).expect_alive();
}

#[test]
fn rfc9113_6_4_idle_streams_are_never_reset() {
    // RFC 9113 6.4: RST_STREAM MUST NOT be sent for an idle stream; what would be an error of the stream is
    // one of the connection.
    let length = Violation::Frame(Malformed::PriorityLength);
    Script::server().send(raw(0x2, 0, 1, &[0; 4])).expect_end(0, length);
    let zero = Violation::Frame(Malformed::WindowUpdateZero);
    Script::server().send(raw(0x8, 0, 1, &[0; 4])).expect_end(0, zero);
    Script::client().send(raw(0x8, 0, 1, &[0; 4])).expect_end(0, zero);
}

#[test]
fn rfc9113_5_1_1_idle_headers_of_the_wrong_parity_are_an_error_of_the_connection() {
    Script::server().send(headers(2)).expect_end(0, Violation::IdleStream);
    Script::client().send(headers(1)).expect_end(0, Violation::IdleStream);
    Script::client().send(headers(2)).expect_end(0, Violation::StreamParity);
}

// Open, and the head of the other side has not come (client) or was not given (server).

#[test]
fn rfc9113_8_1_unanswered_client_data_is_an_error_of_the_stream() {
    let mut script = Script::client();
    let key = script.open();
    script.send(data(1, 10)).expect(rst(1, PROTOCOL_ERROR)).expect_alive();
    assert_eq!(script.read(key), (0, Err(StreamError::Protocol(Violation::DataBeforeHead))));
}

#[test]
fn rfc9113_5_1_unanswered_client_rst_stream_fails_it() {
    let mut script = Script::client();
    let key = script.open();
    script.send(rst(1, ErrorCode::REFUSED_STREAM)).expect_nothing();
    assert!(script.readable(key));
    assert_eq!(script.read(key), (0, Err(StreamError::Reset(ErrorCode::REFUSED_STREAM))));
}

#[test]
fn rfc9113_5_1_unanswered_client_response_opens_its_receiving_half() {
    let mut script = Script::client();
    let key = script.open();
    assert_eq!(script.read(key), (0, Ok(Read::Pending)));
    script.send(response(1, 200, false)).send(data(1, 7));
    assert_eq!(script.status(), Some(200));
    assert!(script.readable(key));
    assert_eq!(script.read(key), (7, Ok(Read::Pending)));
}

#[test]
fn rfc9113_5_1_unanswered_client_response_with_end_stream_wakes_a_reader() {
    let mut script = Script::client();
    let key = script.open();
    assert_eq!(script.read(key), (0, Ok(Read::Pending)));
    script.send(response(1, 403, true));
    assert_eq!(script.status(), Some(403));
    assert!(script.readable(key));
    assert_eq!(script.read(key), (0, Ok(Read::End)));
}

#[test]
fn rfc9113_5_1_unanswered_server_may_not_finish_and_its_octets_wait() {
    let mut script = Script::server();
    let key = script.send(headers(1)).incoming();
    assert_eq!(script.engine.finish(key), Err(StreamError::Finished));
    script.engine.write(key, "early".into()).unwrap();
    script.expect_nothing();
    script.engine.respond(key, Response::new(200), false).unwrap();
    script.expect(response(1, 200, false)).expect(data(1, 5)).expect_nothing();
}

#[test]
fn rfc9113_5_1_unanswered_server_takes_data() {
    let mut script = Script::server();
    let key = script.send(headers(1)).send(data(1, 5)).incoming();
    assert_eq!(script.read(key), (5, Ok(Read::Pending)));
}

// Open.

#[test]
fn rfc9113_5_1_open_data_is_delivered() {
    for (mut script, key) in [open_server(), open_client()] {
        script.send(data(1, 100)).expect_nothing();
        assert_eq!(script.read(key), (100, Ok(Read::Pending)));
    }
}

#[test]
fn rfc9113_5_1_open_end_stream_half_closes_the_receiving_half_only() {
    for (mut script, key) in [open_server(), open_client()] {
        script.send(last_data(1, 4)).expect_nothing();
        assert_eq!(script.read(key), (4, Ok(Read::End)));
        script.engine.write(key, "more".into()).unwrap();
        script.expect(data(1, 4));
    }
}

#[test]
fn rfc9113_5_1_open_finish_half_closes_the_sending_half_only() {
    for (mut script, key) in [open_server(), open_client()] {
        script.engine.write(key, "last".into()).unwrap();
        script.engine.finish(key).unwrap();
        script.engine.finish(key).unwrap();
        script.expect(last_data(1, 4)).expect_nothing();
        assert_eq!(script.engine.write(key, "x".into()), Err(StreamError::Finished));
        script.send(data(1, 9));
        assert_eq!(script.read(key), (9, Ok(Read::Pending)));
    }
}

#[test]
fn rfc9113_5_1_open_rst_stream_closes_both_halves() {
    for (mut script, key) in [open_server(), open_client()] {
        assert_eq!(script.read(key), (0, Ok(Read::Pending)));
        script.send(rst(1, CANCEL)).expect_nothing();
        assert!(script.readable(key));
        assert_eq!(script.read(key), (0, Err(StreamError::Reset(CANCEL))));
        assert_eq!(script.engine.write(key, "x".into()), Err(StreamError::Reset(CANCEL)));
        assert_eq!(script.engine.active_streams(), 0);
    }
}

#[test]
fn rfc9113_5_1_open_reset_by_us_closes_both_halves() {
    for (mut script, key) in [open_server(), open_client()] {
        script.send(data(1, 10)).reset(key, CANCEL).expect(rst(1, CANCEL)).expect_nothing();
        assert_eq!(script.read(key), (0, Err(StreamError::Cancelled(CANCEL))));
        assert_eq!(script.engine.finish(key), Err(StreamError::Cancelled(CANCEL)));
    }
}

#[test]
fn rfc9113_5_1_open_window_update_adds_credit() {
    for (mut script, key) in [open_server(), open_client()] {
        script.engine.write(key, vec![0; 70_000].into()).unwrap();
        script.expect(data(1, 65_535));
        script.send(update(0, 10_000)).expect_nothing();
        script.send(update(1, 4_465)).expect(data(1, 4_465)).expect_nothing();
    }
}

#[test]
fn rfc9113_5_1_open_priority_is_ignored_unless_it_depends_on_itself() {
    for (mut script, _) in [open_server(), open_client()] {
        script.send(priority(1, 3)).expect_nothing();
        script.send(priority(1, 1)).expect(rst(1, PROTOCOL_ERROR)).expect_alive();
    }
}

#[test]
fn rfc9113_6_6_open_push_promise_is_an_error_of_the_connection() {
    let (mut script, _) = open_server();
    script.send(push_promise(1, 2)).expect_end(1, Violation::Frame(Malformed::PushPromise));
    let (mut script, _) = open_client();
    script.send(push_promise(1, 2)).expect_end(0, Violation::Frame(Malformed::PushPromise));
}

// Half-closed (remote): the peer has ended.

#[test]
fn rfc9113_5_1_half_closed_remote_data_is_an_error_of_the_stream() {
    for (mut script, key) in [half_closed_remote_server(), half_closed_remote_client()] {
        script.send(data(1, 1)).expect(rst(1, STREAM_CLOSED)).expect_alive();
        assert_eq!(script.read(key), (3, Ok(Read::End)), "what had arrived whole stays");
        assert_eq!(script.engine.write(key, "x".into()), Err(StreamError::Protocol(Violation::HalfClosed)));
    }
}

#[test]
fn rfc9113_5_1_half_closed_remote_headers_are_an_error_of_the_stream() {
    for (mut script, _) in [half_closed_remote_server(), half_closed_remote_client()] {
        script.send(trailers(1)).expect(rst(1, STREAM_CLOSED)).expect_alive();
    }
}

#[test]
fn rfc9113_5_1_half_closed_remote_window_update_priority_and_rst_stream_are_fine() {
    for (mut script, key) in [half_closed_remote_server(), half_closed_remote_client()] {
        script.send(update(1, 5)).send(priority(1, 0)).expect_nothing();
        script.send(rst(1, ErrorCode::NO_ERROR)).expect_nothing();
        assert_eq!(script.read(key), (3, Ok(Read::End)));
        assert_eq!(script.engine.capacity(key), Err(StreamError::Reset(ErrorCode::NO_ERROR)));
    }
}

#[test]
fn rfc9113_5_1_half_closed_remote_finish_closes_it() {
    for (mut script, key) in [half_closed_remote_server(), half_closed_remote_client()] {
        script.engine.finish(key).unwrap();
        script.expect(last_data(1, 0)).expect_nothing();
        assert_eq!(script.engine.active_streams(), 0);
        assert_eq!(script.read(key), (3, Ok(Read::End)));
    }
}

// Half-closed (local): this end has ended.

#[test]
fn rfc9113_5_1_half_closed_local_data_and_end_stream_are_delivered() {
    for (mut script, key) in [half_closed_local_server(), half_closed_local_client()] {
        script.send(data(1, 5)).send(last_data(1, 6)).expect_nothing();
        assert_eq!(script.read(key), (11, Ok(Read::End)));
        assert_eq!(script.engine.active_streams(), 0);
    }
}

#[test]
fn rfc9113_5_1_half_closed_local_window_update_is_ignored() {
    for (mut script, _) in [half_closed_local_server(), half_closed_local_client()] {
        script.send(update(1, 100)).expect_alive();
    }
}

#[test]
fn rfc9113_5_1_half_closed_local_rst_stream_cuts_the_receiving_half() {
    for (mut script, key) in [half_closed_local_server(), half_closed_local_client()] {
        script.send(data(1, 5)).send(rst(1, ErrorCode::NO_ERROR)).expect_nothing();
        // Before END_STREAM even NO_ERROR is a truncation.
        assert_eq!(script.read(key), (0, Err(StreamError::Reset(ErrorCode::NO_ERROR))));
    }
}

#[test]
fn rfc9113_5_1_half_closed_local_reset_by_us_closes_it() {
    for (mut script, key) in [half_closed_local_server(), half_closed_local_client()] {
        script.reset(key, CANCEL).expect(rst(1, CANCEL)).expect_nothing();
        assert_eq!(script.engine.active_streams(), 0);
    }
}

// Closed.

#[test]
fn rfc9113_5_1_closed_window_update_rst_stream_and_priority_are_ignored() {
    for (mut script, key) in [closed_server(), closed_client()] {
        script.send(update(1, 5)).send(priority(1, 0)).send(rst(1, CANCEL)).expect_nothing();
        script.engine.release(key);
        script.send(update(1, 5)).send(priority(1, 0)).send(rst(1, CANCEL)).expect_alive();
    }
}

#[test]
fn rfc9113_5_1_closed_data_is_an_error_of_the_stream_whether_it_is_held_or_released() {
    for (mut script, key) in [closed_server(), closed_client()] {
        script.send(data(1, 1)).expect(rst(1, STREAM_CLOSED)).expect_nothing();
        script.engine.release(key);
        script.send(data(1, 1)).expect(rst(1, STREAM_CLOSED)).expect_alive();
    }
}

#[test]
fn rfc9113_5_1_closed_headers_are_an_error_of_the_connection() {
    let (mut script, _) = closed_server();
    script.send(headers(1)).expect_end(1, Violation::ClosedStream);
    let (mut script, _) = closed_client();
    script.send(response(1, 200, true)).expect_end(0, Violation::ClosedStream);
}

#[test]
fn rfc9113_5_1_closed_reset_by_us_sends_nothing_and_drops_what_is_unread() {
    for (mut script, key) in [closed_server(), closed_client()] {
        script.reset(key, CANCEL).expect_nothing();
        // Three octets were dropped: that is no end.
        assert_eq!(script.read(key), (0, Err(StreamError::Cancelled(CANCEL))));
    }
}

#[test]
fn rfc9113_5_1_closed_finish_and_release_are_harmless() {
    for (mut script, key) in [closed_server(), closed_client()] {
        script.engine.finish(key).unwrap();
        script.engine.release(key);
        script.engine.release(key);
        script.engine.reset(key, CANCEL);
        script.expect_nothing();
        assert_eq!(script.engine.held_streams(), 0);
        assert_eq!(script.read(key), (0, Err(StreamError::Finished)));
    }
}

#[test]
fn rfc9113_5_1_1_closed_streams_below_a_skipped_identifier_are_closed_too() {
    let mut script = Script::server();
    script.send(headers(7)).skip();
    script.send(data(3, 1)).expect(rst(3, STREAM_CLOSED));
    script.send(headers(5)).expect_end(7, Violation::StreamIdFell);
}

#[test]
fn a_request_with_end_stream_is_half_closed_local_at_once() {
    let mut script = Script::client();
    let key = script.ask(Request::new("GET", "https", "a.example", "/"), true);
    script.expect(head(1, GET, true)).expect_nothing();
    assert_eq!(script.engine.write(key, "x".into()), Err(StreamError::Finished));
    script.send(response(1, 200, false)).send(last_data(1, 1));
    assert_eq!(script.read(key), (1, Ok(Read::End)));
    assert_eq!(script.engine.active_streams(), 0);
}

#[test]
fn a_head_with_end_stream_takes_no_octets_even_before_it_has_left() {
    let mut script = Script::client();
    let request = Request::new("GET", "https", "a.example", "/");
    let key = script.engine.open(&mut Some(request), true).unwrap();
    assert_eq!(script.engine.write(key, "x".into()), Err(StreamError::Finished));
    assert_eq!(script.engine.capacity(key), Err(StreamError::Finished));
    script.expect(head(1, GET, true)).expect_nothing();
}
