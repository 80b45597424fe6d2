//! Stream identifiers and slots (RFC 9113 5.1.1, 5.1.2): used up, skipped, refused, waited for.

use hbone_frame::{ErrorCode, SettingId, Side, StreamId};

use super::frames::*;
use super::pair::Pair;
use super::script::{Script, plain};
use crate::proto::{Config, Event, Flood, OpenError, Request, StreamError, Violation};

const REFUSED: ErrorCode = ErrorCode::REFUSED_STREAM;

fn connect() -> Option<Request> {
    Some(Request::connect("10.0.0.1:80"))
}

#[test]
fn h60_identifiers_rise_by_two_until_they_are_used_up() {
    let mut script = Script::client();
    script.engine.state.next_id = StreamId::new(0x7fff_fffd);
    assert_eq!(script.open().id().get(), 0x7fff_fffd);
    let last = script.open();
    assert_eq!(last.id(), StreamId::MAX);
    assert_eq!(script.engine.open(&mut connect(), false), Err(OpenError::Exhausted));
    // The last one works like any other.
    script.send(response(0x7fff_ffff, 200, false)).send(data(0x7fff_ffff, 5));
    assert_eq!(script.read(last).0, 5);
    script.engine.release(last);
    script.expect(rst(0x7fff_ffff, ErrorCode::CANCEL));
    assert_eq!(script.engine.open(&mut connect(), false), Err(OpenError::Exhausted));
}

#[test]
fn h60_a_server_takes_the_largest_identifier_and_nothing_after_it() {
    let mut script = Script::server();
    script.send(headers(0x7fff_ffff)).incoming();
    script.send(headers(3)).expect_end(0x7fff_ffff, Violation::StreamIdFell);
}

#[test]
fn h60_skipped_identifiers_are_closed_and_cost_nothing() {
    let mut script = Script::server();
    for id in [101, 1001, 100_001, 0x7000_0001] {
        script.send(headers(id)).incoming();
    }
    assert_eq!(script.engine.held_streams(), 4);
    script.send(update(99, 1)).send(rst(98_001, ErrorCode::CANCEL)).expect_alive();
    script.send(headers(99)).expect_end(0x7000_0001, Violation::StreamIdFell);
}

#[test]
fn h60_even_identifiers_open_nothing() {
    Script::server().send(headers(2)).expect_end(0, Violation::IdleStream);
}

#[test]
fn h61_streams_over_the_limit_are_refused_and_every_path_returns_its_slot_once() {
    let config = Config { max_concurrent_streams: 3, ..plain() };
    let mut script = Script::with(Side::Server, config);
    let mut next = 1;
    for round in 0..30 {
        let ids: Vec<u32> = (0..4).map(|n| next + 2 * n).collect();
        next += 8;
        let mut keys = Vec::new();
        for &id in &ids[..3] {
            keys.push(script.send(headers(id)).incoming());
        }
        script.send(headers(ids[3])).expect(rst(ids[3], REFUSED)).expect_nothing();
        assert_eq!(script.engine.active_streams(), 3, "round {round}");
        // Three ways out: the peer's reset, ours, and a fault.
        script.send(rst(ids[0], ErrorCode::CANCEL));
        script.reset(keys[1], ErrorCode::CANCEL).expect(rst(ids[1], ErrorCode::CANCEL));
        script.send(trailers(ids[2])).expect(rst(ids[2], ErrorCode::PROTOCOL_ERROR));
        assert_eq!(script.engine.active_streams(), 0, "round {round}");
        keys.into_iter().for_each(|key| script.engine.release(key));
        assert_eq!(script.engine.held_streams(), 0);
    }
    script.expect_alive();
    assert_eq!(script.engine.stats().streams_refused, 30);
}

#[test]
fn h61_before_our_settings_are_acknowledged_refusals_are_no_fault_of_the_peer() {
    let config = Config { max_concurrent_streams: 1, ..plain() };
    let mut script = Script::strangers(Side::Server, config);
    script.send(hbone_frame::PREFACE.to_vec()).send(settings(&[])).skip();
    script.send(headers(1)).incoming();
    for id in 1..=400 {
        script.send(headers(2 * id + 1)).expect(rst(2 * id + 1, REFUSED));
    }
    script.send(settings_ack()).expect_alive();
    assert_eq!(script.engine.stats().glitches, 400);
}

#[test]
fn h61_after_the_acknowledgement_refusals_are_budgeted() {
    let config = Config { max_concurrent_streams: 1, ..plain() };
    let mut script = Script::with(Side::Server, config);
    script.send(headers(1)).incoming();
    let refused = (1..=1000).take_while(|id| script.send(headers(2 * id + 1)).closed().is_none()).count();
    assert_eq!(refused, 200);
    script.expect_fault(Violation::Flood(Flood::ProvokedResets));
}

#[test]
fn rfc9113_5_1_2_open_is_refused_at_the_limit_and_openable_follows() {
    let mut script = Script::client();
    script.send(settings(&[(SettingId::MAX_CONCURRENT_STREAMS, 2)])).skip();
    let first = script.open();
    script.open();
    let mut request = connect();
    for _ in 0..3 {
        assert_eq!(script.engine.open(&mut request, false), Err(OpenError::Blocked));
    }
    assert!(request.is_some());
    let openable = |event: &Event| matches!(event, Event::Openable).then_some(());
    assert!(script.pick(openable).is_none());
    script.send(response(1, 200, true)).expect_nothing();
    assert!(script.pick(openable).is_none(), "our direction is still open");
    script.engine.finish(first).unwrap();
    script.expect(last_data(1, 0));
    assert!(script.pick(openable).is_some());
    assert!(script.pick(openable).is_none(), "told once");
    script.engine.open(&mut request, false).unwrap();
}

#[test]
fn a_waiting_opener_learns_of_the_end() {
    let mut script = Script::client();
    script.send(settings(&[(SettingId::MAX_CONCURRENT_STREAMS, 0)])).skip();
    assert_eq!(script.engine.open(&mut connect(), false), Err(OpenError::Blocked));
    script.eof();
    assert!(script.pick(|event| matches!(event, Event::Openable).then_some(())).is_some());
    assert!(matches!(script.engine.open(&mut connect(), false), Err(OpenError::Closed(_))));
}

#[test]
fn before_the_peers_settings_a_moderate_number_of_streams_is_assumed() {
    let config = Config { assumed_peer_streams: 3, ..plain() };
    let mut script = Script::strangers(Side::Client, config);
    for _ in 0..3 {
        script.open();
    }
    assert_eq!(script.engine.open(&mut connect(), false), Err(OpenError::Blocked));
    // Settings that name no limit leave it so; there is no reason to believe in more.
    script.send(settings(&[(SettingId::MAX_CONCURRENT_STREAMS, 4)])).skip();
    assert!(script.pick(|event| matches!(event, Event::Openable).then_some(())).is_some());
    script.open();
    assert_eq!(script.engine.open(&mut connect(), false), Err(OpenError::Blocked));
}

#[test]
fn rfc9113_8_7_a_refused_stream_says_that_it_was_not_processed() {
    let config = Config { max_concurrent_streams: 1, ..Config::default() };
    let mut pair = Pair::strangers(1, Config::default(), config);
    let first = pair.client.engine.open(&mut connect(), false).unwrap();
    let second = pair.client.engine.open(&mut connect(), false).unwrap();
    pair.settle();
    assert!(pair.server.incoming().is_some() && pair.server.incoming().is_none());
    assert_eq!(pair.client.read_all(second).1, Err(StreamError::Reset(REFUSED)));
    assert!(pair.client.read_all(first).1.is_ok());
}

#[test]
fn h64_streams_leave_nothing_behind() {
    let mut script = Script::client();
    for n in 0..20_000_u32 {
        let key = script.engine.open(&mut connect(), false).unwrap();
        script.flush().skip();
        if n % 3 == 0 {
            script.engine.reset(key, ErrorCode::CANCEL);
        } else {
            let id = key.id().get();
            script.send(response(id, 200, true));
            script.engine.finish(key).unwrap();
        }
        script.engine.release(key);
        script.flush().skip();
        script.events.clear();
    }
    let state = &script.engine.state;
    assert_eq!((state.streams.len(), state.streams.active_in_all()), (0, 0));
    assert_eq!(state.schedule.listed().count(), 0);
    assert!(state.events.is_empty() && state.credit.is_empty() && state.heads.is_empty());
    script.expect_alive();
}
