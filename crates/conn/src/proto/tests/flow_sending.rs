//! Flow control of what this end sends (RFC 9113 5.2, 6.9): spent at emission, negative, overflowing.

use std::time::Duration;

use hbone_frame::{ErrorCode, Frame, SettingId, Side};

use super::frames::*;
use super::script::{Script, Seen, plain};
use crate::proto::{Config, ConnectionError, Event, Flood, StreamError, StreamKey, Timeout, Violation};

const FLOW_CONTROL_ERROR: ErrorCode = ErrorCode::FLOW_CONTROL_ERROR;
const WINDOW: SettingId = SettingId::INITIAL_WINDOW_SIZE;
const MAX: u32 = 0x7fff_ffff;

/// DATA octets of a stream that the engine has sent since the last look, and whether END_STREAM came.
fn sent(script: &mut Script, id: u32) -> (usize, bool) {
    let mut all = (0, false);
    for seen in script.take() {
        if let Seen::Data { stream, octets, end } = seen
            && stream == id
        {
            all = (all.0 + octets, end);
        }
    }
    all
}

#[test]
fn credit_is_spent_at_emission_and_nowhere_before() {
    let mut script = Script::server();
    let (first, second) = (script.tunnel(1), script.tunnel(3));
    script.engine.write(first, vec![0; 60_000].into()).unwrap();
    assert_eq!(script.engine.state.send_window.available(65_535), 65_535);
    // What was queued and never left has held no credit: all of it is there for the neighbour.
    script.engine.reset(first, ErrorCode::CANCEL);
    script.engine.write(second, vec![0; 65_535].into()).unwrap();
    script.expect(rst(1, ErrorCode::CANCEL)).expect(data(3, 65_535)).expect_nothing();
    assert_eq!(script.engine.state.send_window.available(65_535), 0);
}

#[test]
fn rfc9113_6_9_1_the_connection_window_bounds_all_streams_together() {
    let mut script = Script::server();
    let (first, second) = (script.tunnel(1), script.tunnel(3));
    script.engine.write(first, vec![0; 60_000].into()).unwrap();
    script.engine.write(second, vec![0; 60_000].into()).unwrap();
    let total: usize =
        script.take().iter().map(|seen| if let Seen::Data { octets, .. } = seen { *octets } else { 0 }).sum();
    assert_eq!(total, 65_535);
    script.send(update(0, 7));
    assert_eq!(sent(&mut script, 1).0 + sent(&mut script, 3).0, 7);
}

#[test]
fn rfc9113_6_9_1_a_lone_end_stream_needs_no_credit_of_either_window() {
    let mut script = Script::server();
    let (full, done) = (script.tunnel(1), script.tunnel(3));
    script.engine.write(full, vec![0; 65_535].into()).unwrap();
    assert_eq!(sent(&mut script, 1), (65_535, false));
    script.engine.finish(full).unwrap();
    script.engine.finish(done).unwrap();
    script.expect(last_data(1, 0)).expect(last_data(3, 0)).expect_nothing();
}

#[test]
fn end_stream_rides_with_the_last_octet() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.engine.write(key, vec![0; 65_536].into()).unwrap();
    script.engine.finish(key).unwrap();
    assert_eq!(sent(&mut script, 1), (65_535, false));
    script.send(update(0, 100)).expect_nothing();
    script.send(update(1, 100)).expect(last_data(1, 1)).expect_nothing();
}

#[test]
fn rfc9113_4_2_frames_follow_the_peers_frame_size() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.send(settings(&[(SettingId::MAX_FRAME_SIZE, 20_000)])).skip();
    script.engine.write(key, vec![0; 45_000].into()).unwrap();
    let sizes: Vec<usize> = script
        .take()
        .iter()
        .map(|seen| if let Seen::Data { octets, .. } = seen { *octets } else { 0 })
        .collect();
    assert_eq!(sizes, [20_000, 20_000, 5000]);
}

#[test]
fn rfc9113_6_9_2_a_smaller_initial_window_leaves_a_negative_one() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.engine.write(key, vec![0; 100_000].into()).unwrap();
    script.flush().skip().send(update(0, 100_000)).skip();
    // 65 535 are spent: the window becomes 16 384 - 65 535 = -49 151.
    script.send(settings(&[(WINDOW, 16_384)])).expect(settings_ack()).expect_nothing();
    script.send(update(1, 49_151)).expect_nothing();
    script.send(update(1, 1)).expect(data(1, 1)).expect_nothing();
}

#[test]
fn rfc9113_6_9_2_a_larger_initial_window_sets_blocked_streams_free() {
    let mut script = Script::client();
    script.send(settings(&[(WINDOW, 0)])).skip();
    let key = script.tunnel(1);
    script.engine.write(key, vec![0; 500].into()).unwrap();
    script.expect_nothing();
    script.send(settings(&[(WINDOW, 300)])).expect(settings_ack()).expect(data(1, 300)).expect_nothing();
    script.send(settings(&[(WINDOW, 500)])).expect(settings_ack()).expect(data(1, 200)).expect_nothing();
}

#[test]
fn h45_flip_flop_of_the_initial_window_keeps_the_arithmetic() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.send(update(0, 200_000)).skip();
    script.engine.write(key, vec![0; 200_000].into()).unwrap();
    let mut total = sent(&mut script, 1).0;
    for round in 0..20 {
        script.send(settings(&[(WINDOW, 10)])).send(settings(&[(WINDOW, 70_000 + round)]));
        total += sent(&mut script, 1).0;
        assert_eq!(total, 70_000 + round as usize);
    }
    script.expect_alive();
}

#[test]
fn h45_many_values_in_one_settings_frame_apply_in_order() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.send(settings(&[(WINDOW, 0), (WINDOW, MAX), (WINDOW, 5)])).skip();
    script.engine.write(key, vec![0; 10].into()).unwrap();
    script.expect(data(1, 5)).expect_nothing();
}

#[test]
fn h44_overflow_of_a_stream_window_resets_the_stream_and_frees_it() {
    let mut script = Script::server();
    for round in 0..150 {
        let id = round * 2 + 1;
        let key = script.tunnel(id);
        script.send(update(id, MAX)).expect(rst(id, FLOW_CONTROL_ERROR)).expect_nothing();
        assert_eq!(script.engine.capacity(key), Err(StreamError::Protocol(Violation::WindowOverflow)));
        script.engine.release(key);
        assert_eq!((script.engine.active_streams(), script.engine.held_streams()), (0, 0));
    }
    script.expect_alive();
}

#[test]
fn h44_overflow_of_the_connection_window_ends_the_connection() {
    Script::server().send(update(0, MAX)).expect_end(0, Violation::WindowOverflow);
    let mut script = Script::client();
    script.send(update(0, MAX - 65_535)).expect_alive();
    script.send(update(0, 1)).expect_end(0, Violation::WindowOverflow);
}

#[test]
fn h44_an_initial_window_that_lifts_a_stream_over_the_top_ends_the_connection() {
    let mut script = Script::server();
    script.tunnel(1);
    script.send(update(1, MAX - 65_535)).expect_alive();
    script.send(settings(&[(WINDOW, 65_536)])).expect_end(1, Violation::WindowOverflow);
}

#[test]
fn an_initial_window_may_rise_although_a_finished_stream_had_a_large_one() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.send(update(1, MAX - 65_535)).skip();
    script.engine.finish(key).unwrap();
    script.skip().send(settings(&[(WINDOW, MAX)])).expect(settings_ack()).expect_alive();
}

#[test]
fn h40_a_dribble_of_one_octet_windows_sends_one_octet_each() {
    let mut script = Script::client();
    script.send(settings(&[(WINDOW, 1)])).skip();
    let key = script.tunnel(1);
    script.engine.write(key, vec![0; 800].into()).unwrap();
    script.expect(data(1, 1));
    for _ in 0..799 {
        script.send(update(1, 1)).expect(data(1, 1)).expect_nothing();
    }
    assert_eq!(script.engine.queued(key), 0);
}

/// 256 streams of a peer that opens their windows octet by octet, or the connection's; how many updates it could
/// send and how many octets they cost.
fn dribble(streams: u32, of_the_connection: bool) -> (u32, u64) {
    let mut script = Script::server();
    script.send(settings(&[(WINDOW, if of_the_connection { MAX } else { 0 })])).skip();
    let keys: Vec<_> = (0..streams).map(|n| script.tunnel(2 * n + 1)).collect();
    for key in &keys {
        fill(&mut script, *key);
    }
    script.skip();
    let before = script.engine.stats().octets_sent;
    for n in 0..100_000 {
        if let Some(error) = script.closed() {
            assert_eq!(error, ConnectionError::Protocol(Violation::Flood(Flood::Glitches)));
            assert_eq!(script.engine.active_streams(), 0);
            return (n, script.engine.stats().octets_sent - before);
        }
        let id = if of_the_connection { 0 } else { 2 * (n % streams) + 1 };
        script.send(update(id, 1)).skip();
    }
    panic!("it goes on for ever");
}

#[test]
fn h40_a_dribble_on_one_stream_or_on_256_or_of_the_connection_ends_it() {
    for (streams, of_the_connection) in [(1, false), (256, false), (1, true), (256, true)] {
        // A thousand of either budget, and what 65 535 octets of DATA in frames of 16 KiB have earned.
        let (updates, octets) = dribble(streams, of_the_connection);
        assert!((2000..2300).contains(&updates), "{updates}");
        assert!(octets < 40_000, "{octets}");
    }
}

#[test]
fn h40_small_windows_are_honest_however_long_they_last() {
    // A peer with that window that announces it by halves, a million octets at wire speed.
    for window in [65_535, 16_384, 1024, 128, 127, 64, 33] {
        let mut script = Script::server();
        script.send(settings(&[(WINDOW, window)])).skip();
        let key = script.tunnel(1);
        let (mut left, mut unread) = (0, 0);
        while left < 1_000_000.min(4000 * window as usize) {
            fill(&mut script, key);
            let (octets, _) = sent(&mut script, 1);
            (left, unread) = (left + octets, unread + octets as u32);
            assert!(unread >= window / 2);
            script.send([update(0, unread), update(1, unread)].concat());
            unread = 0;
        }
        assert_eq!((script.closed(), script.engine.stats().glitches), (None, 0), "{window}");
    }
}

#[test]
fn h40_a_terminal_that_moves_octet_by_octet_is_no_dribble() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    for _ in 0..10_000 {
        script.engine.write(key, "k".into()).unwrap();
        script.expect(data(1, 1)).send([update(0, 1), update(1, 1)].concat());
    }
    assert_eq!(script.engine.stats().glitches, 0);
}

#[test]
fn h30_h40_a_peer_that_announces_every_piece_it_reads_is_honest() {
    // Frames of up to a mebibyte, read in pieces and given back by each: to the stream and to the connection.
    for (frame, piece, rounds) in [(1 << 20, 4096, 25), (1 << 20, 1024, 8), (16_384, 1024, 8)] {
        let mut script = Script::server();
        script.send(settings(&[(WINDOW, 4 << 20), (SettingId::MAX_FRAME_SIZE, frame)]));
        script.send(update(0, 64 << 20)).skip();
        let key = script.tunnel(1);
        for _ in 0..rounds {
            fill(&mut script, key);
            let (octets, _) = sent(&mut script, 1);
            let pieces = octets as u32 / piece;
            let updates = (0..pieces).flat_map(|_| [update(0, piece), update(1, piece)].concat()).collect();
            script.send(updates);
        }
        assert_eq!((script.closed(), script.engine.stats().glitches), (None, 0), "{frame} by {piece}");
    }
}

#[test]
fn h40_a_reader_of_lines_that_announces_each_is_honest() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    fill(&mut script, key);
    script.skip();
    for _ in 0..20_000 {
        fill(&mut script, key);
        script.send([update(0, 40), update(1, 40)].concat()).skip();
        script.now += Duration::from_millis(5);
    }
    assert_eq!((script.closed(), script.engine.stats().glitches), (None, 0));
}

#[test]
fn h40_a_slow_dribble_lives_for_a_day() {
    let mut script = Script::server();
    script.send(settings(&[(WINDOW, 0)])).send(update(0, MAX - 65_535)).skip();
    let key = script.tunnel(1);
    for _ in 0..24 * 3600 {
        fill(&mut script, key);
        script.send(update(1, 1)).expect(data(1, 1));
        script.now += Duration::from_secs(1);
    }
    script.expect_alive();
    assert!(!script.engine.is_draining());
}

#[test]
fn h42_h48_a_zero_window_blocks_its_stream_and_no_other() {
    let mut script = Script::server();
    script.send(settings(&[(WINDOW, 0)])).skip();
    let (stuck, free) = (script.tunnel(1), script.tunnel(3));
    script.engine.write(stuck, vec![0; 1000].into()).unwrap();
    script.engine.write(free, vec![0; 1000].into()).unwrap();
    script.send(update(3, 400)).expect(data(3, 400)).expect_nothing();
    assert_eq!((script.engine.queued(stuck), script.engine.queued(free)), (1000, 600));
}

/// Writes until there is no room; octets taken.
fn fill(script: &mut Script, key: StreamKey) -> usize {
    let mut taken = 0;
    loop {
        match script.engine.write_slice(key, &[0; 10_000]) {
            Ok(0) => return taken,
            Ok(octets) => taken += octets,
            Err(error) => panic!("{error}"),
        }
        script.flush();
    }
}

#[test]
fn h42_a_stream_without_credit_queues_64_kib_and_others_what_their_credit_lets_go() {
    let mut script = Script::server();
    script.send(settings(&[(WINDOW, 0)])).send(update(0, MAX - 65_535)).skip();
    let keys: Vec<_> = (0..256).map(|n| script.tunnel(2 * n + 1)).collect();
    for key in &keys {
        assert_eq!(fill(&mut script, *key), 64 << 10);
    }
    let held: usize = keys.iter().map(|key| script.engine.queued(*key)).sum();
    assert_eq!(held, 256 * (64 << 10));
    // With credit there is room for what it lets go: 100 000 leave, and 64 KiB wait again.
    script.send(update(1, 100_000)).skip();
    assert_eq!(fill(&mut script, keys[0]), 100_000);
    assert_eq!(script.engine.queued(keys[0]), 64 << 10);
}

#[test]
fn h42_credit_of_the_connection_that_is_withheld_bounds_the_queues_too() {
    let mut script = Script::server();
    script.send(settings(&[(WINDOW, MAX)])).skip();
    let keys: Vec<_> = (0..256).map(|n| script.tunnel(2 * n + 1)).collect();
    for key in &keys {
        fill(&mut script, *key);
    }
    let queued: Vec<_> = keys.iter().map(|key| script.engine.queued(*key)).collect();
    // A few have all the room that there is.
    assert_eq!(queued[..4], [256 << 10; 4]);
    assert_eq!(queued[4..], [64 << 10; 252]);
}

#[test]
fn h42_a_peer_that_reads_first_and_starves_then_gains_a_mebibyte_for_all_its_streams() {
    let mut script = Script::server();
    script.send(settings(&[(WINDOW, 256 << 10)])).send(update(0, MAX - 65_535)).skip();
    let keys: Vec<_> = (0..256).map(|n| script.tunnel(2 * n + 1)).collect();
    for key in &keys {
        assert!(fill(&mut script, *key) >= 256 << 10);
    }
    let held: usize = keys.iter().map(|key| script.engine.queued(*key)).sum();
    assert!(held <= 256 * (64 << 10) + (1 << 20), "{held}");
}

#[test]
fn h42_a_writer_that_waits_is_called_by_credit_of_its_stream_of_settings_and_of_the_connection() {
    let writable = |key: StreamKey| {
        move |event: &Event| matches!(event, Event::Writable(found) if *found == key).then_some(())
    };
    let mut script = Script::server();
    script.send(settings(&[(WINDOW, 0)])).send(update(0, MAX - 65_535)).skip();
    // Not answered yet: nothing may leave, but there is more room.
    let key = script.send(headers(1)).incoming();
    assert_eq!(fill(&mut script, key), 64 << 10);
    assert!(script.send(update(1, 60_000)).pick(writable(key)).is_none(), "less than half is free");
    assert!(script.send(update(1, 10_000)).pick(writable(key)).is_some());
    assert_eq!(script.engine.capacity(key), Ok(70_000));
    let key = script.send(headers(3)).incoming();
    assert_eq!(fill(&mut script, key), 64 << 10);
    assert!(script.send(update(3, 10_000)).pick(writable(key)).is_none());
    assert!(script.send(settings(&[(WINDOW, 60_000)])).pick(writable(key)).is_some());
    assert_eq!(fill(&mut script, key), 70_000);
    // The connection's credit is used up.
    let mut script = Script::server();
    script.send(settings(&[(WINDOW, MAX)])).skip();
    let key = script.tunnel(1);
    fill(&mut script, key);
    assert!(script.pick(writable(key)).is_none());
    assert!(script.send(update(0, 140_000)).pick(writable(key)).is_some());
    assert_eq!(fill(&mut script, key), 140_000);
}

#[test]
fn h42_what_was_queued_before_a_window_shrank_stays() {
    let mut script = Script::server();
    let key = script.send(headers(1)).incoming();
    let queued = fill(&mut script, key);
    assert_eq!(queued, 65_535 + (64 << 10), "less than 64 KiB to begin with");
    script.send(settings(&[(WINDOW, 0)])).skip();
    assert_eq!((script.engine.queued(key), script.engine.capacity(key)), (queued, Ok(0)));
    script.engine.respond(key, crate::proto::Response::new(200), false).unwrap();
    script.send(update(1, queued as u32)).send(update(0, queued as u32)).skip();
    assert_eq!(script.engine.queued(key), 0);
}

#[test]
fn h42_a_peer_that_starves_every_stream_and_answers_no_ping_is_left() {
    let second = Duration::from_secs(1);
    let starve = |answers: bool| {
        let config =
            Config { keepalive_interval: Some(10 * second), keepalive_timeout: 20 * second, ..plain() };
        let mut script = Script::with(Side::Server, config);
        script.send(settings(&[(WINDOW, 0)])).skip();
        let keys: Vec<_> = (0..256).map(|n| script.tunnel(2 * n + 1)).collect();
        keys.iter().for_each(|key| assert_eq!(fill(&mut script, *key), 64 << 10));
        for _ in 0..3600 {
            script.after(second);
            if answers {
                answer_pings(&mut script);
            }
        }
        let held: usize = keys.iter().map(|key| script.engine.queued(*key)).sum();
        (script.closed(), held)
    };
    assert_eq!(starve(false), (Some(ConnectionError::Timeout(Timeout::Keepalive)), 0));
    // One whose readers pause is not: that is for the operator's idle limit.
    assert_eq!(starve(true), (None, 256 * (64 << 10)));
}

/// As a peer does that is alive.
fn answer_pings(script: &mut Script) {
    for seen in script.take() {
        if let Seen::Other(Frame::Ping { ack: false, payload }) = seen {
            script.send(pong(u64::from_be_bytes(payload)));
        }
    }
}

#[test]
fn credit_may_come_before_the_answer_and_counts() {
    let mut script = Script::server();
    let key = script.send(headers(1)).send(update(1, 100)).send(update(0, 100)).incoming();
    script.engine.respond(key, crate::proto::Response::new(200), false).unwrap();
    script.engine.write(key, vec![0; 70_000].into()).unwrap();
    assert_eq!(sent(&mut script, 1), (65_635, false));
}
