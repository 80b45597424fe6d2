//! Frames that come after our RST_STREAM (RFC 9113 5.1): tolerated, accounted, never charged to the peer.

use hbone_frame::ErrorCode;

use super::frames::*;
use super::script::Script;
use crate::proto::{Flood, Violation};

const CANCEL: ErrorCode = ErrorCode::CANCEL;

/// Stream 1 was open and we have reset it.
fn cancelled() -> Script {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.reset(key, CANCEL).expect(rst(1, CANCEL));
    script.engine.release(key);
    script
}

#[test]
fn rfc9113_5_1_every_frame_is_tolerated_after_our_reset() {
    let mut script = cancelled();
    script.send(data(1, 100)).send(update(1, 10)).send(priority(1, 0)).send(trailers(1)).expect_alive();
    let stats = script.engine.stats();
    assert_eq!((stats.stream_violations, stats.resets_sent), (0, 1));
}

#[test]
fn rfc9113_5_4_2_a_reset_is_never_answered_with_a_reset() {
    let mut script = cancelled();
    script.send(rst(1, CANCEL)).send(rst(1, CANCEL)).expect_nothing();
    let mut script = Script::server();
    script.tunnel(1);
    script.send(rst(1, CANCEL)).expect_nothing();
}

#[test]
fn rfc9113_5_1_after_its_own_end_the_peer_may_send_nothing_more() {
    let mut script = cancelled();
    script.send(last_data(1, 5)).expect_nothing();
    script.send(data(1, 5)).expect(rst(1, ErrorCode::STREAM_CLOSED)).expect_nothing();
    script.send(headers(1)).expect_end(1, Violation::ClosedStream);
    let mut script = cancelled();
    script.send(rst(1, CANCEL)).send(data(1, 5)).expect(rst(1, ErrorCode::STREAM_CLOSED));
}

#[test]
fn rfc9113_6_1_after_the_peers_reset_its_frames_are_errors() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.send(rst(1, CANCEL)).send(data(1, 1)).expect(rst(1, ErrorCode::STREAM_CLOSED)).expect_nothing();
    script.engine.release(key);
    script.send(data(1, 1)).expect(rst(1, ErrorCode::STREAM_CLOSED)).expect_alive();
}

#[test]
fn an_ocean_of_late_frames_is_not_charged_to_the_peer() {
    let mut script = cancelled();
    for _ in 0..5000 {
        script.send(data(1, 10));
    }
    script.expect_alive();
    assert_eq!(script.engine.stats().glitches, 0);
}

#[test]
fn a_flood_of_late_heads_ends_the_connection() {
    let mut script = cancelled();
    for _ in 0..18 {
        script.send(headers(1));
    }
    assert_eq!(script.engine.stats().glitches, 0);
    let sent = (0..2000).take_while(|_| script.send(headers(1)).closed().is_none()).count();
    assert_eq!(sent, 1000);
    script.expect_fault(Violation::Flood(Flood::Glitches));
}

#[test]
fn rfc9113_5_4_2_resets_long_forgotten_are_still_tolerated() {
    let mut script = Script::server();
    for n in 0..1000 {
        let id = 2 * n + 1;
        let key = script.tunnel(id);
        script.reset(key, CANCEL).expect(rst(id, CANCEL));
        script.engine.release(key);
    }
    for id in [1, 3, 501, 1001, 1999] {
        script.send(data(id, 1)).send(trailers(id)).expect_nothing();
    }
    script.expect_alive();
}

#[test]
fn rfc9113_4_3_a_block_that_comes_after_our_reset_still_feeds_the_table() {
    let mut script = cancelled();
    let insert = [&[0x40][..], &block(&[("x-key", "value")])[1..]].concat();
    script.send(raw(0x1, 0x4 | 0x1, 1, &insert)).expect_nothing();
    let request = [&block(CONNECT)[..], &[0xbe]].concat();
    script.send(raw(0x1, 0x4, 3, &request)).incoming();
}

#[test]
fn rfc9113_5_1_the_end_of_a_frame_at_fault_counts_however_it_is_cut() {
    for cut in [9, 100, 509] {
        let mut script = Script::server();
        script.send(headers(3)).skip();
        // Stream 1 is closed, never having been open; the frame that is refused for that carries END_STREAM.
        let octets = last_data(1, 500);
        let (head, tail) = octets.split_at(cut);
        script
            .send(head.to_vec())
            .send(tail.to_vec())
            .expect(rst(1, ErrorCode::STREAM_CLOSED))
            .expect_nothing();
        script.send(data(1, 1)).expect(rst(1, ErrorCode::STREAM_CLOSED)).expect_alive();
    }
}
