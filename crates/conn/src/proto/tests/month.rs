//! A virtual month of honest use that looks like an attack if it is only counted: every budget decays.
//!
//! And the limits themselves: the defaults, and that each holds as it is set.

use std::time::Duration;

use hbone_frame::{ErrorCode, SettingId, Side};

use super::frames::*;
use super::script::{Script, plain};
use crate::proto::{Config, ConnectionError, Flood, Limits, Rate, Read, Transmit, Violation};

const MINUTE: Duration = Duration::from_secs(60);
const MONTH: u32 = 30 * 24 * 60;

/// Does `minute` for every minute of a month; then the connection must be as good as new.
fn live(mut script: Script, mut minute: impl FnMut(&mut Script, u32)) {
    for n in 0..MONTH {
        minute(&mut script, n);
        script.now += MINUTE;
    }
    script.flush().expect_alive();
    assert!(!script.engine.is_draining());
}

#[test]
fn h29_keystrokes_live_for_a_month() {
    let mut script = Script::server();
    let key = script.tunnel(1);
    let mut got = 0;
    live(script, |script, _| {
        for _ in 0..5 {
            let now = script.now;
            script.engine.handle_bytes(now, data(1, 1).into());
            while let Ok(Read::Data(piece)) = script.engine.read(key, 100) {
                got += piece.len() as u32;
            }
        }
        let mut flight = Transmit::new();
        script.engine.poll_transmit(script.now, &mut flight);
    });
    assert_eq!(got, 5 * MONTH);
}

#[test]
fn h30_updates_for_every_data_frame_live_for_a_month() {
    let mut script = Script::client();
    let key = script.tunnel(1);
    live(script, |script, _| {
        for _ in 0..5 {
            let now = script.now;
            script.engine.write(key, "keystroke".into()).unwrap();
            let mut flight = Transmit::new();
            script.engine.poll_transmit(now, &mut flight);
            script.engine.handle_bytes(now, [update(0, 9), update(1, 9)].concat().into());
        }
        assert_eq!(script.engine.stats().glitches, 0);
    });
}

#[test]
fn h20_h21_h25_pings_settings_and_abandoned_streams_live_for_a_month() {
    live(Script::server(), |script, n| {
        if n % 15 > 0 {
            return;
        }
        let id = 2 * n + 1;
        let octets = [ping(u64::from(n)), headers(id), rst(id, ErrorCode::CANCEL), settings(&[])].concat();
        script.send(octets);
        let key = script.incoming();
        script.engine.release(key);
        script.skip();
    });
}

#[test]
fn the_limits_are_those_of_the_list_of_attacks() {
    let Limits { name, value, continuations, empty_continuations, settings_entries, .. } = Limits::default();
    assert_eq!((name, value), (1024, 16 * 1024));
    assert_eq!((continuations, empty_continuations, settings_entries), (8, 1, 32));
    let limits = Limits::default();
    assert_eq!((limits.replies_pause, limits.replies_end), (256, 1000));
    assert_eq!((limits.informational, limits.goaway_debug), (16, 1024));
    assert_eq!((limits.settings, limits.pings), (Rate::new(10, 50), Rate::new(10, 100)));
    assert_eq!((limits.resets, limits.early_resets), (Rate::new(33, 1000), Rate::new(33, 100)));
    assert_eq!((limits.provoked_resets, limits.glitches), (Rate::new(10, 200), Rate::new(100, 1000)));
    let config = Config::default();
    assert_eq!((config.header_table_size, config.max_header_list_size), (4096, 32 * 1024));
    assert_eq!((config.max_header_fields, config.max_concurrent_streams), (100, 256));
    let ten = Duration::from_secs(10);
    assert_eq!((config.header_block_timeout, config.handshake_timeout), (ten, ten));
}

/// A change of the limits, what exceeds it, and how often that may be done.
type Case = (fn(&mut Limits), fn(u32) -> Vec<u8>, Flood, u32);

#[test]
fn every_rate_holds_as_it_is_set() {
    let three = Rate::new(1, 3);
    let cases: [Case; 6] = [
        (|limits| limits.pings = Rate::new(1, 3), |n| ping(n.into()), Flood::Pings, 3),
        (|limits| limits.settings = Rate::new(1, 3), |_| settings(&[]), Flood::Settings, 3),
        (|limits| limits.glitches = Rate::new(1, 3), |n| priority(2 * n + 1, 0), Flood::Glitches, 3),
        (
            |limits| limits.early_resets = Rate::new(1, 3),
            |n| [headers(2 * n + 1), rst(2 * n + 1, ErrorCode::CANCEL)].concat(),
            Flood::EarlyResets,
            3,
        ),
        (
            |limits| limits.resets = Rate::new(1, 3),
            |n| [headers(2 * n + 1), rst(2 * n + 1, ErrorCode::CANCEL)].concat(),
            Flood::Resets,
            3,
        ),
        (
            |limits| limits.provoked_resets = Rate::new(1, 3),
            |n| head(2 * n + 1, &[], true),
            Flood::ProvokedResets,
            3,
        ),
    ];
    for (change, octets, flood, times) in cases {
        let mut config = plain();
        change(&mut config.limits);
        let mut script = Script::with(Side::Server, config);
        // The peer's first SETTINGS have been counted already.
        let before = u32::from(flood == Flood::Settings);
        for n in 0..times - before {
            script.send(octets(n));
            assert_eq!(script.closed(), None, "{flood:?} after {n} of {three:?}");
        }
        script.send(octets(times));
        script.expect_fault(Violation::Flood(flood));
    }
}

#[test]
fn counts_hold_as_they_are_set() {
    let mut config = plain();
    config.limits.continuations = 2;
    config.limits.settings_entries = 1;
    config.limits.replies_end = 4;
    config.limits.replies_pause = 2;
    let with = || Script::with(Side::Server, config.clone());
    let entry = (SettingId::INITIAL_WINDOW_SIZE, 1);
    with().send(settings(&[entry])).expect_alive();
    assert!(with().send(settings(&[entry, entry])).closed().is_some());
    let mut script = with();
    script.send(open_block(1, &block(&[(":method", "CONNECT")])));
    for _ in 0..2 {
        assert_eq!(script.send(continuation(1, false, &block(&[("a", "b")]))).closed(), None);
    }
    assert!(script.send(continuation(1, false, &block(&[("a", "b")]))).closed().is_some());
    let mut script = with();
    script.reading = false;
    script.send(ping(1)).send(ping(2));
    assert!(!script.engine.wants_read());
    assert_eq!(script.send(ping(3)).send(ping(4)).closed(), None);
    let fault = ConnectionError::Protocol(Violation::Flood(Flood::Replies));
    assert_eq!(script.send(ping(5)).closed(), Some(fault));
}
