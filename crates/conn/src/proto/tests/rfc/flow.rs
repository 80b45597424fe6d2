//! Section 6.9: credit, and who may do what with it.

use hbone_frame::{ErrorCode, Malformed, SettingId};

use super::frames::*;
use super::script::{Script, Seen, plain};
use super::{both, last, tunnels};
use crate::proto::{Config, Read, Violation};

#[test]
fn rfc9113_6_9_window_update_of_another_length_ends_the_connection() {
    let fault = Violation::Frame(Malformed::WindowUpdateLength);
    assert_eq!(fault.code(), ErrorCode::FRAME_SIZE_ERROR);
    for (stream, length) in [(0, 3), (0, 5), (1, 0), (1, 8), (99, 3)] {
        for (mut script, _) in tunnels() {
            let last = last(&script);
            script.send(raw(0x8, 0, stream, &vec![1; length])).expect_end(last, fault);
        }
    }
}

#[test]
fn rfc9113_6_9_an_increment_of_nothing_is_an_error_of_what_it_is_for() {
    for (mut script, _) in tunnels() {
        script.send(raw(0x8, 0, 1, &[0; 4])).expect(rst(1, ErrorCode::PROTOCOL_ERROR)).expect_alive();
    }
    let fault = Violation::Frame(Malformed::ConnectionWindowUpdateZero);
    for mut script in both() {
        script.send(raw(0x8, 0, 0, &[0; 4])).expect_end(0, fault);
    }
}

#[test]
fn rfc9113_6_9_window_update_after_end_stream_and_on_closed_streams_is_no_error() {
    for (mut script, key) in tunnels() {
        script.send(last_data(1, 0)).send(update(1, 5)).expect_nothing();
        script.engine.finish(key).unwrap();
        script.expect(last_data(1, 0)).send(update(1, 5)).expect_nothing();
        script.engine.release(key);
        script.send(update(1, 5)).expect_alive();
    }
}

#[test]
fn rfc9113_6_9_data_in_error_counts_for_the_connection() {
    // 10 octets each for a stream that is closed: without account the window would drift from the peer's view.
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.send(last_data(1, 0));
    script.engine.finish(key).unwrap();
    script.skip();
    let before = script.engine.state.recv_window.parts();
    script.send(data(1, 10)).expect(rst(1, ErrorCode::STREAM_CLOSED));
    let (size, available, due) = script.engine.state.recv_window.parts();
    assert_eq!((size, available, due), (before.0, before.1 - 10, before.2 + 10));
}

#[test]
fn rfc9113_6_9_1_neither_window_is_ever_exceeded() {
    for (stream, connection) in [(100, 65_535), (65_535, 65_535), (200_000, 65_535)] {
        let mut script = Script::server();
        script.send(settings(&[(SettingId::INITIAL_WINDOW_SIZE, stream)])).skip();
        let key = script.tunnel(1);
        script.engine.write(key, vec![0; 300_000].into()).unwrap();
        let octets = |script: &mut Script| -> usize {
            let size = |seen: &Seen| if let Seen::Data { octets, .. } = seen { *octets } else { 0 };
            script.take().iter().map(size).sum()
        };
        let expected = stream.min(connection) as usize;
        assert_eq!(octets(&mut script), expected);
        script.send(update(1, 50)).send(update(0, 20));
        let (stream, connection) = (stream + 50, connection + 20);
        assert_eq!(octets(&mut script), stream.min(connection) as usize - expected);
    }
}

#[test]
fn rfc9113_6_9_1_heads_of_frames_cost_no_credit() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    for _ in 0..65_535 {
        script.engine.write(key, "x".into()).unwrap();
        let now = script.now;
        let mut flight = crate::proto::Transmit::new();
        assert!(script.engine.poll_transmit(now, &mut flight));
    }
    script.engine.write(key, "x".into()).unwrap();
    script.expect_nothing();
}

#[test]
fn rfc9113_6_9_2_windows_begin_with_65535_until_the_peer_says_otherwise() {
    let mut script = Script::strangers(hbone_frame::Side::Client, plain());
    script.engine.open(&mut Some(crate::proto::Request::connect("10.0.0.1:80")), false).unwrap();
    let key = script.engine.state.streams.keys()[0];
    script.engine.write(key, vec![0; 100_000].into()).unwrap();
    let size = |seen: &Seen| if let Seen::Data { octets, .. } = seen { *octets } else { 0 };
    assert_eq!(script.take().iter().map(size).sum::<usize>(), 65_535);
}

#[test]
fn rfc9113_6_9_2_settings_leave_the_window_of_the_connection_alone() {
    for (mut script, key) in tunnels() {
        script.engine.write(key, vec![0; 100_000].into()).unwrap();
        script.expect(data(1, 65_535));
        script
            .send(settings(&[(SettingId::INITIAL_WINDOW_SIZE, 500_000)]))
            .expect(settings_ack())
            .expect_nothing();
        script.send(update(0, 1)).expect(data(1, 1)).expect_nothing();
    }
}

#[test]
fn rfc9113_6_9_3_data_sent_before_our_smaller_window_was_known_is_taken() {
    let config = Config { initial_window_size: 0, connection_window_size: 1 << 20, ..plain() };
    let mut script = Script::strangers(hbone_frame::Side::Client, config);
    script.send(settings(&[])).skip();
    let key = script.open();
    script.send(response(1, 200, false)).send(data(1, 65_535)).send(settings_ack()).skip();
    assert_eq!(script.read(key), (65_535, Ok(Read::Pending)));
}
