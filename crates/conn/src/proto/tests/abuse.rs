//! Peers that cost more than they bring: each flood of the list of attacks ends the connection with
//! ENHANCE_YOUR_CALM, and its honest likeness lives.

use std::time::Duration;

use hbone_frame::{ErrorCode, Malformed, Side};

use super::frames::*;
use super::script::{Script, plain};
use crate::proto::{Config, ConnectionError, Flood, Read, Response, StreamError, Timeout, Violation};

const SECOND: Duration = Duration::from_secs(1);
const CALM: ErrorCode = ErrorCode::ENHANCE_YOUR_CALM;

/// How often `step` is done until the connection ends, at most `most` times.
fn until_the_end(script: &mut Script, most: u32, mut step: impl FnMut(&mut Script, u32)) -> u32 {
    for n in 0..most {
        if script.closed().is_some() {
            return n;
        }
        step(script, n);
    }
    assert!(script.closed().is_some(), "still there after {most}");
    most
}

#[track_caller]
fn ended_by(script: &mut Script, flood: Flood) {
    script.expect_fault(Violation::Flood(flood));
    assert_eq!(Violation::Flood(flood).code(), CALM);
    assert_eq!(script.engine.active_streams(), 0);
}

#[test]
fn h04_continuation_flood_ends_at_the_ninth() {
    let mut script = Script::server();
    script.send(open_block(1, &block(GET)));
    for n in 0..8 {
        script.send(continuation(1, false, &block(&[("a", "b")])));
        assert_eq!(script.closed(), None, "after {}", n + 1);
    }
    script.send(continuation(1, false, &block(&[("a", "b")])));
    script.expect_end(0, Violation::Frame(Malformed::TooManyContinuations));
    let mut script = Script::server();
    script.send(open_block(1, &block(GET)));
    for n in 0..8 {
        script.send(continuation(1, n == 7, &block(&[("a", "b")])));
    }
    script.incoming();
}

#[test]
fn h05_empty_continuation_ends_at_the_second() {
    let mut script = Script::server();
    script.send(open_block(1, &block(GET))).send(continuation(1, false, b"")).expect_nothing();
    let fault = Violation::Frame(Malformed::TooManyEmptyContinuations);
    script.send(continuation(1, false, b"")).expect_end(0, fault);
}

#[test]
fn h06_a_slow_header_block_ends_after_10_s_whatever_trickles_in() {
    let mut script = Script::server();
    let request = get(1);
    for octet in &request[..10] {
        script.send(vec![*octet]).after(SECOND);
    }
    // The head of the frame took 8 s; from its ninth octet on time counts.
    for octet in &request[10..18] {
        assert_eq!(script.closed(), None);
        script.send(vec![*octet]).after(SECOND);
    }
    assert_eq!(script.closed(), Some(ConnectionError::Timeout(Timeout::HeaderBlock)));
    script.expect(goaway(0, CALM));
}

#[test]
fn h06_blocks_that_follow_each_other_have_10_s_each() {
    let mut script = Script::server();
    // Every read ends within the next block: an honest peer that opens streams all the time.
    let mut rest = get(1)[..12].to_vec();
    for n in 0..30 {
        let id = 2 * n + 1;
        script.send(std::mem::take(&mut rest)).after(Duration::from_millis(700));
        let octets = [&get(id)[12..], &get(id + 2)[..12]].concat();
        script.send(octets);
        let key = script.incoming();
        script.engine.respond(key, Response::new(200), true).unwrap();
        script.engine.release(key);
        script.after(Duration::from_millis(700));
    }
    assert_eq!(script.closed(), None);
}

#[test]
fn h24_invalid_requests_end_with_too_many_resets_and_a_peer_that_does_not_read_is_not_read() {
    let mut script = Script::server();
    let sent = until_the_end(&mut script, 10_000, |script, n| {
        script.send(head(2 * n + 1, &GET[..2], true));
    });
    assert_eq!(sent, 201);
    ended_by(&mut script, Flood::ProvokedResets);
    let mut script = Script::server();
    script.reading = false;
    let sent = until_the_end(&mut script, 10_000, |script, n| {
        script.send(head(2 * n + 1, &GET[..2], true));
        assert!(script.engine.state.control.len() <= 201);
    });
    assert_eq!(sent, 201);
}

#[test]
fn h24_a_peer_that_provokes_replies_and_reads_none_stops_being_read() {
    let mut script = Script::server();
    script.reading = false;
    for n in 0..100 {
        script.send(ping(n));
    }
    assert!(script.engine.wants_read());
    for n in 0..40 {
        script.send(settings(&[])).send(head(2 * n + 1, &GET[..2], true));
    }
    for n in 100..200 {
        script.send(head(2 * n + 1, &GET[..2], true));
    }
    assert!(!script.engine.wants_read(), "256 replies wait");
    script.reading = true;
    script.skip();
    assert!(script.engine.wants_read());
    script.after(SECOND).expect_alive();
}

#[test]
fn h25_rapid_reset_is_bounded_and_live_work_never_exceeds_the_slots() {
    let mut script = Script::server();
    let mut most = 0;
    let sent = until_the_end(&mut script, 100_000, |script, n| {
        script.send([headers(2 * n + 1), rst(2 * n + 1, ErrorCode::CANCEL)].concat());
        most = most.max(script.engine.held_streams());
    });
    assert_eq!(sent, 101, "100 before their answer");
    assert!(most <= 101);
    ended_by(&mut script, Flood::EarlyResets);
}

#[test]
fn h25_rapid_reset_after_the_answer_is_bounded() {
    let mut script = Script::server();
    let sent = until_the_end(&mut script, 100_000, |script, n| {
        let id = 2 * n + 1;
        let key = script.send(headers(id)).incoming();
        script.engine.respond(key, Response::new(200), false).unwrap();
        script.send(rst(id, ErrorCode::CANCEL));
        script.engine.release(key);
    });
    assert_eq!(sent, 1001);
    ended_by(&mut script, Flood::Resets);
}

#[test]
fn h25_an_honest_rate_of_resets_lives_for_ten_minutes() {
    let mut script = Script::server();
    for n in 0..6000 {
        let id = 2 * n + 1;
        let key = script.send([headers(id), rst(id, ErrorCode::CANCEL)].concat()).incoming();
        assert_eq!(script.read(key).1, Err(StreamError::Reset(ErrorCode::CANCEL)));
        script.engine.release(key);
        script.skip().after(Duration::from_millis(100));
    }
    script.expect_alive();
}

#[test]
fn h25_a_client_may_be_refused_more_often_than_a_server_may_be_abandoned() {
    let mut script = Script::client();
    for n in 0..900 {
        let key = script.open();
        script.send(rst(2 * n + 1, ErrorCode::REFUSED_STREAM));
        script.engine.release(key);
    }
    script.expect_alive();
}

#[test]
fn h26_made_you_reset_by_each_trick_is_bounded_and_slots_are_held() {
    type Trick = fn(u32) -> Vec<u8>;
    let tricks: [(&str, Trick); 7] = [
        ("WINDOW_UPDATE 0", |id| raw(0x8, 0, id, &[0; 4])),
        ("overflow", |id| update(id, 0x7fff_ffff)),
        ("PRIORITY of 4 octets", |id| raw(0x2, 0, id, &[0; 4])),
        ("self-dependency", |id| priority(id, id)),
        ("HEADERS on a tunnel", headers),
        ("DATA after the end", |id| [last_data(id, 0), data(id, 1)].concat()),
        ("HEADERS after the end", |id| [last_data(id, 0), headers(id)].concat()),
    ];
    for (name, trick) in tricks {
        let mut script = Script::server();
        let mut keys = Vec::new();
        let mut resets = 0;
        let sent = until_the_end(&mut script, 10_000, |script, n| {
            let id = 2 * n + 1;
            script.skip().send(headers(id));
            if script.has_incoming() {
                keys.push(script.incoming());
            }
            script.skip().send(trick(id));
            // The application is slow: it lets go of nothing.
            assert!(script.engine.held_streams() <= 2 * 256 + 16, "{name}");
            resets += 1;
        });
        assert_eq!((sent, resets), (201, 201), "{name}");
        ended_by(&mut script, Flood::ProvokedResets);
        assert_eq!(script.engine.held_streams(), keys.len(), "{name}: slots are the application's");
        keys.into_iter().for_each(|key| script.engine.release(key));
        assert_eq!(script.engine.held_streams(), 0, "{name}");
    }
}

#[test]
fn h26_a_request_that_depends_on_itself_never_reaches_the_application() {
    let mut script = Script::server();
    script.send(dependent(1, 1, GET)).expect(rst(1, ErrorCode::PROTOCOL_ERROR)).expect_nothing();
    assert!(!script.has_incoming());
    script.send(dependent(3, 1, GET)).incoming();
}

#[test]
fn h27_mass_close_frees_everything() {
    let mut script = Script::server();
    let keys: Vec<_> = (0..256).map(|n| script.send(headers(2 * n + 1)).incoming()).collect();
    script.eof();
    assert_eq!(script.closed(), Some(ConnectionError::Eof));
    for key in keys {
        assert_eq!(script.read(key).1, Err(StreamError::Connection(ConnectionError::Eof)));
        script.engine.release(key);
    }
    assert_eq!((script.engine.active_streams(), script.engine.held_streams()), (0, 0));
}

#[test]
fn h28_empty_frames_end_the_connection() {
    let mut script = Script::server();
    script.tunnel(1);
    let sent = until_the_end(&mut script, 1_000_000, |script, _| {
        script.send(data(1, 0));
    });
    assert_eq!(sent, 1001);
    ended_by(&mut script, Flood::Glitches);
}

#[test]
fn h28_frames_of_nothing_but_padding_end_the_connection() {
    let mut script = Script::server();
    script.tunnel(1);
    until_the_end(&mut script, 2000, |script, _| {
        script.skip().send(padded(1, 0, 0)).send(padded(1, 0, 200));
    });
    ended_by(&mut script, Flood::Glitches);
}

#[test]
fn h28_three_quarters_of_the_budget_drain_in_peace() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    for _ in 0..750 {
        script.send(data(1, 0));
    }
    script.expect(goaway(0x7fff_ffff, ErrorCode::NO_ERROR));
    assert!(script.engine.is_draining());
    script.skip().send(last_data(1, 5)).expect_nothing();
    assert_eq!(script.read(key), (5, Ok(Read::End)));
}

#[test]
fn h28_ten_empty_frames_a_minute_live_for_a_month() {
    let mut script = Script::server();
    script.tunnel(1);
    for _ in 0..30 * 24 * 60 {
        for _ in 0..10 {
            let now = script.now;
            script.engine.handle_bytes(now, data(1, 0).into());
        }
        script.now += 60 * SECOND;
    }
    script.flush().expect_alive();
    assert!(!script.engine.is_draining());
}

#[test]
fn h30_window_update_flood_ends_the_connection() {
    for id in [0, 1] {
        let mut script = Script::server();
        script.tunnel(1);
        let sent = until_the_end(&mut script, 1_000_000, |script, _| {
            script.send(update(id, 1));
        });
        assert!(sent <= 2101, "{sent}");
        ended_by(&mut script, Flood::Glitches);
    }
}

#[test]
fn h30_an_update_of_stream_and_connection_for_every_data_frame_lives() {
    let mut script = Script::client();
    let key = script.tunnel(1);
    for _ in 0..100_000 {
        let now = script.now;
        script.engine.write(key, "keystroke".into()).unwrap();
        let mut flight = crate::proto::Transmit::new();
        script.engine.poll_transmit(now, &mut flight);
        script.engine.handle_bytes(now, [update(0, 9), update(1, 9)].concat().into());
    }
    script.expect_alive();
    assert_eq!(script.engine.stats().glitches, 0);
}

#[test]
fn h31_priority_churn_keeps_nothing_and_ends_the_connection() {
    let mut script = Script::server();
    let sent = until_the_end(&mut script, 1_000_000, |script, n| {
        script.send(priority(2 * n + 1, 0));
    });
    assert_eq!(sent, 1001);
    assert_eq!(script.engine.held_streams(), 0);
    ended_by(&mut script, Flood::Glitches);
}

#[test]
fn h32_priority_update_is_bounded_on_a_server_and_forbidden_to_it() {
    let update_of = |id: u32| raw(0x10, 0, 0, &[&id.to_be_bytes()[..], b"u=1"].concat());
    let mut script = Script::server();
    let sent = until_the_end(&mut script, 10_000, |script, n| {
        script.send(update_of(2 * n + 1));
    });
    assert_eq!(sent, 257, "one more than may be opened");
    script.expect_fault(Violation::PriorityUpdateOverLimit);
    let mut script = Script::server();
    until_the_end(&mut script, 10_000, |script, _| {
        script.send(update_of(1));
    });
    ended_by(&mut script, Flood::Glitches);
    Script::client().send(update_of(1)).expect_end(0, Violation::PriorityUpdateFromServer);
}

#[test]
fn h33_unknown_frames_are_skipped_as_octets_and_bounded() {
    let mut script = Script::server();
    for kind in 0x0a..=0xff_u8 {
        if kind != 0x10 {
            script.send(raw(kind, 0xff, u32::from(kind) % 3, &vec![kind; usize::from(kind) * 7]));
        }
    }
    script.expect_alive();
    // In pieces, and larger than anything that would be buffered.
    let large = raw(0xb0, 0, 5, &vec![1; 16_384]);
    for piece in large.chunks(1000) {
        script.send(piece.to_vec());
    }
    script.expect_alive();
    until_the_end(&mut script, 2000, |script, _| {
        script.send(raw(0x42, 0, 0, b""));
    });
    ended_by(&mut script, Flood::Glitches);
}

#[test]
fn h33_an_unknown_frame_inside_a_header_block_ends_the_connection() {
    let mut script = Script::server();
    script.send(open_block(1, &block(GET))).send(raw(0x42, 0, 1, b"?"));
    script.expect_end(0, Violation::Frame(Malformed::Interleaved));
}

#[test]
fn h36_push_promise_ends_the_connection_in_both_roles() {
    let mut script = Script::server();
    script.tunnel(1);
    script.send(push_promise(1, 2)).expect_end(1, Violation::Frame(Malformed::PushPromise));
    let mut script = Script::client();
    script.tunnel(1);
    script.send(push_promise(1, 2)).expect_end(0, Violation::Frame(Malformed::PushPromise));
    // Its head is enough: nobody waits for the end of a block that is refused anyway.
    for mut script in [Script::server(), Script::client()] {
        script
            .send(raw(0x5, 0, 1, &[0, 0, 0, 2, 0x88]))
            .expect_end(0, Violation::Frame(Malformed::PushPromise));
    }
}

#[test]
fn h41_a_writer_is_bounded_by_its_queue_when_nobody_reads() {
    let config = Config { send_queue: 50_000, ..plain() };
    let mut script = Script::with(Side::Server, config);
    let key = script.tunnel(1);
    script.reading = false;
    let mut taken = 0;
    for _ in 0..1000 {
        taken += script.engine.write_slice(key, &[0; 1000]).unwrap();
    }
    assert_eq!(taken, 50_000);
    assert_eq!(script.engine.queued(key), 50_000);
}

#[test]
fn h02_frames_wait_while_long_lists_wait_for_the_application_and_none_is_lost() {
    let long = "v".repeat(3000);
    let fields = [GET, &[("x", long.as_str()); 8]].concat();
    let mut script = Script::server();
    let mut wire = Vec::new();
    for n in 0..50 {
        wire.extend(head(2 * n + 1, &fields, false));
        wire.extend(data(2 * n + 1, 7));
    }
    script.engine.handle_bytes(script.now, wire.into());
    assert_eq!(script.engine.stats().streams_accepted, 3, "64 KiB of lists wait, and not more");
    script.flush();
    for _ in 0..50 {
        let key = script.incoming();
        assert_eq!(script.read(key), (7, Ok(Read::Pending)));
    }
    assert!(!script.has_incoming());
    script.expect_alive();
}

#[test]
fn h02_input_that_waits_counts_before_the_end_of_the_transport() {
    let long = "v".repeat(3000);
    let fields = [GET, &[("x", long.as_str()); 8]].concat();
    let mut script = Script::server();
    let wire: Vec<u8> = (0..5).flat_map(|n| head(2 * n + 1, &fields, true)).collect();
    script.engine.handle_bytes(script.now, wire.into());
    script.engine.handle_eof(script.now);
    assert_eq!(script.engine.stats().streams_accepted, 5);
}

#[test]
fn h24_streams_that_the_application_refuses_stop_a_peer_that_does_not_read() {
    let mut script = Script::server();
    script.reading = false;
    let mut refused = 0;
    for n in 0..10_000 {
        if !script.engine.wants_read() {
            break;
        }
        script.send(headers(2 * n + 1));
        let key = script.incoming();
        script.engine.reset(key, ErrorCode::REFUSED_STREAM);
        script.engine.release(key);
        refused += 1;
    }
    assert_eq!((refused, script.closed()), (256, None));
    // Once it reads, it is read.
    script.reading = true;
    script.skip();
    assert!(script.engine.wants_read());
}
