//! Windows follow the path: they grow over a long one until it is full, and stay small on a short one.

use std::time::Duration;

use super::pair::Pair;
use super::wire::Chop;
use crate::proto::{Config, Read, StreamKey};

const MS: Duration = Duration::from_millis(1);

/// Sends for `time` as fast as the windows allow; octets read.
fn transfer(pair: &mut Pair, streams: usize, time: Duration) -> u64 {
    pair.chop(Chop::Whole);
    let keys: Vec<_> = (0..streams).map(|_| open(pair)).collect();
    let end = pair.now + time;
    let mut total = 0;
    while pair.now < end {
        // A writer takes up again as soon as there is room.
        pair.settle();
        while fill(pair, &keys) {
            pair.settle();
        }
        for (_, far) in &keys {
            let (octets, last) = pair.server.read_all(*far);
            assert_eq!(last, Ok(Read::Pending));
            total += octets.len() as u64;
        }
        pair.settle();
        pair.client.events.clear();
        pair.server.events.clear();
        pair.advance(end);
    }
    total
}

/// Fills the queues of those who have room; whether there was any.
fn fill(pair: &mut Pair, keys: &[(StreamKey, StreamKey)]) -> bool {
    let mut any = false;
    for (near, _) in keys {
        let room = pair.client.engine.capacity(*near).unwrap();
        if room > 0 {
            pair.client.engine.write(*near, vec![7; room].into()).unwrap();
            any = true;
        }
    }
    any
}

/// A tunnel over a path that takes time.
fn open(pair: &mut Pair) -> (StreamKey, StreamKey) {
    let mut request = Some(crate::proto::Request::connect("10.0.0.1:80"));
    let near = pair.client.engine.open(&mut request, false).unwrap();
    pair.run_for(300 * MS);
    let far = pair.server.incoming().unwrap();
    pair.server.engine.respond(far, crate::proto::Response::new(200), false).unwrap();
    pair.run_for(300 * MS);
    (near, far)
}

fn config() -> Config {
    Config { send_queue: 32 << 20, flight: 1 << 20, ..Config::default() }
}

#[test]
fn over_100_ms_the_window_grows_until_the_path_is_full() {
    let mut pair = Pair::strangers(1, config(), config());
    pair.delay(50 * MS);
    // 400 Mbit/s: 5 MB in flight.
    pair.up.rate = Some(50_000_000);
    pair.run_for(300 * MS);
    let warm_up = transfer(&mut pair, 1, 3000 * MS);
    assert!(warm_up > 0);
    let window = pair.server.engine.stats().stream_window;
    assert!(window >= 5_000_000, "{window}");
    let measured = transfer(&mut pair, 1, 2000 * MS);
    // Two seconds at 50 MB/s, the first round trip of a new stream at the old window included.
    assert!(measured >= 80_000_000, "{measured}");
}

#[test]
fn over_100_ms_the_connections_window_grows_for_many_streams() {
    // No stream may grow, so that all of them together are what fills the path.
    let tuned = Config { max_window_size: 256 << 10, ..config() };
    let mut pair = Pair::strangers(1, config(), tuned);
    pair.delay(50 * MS);
    pair.up.rate = Some(20_000_000);
    pair.run_for(300 * MS);
    transfer(&mut pair, 12, 2000 * MS);
    let size = pair.server.engine.state.recv_window.parts().0;
    assert!((2_000_000..=32 << 20).contains(&size), "{size}");
    assert_eq!(pair.server.engine.stats().stream_window, 256 * 1024);
    // The path is full: 2 MB in flight, of the 3 MB that the streams may have.
    let measured = transfer(&mut pair, 12, 1000 * MS);
    assert!(measured >= 14_000_000, "{measured}");
}

#[test]
fn on_a_known_path_a_stream_grows_with_its_use_and_another_does_not() {
    let mut pair = Pair::strangers(1, config(), config());
    pair.delay(50 * MS);
    pair.up.rate = Some(50_000_000);
    pair.run_for(300 * MS);
    transfer(&mut pair, 1, 3000 * MS);
    let (near, far) = open(&mut pair);
    pair.client.engine.write(near, vec![1; 1000].into()).unwrap();
    pair.run_for(100 * MS);
    assert_eq!(pair.server.read_all(far).0.len(), 1000);
    let size = |pair: &Pair| pair.server.engine.state.streams.get(far).unwrap().recv.window.parts().0;
    assert_eq!(size(&pair), 256 * 1024, "it was hardly used");
    pair.client.engine.write(near, vec![1; 8 << 20].into()).unwrap();
    for _ in 0..100 {
        pair.run_for(10 * MS);
        assert_eq!(pair.server.read_all(far).1, Ok(Read::Pending));
    }
    assert!(size(&pair) >= 2 << 20, "{}", size(&pair));
}

#[test]
fn the_window_ends_at_its_ceiling() {
    let tuned = Config { max_window_size: 1 << 20, ..config() };
    let mut pair = Pair::strangers(1, config(), tuned);
    pair.delay(50 * MS);
    pair.run_for(300 * MS);
    transfer(&mut pair, 1, 3000 * MS);
    assert_eq!(pair.server.engine.stats().stream_window, 1 << 20);
}

#[test]
fn on_a_short_path_the_window_stays_small() {
    let mut pair = Pair::strangers(1, config(), config());
    pair.delay(Duration::from_micros(50));
    // 1 GB/s: 100 KB in flight; what else is in flight would only queue.
    pair.up.rate = Some(1_000_000_000);
    pair.run_for(10 * MS);
    let octets = transfer(&mut pair, 1, 50 * MS);
    assert!(octets > 20_000_000, "{octets}");
    assert_eq!(pair.server.engine.stats().stream_window, 512 * 1024);
    assert_eq!(pair.server.engine.state.recv_window.parts().0, 640 * 1024);
}

#[test]
fn an_idle_connection_is_not_measured() {
    let mut pair = Pair::with(1, config(), config());
    pair.run_for(9000 * MS);
    assert_eq!((pair.up.left.pings, pair.down.left.pings), (0, 0));
}

#[test]
fn measuring_stays_within_the_peers_budget_of_pings() {
    let mut pair = Pair::strangers(1, config(), config());
    pair.delay(MS);
    pair.up.rate = Some(2_000_000);
    pair.run_for(10 * MS);
    transfer(&mut pair, 2, 20_000 * MS);
    // At rest: twice the pause after each that finds nothing.
    assert!(pair.down.left.pings < 20, "{}", pair.down.left.pings);
    assert!(pair.client.closed().is_none() && pair.server.closed().is_none());
}

#[test]
fn without_tuning_the_window_stays_and_no_ping_is_sent() {
    let fixed = Config { window_tuning: false, ..config() };
    let mut pair = Pair::strangers(1, config(), fixed);
    pair.delay(20 * MS);
    pair.run_for(100 * MS);
    transfer(&mut pair, 1, 500 * MS);
    assert_eq!(pair.server.engine.stats().stream_window, 256 * 1024);
    assert_eq!(pair.down.left.pings, 0);
}

#[test]
fn h29_h41_windows_grow_with_their_own_use_and_within_the_connections_budget() {
    let tuned = Config { max_window_growth: 20 << 20, max_window_size: 16 << 20, ..config() };
    let mut pair = Pair::strangers(1, config(), tuned);
    pair.delay(50 * MS);
    pair.run_for(300 * MS);
    transfer(&mut pair, 1, 3000 * MS);
    assert_eq!(pair.server.engine.stats().stream_window, 16 << 20);
    let size = |pair: &Pair, key| pair.server.engine.state.streams.get(key).unwrap().recv.window.parts().0;
    let mut sizes = Vec::new();
    for octets in [1, 256 << 10, 256 << 10, 256 << 10] {
        let (near, far) = open(&mut pair);
        pair.client.engine.write(near, vec![1; octets].into()).unwrap();
        pair.run_for(200 * MS);
        assert_eq!(pair.server.read_all(far).0.len(), octets);
        sizes.push(size(&pair, far));
    }
    assert_eq!(sizes[0], 256 << 10, "one octet is no use");
    let grown: i64 = sizes.iter().map(|size| size - (256 << 10)).sum();
    assert!(sizes[1] > 256 << 10);
    assert!(grown <= 20 << 20, "{sizes:?}");
}
