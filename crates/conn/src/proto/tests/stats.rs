//! What the engine tells about itself: sums that are kept, stalls in virtual time, causes by name.

use std::time::Duration;

use hbone_frame::{ErrorCode, SettingId};

use super::frames::{data, headers, ping, rst, settings, update};
use super::pair::Pair;
use super::script::Script;
use crate::proto::{Config, ConnectionError, Flood, Read, Response, Stalls, Violation};

const SECOND: Duration = Duration::from_secs(1);

/// A server that takes `window` octets of a stream and `connection` of the connection before anybody reads.
fn narrow(window: u32) -> Pair {
    let server = Config { initial_window_size: window, window_tuning: false, ..Config::default() };
    Pair::with(1, Config { keepalive_interval: None, ..Config::default() }, server)
}

#[test]
fn octets_unread_and_queued_are_told_for_the_connection_and_for_each_stream() {
    let mut pair = narrow(100_000);
    let (near, far) = pair.tunnel();
    let (other, _) = pair.tunnel();
    for (key, size) in [(near, 150_000), (other, 10_000)] {
        pair.client.engine.write(key, vec![7; size].into()).unwrap();
    }
    assert_eq!(pair.client.engine.stats().queued, 160_000);
    pair.settle();
    let (client, server) = (pair.client.engine.stats(), pair.server.engine.stats());
    assert_eq!((client.queued, client.unread), (50_000, 0));
    assert_eq!((server.queued, server.unread), (0, 110_000));
    let stream = pair.client.engine.stream_stats(near).unwrap();
    assert_eq!((stream.queued, stream.send_window), (50_000, 0));
    let stream = pair.server.engine.stream_stats(far).unwrap();
    assert_eq!((stream.unread, stream.receive_window), (100_000, 100_000));
    pair.server.engine.reset(far, ErrorCode::CANCEL);
    pair.settle();
    assert_eq!(pair.client.engine.stats().queued, 0);
    assert_eq!(pair.server.engine.stats().unread, 10_000);
}

#[test]
fn a_stream_without_credit_is_a_stall_of_its_window_for_as_long_as_it_lasts() {
    let mut pair = narrow(100_000);
    let (near, far) = pair.tunnel();
    pair.client.engine.write(near, vec![7; 150_000].into()).unwrap();
    pair.settle();
    assert_eq!(pair.client.engine.stats().streams_stalled, 1);
    pair.run_for(3 * SECOND);
    assert_eq!(pair.server.read_all(far).0.len(), 100_000);
    pair.settle();
    let stats = pair.client.engine.stats();
    assert_eq!(stats.stream_stalls, Stalls { count: 1, time: 3 * SECOND });
    assert_eq!((stats.streams_stalled, stats.connection_stalls.count), (0, 0));
    pair.run_for(3 * SECOND);
    assert_eq!(pair.client.engine.stats().stream_stalls.time, 3 * SECOND, "it has ended");
}

#[test]
fn a_stream_that_is_reset_no_longer_stalls() {
    let mut pair = narrow(100_000);
    let (near, _) = pair.tunnel();
    pair.client.engine.write(near, vec![7; 150_000].into()).unwrap();
    pair.run_for(2 * SECOND);
    pair.client.engine.reset(near, ErrorCode::CANCEL);
    pair.run_for(2 * SECOND);
    let stats = pair.client.engine.stats();
    assert_eq!((stats.streams_stalled, stats.stream_stalls.count), (0, 1));
    assert!(stats.stream_stalls.time <= 2 * SECOND);
}

#[test]
fn data_without_credit_of_the_connection_is_a_stall_of_the_connection() {
    let mut script = Script::client();
    script.send(settings(&[(SettingId::INITIAL_WINDOW_SIZE, 1 << 20)]));
    let key = script.tunnel(1);
    script.engine.write(key, vec![7; 70_000].into()).unwrap();
    script.flush();
    assert_eq!(script.engine.stats().connection_stalls.count, 1);
    script.after(2 * SECOND).send(update(0, 100_000));
    let stats = script.engine.stats();
    assert_eq!(stats.connection_stalls, Stalls { count: 1, time: 2 * SECOND });
    assert_eq!((stats.stream_stalls.count, stats.queued), (0, 0));
}

#[test]
fn broken_rules_are_counted_by_their_names() {
    let mut script = Script::server();
    for id in [1, 3, 5] {
        script.send(headers(id));
    }
    for id in [1, 3] {
        script.send(update(id, 0));
    }
    script.send(update(5, 0x7fff_ffff));
    assert_eq!(script.engine.violations(), [("frame_window_update_zero", 2), ("window_overflow", 1)],);
    assert_eq!(script.engine.stats().closed_by, None);
    script.send(rst(99, ErrorCode::CANCEL));
    assert_eq!(script.engine.violations().last(), Some(&("idle_stream", 1)));
    assert_eq!(script.engine.stats().closed_by, Some("idle_stream"));
}

#[test]
fn a_flood_is_named_as_what_closed_the_connection() {
    let mut script = Script::server();
    for _ in 0..200 {
        script.send(ping(1));
    }
    assert_eq!(script.engine.stats().closed_by, Some(Flood::Pings.label()));
    assert_eq!(script.engine.violations(), [(Violation::Flood(Flood::Pings).label(), 1)]);
    assert!(matches!(script.closed(), Some(ConnectionError::Protocol(Violation::Flood(Flood::Pings)))));
}

#[test]
fn frames_and_streams_are_counted_in_both_directions() {
    let mut script = Script::server();
    let before = script.engine.stats();
    script.send(headers(1));
    let key = script.incoming();
    script.engine.respond(key, Response::new(200), false).unwrap();
    script.send(data(1, 100)).flush();
    let stats = script.engine.stats();
    assert_eq!(stats.frames_received - before.frames_received, 2);
    assert_eq!(stats.frames_sent - before.frames_sent, 1);
    assert_eq!((stats.streams_active, stats.streams_held, stats.unread), (1, 1, 100));
    assert!(matches!(script.engine.read(key, usize::MAX), Ok(Read::Data(_))));
    script.send(rst(1, ErrorCode::CANCEL));
    assert_eq!((script.engine.stats().streams_active, script.engine.stats().streams_held), (0, 1));
    script.engine.release(key);
    assert_eq!(script.engine.stats().streams_held, 0);
}
