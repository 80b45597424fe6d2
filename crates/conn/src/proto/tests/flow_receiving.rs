//! Flow control of what the peer sends: overshoot, padding, credit on receipt and on read, our own SETTINGS.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hbone_frame::{ErrorCode, Frame, Malformed, PREFACE, Side};

use super::frames::*;
use super::pair::Pair;
use super::rng::Rng;
use super::script::{Script, Seen, plain};
use crate::proto::{Config, Read, StreamError, Violation};

const FLOW_CONTROL_ERROR: ErrorCode = ErrorCode::FLOW_CONTROL_ERROR;

fn wide() -> Config {
    Config { connection_window_size: 1 << 20, ..plain() }
}

/// A server whose connection window is much larger than a stream's.
fn wide_server() -> Script {
    let mut script = Script::with(Side::Server, wide());
    script.skip();
    script
}

/// Octets that hold the connection window although their frames are over: there are none, ever.
fn held(script: &Script) -> i64 {
    script.engine.state.recv_window.outstanding()
}

/// Credit announced since the last look, for that stream or (0) for the connection.
fn credit(script: &mut Script, id: u32) -> u64 {
    let mut sum = 0;
    for seen in script.take() {
        if let Seen::Other(Frame::WindowUpdate { stream, increment }) = seen
            && stream.map_or(0, hbone_frame::StreamId::get) == id
        {
            sum += u64::from(increment);
        }
    }
    sum
}

#[test]
fn h47_overshoot_of_a_stream_window_resets_the_stream() {
    let mut script = wide_server();
    let key = script.tunnel(1);
    script.send(data(1, 65_535)).expect_nothing();
    script.send(data(1, 1)).expect(rst(1, FLOW_CONTROL_ERROR)).expect_alive();
    assert_eq!(script.read(key), (0, Err(StreamError::Protocol(Violation::StreamWindow))));
    assert_eq!(held(&script), 0);
}

#[test]
fn h47_overshoot_is_seen_at_the_head_of_a_frame() {
    let mut script = wide_server();
    script.tunnel(1);
    script.send(data(1, 65_535 - 100));
    let frame = data(1, 101);
    script.send(frame[..9].to_vec()).expect(rst(1, FLOW_CONTROL_ERROR));
    script.send(frame[9..].to_vec()).expect_alive();
    assert_eq!(held(&script), 0);
}

#[test]
fn h47_overshoot_of_the_connection_window_ends_the_connection() {
    let mut script = Script::server();
    script.tunnel(1);
    script.tunnel(3);
    script.send([data(1, 40_000), data(3, 25_536)].concat()).expect_end(3, Violation::ConnectionWindow);
}

#[test]
fn h47_an_empty_frame_passes_an_empty_window() {
    let mut script = wide_server();
    let key = script.tunnel(1);
    script.send(data(1, 65_535)).send(last_data(1, 0)).expect_nothing();
    assert_eq!(script.read(key), (65_535, Ok(Read::End)));
}

#[test]
fn connection_credit_returns_on_receipt_and_stream_credit_on_read() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    script.send(data(1, 32_766)).expect_nothing();
    script.send(data(1, 1)).expect(update(0, 32_767)).expect_nothing();
    assert_eq!(script.read(key), (32_767, Ok(Read::Pending)));
    script.expect(update(1, 32_767)).expect_nothing();
}

#[test]
fn no_credit_is_announced_for_a_direction_that_has_ended() {
    let mut script = wide_server();
    let key = script.tunnel(1);
    script.send(data(1, 50_000)).send(last_data(1, 0));
    assert_eq!(script.read(key), (50_000, Ok(Read::End)));
    script.expect_nothing();
    // Read before the end came, announced after it: nobody needs it any more.
    let key = script.tunnel(3);
    script.send(data(3, 50_000));
    assert_eq!(script.engine.read(key, 100_000).map(|_| ()), Ok(()));
    let (state, now) = (&mut script.engine, script.now);
    state.handle_bytes(now, last_data(3, 0).into());
    assert_eq!(credit(&mut script, 3), 0);
}

#[test]
fn h46_every_octet_of_data_is_credited_to_the_connection_once_whatever_its_stream_is() {
    let mut script = wide_server();
    let open = script.tunnel(1);
    let reset = script.tunnel(3);
    script.reset(reset, ErrorCode::CANCEL).skip();
    let ended = script.tunnel(5);
    script.send(last_data(5, 0));
    script.engine.finish(ended).unwrap();
    let released = script.skip().tunnel(7);
    script.engine.finish(released).unwrap();
    script.engine.release(released);
    script.send(headers(11)).skip();
    let mut rng = Rng::new(46);
    let (mut given, mut taken) = (0, 0);
    for _ in 0..3000 {
        // Open, reset by us, ended by the peer, released, skipped (closed without ever having been open).
        let id = [1, 3, 5, 7, 9][rng.below(5)];
        let (size, padding) = (rng.below(400), rng.below(256) as u8);
        let frame = if rng.once_in(2) { padded(id, size, padding) } else { data(id, size) };
        given += frame.len() as u64 - 9;
        let at = rng.below(frame.len());
        script.send(frame[..at].to_vec()).send(frame[at..].to_vec());
        assert_eq!(held(&script), 0);
        script.engine.read(open, usize::MAX).unwrap();
        taken += credit(&mut script, 0);
        // Time forgives what the peer does wrong here.
        script.after(Duration::from_millis(200));
    }
    let (size, available, due) = script.engine.state.recv_window.parts();
    assert_eq!(available + due, size);
    assert_eq!(taken + due as u64, given, "credit was lost or invented");
    assert_eq!(script.closed(), None);
}

#[test]
fn h46_data_on_refused_streams_and_beyond_goaway_is_credited() {
    let config = Config { max_concurrent_streams: 1, ..wide() };
    let mut script = Script::with(Side::Server, config);
    script.skip().tunnel(1);
    script.send(headers(3)).expect(rst(3, ErrorCode::REFUSED_STREAM));
    script.send(data(3, 5000)).send(padded(3, 10, 255)).expect_nothing();
    assert_eq!(held(&script), 0);
    script.engine.drain(script.now, None);
    let ping = script.take();
    let Some(Seen::Other(Frame::Ping { payload, .. })) = ping.last() else { panic!("{ping:?}") };
    script.send(pong(u64::from_be_bytes(*payload))).expect(goaway(3, ErrorCode::NO_ERROR));
    script.send(headers(5)).send(data(5, 9000)).expect_nothing();
    assert!(!script.has_incoming());
    assert_eq!(held(&script), 0);
}

#[test]
fn h46_a_frame_whose_stream_is_reset_while_it_arrives_is_credited() {
    let mut script = wide_server();
    let key = script.tunnel(1);
    let frame = padded(1, 10_000, 200);
    script.send(frame[..3000].to_vec()).reset(key, ErrorCode::CANCEL).expect(rst(1, ErrorCode::CANCEL));
    script.send(frame[3000..].to_vec()).expect_alive();
    assert_eq!(held(&script), 0);
}

#[test]
fn h50_padding_is_charged_and_credited_without_a_reader() {
    let mut script = wide_server();
    let key = script.tunnel(1);
    assert_eq!(script.read(key), (0, Ok(Read::Pending)));
    // 256 octets each and none of them data: without credit for padding the window would be gone.
    let mut credited = 0;
    for _ in 0..400 {
        script.send(padded(1, 0, 255));
        credited += credit(&mut script, 1);
    }
    assert!(credited >= 400 * 256 - 32_767, "{credited}");
    assert!(!script.readable(key), "there is nothing to read");
    script.expect_alive();
}

#[test]
fn h50_padding_of_every_length_is_charged() {
    let mut script = wide_server();
    let key = script.tunnel(1);
    for padding in 0..=255 {
        script.send(padded(1, 7, padding));
        let outstanding = script.engine.state.streams.get(key).unwrap().recv.window.outstanding();
        assert_eq!(outstanding, 7, "padding {padding}");
        assert_eq!(script.read(key).0, 7);
    }
    script.expect_alive();
}

#[test]
fn h50_padding_counts_against_the_stream_window() {
    let mut script = wide_server();
    script.tunnel(1);
    script.send(data(1, 65_535 - 255)).send(padded(1, 0, 255)).expect(rst(1, FLOW_CONTROL_ERROR));
}

#[test]
fn h50_padding_as_long_as_the_payload_ends_the_connection() {
    let mut script = wide_server();
    script.tunnel(1);
    let payload = [&[10][..], &[0; 9]].concat();
    script.send(raw(0, 0x8, 1, &payload)).expect_end(1, Violation::Frame(Malformed::PaddingTooLong));
}

#[test]
fn rfc9113_6_9_3_our_small_initial_window_holds_from_the_acknowledgement_on() {
    let config = Config { initial_window_size: 1000, connection_window_size: 1 << 20, ..plain() };
    let mut script = Script::strangers(Side::Server, config);
    script.send(PREFACE.to_vec()).send(settings(&[])).skip();
    script.tunnel(1);
    // The client cannot know yet: it may use the default window.
    script.send(data(1, 60_000)).expect_nothing();
    script.send(settings_ack()).expect_nothing();
    script.tunnel(3);
    script.send(data(3, 1000)).expect_nothing();
    script.send(data(3, 1)).expect(rst(3, FLOW_CONTROL_ERROR)).expect_nothing();
}

#[test]
fn rfc9113_6_9_2_our_small_initial_window_leaves_a_negative_one_that_reading_lifts() {
    let config = Config { initial_window_size: 1000, connection_window_size: 1 << 20, ..plain() };
    let mut script = Script::strangers(Side::Server, config);
    script.send(PREFACE.to_vec()).send(settings(&[])).skip();
    let key = script.tunnel(1);
    script.send(data(1, 60_000)).send(settings_ack());
    // The client's view: 1000 - 60 000.
    assert_eq!(script.read(key), (60_000, Ok(Read::Pending)));
    script.expect(update(1, 60_000)).expect_nothing();
    script.send(data(1, 1000)).expect_nothing();
    script.send(data(1, 1)).expect(rst(1, FLOW_CONTROL_ERROR));
}

#[test]
fn rfc9113_6_9_2_our_small_initial_window_refuses_data_on_a_negative_one() {
    let config = Config { initial_window_size: 1000, connection_window_size: 1 << 20, ..plain() };
    let mut script = Script::strangers(Side::Server, config);
    script.send(PREFACE.to_vec()).send(settings(&[])).skip();
    script.tunnel(1);
    script.send(data(1, 60_000)).send(settings_ack()).send(data(1, 0)).expect_nothing();
    script.send(data(1, 1)).expect(rst(1, FLOW_CONTROL_ERROR));
}

#[test]
fn our_large_initial_window_holds_at_once() {
    let config = Config { initial_window_size: 200_000, connection_window_size: 1 << 20, ..plain() };
    let mut script = Script::strangers(Side::Server, config);
    script.send(PREFACE.to_vec()).send(settings(&[])).send(settings_ack()).skip();
    let key = script.tunnel(1);
    script.send(data(1, 200_000)).expect_nothing();
    assert_eq!(script.read(key), (200_000, Ok(Read::Pending)));
    script.expect(update(1, 200_000)).expect_nothing();
}

#[test]
fn credit_of_the_connection_waits_for_that_of_its_streams_but_not_for_stalled_readers() {
    let config = Config { initial_window_size: 512 << 10, connection_window_size: 1 << 20, ..plain() };
    let mut script = Script::strangers(Side::Server, config);
    script.send(PREFACE.to_vec()).send(settings(&[])).send(settings_ack()).skip();
    let key = script.tunnel(1);
    for _ in 0..17 {
        script.send(data(1, 16_384)).expect_nothing();
    }
    assert_eq!(script.read(key), (17 * 16_384, Ok(Read::Pending)));
    script.expect(update(0, 17 * 16_384)).expect(update(1, 17 * 16_384)).expect_nothing();
    for _ in 1..24 {
        script.send(data(1, 16_384)).expect_nothing();
    }
    script.send(data(1, 16_384)).expect(update(0, 384 << 10)).expect_nothing();
}

#[test]
fn h29_tiny_data_to_a_stalled_reader_fills_the_window_and_arrives() {
    let mut script = wide_server();
    let key = script.tunnel(1);
    for _ in 0..65_535 {
        let now = script.now;
        script.engine.handle_bytes(now, data(1, 1).into());
    }
    script.flush().expect_alive();
    assert_eq!(script.read(key), (65_535, Ok(Read::Pending)));
}

/// A read buffer that tells when it is freed.
struct Buffer {
    octets: Vec<u8>,
    _alive: Arc<()>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

#[test]
fn h29_h41_a_stalled_reader_pins_a_bounded_number_of_read_buffers() {
    let mut script = wide_server();
    let (stalled, read) = (script.tunnel(1), script.tunnel(3));
    let alive = Arc::new(());
    for _ in 0..30 {
        // A small piece for the one that stalls in a large read for another.
        let mut octets = data(1, 2100);
        octets.extend_from_slice(&data(3, 60_000));
        let now = script.now;
        script.engine.handle_bytes(now, Bytes::from_owner(Buffer { octets, _alive: alive.clone() }));
        assert_eq!(script.flush().read(read).0, 60_000);
        script.flush();
        let live = Arc::strong_count(&alive) - 1;
        assert!(live <= 16, "{live} buffers live");
    }
    assert_eq!(script.read(stalled), (63_000, Ok(Read::Pending)));
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn a_read_for_one_stream_is_not_copied_although_its_reader_lags() {
    let config = Config { initial_window_size: 1 << 20, ..wide() };
    let mut script = Script::with(Side::Server, config);
    let key = script.skip().tunnel(1);
    let alive = Arc::new(());
    for _ in 0..4 {
        let now = script.now;
        let octets = data(1, 200_000);
        script.engine.handle_bytes(now, Bytes::from_owner(Buffer { octets, _alive: alive.clone() }));
        script.flush();
    }
    assert_eq!(Arc::strong_count(&alive), 5);
    assert_eq!(script.read(key).0, 800_000);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn h49_stalled_readers_leave_the_connection_to_the_others() {
    let mut pair = Pair::new();
    pair.chop(super::wire::Chop::Whole);
    for _ in 0..99 {
        let (near, _) = pair.tunnel();
        pair.client.engine.write(near, vec![1; 300_000].into()).unwrap();
        pair.settle();
    }
    let (near, far) = pair.tunnel();
    let before = pair.up.left.charged;
    for round in 0..40 {
        pair.client.engine.write(near, vec![2; 200_000].into()).unwrap();
        pair.settle();
        let (octets, end) = pair.server.read_all(far);
        assert_eq!((octets.len(), end), (200_000, Ok(Read::Pending)), "round {round}");
        pair.settle();
    }
    assert_eq!(pair.up.left.charged - before, 40 * 200_000);
}

#[test]
fn f3_a_reader_that_comes_back_finds_everything() {
    let mut pair = Pair::new();
    let (near, far) = pair.tunnel();
    pair.client.engine.write(near, vec![3; 3_000_000].into()).unwrap();
    pair.client.engine.finish(near).unwrap();
    pair.run_for(Duration::from_secs(60));
    let mut total = 0;
    loop {
        let (octets, end) = pair.server.read_all(far);
        total += octets.len();
        if end == Ok(Read::End) {
            break;
        }
        assert_eq!(end, Ok(Read::Pending));
        assert!(!octets.is_empty(), "stuck at {total}");
        pair.settle();
    }
    assert_eq!(total, 3_000_000);
}

#[test]
fn n2_an_empty_data_frame_behind_a_large_one_is_never_read_as_octets() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    let end = last_data(1, 0);
    script.send([data(1, 5000), data(1, 0), data(1, 5000), end].concat());
    for _ in 0..2 {
        assert!(
            matches!(script.engine.read(key, usize::MAX), Ok(Read::Data(octets)) if octets.len() == 5000)
        );
    }
    assert_eq!(script.engine.read(key, usize::MAX), Ok(Read::End));
}

#[test]
fn h48_credit_that_a_smaller_window_makes_worth_announcing_is_announced() {
    let mut script = Script::strangers(Side::Server, Config { initial_window_size: 10, ..plain() });
    // The peer goes by 65 535 octets until it has our SETTINGS.
    script.send([PREFACE.to_vec(), settings(&[]), headers(1), data(1, 21)].concat());
    let key = script.incoming();
    assert_eq!(script.read(key).0, 21);
    // From its acknowledgement on it has 10 - 21: without an update it could never send again.
    script.skip().send(settings_ack()).expect(update(1, 21));
}
