//! Whose DATA leaves when: control first, then streams that were idle, then the busy ones in turn.

use std::collections::HashMap;

use hbone_frame::{ErrorCode, SettingId, Side};

use super::frames::*;
use super::script::{Script, Seen, plain};
use crate::proto::{Config, Event, StreamKey, Transmit};

/// A server with a wide path and `count` tunnels.
fn busy(count: u32, flight: usize) -> (Script, Vec<StreamKey>) {
    let config = Config { flight, send_queue: 1 << 24, ..plain() };
    let mut script = Script::with(Side::Server, config);
    script.send(settings(&[(SettingId::INITIAL_WINDOW_SIZE, 1 << 30), (SettingId::MAX_FRAME_SIZE, 1 << 20)]));
    script.send(update(0, 1 << 30)).skip();
    let keys = (0..count).map(|n| script.tunnel(2 * n + 1)).collect();
    (script, keys)
}

/// The DATA frames of one flight as stream and octets.
fn flight(script: &mut Script) -> Vec<(u32, usize)> {
    script.reading = true;
    let mut one = Transmit::new();
    script.engine.poll_transmit(script.now, &mut one);
    let octets: Vec<u8> = one.pieces().flatten().copied().collect();
    let mut frames = Vec::new();
    let mut rest = &octets[..];
    while let Some((head, after)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if head[3] == 0 {
            frames.push((u32::from_be_bytes([head[5], head[6], head[7], head[8]]), length));
        }
        rest = &after[length..];
    }
    frames
}

#[test]
fn an_idle_streams_small_write_leaves_before_a_backlog() {
    let (mut script, keys) = busy(3, 64 * 1024);
    for key in &keys[..2] {
        script.engine.write(*key, vec![0; 4 << 20].into()).unwrap();
    }
    flight(&mut script);
    script.engine.write(keys[2], "keystroke".into()).unwrap();
    assert_eq!(flight(&mut script)[0], (5, 9));
}

#[test]
fn busy_streams_take_turns_and_stay_within_a_quantum_of_each_other() {
    let (mut script, keys) = busy(7, 100_000);
    for key in &keys {
        script.engine.write(*key, vec![0; 1 << 20].into()).unwrap();
    }
    let mut sent: HashMap<u32, usize> = HashMap::new();
    for _ in 0..60 {
        for (stream, octets) in flight(&mut script) {
            assert!(octets <= 16 * 1024);
            *sent.entry(stream).or_default() += octets;
        }
        let (least, most) = (sent.values().min().unwrap(), sent.values().max().unwrap());
        assert!(sent.len() < 7 || most - least <= 2 * 16 * 1024, "{sent:?}");
    }
    assert_eq!(sent.len(), 7);
}

#[test]
fn a_stream_alone_gets_frames_as_large_as_the_flight() {
    let (mut script, keys) = busy(1, 256 * 1024);
    script.engine.write(keys[0], vec![0; 1 << 20].into()).unwrap();
    let frames = flight(&mut script);
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert!(frames[0].1 > 200 * 1024);
}

#[test]
fn many_chatty_streams_do_not_starve_a_bulk_stream() {
    let (mut script, keys) = busy(60, 256 * 1024);
    script.engine.write(keys[0], vec![0; 4 << 20].into()).unwrap();
    flight(&mut script);
    let mut bulk = 0;
    for _ in 0..20 {
        for key in &keys[1..] {
            script.engine.write(*key, vec![0; 8000].into()).unwrap();
        }
        bulk += flight(&mut script).iter().filter(|frame| frame.0 == 1).map(|frame| frame.1).sum::<usize>();
    }
    assert!(bulk > 0, "59 streams with small writes have the wire for themselves");
}

#[test]
fn control_frames_leave_before_data() {
    let (mut script, keys) = busy(1, 64 * 1024);
    script.engine.write(keys[0], vec![0; 1 << 20].into()).unwrap();
    script.reading = false;
    script.send(ping(9)).send(settings(&[]));
    script.reading = true;
    let seen = script.take();
    let first_data = seen.iter().position(|seen| matches!(seen, Seen::Data { .. })).unwrap();
    assert_eq!(first_data, 2, "{:?}", &seen[..3]);
}

#[test]
fn a_flight_is_bounded() {
    let (mut script, keys) = busy(4, 100_000);
    for key in &keys {
        script.engine.write(*key, vec![0; 1 << 20].into()).unwrap();
    }
    let mut one = Transmit::new();
    assert!(script.engine.poll_transmit(script.now, &mut one));
    assert!(one.len() <= 100_000 + 100, "{}", one.len());
    assert!(!script.engine.poll_transmit(script.now, &mut one), "it has to be written first");
}

#[test]
fn a_turn_without_credit_ends_no_flight_however_small_that_is() {
    let config = Config { flight: 100, ..plain() };
    let mut script = Script::with(Side::Server, config);
    let keys = [1, 3, 5].map(|id| script.tunnel(id));
    let greedy = script.tunnel(7);
    // The connection's window is used up; three wait for their turn, the first soon without credit of its own.
    script.engine.write(greedy, vec![0; 65_535].into()).unwrap();
    script.flush().skip();
    for key in keys {
        script.engine.write(key, vec![0; 20_000].into()).unwrap();
    }
    script
        .send(settings(&[(SettingId::INITIAL_WINDOW_SIZE, 0)]))
        .send(update(3, 50))
        .send(update(5, 60))
        .skip();
    // The last one is alone by then and fills the flight.
    script.send(update(0, 1000)).expect(data(3, 50)).expect(data(5, 41)).expect(data(5, 19)).expect_nothing();
}

#[test]
fn a_writer_waits_for_half_of_its_queue() {
    let config = Config { send_queue: 1000, ..plain() };
    let mut script = Script::with(Side::Server, config);
    script.send(settings(&[(SettingId::INITIAL_WINDOW_SIZE, 0)])).skip();
    let key = script.tunnel(1);
    assert_eq!(script.engine.write_slice(key, &[0; 3000]), Ok(1000));
    assert_eq!(script.engine.capacity(key), Ok(0));
    assert_eq!(script.engine.write_slice(key, &[0; 3000]), Ok(0));
    let writable = |event: &Event| matches!(event, Event::Writable(found) if *found == key).then_some(());
    script.send(update(1, 499)).expect(data(1, 499));
    assert!(script.pick(writable).is_none());
    script.send(update(1, 1)).expect(data(1, 1));
    assert!(script.pick(writable).is_some());
    assert_eq!(script.engine.capacity(key), Ok(500));
    script.send(update(1, 500)).expect(data(1, 500));
    assert!(script.pick(writable).is_none(), "nobody waits");
    // Whoever has looked again and found room waits no more.
    assert_eq!(script.engine.write_slice(key, &[0; 1000]), Ok(1000));
    assert_eq!(script.engine.capacity(key), Ok(0));
    script.send(update(1, 100)).expect(data(1, 100));
    assert_eq!(script.engine.capacity(key), Ok(100));
    script.send(update(1, 900)).expect(data(1, 900));
    assert!(script.pick(writable).is_none());
}

#[test]
fn a_reset_stream_leaves_its_turn_to_the_others() {
    let (mut script, keys) = busy(3, 20_000);
    for key in &keys {
        script.engine.write(*key, vec![0; 100_000].into()).unwrap();
    }
    flight(&mut script);
    script.engine.reset(keys[1], ErrorCode::CANCEL);
    script.engine.release(keys[1]);
    let mut sent: HashMap<u32, usize> = HashMap::new();
    for _ in 0..30 {
        for (stream, octets) in flight(&mut script) {
            *sent.entry(stream).or_default() += octets;
        }
    }
    assert!(!sent.contains_key(&3));
    assert_eq!(script.engine.queued(keys[0]) + script.engine.queued(keys[2]), 0);
}

#[test]
fn a_busy_stream_keeps_its_turns_beside_many_that_are_always_fresh() {
    let (mut script, keys) = busy(33, 256 * 1024);
    let bulk = keys[0];
    script.engine.write(bulk, vec![0; 4 << 20].into()).unwrap();
    let (mut sent, mut all) = (0, 0);
    for _ in 0..50 {
        for key in &keys[1..] {
            if script.engine.queued(*key) == 0 {
                script.engine.write(*key, vec![0; 16 * 1024].into()).unwrap();
            }
        }
        for (stream, octets) in flight(&mut script) {
            all += octets;
            sent += if stream == 1 { octets } else { 0 };
        }
    }
    // One turn of five.
    assert!(all >= 50 * 48 * 1024 && sent >= all / 6, "{sent} of {all}");
}
