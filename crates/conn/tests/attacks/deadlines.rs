//! Deadlines cost what stands under one: those that come one after the other allocate nothing, and a crowd leaves
//! nothing behind.

use std::time::{Duration, Instant};

use hbone_conn::{Config, Connection, Request, Side, StreamKey};

use crate::heap::Mark;
use crate::virtually::epoch;

/// A client with `streams` streams.
fn client(streams: usize) -> (Connection, Instant, Vec<StreamKey>) {
    let now = epoch();
    let config = Config { assumed_peer_streams: u32::MAX, ..Config::default() };
    let mut engine = Connection::new(Side::Client, config, now);
    let mut open = || engine.open(&mut Some(Request::connect("target.example:443")), false).unwrap();
    let keys = (0..streams).map(|_| open()).collect();
    (engine, now, keys)
}

#[test]
fn deadlines_one_after_the_other_allocate_nothing() {
    let (mut engine, now, keys) = client(2);
    let mut mark = Mark::now();
    for round in 0..10 {
        for key in &keys {
            engine.set_deadline(*key, Some(now + Duration::from_secs(9))).unwrap();
            engine.set_deadline(*key, None).unwrap();
        }
        if round == 0 {
            mark = Mark::now();
        }
    }
    assert_eq!(mark.peak(), 0);
}

#[test]
fn a_crowd_of_deadlines_leaves_nothing_behind() {
    let (mut engine, now, keys) = client(1000);
    let mark = Mark::now();
    for (key, second) in keys.iter().zip(1..) {
        engine.set_deadline(*key, Some(now + Duration::from_secs(second))).unwrap();
    }
    assert!(mark.held() > 1000 * 24, "{} octets", mark.held());
    for key in &keys {
        engine.set_deadline(*key, None).unwrap();
    }
    assert!(mark.held() < 1024, "{} octets", mark.held());
    engine.rest();
    assert!(mark.held() <= 0, "{} octets", mark.held());
}
