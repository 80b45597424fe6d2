//! Floods of frames: each costs the peer little and would cost us much.

use std::time::Duration;

use hbone_conn::{Flood, Violation};
use hbone_frame::Malformed;

use crate::frames::*;
use crate::row::{App, Row};
use crate::{prove, virtually};

pub(super) fn all() -> Vec<Row> {
    let mut all = vec![
        ping_flood(),
        settings_flood(),
        large_settings(),
        reset_flood(),
        rapid_reset(),
        rapid_reset_after_the_answer(),
        mass_close(),
        empty_data(),
        padding_alone(),
        tiny_data(),
        window_updates(),
        window_updates_of_a_stream(),
        priority_churn(),
        priority_updates(),
        unknown_frames(),
        unknown_frame_in_a_block(),
        input_after_the_end(),
        goaways(),
        rising_goaways(),
        debug_data(),
        push_promise_of_a_client(),
        push_promise_of_a_server(),
    ];
    all.extend(TRICKS.iter().map(made_you_reset));
    all
}

fn flood(flood: Flood) -> Violation {
    Violation::Flood(flood)
}

fn ping_flood() -> Row {
    Row::on_server("h20", 20_000, |n, out| frame(out, PING, 0, 0, &u64::from(n).to_be_bytes()))
        .never_reads()
        .ends(flood(Flood::Pings))
}

#[test]
fn h20_ping_flood() {
    prove(ping_flood());
}

fn settings_flood() -> Row {
    Row::on_server("h21", 10_000, |_, out| settings(out, &[])).ends(flood(Flood::Settings))
}

#[test]
fn h21_settings_flood() {
    prove(settings_flood());
}

fn large_settings() -> Row {
    let values: Vec<(u16, u32)> = (0..2730).map(|n| (0x4000 + n % 100, 1)).collect();
    Row::on_server("h22", 1, move |_, out| settings(out, &values))
        .ends(Violation::Frame(Malformed::TooManySettings))
}

#[test]
fn h22_large_settings() {
    prove(large_settings());
    let twice = [(4, 70_000), (4, 80_000)];
    prove(Row::on_server("h22 twice", 1, move |_, out| settings(out, &twice)));
}

/// A setting, a value, and what comes of it at a server and at a client.
type Judged = (u16, u32, Option<Malformed>);

/// RFC 9113 6.5.2, RFC 8441 3, RFC 9218 2.1: 0, 1, the edges and beyond them, the most.
const VALUES: &[Judged] = &[
    (1, 0, None),
    (1, u32::MAX, None),
    (2, 0, None),
    (2, 2, Some(Malformed::SettingsEnablePush)),
    (2, u32::MAX, Some(Malformed::SettingsEnablePush)),
    (3, 0, None),
    (3, 1, None),
    (3, u32::MAX, None),
    (4, 0, None),
    (4, 1, None),
    (4, 0x7fff_ffff, None),
    (4, 0x8000_0000, Some(Malformed::SettingsInitialWindowSize)),
    (4, u32::MAX, Some(Malformed::SettingsInitialWindowSize)),
    (5, 0, Some(Malformed::SettingsMaxFrameSize)),
    (5, 1, Some(Malformed::SettingsMaxFrameSize)),
    (5, 16_383, Some(Malformed::SettingsMaxFrameSize)),
    (5, 16_384, None),
    (5, 16_777_215, None),
    (5, 16_777_216, Some(Malformed::SettingsMaxFrameSize)),
    (5, u32::MAX, Some(Malformed::SettingsMaxFrameSize)),
    (6, 0, None),
    (6, u32::MAX, None),
    (8, 0, None),
    (8, 1, None),
    (8, 2, Some(Malformed::SettingsEnableConnectProtocol)),
    (8, u32::MAX, Some(Malformed::SettingsEnableConnectProtocol)),
    (9, 0, None),
    (9, 1, None),
    (9, 2, Some(Malformed::SettingsNoRfc7540Priorities)),
    (0x7777, u32::MAX, None),
];

#[test]
fn h23_values_of_settings() {
    for (id, value, fault) in VALUES.iter().copied() {
        let unit = move |_: u32, out: &mut Vec<u8>| settings(out, &[(id, value)]);
        for row in [Row::on_server("h23", 1, unit), Row::on_client("h23 client", 1, 1, unit)] {
            match fault {
                Some(malformed) => virtually::prove(&row.ends(Violation::Frame(malformed))),
                None => virtually::prove(&row),
            };
        }
    }
    let push = |_: u32, out: &mut Vec<u8>| settings(out, &[(2, 1)]);
    prove(Row::on_server("h23 push", 1, push));
    prove(Row::on_client("h23 push", 1, 1, push).ends(Violation::SettingNotAllowed));
    let window = |_: u32, out: &mut Vec<u8>| settings(out, &[(4, 0x8000_0000)]);
    let fault = Violation::Frame(Malformed::SettingsInitialWindowSize);
    prove(Row::on_server("h23 window", 1, window).ends(fault));
    prove(Row::on_client("h23 window", 1, 1, window).ends(fault));
}

/// Requests without a path: each makes us reset it.
fn reset_flood() -> Row {
    Row::on_server("h24", 20_000, |n, out| frame(out, HEADERS, END_HEADERS | END_STREAM, nth(n), &[0x82]))
        .never_reads()
        .ends(flood(Flood::ProvokedResets))
        .counted(|stats| stats.stream_violations)
        .live(0)
}

#[test]
fn h24_reset_flood() {
    prove(reset_flood());
}

fn open_and_reset(n: u32, out: &mut Vec<u8>) {
    connect(out, nth(n));
    reset(out, nth(n), 8);
}

fn rapid_reset() -> Row {
    Row::on_server("h25", 20_000, open_and_reset)
        .app(App::Dial)
        .ends(flood(Flood::EarlyResets))
        .counted(|stats| stats.resets_received)
}

#[test]
fn h25_rapid_reset() {
    prove(rapid_reset());
}

/// The answer leaves between two reads: the resets come after it.
fn rapid_reset_after_the_answer() -> Row {
    let unit = |n: u32, out: &mut Vec<u8>| {
        if n > 0 {
            reset(out, nth(n - 1), 8);
        }
        connect(out, nth(n));
    };
    Row::on_server("h25 b", 3000, unit)
        .pace(Duration::from_micros(10))
        .app(App::Stall)
        .ends(flood(Flood::Resets))
        .counted(|stats| stats.resets_received)
}

#[test]
fn h25_rapid_reset_after_the_answer() {
    // Over a socket resets may overtake the answers: then the other budget is the first to be used up.
    virtually::prove(&rapid_reset_after_the_answer());
}

/// A trick that makes us reset a stream that the peer has opened.
struct Trick {
    id: &'static str,
    play: fn(&mut Vec<u8>, u32),
    code: u32,
}

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;

const TRICKS: &[Trick] = &[
    Trick { id: "h26 zero", play: |out, id| window_update(out, id, 0), code: PROTOCOL_ERROR },
    Trick { id: "h26 over", play: |out, id| window_update(out, id, 0x7fff_ffff), code: FLOW_CONTROL_ERROR },
    Trick { id: "h26 length", play: |out, id| frame(out, PRIORITY, 0, id, &[0; 4]), code: FRAME_SIZE_ERROR },
    Trick {
        id: "h26 itself",
        play: |out, id| frame(out, PRIORITY, 0, id, &[&id.to_be_bytes()[..], &[7]].concat()),
        code: PROTOCOL_ERROR,
    },
    Trick {
        id: "h26 data",
        play: |out, id| {
            frame(out, DATA, END_STREAM, id, &[]);
            data(out, id, b"more");
        },
        code: STREAM_CLOSED,
    },
    Trick {
        id: "h26 heads",
        play: |out, id| {
            frame(out, DATA, END_STREAM, id, &[]);
            frame(out, HEADERS, END_HEADERS | END_STREAM, id, &connect_block("target.example:443"));
        },
        code: STREAM_CLOSED,
    },
];

fn made_you_reset(trick: &'static Trick) -> Row {
    Row::on_server(trick.id, 5000, |n, out| {
        connect(out, nth(n));
        (trick.play)(out, nth(n));
    })
    // In reads of their own, so that the first resets leave before the end.
    .pace(Duration::from_micros(1))
    .app(App::Dial)
    .ends(flood(Flood::ProvokedResets))
    .counted(|stats| stats.stream_violations)
    .resets(trick.code)
}

#[test]
fn h26_made_you_reset() {
    for trick in TRICKS {
        prove(made_you_reset(trick));
    }
}

/// Streams that are open when the connection is lost; the row ends and the peer hangs up.
fn mass_close() -> Row {
    Row::on_server("h27", 10_000, |n, out| connect(out, nth(n)))
        .configured(|config| config.max_concurrent_streams = 10_000)
        .app(App::Stall)
        .heap(10_000 * 600)
        .live(10_000)
        .counted(|stats| stats.streams_accepted)
}

#[test]
fn h27_mass_close() {
    prove(mass_close());
}

fn empty_data() -> Row {
    Row::on_server("h28", 20_000, |_, out| data(out, 1, &[]))
        .prologue(|out| connect(out, 1))
        .ends(flood(Flood::Glitches))
        .counted(|stats| stats.glitches)
}

fn padding_alone() -> Row {
    Row::on_server("h28 b", 2000, |_, out| frame(out, DATA, PADDED, 1, &[10; 11]))
        .prologue(|out| connect(out, 1))
        .ends(flood(Flood::Glitches))
        .counted(|stats| stats.glitches)
}

#[test]
fn h28_empty_data() {
    prove(empty_data());
    prove(padding_alone());
}

/// One octet a frame to a reader that has stalled, until the window is full; it is held in less than twice that.
fn tiny_data() -> Row {
    Row::on_server("h29", 65_535, |_, out| data(out, 1, b"x"))
        .prologue(|out| connect(out, 1))
        .app(App::Stall)
        .heap(2 * 256 * 1024)
        .counted(|stats| stats.data_received)
}

#[test]
fn h29_tiny_data() {
    prove(tiny_data());
}

fn window_updates() -> Row {
    Row::on_server("h30", 20_000, |_, out| window_update(out, 0, 1))
        .ends(flood(Flood::Glitches))
        .counted(|stats| stats.glitches)
}

fn window_updates_of_a_stream() -> Row {
    Row::on_server("h30 b", 20_000, |_, out| window_update(out, 1, 1))
        .prologue(|out| connect(out, 1))
        .ends(flood(Flood::Glitches))
        .counted(|stats| stats.glitches)
}

#[test]
fn h30_window_updates() {
    prove(window_updates());
    prove(window_updates_of_a_stream());
}

fn priority_churn() -> Row {
    Row::on_server("h31", 20_000, |n, out| frame(out, PRIORITY, 0, nth(n), &[0, 0, 0, 0, 7]))
        .ends(flood(Flood::Glitches))
        .counted(|stats| stats.glitches)
}

#[test]
fn h31_priority_churn() {
    prove(priority_churn());
}

fn priority_updates() -> Row {
    let unit = |n: u32, out: &mut Vec<u8>| {
        frame(out, PRIORITY_UPDATE, 0, 0, &[&nth(n).to_be_bytes()[..], b"u=1"].concat());
    };
    Row::on_server("h32", 10_000, unit).ends(Violation::PriorityUpdateOverLimit)
}

#[test]
fn h32_priority_updates() {
    prove(priority_updates());
}

/// Every kind that nobody knows, of lengths up to the largest frame that is announced.
fn unknown_frames() -> Row {
    let unit = |n: u32, out: &mut Vec<u8>| {
        let kind = [0x0b, 0x0f, 0x11, 0x7f, 0xff][n as usize % 5];
        let length = [0, 1, 9, 300, 16_384][n as usize % 5];
        frame(out, kind, 0xff, n % 9, &vec![0xaa; length]);
    };
    Row::on_server("h33", 5000, unit).ends(flood(Flood::Glitches)).counted(|stats| stats.glitches)
}

fn unknown_frame_in_a_block() -> Row {
    Row::on_server("h33 b", 1, |_, out| {
        frame(out, HEADERS, 0, 1, &connect_block("target.example:443"));
        frame(out, 0x0b, 0, 1, b"?");
    })
    .ends(Violation::Frame(Malformed::Interleaved))
    .live(0)
}

#[test]
fn h33_unknown_frames() {
    prove(unknown_frames());
    prove(unknown_frame_in_a_block());
}

/// After the fatal error: streams, pings, settings, data.
fn input_after_the_end() -> Row {
    let unit = |n: u32, out: &mut Vec<u8>| {
        connect(out, nth(n));
        frame(out, PING, 0, 0, MARK);
        settings(out, &[(4, 1)]);
        data(out, nth(n), &[7; 100]);
        window_update(out, 0, 0);
    };
    Row::on_server("h34", 2000, unit)
        .prologue(|out| frame(out, PING, 0, 7, MARK))
        .ends(Violation::Frame(Malformed::PingOnStream))
        .live(0)
}

#[test]
fn h34_input_after_the_end() {
    prove(input_after_the_end());
    for (kind, stream) in
        [(DATA, 0), (HEADERS, 0), (RST_STREAM, 0), (SETTINGS, 1), (GOAWAY, 1), (CONTINUATION, 1)]
    {
        let row = Row::on_server("h34 causes", 1, move |_, out| {
            frame(out, kind, END_HEADERS, stream, &[0; 8]);
            connect(out, 1);
            frame(out, PING, 0, 0, MARK);
        });
        let outcome = virtually::run(&row, 1);
        assert!(outcome.error.is_some() && outcome.goaway.is_some(), "kind {kind}");
        assert_eq!((outcome.live, outcome.pongs), (0, 0), "kind {kind}: nothing is done after the end");
    }
}

fn goaway(out: &mut Vec<u8>, last: u32, debug: &[u8]) {
    frame(out, GOAWAY, 0, 0, &[&last.to_be_bytes()[..], &[0; 4], debug].concat());
}

fn goaways() -> Row {
    Row::on_client("h35", 1, 5000, |_, out| goaway(out, 1, &[]))
        .prologue(|out| ok(out, 1))
        .ends(flood(Flood::Glitches))
        .counted(|stats| stats.glitches)
}

fn rising_goaways() -> Row {
    Row::on_client("h35 b", 4, 8, |n, out| goaway(out, 2 * n + 3, &[]))
        .prologue(|out| ok(out, 1))
        .ends(Violation::GoawayRaised)
}

/// 16 KiB of debug data in each: at most one of them is kept, and of that 1 KiB.
fn debug_data() -> Row {
    Row::on_client("h35 c", 1, 300, |_, out| goaway(out, 1, &[b'x'; 16_000])).prologue(|out| ok(out, 1))
}

#[test]
fn h35_goaway() {
    prove(goaways());
    prove(rising_goaways());
    prove(debug_data());
}

fn push_promise_of_a_client() -> Row {
    let block = [&2_u32.to_be_bytes()[..], &get_block()].concat();
    Row::on_server("h36", 1, move |_, out| frame(out, PUSH_PROMISE, END_HEADERS, 1, &block))
        .prologue(|out| connect(out, 1))
        .ends(Violation::Frame(Malformed::PushPromise))
}

fn push_promise_of_a_server() -> Row {
    let block = [&2_u32.to_be_bytes()[..], &get_block()].concat();
    Row::on_client("h36 b", 1, 1, move |_, out| frame(out, PUSH_PROMISE, END_HEADERS, 1, &block))
        .prologue(|out| ok(out, 1))
        .ends(Violation::Frame(Malformed::PushPromise))
}

#[test]
fn h36_push_promise() {
    prove(push_promise_of_a_client());
    prove(push_promise_of_a_server());
}
