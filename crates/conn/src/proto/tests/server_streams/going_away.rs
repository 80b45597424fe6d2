//! GOAWAY with streams of both sides (RFC 9113 6.8): a client warns as a server does, and names what it took.

use std::time::Duration;

use hbone_frame::{ErrorCode, Frame, Side};

use super::super::frames::*;
use super::super::script::{Script, Seen, plain};
use super::{agreed, agreed_pair, agreed_with, connect, extended};
use crate::proto::{Config, ConnectionError, Event, OpenError, Read, Response, StreamError, Violation};

const SECOND: Duration = Duration::from_secs(1);
const MAX: u32 = 0x7fff_ffff;
const NO_ERROR: ErrorCode = ErrorCode::NO_ERROR;

/// The warning and the PING that asks when the peer has seen it.
#[track_caller]
fn warned(script: &mut Script) -> u64 {
    script.expect(goaway(MAX, NO_ERROR));
    let seen = script.take();
    let [Seen::Other(Frame::Ping { ack: false, payload })] = &seen[..] else { panic!("{seen:?}") };
    u64::from_be_bytes(*payload)
}

#[track_caller]
fn drain(script: &mut Script) -> u64 {
    let now = script.now;
    script.engine.drain(now, None);
    warned(script)
}

#[test]
fn rfc9113_6_8_a_client_drains_in_two_steps_and_loses_no_stream_of_the_server() {
    let mut client = agreed(Side::Client);
    let first = client.tunnel(2);
    let probe = drain(&mut client);
    assert_eq!(client.engine.open(&mut connect(), false), Err(OpenError::Draining));
    // The server opened this one before it saw the warning.
    let second = client.send(headers(4)).incoming();
    client.send(pong(probe)).expect(goaway(4, NO_ERROR)).expect_nothing();
    // This one came too late: ignored, the server knows.
    client.send(headers(6)).send(data(6, 10)).expect_nothing();
    assert!(!client.has_incoming());
    client.engine.respond(second, Response::new(200), true).unwrap();
    client.send(last_data(4, 0)).expect(response(4, 200, true));
    client.engine.finish(first).unwrap();
    client.send(last_data(2, 3)).expect(last_data(2, 0)).expect_nothing();
    assert_eq!(client.read(first), (3, Ok(Read::End)));
    assert_eq!(client.closed(), Some(ConnectionError::Closed));
}

#[test]
fn rfc9113_6_8_a_client_without_agreement_drains_in_one_step() {
    for peer in [settings(&[]), super::server_streams(0)] {
        let mut client = Script::strangers(Side::Client, extended());
        client.send(peer).send(settings_ack()).skip();
        let now = client.now;
        client.engine.drain(now, None);
        client.expect(goaway(0, NO_ERROR)).expect_nothing();
        assert_eq!(client.closed(), Some(ConnectionError::Closed));
    }
}

#[test]
fn h62_a_clients_warning_that_nobody_answers_is_followed_by_the_last_goaway() {
    let mut client = agreed(Side::Client);
    drain(&mut client);
    client.after(10 * SECOND).expect(goaway(0, NO_ERROR)).expect_nothing();
    assert_eq!(client.closed(), Some(ConnectionError::Closed));
}

#[test]
fn rfc9113_6_8_a_servers_streams_beyond_the_clients_last_one_fail_as_not_processed() {
    let mut server = agreed(Side::Server);
    let (kept, lost) = (server.tunnel(2), server.open());
    let theirs = server.tunnel(1);
    server.skip().send(goaway(MAX, NO_ERROR)).expect_nothing();
    assert_eq!(server.read(lost), (0, Ok(Read::Pending)));
    assert_eq!(server.engine.open(&mut connect(), false), Err(OpenError::Draining));
    server.send(goaway(2, NO_ERROR)).expect_nothing();
    assert!(server.readable(lost));
    assert_eq!(server.read(lost), (0, Err(StreamError::Goaway)));
    server.send(data(2, 3)).send(data(1, 4));
    assert_eq!(server.read(kept), (3, Ok(Read::Pending)));
    assert_eq!(server.read(theirs), (4, Ok(Read::Pending)));
    server.send(goaway(4, NO_ERROR)).expect_fault(Violation::GoawayRaised);
}

#[test]
fn rfc9113_6_8_a_waiting_server_learns_that_the_client_goes_away() {
    let mut server = agreed(Side::Server);
    server.send(settings(&[(hbone_frame::SettingId::MAX_CONCURRENT_STREAMS, 0)])).skip();
    assert_eq!(server.engine.open(&mut connect(), false), Err(OpenError::Blocked));
    server.send(goaway(0, NO_ERROR));
    assert!(server.pick(|event| matches!(event, Event::Openable).then_some(())).is_some());
    assert_eq!(server.engine.open(&mut connect(), false), Err(OpenError::Draining));
}

#[test]
fn rfc9113_6_8_a_client_asks_a_server_that_goes_away_before_it_ends() {
    let mut client = agreed(Side::Client);
    client.send(goaway(0, NO_ERROR));
    let probe = warned(&mut client);
    // Opened before the server went away, its head behind the GOAWAY.
    let key = client.send(headers(2)).incoming();
    client.send(pong(probe)).expect(goaway(2, NO_ERROR)).expect_nothing();
    assert_eq!(client.closed(), None);
    client.engine.respond(key, Response::new(200), true).unwrap();
    client.send(last_data(2, 5)).expect(response(2, 200, true)).expect_nothing();
    assert_eq!(client.closed(), Some(ConnectionError::Closed));
    assert_eq!(client.read(key), (5, Ok(Read::End)));
}

#[test]
fn a_server_that_ends_with_a_code_is_not_asked() {
    let mut client = agreed(Side::Client);
    client.send(goaway(0, ErrorCode::INTERNAL_ERROR)).expect(goaway(0, NO_ERROR)).expect_nothing();
    assert!(matches!(client.closed(), Some(ConnectionError::Goaway { .. })));
}

#[test]
fn rfc9113_6_8_every_goaway_of_a_client_names_the_last_stream_that_it_took() {
    let mut client = agreed(Side::Client);
    client.tunnel(2);
    client.send(headers(8)).incoming();
    client.skip().send(data(10, 1)).expect_end(8, Violation::IdleStream);
    let mut client = agreed(Side::Client);
    client.tunnel(6);
    client.engine.close(ErrorCode::INTERNAL_ERROR);
    client.expect(goaway(6, ErrorCode::INTERNAL_ERROR)).expect_nothing();
}

#[test]
fn a_server_drains_with_streams_of_both_sides() {
    let mut server = agreed(Side::Server);
    let (mine, theirs) = (server.tunnel(2), server.tunnel(1));
    let probe = drain(&mut server);
    assert_eq!(server.engine.open(&mut connect(), false), Err(OpenError::Draining));
    // The last identifier is of the client's streams, whatever the server has opened.
    server.send(pong(probe)).expect(goaway(1, NO_ERROR)).expect_nothing();
    server.engine.finish(theirs).unwrap();
    server.send(last_data(1, 0)).expect(last_data(1, 0)).expect_nothing();
    assert_eq!(server.closed(), None, "a stream of its own is left");
    server.engine.finish(mine).unwrap();
    server.send(last_data(2, 0)).expect(last_data(2, 0)).expect_nothing();
    assert_eq!(server.closed(), Some(ConnectionError::Closed));
}

#[test]
fn n7_a_drain_of_both_ends_lets_streams_of_both_finish_in_peace() {
    for first in [Side::Client, Side::Server] {
        let mut pair = agreed_pair(Config::default(), Config::default());
        let (mine, yours) = pair.tunnel();
        pair.delay(Duration::from_millis(20));
        let near = pair.server.engine.open(&mut connect(), false).unwrap();
        // The head is on its way when the ends go away.
        pair.settle();
        let now = pair.now;
        pair.end(first).engine.drain(now, None);
        pair.run_for(Duration::from_millis(10));
        let now = pair.now;
        pair.end(first.peer()).engine.drain(now, None);
        pair.run_for(SECOND);
        let far = pair.client.incoming().expect("it was opened before the warning");
        pair.client.engine.respond(far, Response::new(200), true).unwrap();
        pair.server.engine.finish(near).unwrap();
        pair.client.engine.finish(mine).unwrap();
        pair.server.engine.finish(yours).unwrap();
        pair.run_for(SECOND);
        assert_eq!(pair.server.read_all(near).1, Ok(Read::End));
        assert_eq!(pair.client.read_all(far).1, Ok(Read::End));
        assert_eq!(pair.client.closed(), Some(&ConnectionError::Closed));
        assert_eq!(pair.server.closed(), Some(&ConnectionError::Closed));
    }
}

#[test]
fn n7_a_deadline_fails_what_is_left_of_a_servers_streams() {
    let mut client = agreed_with(Side::Client, plain());
    let key = client.tunnel(2);
    let now = client.now;
    client.engine.drain(now, Some(5 * SECOND));
    let probe = warned(&mut client);
    client.send(pong(probe)).expect(goaway(2, NO_ERROR)).after(5 * SECOND);
    let end = ConnectionError::Local(NO_ERROR);
    assert_eq!(client.closed(), Some(end.clone()));
    assert_eq!(client.read(key), (0, Err(StreamError::Connection(end))));
}
