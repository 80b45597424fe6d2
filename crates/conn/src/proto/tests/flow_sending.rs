//! Flow control of what this end sends (RFC 9113 5.2, 6.9): spent at emission, negative, overflowing.

use hbone_frame::{ErrorCode, SettingId};

use super::frames::*;
use super::script::{Script, Seen};
use crate::proto::{StreamError, Violation};

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
    script.engine.write(key, vec![0; 1000].into()).unwrap();
    script.expect(data(1, 1));
    for _ in 0..999 {
        script.send(update(1, 1)).expect(data(1, 1)).expect_nothing();
    }
    assert_eq!(script.engine.queued(key), 0);
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

#[test]
fn credit_may_come_before_the_answer_and_counts() {
    let mut script = Script::server();
    let key = script.send(headers(1)).send(update(1, 100)).send(update(0, 100)).incoming();
    script.engine.respond(key, crate::proto::Response::new(200), false).unwrap();
    script.engine.write(key, vec![0; 70_000].into()).unwrap();
    assert_eq!(sent(&mut script, 1), (65_635, false));
}
