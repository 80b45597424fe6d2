//! A stream of the server is a stream: octets both ways, half-close, reset, late frames, malformed messages.

use hbone_frame::{ErrorCode, Side, StreamId};

use super::super::frames::*;
use super::super::pair::Cut;
use super::super::script::plain;
use super::{agreed, agreed_pair, agreed_with, connect};
use crate::proto::{Config, ConnectionError, OpenError, Read, Response, StreamError, Violation};

const CANCEL: ErrorCode = ErrorCode::CANCEL;
const PROTOCOL_ERROR: ErrorCode = ErrorCode::PROTOCOL_ERROR;

#[test]
fn n1_n2_a_tunnel_of_the_server_carries_octets_both_ways_to_their_ends() {
    let mut pair = agreed_pair(Config::default(), Config::default());
    // One of each side, at the same time.
    let (mine, yours) = pair.tunnel();
    let near = pair.server.engine.open(&mut connect(), false).unwrap();
    assert_eq!((mine.id().get(), near.id().get()), (1, 2));
    // Octets before the answer wait for nobody.
    pair.server.engine.write(near, "early ".into()).unwrap();
    pair.settle();
    let far = pair.client.incoming().unwrap();
    assert_eq!(far.id(), near.id());
    pair.client.engine.respond(far, Response::new(200), false).unwrap();
    pair.settle();
    assert_eq!(pair.server.response(near), Some(200));
    let much = vec![7; 3_000_000];
    pair.client.engine.write(far, much.clone().into()).unwrap();
    pair.client.engine.finish(far).unwrap();
    pair.server.engine.write(near, "late".into()).unwrap();
    let mut got = Vec::new();
    let end = loop {
        pair.settle();
        let (piece, last) = pair.server.read_all(near);
        got.extend(piece);
        if last != Ok(Read::Pending) {
            break last;
        }
    };
    assert!(end == Ok(Read::End) && got == much);
    // Half-closed: the other direction goes on.
    assert_eq!(pair.client.read_all(far), (b"early late".to_vec(), Ok(Read::Pending)));
    pair.server.engine.finish(near).unwrap();
    pair.settle();
    assert_eq!(pair.client.read_all(far).1, Ok(Read::End));
    pair.client.engine.write(mine, "still here".into()).unwrap();
    pair.settle();
    assert_eq!(pair.server.read_all(yours).0, b"still here");
    let stats = (pair.server.engine.stats(), pair.client.engine.stats());
    assert_eq!((stats.0.streams_opened, stats.1.streams_accepted), (1, 1));
}

#[test]
fn a_client_answers_as_a_server_does() {
    let mut client = agreed(Side::Client);
    let key = client.send(headers(2)).incoming();
    client.engine.respond(key, Response::new(103), false).unwrap();
    client.engine.respond(key, Response::new(503), true).unwrap();
    client.expect(response(2, 103, false)).expect(response(2, 503, true)).expect_nothing();
    // A refused CONNECT is no tunnel: the peer's direction is not wanted.
    client.engine.release(key);
    client.expect(rst(2, CANCEL)).expect_nothing();
    assert_eq!(client.engine.held_streams(), 0);
    // A stream of our own cannot be answered.
    let mine = client.open();
    assert!(client.engine.respond(mine, Response::new(200), false).is_err());
}

#[test]
fn n3_a_reset_of_a_servers_stream_is_never_its_end() {
    for side in [Side::Client, Side::Server] {
        for code in [ErrorCode::NO_ERROR, CANCEL, ErrorCode::REFUSED_STREAM] {
            let mut script = agreed(side);
            let key = script.tunnel(2);
            script.send(data(2, 10)).send(rst(2, code)).expect_nothing();
            assert_eq!(script.read(key), (0, Err(StreamError::Reset(code))));
            assert_eq!(script.engine.active_streams(), 0);
            script.expect_alive();
        }
    }
}

#[test]
fn n7_the_loss_of_the_connection_fails_a_servers_stream() {
    let mut pair = agreed_pair(Config::default(), Config::default());
    let near = pair.server.engine.open(&mut connect(), false).unwrap();
    pair.settle();
    let far = pair.client.incoming().unwrap();
    pair.cut(Side::Client, Cut::Fin);
    pair.cut(Side::Server, Cut::Error);
    let lost = StreamError::Connection(ConnectionError::Eof);
    assert_eq!(pair.client.read_all(far).1, Err(lost));
    assert!(matches!(pair.server.read_all(near).1, Err(StreamError::Connection(ConnectionError::Io(_)))));
}

#[test]
fn rfc9113_5_1_late_frames_of_a_servers_stream_are_tolerated_after_our_reset_only() {
    for side in [Side::Client, Side::Server] {
        let mut script = agreed(side);
        let key = script.tunnel(2);
        script.reset(key, CANCEL).expect(rst(2, CANCEL));
        script.engine.release(key);
        script.send(data(2, 100)).send(update(2, 10)).send(trailers(2)).expect_alive();
        script.send(data(2, 5)).expect(rst(2, ErrorCode::STREAM_CLOSED)).expect_nothing();
        script.send(trailers(2));
        assert_eq!(script.closed(), Some(ConnectionError::Protocol(Violation::ClosedStream)));
    }
}

#[test]
fn rfc9113_5_1_frames_on_an_idle_stream_of_the_server_end_the_connection() {
    for side in [Side::Client, Side::Server] {
        for frame in [data(4, 1), rst(4, CANCEL), update(4, 1)] {
            let mut script = agreed(side);
            script.tunnel(2);
            let last = if side == Side::Client { 2 } else { 0 };
            script.skip().send(frame).expect_end(last, Violation::IdleStream);
        }
    }
    // Opened, and not yet told to the client: as idle as before.
    let mut server = agreed(Side::Server);
    server.reading = false;
    server.ask(crate::proto::Request::connect("10.0.0.1:80"), false);
    server.send(response(2, 200, false));
    assert_eq!(server.closed(), Some(ConnectionError::Protocol(Violation::IdleStream)));
}

#[test]
fn rfc9113_8_1_1_malformed_messages_on_a_servers_stream_end_the_stream() {
    let mut client = agreed(Side::Client);
    client.tunnel(2);
    client.send(trailers(2)).expect(rst(2, PROTOCOL_ERROR));
    client.send(head(4, &[(":method", "CONNECT"), (":authority", "a b:1")], false));
    client.expect(rst(4, PROTOCOL_ERROR));
    let smuggled = [(":method", "CONNECT"), (":authority", "a:1"), ("transfer-encoding", "chunked")];
    client.send(head(6, &smuggled, false)).expect(rst(6, PROTOCOL_ERROR));
    client.send(response(8, 200, false)).expect(rst(8, PROTOCOL_ERROR)).expect_alive();
    assert!(!client.has_incoming());
    let mut server = agreed(Side::Server);
    for (id, frame) in [(2, data(2, 1)), (4, response(4, 101, false)), (6, headers(6))] {
        server.open();
        server.send(frame).expect(rst(id, PROTOCOL_ERROR));
    }
    server.expect_alive();
}

#[test]
fn rfc9113_10_5_1_a_header_list_over_the_limit_is_answered_by_a_client_too() {
    let mut client = agreed_with(Side::Client, Config { max_header_list_size: 300, ..plain() });
    let long = "x".repeat(400);
    let fields = [(":method", "CONNECT"), (":authority", "a:1"), ("long", &long)];
    client.send(head(2, &fields, false));
    client.expect(response(2, 431, true)).expect(rst(2, ErrorCode::NO_ERROR)).expect_alive();
    assert!(!client.has_incoming());
    // The stream is closed: what is under way for it is nobody's fault.
    client.send(data(2, 10)).expect_alive();
}

#[test]
fn h60_a_servers_identifiers_rise_by_two_until_they_are_used_up() {
    let mut server = agreed(Side::Server);
    server.engine.state.next_id = StreamId::new(0x7fff_fffc);
    assert_eq!(server.open().id().get(), 0x7fff_fffc);
    let last = server.open();
    assert_eq!(last.id().get(), 0x7fff_fffe);
    assert_eq!(server.engine.open(&mut connect(), false), Err(OpenError::Exhausted));
    server.send(response(0x7fff_fffe, 200, false)).send(data(0x7fff_fffe, 5));
    assert_eq!(server.read(last).0, 5);
    // The client's are not: it opens more.
    server.send(headers(1)).incoming();
}

#[test]
fn h60_a_client_takes_rising_identifiers_and_skipped_ones_are_closed() {
    let mut client = agreed(Side::Client);
    let mine = client.tunnel(1);
    for id in [102, 1002, 0x7fff_fffe] {
        client.send(headers(id)).incoming();
    }
    client.send(update(100, 1)).send(rst(98_002, CANCEL)).expect_alive();
    client.send(data(1, 4));
    assert_eq!(client.read(mine).0, 4, "odd identifiers are another sequence");
    client.send(headers(100)).expect_end(0x7fff_fffe, Violation::StreamIdFell);
}
