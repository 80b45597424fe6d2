//! PING (RFC 9113 6.7): echo, round trips, keepalive, idle connections.

use std::time::Duration;

use hbone_frame::{ErrorCode, Frame, Side};

use super::frames::*;
use super::script::{Script, Seen, plain};
use crate::proto::{Config, ConnectionError, Event, Flood, Timeout, Violation};

const SECOND: Duration = Duration::from_secs(1);

/// The payloads of the PINGs that the engine has sent since the last look.
fn pings(script: &mut Script) -> Vec<u64> {
    let payload = |seen| match seen {
        Seen::Other(Frame::Ping { ack: false, payload }) => Some(u64::from_be_bytes(payload)),
        _ => None,
    };
    script.take().into_iter().filter_map(payload).collect()
}

fn kept_alive(side: Side) -> Script {
    let config = Config {
        keepalive_interval: Some(10 * SECOND),
        keepalive_timeout: 20 * SECOND,
        idle_timeout: None,
        ..plain()
    };
    Script::with(side, config)
}

#[test]
fn rfc9113_6_7_the_payload_comes_back_as_it_was() {
    for mut script in [Script::server(), Script::client()] {
        script.send(ping(0x0123_4567_89ab_cdef)).expect(pong(0x0123_4567_89ab_cdef)).expect_nothing();
    }
}

#[test]
fn a_ping_of_ours_reports_its_round_trip() {
    let mut script = Script::client();
    let id = script.engine.ping().unwrap();
    assert_eq!(pings(&mut script), [id]);
    script.after(Duration::from_millis(70)).send(pong(id)).expect_nothing();
    let event = script.pick(|event| match event {
        Event::Pong { id, rtt } => Some((*id, *rtt)),
        _ => None,
    });
    assert_eq!(event, Some((id, Duration::from_millis(70))));
    assert_eq!(script.engine.stats().latest_rtt, Some(Duration::from_millis(70)));
}

#[test]
fn several_pings_in_flight_have_each_their_own_round_trip_in_any_order_of_answers() {
    let mut script = Script::client();
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(script.engine.ping().unwrap());
        script.after(Duration::from_millis(10));
    }
    assert_eq!(pings(&mut script), ids);
    for (answered, rtt) in [(2, 20), (0, 40), (3, 10), (1, 30)] {
        script.send(pong(ids[answered]));
        let event = script.pick(|event| match event {
            Event::Pong { id, rtt } => Some((*id, *rtt)),
            _ => None,
        });
        assert_eq!(event, Some((ids[answered], Duration::from_millis(rtt))));
    }
    let stats = script.engine.stats();
    let ms = |n| Some(Duration::from_millis(n));
    assert_eq!((stats.shortest_rtt, stats.latest_rtt), (ms(0), ms(30)), "the shortest is that of SETTINGS");
}

#[test]
fn a_round_trip_is_measured_from_emission() {
    let mut script = Script::client();
    let id = script.engine.ping().unwrap();
    script.reading = false;
    script.after(SECOND);
    script.reading = true;
    script.flush().after(Duration::from_millis(5)).send(pong(id));
    assert_eq!(script.engine.stats().latest_rtt, Some(Duration::from_millis(5)));
}

#[test]
fn rfc9113_6_7_an_answer_that_nobody_asked_for_is_no_fault_but_counts() {
    let mut script = Script::server();
    script.send(pong(77)).expect_nothing();
    assert_eq!(script.engine.stats().glitches, 1);
    script.expect_alive();
}

#[test]
fn at_most_sixteen_pings_of_the_application_are_unanswered() {
    let mut script = Script::client();
    let ids: Vec<_> = std::iter::from_fn(|| script.engine.ping()).collect();
    assert_eq!(ids.len(), 16);
    assert_eq!(pings(&mut script), ids);
    script.send(pong(ids[3]));
    assert!(script.engine.ping().is_some());
    assert!(script.engine.ping().is_none());
}

#[test]
fn keepalive_asks_after_silence_and_ends_without_an_answer() {
    for side in [Side::Client, Side::Server] {
        let mut script = kept_alive(side);
        script.after(9 * SECOND).expect_nothing();
        assert_eq!(pings(script.after(SECOND)).len(), 1);
        script.after(19 * SECOND).expect_nothing();
        script.after(SECOND).expect(goaway(0, ErrorCode::NO_ERROR));
        assert_eq!(script.closed(), Some(ConnectionError::Timeout(Timeout::Keepalive)));
        assert_eq!(script.engine.poll_timeout(), None);
    }
}

#[test]
fn keepalive_is_content_with_answers() {
    let mut script = kept_alive(Side::Client);
    for _ in 0..100 {
        script.after(10 * SECOND);
        for id in pings(&mut script) {
            script.send(pong(id));
        }
    }
    script.expect_alive();
}

#[test]
fn keepalive_does_not_ask_while_octets_come() {
    let mut script = kept_alive(Side::Server);
    let key = script.tunnel(1);
    for _ in 0..60 {
        script.send(data(1, 1)).after(SECOND);
        assert_eq!(script.read(key), (1, Ok(crate::proto::Read::Pending)));
    }
    assert_eq!(pings(&mut script), []);
}

#[test]
fn keepalive_finds_a_dead_peer_although_the_application_pings_too() {
    let mut script = kept_alive(Side::Client);
    while script.engine.ping().is_some() {}
    script.after(31 * SECOND);
    assert_eq!(script.closed(), Some(ConnectionError::Timeout(Timeout::Keepalive)));
}

#[test]
fn keepalive_finds_a_dead_peer_that_takes_no_octets() {
    let mut script = kept_alive(Side::Client);
    script.reading = false;
    script.after(31 * SECOND);
    assert_eq!(script.closed(), Some(ConnectionError::Timeout(Timeout::Keepalive)));
}

#[test]
fn keepalive_counts_from_the_last_octet_after_its_ping() {
    let mut script = kept_alive(Side::Server);
    let key = script.tunnel(1);
    assert_eq!(pings(script.after(10 * SECOND)).len(), 1);
    script.after(19 * SECOND).send(data(1, 1));
    assert_eq!(script.read(key).0, 1);
    script.after(19 * SECOND).expect_nothing();
    assert_eq!(script.closed(), None);
    script.after(SECOND);
    assert_eq!(script.closed(), Some(ConnectionError::Timeout(Timeout::Keepalive)));
}

#[test]
fn keepalive_does_not_blame_a_peer_for_a_ping_that_waits_behind_a_slow_flight() {
    let mut script = kept_alive(Side::Server);
    let key = script.tunnel(1);
    script.engine.write(key, vec![0; 60_000].into()).unwrap();
    for _ in 0..5 {
        // One flight in 25 seconds: slow, but alive.
        script.reading = false;
        script.after(25 * SECOND);
        script.reading = true;
        script.flush();
        assert_eq!(script.closed(), None);
        script.engine.write(key, vec![0; 10].into()).unwrap();
        for id in pings(&mut script) {
            script.send(pong(id));
        }
    }
}

#[test]
fn h20_ping_flood_ends_the_connection_and_queues_little() {
    let mut script = Script::server();
    script.reading = false;
    let now = script.now;
    let mut sent = 0;
    while script.engine.is_finished().is_none() && script.engine.state.is_open() {
        script.engine.handle_bytes(now, ping(sent).into());
        assert!(script.engine.state.control.len() <= 256);
        sent += 1;
    }
    assert_eq!(sent, 101);
    script.reading = true;
    script.expect_fault(Violation::Flood(Flood::Pings));
}

#[test]
fn h20_ten_pings_a_second_live_for_ten_minutes() {
    let mut script = Script::server();
    for n in 0..6000 {
        script.send(ping(n)).expect(pong(n)).after(Duration::from_millis(100));
    }
    script.expect_alive();
}

#[test]
fn h62_an_idle_connection_kept_busy_by_pings_is_drained() {
    let config = Config { idle_timeout: Some(60 * SECOND), ..plain() };
    let mut script = Script::with(Side::Server, config);
    for n in 0..59 {
        script.send(ping(n)).expect(pong(n)).after(SECOND).expect_nothing();
    }
    script.after(2 * SECOND).expect(goaway(0x7fff_ffff, ErrorCode::NO_ERROR));
}

#[test]
fn h62_a_stream_keeps_a_connection_and_its_end_starts_the_idle_time() {
    let config = Config { idle_timeout: Some(60 * SECOND), ..plain() };
    let mut script = Script::with(Side::Server, config);
    let key = script.tunnel(1);
    script.after(600 * SECOND).expect_nothing();
    // Silent for ten minutes: the idle time counts from the end of the stream.
    script.reset(key, ErrorCode::CANCEL).expect(rst(1, ErrorCode::CANCEL));
    script.engine.release(key);
    script.after(59 * SECOND).expect_nothing();
    script.after(SECOND).expect(goaway(0x7fff_ffff, ErrorCode::NO_ERROR));
}

#[test]
fn h62_the_idle_time_starts_also_when_the_last_stream_ends_after_its_release() {
    let config = Config { idle_timeout: Some(60 * SECOND), ..plain() };
    let mut script = Script::with(Side::Server, config);
    let key = script.send(get(1)).incoming();
    script.send(settings(&[(hbone_frame::SettingId::INITIAL_WINDOW_SIZE, 0)])).skip();
    script.engine.respond(key, crate::proto::Response::new(200), false).unwrap();
    script.engine.write(key, "late".into()).unwrap();
    script.engine.finish(key).unwrap();
    script.engine.release(key);
    script.after(600 * SECOND).expect(response(1, 200, false)).expect_nothing();
    script.send(update(1, 4)).expect(last_data(1, 4)).after(59 * SECOND).expect_nothing();
    script.after(SECOND).expect(goaway(0x7fff_ffff, ErrorCode::NO_ERROR));
}
