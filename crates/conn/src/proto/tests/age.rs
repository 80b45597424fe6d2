//! The end of a connection by a time: its age, and the deadline of a drain, in both roles and as the peer sees it.

use std::time::Duration;

use hbone_frame::{ErrorCode, Side};

use super::pair::{Cut, Pair};
use crate::proto::{Config, ConnectionError, Read, StreamError};

const SECOND: Duration = Duration::from_secs(1);

fn aged(side: Side) -> Pair {
    let old = Config { max_age: Some(100 * SECOND), max_age_grace: 30 * SECOND, ..Config::default() };
    match side {
        Side::Client => Pair::with(3, old, Config::default()),
        Side::Server => Pair::with(3, Config::default(), old),
    }
}

const SIDES: [Side; 2] = [Side::Client, Side::Server];

#[test]
fn a_connection_without_an_age_lives_on() {
    let mut pair = Pair::new();
    pair.tunnel();
    pair.run_for(100_000 * SECOND);
    assert!(!pair.client.engine.is_draining() && pair.client.closed().is_none());
}

#[test]
fn an_old_connection_goes_away_and_ends_in_peace_once_its_streams_are_done() {
    for side in SIDES {
        let mut pair = aged(side);
        let (near, far) = pair.tunnel();
        pair.run_for(99 * SECOND);
        assert!(!pair.end(side).engine.is_draining(), "{side:?}");
        pair.run_for(SECOND);
        assert!(pair.client.engine.is_draining(), "{side:?}: no new streams");
        pair.client.engine.write(near, "still open".into()).unwrap();
        pair.client.engine.finish(near).unwrap();
        pair.settle();
        assert_eq!(pair.server.read_all(far), (b"still open".to_vec(), Ok(Read::End)));
        pair.server.engine.finish(far).unwrap();
        pair.settle();
        assert_eq!(pair.end(side).closed(), Some(&ConnectionError::Closed), "{side:?}");
    }
}

/// What both ends see when a drain of `side` has left a stream open until its deadline.
fn expect_cut(mut pair: Pair, side: Side, keys: (crate::proto::StreamKey, crate::proto::StreamKey)) {
    let (own, other) = match side {
        Side::Client => (keys.0, keys.1),
        Side::Server => (keys.1, keys.0),
    };
    let local = ConnectionError::Local(ErrorCode::NO_ERROR);
    assert_eq!(pair.end(side).closed(), Some(&local), "{side:?}");
    let error = pair.end(side).engine.read(own, usize::MAX);
    assert_eq!(error, Err(StreamError::Connection(local)), "{side:?}");
    // The transport ends behind the last frame; the peer's stream was cut off and must not look finished.
    pair.cut(side.peer(), Cut::Fin);
    let error = pair.end(side.peer()).engine.read(other, usize::MAX);
    assert_eq!(error, Err(StreamError::Connection(ConnectionError::Eof)), "{side:?}");
    assert!(!error.unwrap_err().is_retryable());
}

#[test]
fn n7_what_is_open_when_the_grace_is_over_is_cut_and_never_looks_finished() {
    for side in SIDES {
        let mut pair = aged(side);
        let keys = pair.tunnel();
        pair.run_for(130 * SECOND - Duration::from_nanos(1));
        assert_eq!(pair.end(side).closed(), None, "{side:?}");
        pair.run_for(Duration::from_nanos(1));
        expect_cut(pair, side, keys);
    }
}

#[test]
fn n7_the_deadline_of_a_drain_is_seen_as_a_cut_by_the_peer_in_both_roles() {
    for side in SIDES {
        let mut pair = Pair::new();
        let keys = pair.tunnel();
        let now = pair.now;
        pair.end(side).engine.drain(now, Some(20 * SECOND));
        pair.run_for(20 * SECOND - Duration::from_nanos(1));
        assert_eq!(pair.end(side).closed(), None, "{side:?}");
        pair.run_for(Duration::from_nanos(1));
        expect_cut(pair, side, keys);
    }
}

#[test]
fn an_age_does_not_prolong_a_drain_that_ends_before() {
    let mut pair = aged(Side::Server);
    pair.tunnel();
    pair.run_for(95 * SECOND);
    let now = pair.now;
    pair.server.engine.drain(now, Some(10 * SECOND));
    pair.run_for(10 * SECOND);
    assert_eq!(pair.server.closed(), Some(&ConnectionError::Local(ErrorCode::NO_ERROR)));
}

#[test]
fn a_time_that_no_clock_reaches_is_never() {
    let forever = Config {
        max_age: Some(Duration::MAX),
        idle_timeout: Some(Duration::MAX),
        keepalive_interval: Some(Duration::MAX),
        keepalive_timeout: Duration::MAX,
        handshake_timeout: Duration::MAX,
        header_block_timeout: Duration::MAX,
        ..Config::default()
    };
    let mut pair = Pair::with(3, forever.clone(), Config { max_age: Some(SECOND), ..forever });
    let (near, _) = pair.tunnel();
    assert_eq!(pair.client.engine.poll_timeout(), None);
    let now = pair.now;
    pair.client.engine.drain(now, Some(SECOND));
    pair.client.engine.drain(now, Some(Duration::MAX));
    pair.run_for(10_000 * SECOND);
    assert!(pair.client.closed().is_none() && pair.client.engine.stream_error(near).is_none());
}

#[test]
fn a_silence_that_no_clock_reaches_is_waited_for_without_end() {
    for (interval, timeout) in [(SECOND, Duration::MAX), (Duration::MAX / 2, Duration::MAX)] {
        let patient =
            Config { keepalive_interval: Some(interval), keepalive_timeout: timeout, ..Config::default() };
        let mut pair = Pair::with(3, patient.clone(), patient);
        pair.tunnel();
        pair.run_for(10_000 * SECOND);
        assert!(pair.client.closed().is_none() && pair.server.closed().is_none());
    }
}

#[test]
fn a_grace_that_no_clock_reaches_cuts_nobody_off() {
    let old = Config { max_age: Some(SECOND), max_age_grace: Duration::MAX, ..Config::default() };
    let mut pair = Pair::with(3, old, Config::default());
    let (near, _) = pair.tunnel();
    pair.run_for(10_000 * SECOND);
    assert!(pair.client.engine.is_draining() && pair.client.engine.stream_error(near).is_none());
}
