//! What a client bears of a server: concurrency, slots, budgets, idle time; and what a server waits for.

use std::time::Duration;

use hbone_frame::{ErrorCode, SettingId, Side};

use super::super::frames::*;
use super::super::script::plain;
use super::{agreed, agreed_pair, agreed_with, connect};
use crate::proto::{Config, Event, Flood, OpenError, Response, StreamError, Violation};

const CANCEL: ErrorCode = ErrorCode::CANCEL;
const REFUSED: ErrorCode = ErrorCode::REFUSED_STREAM;

fn few(streams: u32) -> Config {
    Config { max_concurrent_streams: streams, ..plain() }
}

#[test]
fn rfc9113_5_1_2_a_server_opens_as_many_as_the_client_allows_and_openable_follows() {
    let mut server = agreed(Side::Server);
    server.send(settings(&[(SettingId::MAX_CONCURRENT_STREAMS, 2)])).skip();
    // What the client opens does not count against the server's own.
    server.tunnel(1);
    let first = server.open();
    server.open();
    assert_eq!(server.engine.open(&mut connect(), false), Err(OpenError::Blocked));
    let openable = |event: &Event| matches!(event, Event::Openable).then_some(());
    assert!(server.pick(openable).is_none());
    server.reset(first, CANCEL);
    assert!(server.pick(openable).is_some());
    server.engine.open(&mut connect(), false).unwrap();
}

#[test]
fn h61_a_client_refuses_streams_over_its_limit_and_every_path_returns_the_slot_once() {
    let mut client = agreed_with(Side::Client, few(3));
    let mut next = 2;
    for round in 0..30 {
        let ids: Vec<u32> = (0..4).map(|n| next + 2 * n).collect();
        next += 8;
        let keys: Vec<_> = ids[..3].iter().map(|&id| client.send(headers(id)).incoming()).collect();
        client.send(headers(ids[3])).expect(rst(ids[3], REFUSED)).expect_nothing();
        assert_eq!(client.engine.active_streams(), 3, "round {round}");
        client.send(rst(ids[0], CANCEL));
        client.reset(keys[1], CANCEL).expect(rst(ids[1], CANCEL));
        client.send(trailers(ids[2])).expect(rst(ids[2], ErrorCode::PROTOCOL_ERROR));
        assert_eq!(client.engine.active_streams(), 0, "round {round}");
        keys.into_iter().for_each(|key| client.engine.release(key));
        assert_eq!(client.engine.held_streams(), 0);
    }
    client.expect_alive();
    assert_eq!(client.engine.stats().streams_refused, 30);
}

#[test]
fn h61_streams_of_the_client_leave_its_room_for_the_servers_alone() {
    let mut client = agreed_with(Side::Client, few(1));
    for _ in 0..60 {
        client.open();
    }
    client.send(headers(2)).incoming();
    client.send(headers(4)).expect(rst(4, REFUSED)).expect_alive();
    // And the other way round, on a server.
    let mut server = agreed_with(Side::Server, few(1));
    for _ in 0..60 {
        server.open();
    }
    server.send(headers(1)).incoming();
    server.send(headers(3)).expect(rst(3, REFUSED)).expect_alive();
}

#[test]
fn h26_a_stream_of_the_server_holds_its_slot_until_the_clients_application_lets_go() {
    let mut client = agreed_with(Side::Client, few(2));
    let mut keys = Vec::new();
    let taken = (1..=100).take_while(|n| {
        client.send(headers(2 * n)).send(rst(2 * n, CANCEL));
        if client.has_incoming() {
            keys.push(client.incoming());
        }
        keys.len() == *n as usize
    });
    assert_eq!(taken.count(), 20, "twice the limit and sixteen");
    client.skip();
    keys.into_iter().for_each(|key| client.engine.release(key));
    client.send(headers(1000)).incoming();
    client.expect_alive();
}

#[test]
fn rfc9113_8_7_what_a_client_refuses_was_not_processed() {
    let mut pair = agreed_pair(few(1), plain());
    let first = pair.server.engine.open(&mut connect(), false).unwrap();
    pair.settle();
    assert_eq!(pair.server.engine.open(&mut connect(), false), Err(OpenError::Blocked));
    let far = pair.client.incoming().unwrap();
    pair.client.engine.reset(far, REFUSED);
    pair.settle();
    assert_eq!(pair.server.read_all(first).1, Err(StreamError::Reset(REFUSED)));
}

#[test]
fn h25_rapid_reset_by_a_server_ends_the_connection() {
    let mut client = agreed(Side::Client);
    let opened = (1..=1000).take_while(|n| {
        client.send(headers(2 * n)).send(rst(2 * n, CANCEL));
        if client.closed().is_none() {
            let key = client.incoming();
            client.engine.release(key);
        }
        client.closed().is_none()
    });
    assert_eq!(opened.count(), 100);
    client.expect_fault(Violation::Flood(Flood::EarlyResets));
}

#[test]
fn h25_resets_by_a_client_of_what_the_server_asked_for_are_answers() {
    let mut server = agreed(Side::Server);
    for n in 1..=2000 {
        let key = server.open();
        server.send(rst(2 * n, REFUSED));
        server.engine.release(key);
        server.events.clear();
    }
    server.expect_alive();
}

#[test]
fn h26_resets_that_a_server_provokes_are_budgeted() {
    let mut client = agreed(Side::Client);
    let sent = (1..=1000).take_while(|n| client.send(get(2 * n)).closed().is_none()).count();
    assert_eq!(sent, 200);
    client.expect_fault(Violation::Flood(Flood::ProvokedResets));
    // Over the limit too.
    let mut client = agreed_with(Side::Client, few(0));
    let sent = (1..=1000).take_while(|n| client.send(headers(2 * n)).closed().is_none()).count();
    assert_eq!(sent, 200);
    client.expect_fault(Violation::Flood(Flood::ProvokedResets));
}

#[test]
fn h62_a_connection_with_a_stream_of_the_server_is_not_idle() {
    let second = Duration::from_secs(1);
    let config = Config { idle_timeout: Some(60 * second), ..plain() };
    for side in [Side::Client, Side::Server] {
        let mut script = agreed_with(side, config.clone());
        let key = script.tunnel(2);
        script.skip().after(600 * second).expect_alive();
        script.engine.release(key);
        script.skip().after(61 * second);
        assert!(script.engine.is_draining());
    }
}

#[test]
fn h64_streams_of_the_server_leave_nothing_behind() {
    let mut pair = agreed_pair(plain(), plain());
    for n in 0..2000 {
        let near = pair.server.engine.open(&mut connect(), false).unwrap();
        pair.settle();
        let far = pair.client.incoming().unwrap();
        pair.client.engine.respond(far, Response::new(200), n % 2 == 0).unwrap();
        pair.server.engine.finish(near).unwrap();
        pair.settle();
        pair.client.engine.release(far);
        pair.server.engine.release(near);
        pair.settle();
        pair.client.events.clear();
        pair.server.events.clear();
        pair.run_for(Duration::from_millis(50));
    }
    for engine in [&pair.client.engine, &pair.server.engine] {
        assert_eq!((engine.held_streams(), engine.active_streams()), (0, 0));
        assert!(engine.state.credit.is_empty() && engine.state.heads.is_empty());
    }
}
