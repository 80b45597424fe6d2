//! Flow control: windows of one octet, none, or too much; credit that is lost, stuck or captured.

use std::time::Duration;

use hbone_conn::{Flood, Timeout, Violation};
use hbone_frame::Malformed;

use crate::frames::*;
use crate::prove;
use crate::row::{App, End, HEAP, HONEST, Row};
use crate::script::{Peer, answer_pings, count, synchronise};

pub(super) fn all() -> Vec<Row> {
    vec![
        dribble(),
        internal_buffering(),
        zero_window(),
        overflow_of_streams(),
        overflow_of_the_connection(),
        overflow_by_settings(),
        flip_flop(),
        negative_windows(),
        credit_on_streams_that_the_peer_reset(),
        credit_on_streams_that_the_peer_finished(),
        credit_on_streams_that_we_reset(),
        credit_on_refused_streams(),
        credit_on_unknown_streams(),
        credit_beyond_goaway(),
        credit_of_a_dropped_reader(),
        credit_at_a_client(),
        overshoot_of_streams(),
        overshoot_of_the_connection(),
        credit_stuck_on_dead_streams(),
        stalled_readers(),
        starved_writers(),
        padding(),
        padding_alone(),
        padding_over_its_frame(),
    ]
}

/// SETTINGS_INITIAL_WINDOW_SIZE.
const INITIAL_WINDOW: u16 = 4;
/// The windows' first size in the protocol.
const DEFAULT: u64 = 65_535;
/// A stream's window where many are filled.
const STALLED: usize = 8 * 1024;
/// FLOW_CONTROL_ERROR.
const FLOW_CONTROL: u32 = 3;

fn tunnels(out: &mut Vec<u8>, number: u32) {
    (0..number).for_each(|n| connect(out, nth(n)));
}

/// Opens a tunnel that is echoed, whatever the application does with others.
fn connect_honest(out: &mut Vec<u8>, stream: u32) {
    frame(out, HEADERS, END_HEADERS, stream, &connect_block(HONEST));
}

fn sent(peer: &mut dyn Peer, write: impl FnOnce(&mut Vec<u8>)) {
    let mut wire = Vec::new();
    write(&mut wire);
    peer.send(&wire);
}

/// Windows of one octet on 256 streams of a busy writer.
fn dribble() -> Row {
    Row::on_server("h40", 4000, |n, out| window_update(out, nth(n % 256), 1))
        .app(App::Source)
        .settings(&[(INITIAL_WINDOW, 0)])
        .prologue(|out| tunnels(out, 256))
        .ends(Violation::Flood(Flood::Glitches))
        .counted(|stats| stats.glitches)
        .heap(2 * HEAP)
}

#[test]
fn h40_data_dribble() {
    prove(dribble());
}

/// The windows are open, and nothing is read: each stream may queue its cap, and one flight waits for the socket.
fn internal_buffering() -> Row {
    Row::on_server("h41", 32, |n, out| {
        connect(out, nth(n));
        window_update(out, 0, 1 << 24);
    })
    .app(App::Pour)
    .settings(&[(INITIAL_WINDOW, (1 << 31) - 1)])
    .never_reads()
    .heap(32 * (256 + 16 + 8) * 1024 + HEAP)
}

#[test]
fn h41_internal_buffering() {
    prove(internal_buffering());
}

/// No window ever: the peer has opened tunnels and is silent. Each costs 64 KiB and one piece of its writer.
fn zero_window() -> Row {
    Row::on_server("h42", 128, |n, out| connect(out, nth(n)))
        .app(App::Pour)
        .settings(&[(INITIAL_WINDOW, 0)])
        .configured(|config| {
            config.keepalive_interval = Some(Duration::from_millis(200));
            config.keepalive_timeout = Duration::from_millis(200);
        })
        .late(Timeout::Keepalive)
        .heap(128 * (64 + 16) * 1024 + HEAP)
}

#[test]
fn h42_a_zero_window_and_silence() {
    prove(zero_window());
}

fn overflow_of_streams() -> Row {
    Row::on_server("h44s", 1000, |n, out| {
        connect(out, nth(n));
        window_update(out, nth(n), (1 << 31) - 1);
    })
    .ends(Violation::Flood(Flood::ProvokedResets))
    .counted(|stats| stats.stream_violations)
}

#[test]
fn h44_overflow_of_stream_windows() {
    prove(overflow_of_streams());
    let few = Row { id: "h44s-", units: 190, end: End::Lives, ..overflow_of_streams() };
    prove(few.resets(FLOW_CONTROL));
}

fn overflow_of_the_connection() -> Row {
    Row::on_server("h44c", 2, |_, out| window_update(out, 0, (1 << 31) - 1))
        .app(App::Source)
        .settings(&[(INITIAL_WINDOW, 0)])
        .prologue(|out| tunnels(out, 100))
        .ends(Violation::WindowOverflow)
}

#[test]
fn h44_overflow_of_the_connection_window() {
    prove(overflow_of_the_connection());
}

/// A window that was raised already, and then a larger first size for all.
fn overflow_by_settings() -> Row {
    Row::on_server("h44i", 1, |_, out| {
        tunnels(out, 100);
        window_update(out, nth(99), (1 << 31) - 1 - DEFAULT as u32);
        settings(out, &[(INITIAL_WINDOW, DEFAULT as u32 + 1)]);
    })
    .ends(Violation::WindowOverflow)
}

#[test]
fn h44_overflow_by_settings() {
    prove(overflow_by_settings());
}

#[test]
fn h44_a_thousand_overflows_leave_nothing() {
    for _ in 0..1000 {
        let outcome = crate::virtually::run(&overflow_of_the_connection(), 2);
        assert!(outcome.rest <= crate::virtually::REST, "{} octets held after the end", outcome.rest);
    }
}

/// 15 first sizes in each SETTINGS, up and down, over 25 writers.
fn flip_flop() -> Row {
    Row::on_server("h45", 200, |_, out| {
        let values: Vec<_> =
            (0..15).map(|i| (INITIAL_WINDOW, if i % 2 == 0 { 100_000 } else { 0 })).collect();
        settings(out, &values);
    })
    .app(App::Source)
    .settings(&[(INITIAL_WINDOW, 0)])
    .prologue(|out| tunnels(out, 25))
    .ends(Violation::Flood(Flood::Settings))
    .heap(2 * HEAP)
}

#[test]
fn h45_flip_flop_of_the_initial_window() {
    prove(flip_flop());
}

/// A window falls below zero and comes back by parts: not an octet too early, none too late.
fn negative_windows() -> Row {
    Row::scripted("h45n", 12, |peer, times| {
        sent(peer, |out| {
            window_update(out, 0, 1 << 20);
            connect(out, 1);
        });
        let (mut initial, mut window, mut total) = (1000, 0, 1000);
        if !peer.until("the first window", &|scanner| scanner.data == 1000) {
            return;
        }
        for n in 0..times {
            let (first, second) = (n % 7 * 50, 500 + n % 3 * 400);
            let (credit, back) = (600 + n, n % 5);
            for step in 0..3 {
                sent(peer, |out| match step {
                    0 => {
                        settings(out, &[(INITIAL_WINDOW, first)]);
                        window += i64::from(first) - initial;
                        initial = i64::from(first);
                    }
                    1 => {
                        window_update(out, 1, credit + back);
                        window += i64::from(credit + back);
                    }
                    _ => {
                        settings(out, &[(INITIAL_WINDOW, second)]);
                        window += i64::from(second) - initial;
                        initial = i64::from(second);
                    }
                });
                total += window.max(0);
                window = window.min(0);
                if !synchronise(peer) {
                    return;
                }
                peer.until("what the window allows", &|scanner| scanner.data as i64 >= total);
                assert_eq!(count(peer, |scanner| scanner.data) as i64, total, "round {n}, step {step}");
            }
        }
    })
    .app(App::Source)
    .settings(&[(INITIAL_WINDOW, 1000)])
}

#[test]
fn h45_negative_windows() {
    prove(negative_windows());
}

/// Padded DATA on `stream`, of every `step`th pad length, others on the next stream; returns what it charges.
fn pads(out: &mut Vec<u8>, stream: u32, step: u8) -> u64 {
    let lengths = ((stream / 2) as u8 % step..=255).step_by(step.into());
    lengths.clone().for_each(|pad| padded(out, stream, pad, b"octets"));
    lengths.map(|pad| 1 + 6 + u64::from(pad)).sum()
}

/// What was charged and not yet given back is brought to the very octet at which credit is announced: then the sum of
/// all WINDOW_UPDATEs is the sum of all charged octets, or something was lost or given twice. Returns that sum.
fn settle_credit(peer: &mut dyn Peer, filler: u32, mut charged: u64) -> Option<u64> {
    if !synchronise(peer) {
        return None;
    }
    let announced = count(peer, |scanner| scanner.connection_credit);
    assert!(announced <= charged, "{announced} octets of credit for {charged}");
    let mut missing = (DEFAULT / 2).checked_sub(charged - announced).expect("credit is overdue");
    while missing > 0 {
        let length = missing.min(8000);
        sent(peer, |out| data(out, filler, &vec![0; length as usize]));
        missing -= length;
        charged += length;
    }
    peer.until("all credit, once", &|scanner| scanner.connection_credit == charged).then_some(charged)
}

/// What becomes of the credit for DATA on streams that `end` has brought to some end. The application lets go of all
/// streams behind octets for which there is no window; the first of them takes what is missing to a whole window.
fn credit(id: &'static str, filler: u32, step: u8, end: fn(&mut dyn Peer, u32) -> u64) -> Row {
    Row::scripted(id, 20, move |peer, times| {
        sent(peer, |out| connect(out, filler));
        let mut charged = 0;
        for n in 1..=times {
            charged += end(peer, nth(n));
            sent(peer, |out| charged += pads(out, nth(n), step));
            match settle_credit(peer, filler, charged) {
                Some(settled) => charged = settled,
                None => return,
            }
        }
    })
    .app(App::Leave)
    .settings(&[(INITIAL_WINDOW, 0)])
    .configured(|config| config.connection_window_size = DEFAULT as u32)
}

fn credit_on_streams_that_the_peer_reset() -> Row {
    credit("h46p", 1, 64, |peer, id| {
        sent(peer, |out| {
            connect(out, id);
            reset(out, id, 8);
        });
        0
    })
}

fn credit_on_streams_that_the_peer_finished() -> Row {
    credit("h46f", 1, 64, |peer, id| {
        sent(peer, |out| {
            connect(out, id);
            frame(out, DATA, END_STREAM, id, b"the end");
        });
        7
    })
}

fn credit_on_streams_that_we_reset() -> Row {
    credit("h46u", 1, 2, |peer, id| {
        sent(peer, |out| {
            connect(out, id);
            // HEADERS on a tunnel.
            ok(out, id);
        });
        0
    })
}

fn credit_on_refused_streams() -> Row {
    credit("h46r", 1, 2, |peer, id| {
        sent(peer, |out| connect(out, id));
        0
    })
    .configured(|config| config.max_concurrent_streams = 1)
}

fn credit_on_unknown_streams() -> Row {
    credit("h46i", 0x7000_0001, 64, |_, _| 0)
}

fn credit_beyond_goaway() -> Row {
    credit("h46g", 1, 2, |peer, id| {
        if id == nth(1) {
            // Nothing but oddities: the victim has three quarters of enough, and drains.
            sent(peer, |out| (0..760).for_each(|_| frame(out, 0xfe, 0, 0, b"?")));
            if peer.until("a warning", &|scanner| scanner.goaways == 1 && !scanner.pings.is_empty()) {
                answer_pings(peer);
                peer.until("GOAWAY", &|scanner| scanner.goaways == 2);
            }
        }
        sent(peer, |out| connect(out, id));
        0
    })
}

fn credit_of_a_dropped_reader() -> Row {
    credit("h46d", 1, 2, |peer, id| {
        sent(peer, |out| connect(out, id));
        0
    })
}

/// The same at a client: DATA before the head, on an open tunnel, and behind its end.
fn credit_at_a_client() -> Row {
    let script = |peer: &mut dyn Peer, times: u32| {
        if !peer.until("tunnels", &|scanner| scanner.heads == 21) {
            return;
        }
        sent(peer, |out| ok(out, 1));
        // The client has raised its window already where it is more than the default; here it is not.
        let mut charged = 0;
        for n in 1..=times {
            sent(peer, |out| {
                if n % 3 > 0 {
                    ok(out, nth(n));
                }
                if n % 3 == 1 {
                    frame(out, DATA, END_STREAM, nth(n), b"the end");
                    charged += 7;
                }
                charged += pads(out, nth(n), 64);
            });
            match settle_credit(peer, 1, charged) {
                Some(settled) => charged = settled,
                None => return,
            }
        }
    };
    Row::scripted("h46k", 20, script)
        .of_client(21)
        .configured(|config| config.connection_window_size = DEFAULT as u32)
}

#[test]
fn h46_credit_returns_from_streams_of_every_end() {
    prove(credit_on_streams_that_the_peer_reset());
    prove(credit_on_streams_that_the_peer_finished());
    prove(credit_on_streams_that_we_reset());
    prove(credit_on_refused_streams());
    prove(credit_on_unknown_streams());
    prove(credit_beyond_goaway());
    prove(credit_of_a_dropped_reader());
    prove(credit_at_a_client());
}

/// One octet more than a stream's window, again and again.
fn overshoot_of_streams() -> Row {
    Row::on_server("h47s", 250, |n, out| {
        connect(out, nth(n));
        data(out, nth(n), &[0; STALLED]);
        data(out, nth(n), &[0]);
    })
    .app(App::Stall)
    .configured(|config| config.initial_window_size = STALLED as u32)
    .ends(Violation::Flood(Flood::ProvokedResets))
    .counted(|stats| stats.stream_violations)
    .resets(FLOW_CONTROL)
}

#[test]
fn h47_overshoot_of_stream_windows() {
    prove(overshoot_of_streams());
    prove(Row { id: "h47s-", units: 100, end: End::Lives, heap: 2 * HEAP, ..overshoot_of_streams() });
}

fn overshoot_of_the_connection() -> Row {
    Row::on_server("h47c", 1, |_, out| data(out, 1, &[0; DEFAULT as usize + 1]))
        .prologue(|out| connect(out, 1))
        .configured(|config| config.connection_window_size = DEFAULT as u32)
        .ends(Violation::ConnectionWindow)
}

#[test]
fn h47_overshoot_of_the_connection_window() {
    prove(overshoot_of_the_connection());
}

/// The connection's window is used up, streams that wait for it die, others come: whoever lives gets all credit.
fn credit_stuck_on_dead_streams() -> Row {
    Row::scripted("h48", 200, |peer, times| {
        let mut total = DEFAULT;
        sent(peer, |out| tunnels(out, 4));
        for n in 0..times {
            let done = |scanner: &Scanner| scanner.data == total && scanner.heads == u64::from(n) + 4;
            if !peer.until("all that the window allows", &done) {
                return;
            }
            let credit = 1 + n * 37 % 5000;
            sent(peer, |out| {
                connect(out, nth(n + 4));
                reset(out, nth(n), 8);
                window_update(out, 0, credit);
            });
            total += u64::from(credit);
        }
        peer.until("the last credit's worth", &|scanner| scanner.data == total);
    })
    .app(App::Source)
    .settings(&[(INITIAL_WINDOW, 1 << 20)])
}

#[test]
fn h48_credit_stuck_on_dead_streams() {
    prove(credit_stuck_on_dead_streams());
}

/// 255 readers are stalled with full windows, more than the connection's window holds: a 256th tunnel gets back what
/// it sends, in as many rounds as without them.
fn stalled_readers() -> Row {
    let script = |peer: &mut dyn Peer, times: u32| {
        let (fast, piece) = (nth(255), STALLED / 4);
        let mut spent = 0;
        let mut send = |peer: &mut dyn Peer, stream: u32, octets: usize| {
            spent += octets as u64;
            let credit = peer.until("credit", &|scanner| DEFAULT + scanner.connection_credit >= spent);
            sent(peer, |out| data(out, stream, &vec![0; octets]));
            credit
        };
        sent(peer, |out| {
            tunnels(out, 255);
            connect_honest(out, fast);
            window_update(out, 0, 1 << 30);
        });
        for n in 0..255 {
            if !send(peer, nth(n), STALLED) {
                return;
            }
        }
        for round in 1..=u64::from(times) {
            let credit = send(peer, fast, piece);
            if !credit
                || !peer.until("the fast tunnel's octets", &|scanner| scanner.data == round * piece as u64)
            {
                return;
            }
        }
    };
    Row::scripted("h49r", 64, script)
        .app(App::Stall)
        .settings(&[(INITIAL_WINDOW, 1 << 24)])
        .configured(|config| {
            config.initial_window_size = STALLED as u32;
            config.connection_window_size = 1 << 19;
        })
        .heap(256 * (STALLED + 6 * 1024))
}

#[test]
fn h49_stalled_readers_leave_the_connection_to_the_others() {
    prove(stalled_readers());
}

/// 255 writers have no window of their own: a 256th gets the whole window of the connection.
fn starved_writers() -> Row {
    Row::scripted("h49w", 64, |peer, times| {
        sent(peer, |out| {
            tunnels(out, 256);
            window_update(out, 0, 1 << 24);
        });
        for round in 1..=u64::from(times) {
            sent(peer, |out| window_update(out, nth(255), 16 * 1024));
            if !peer.until("the fast tunnel's octets", &|scanner| scanner.data == round * 16 * 1024) {
                return;
            }
        }
    })
    .app(App::Source)
    .settings(&[(INITIAL_WINDOW, 0)])
    .heap(2 * HEAP)
}

#[test]
fn h49_starved_writers_leave_the_connection_to_the_others() {
    prove(starved_writers());
}

/// Padding of every length, all of a frame's but its own octet included: charged and given back by both windows.
fn padding() -> Row {
    Row::scripted("h50", 20, |peer, times| {
        sent(peer, |out| connect(out, 1));
        let (mut charged, mut octets) = (0, 0);
        for n in 0..u64::from(times) {
            sent(peer, |out| {
                charged += pads(out, 1, 2);
                octets += 128 * 6;
                for pad in [0, 1, 254, 255] {
                    padded(out, 1, pad, b"");
                    charged += 1 + u64::from(pad);
                }
            });
            let before = charged;
            match settle_credit(peer, 1, charged) {
                Some(settled) => charged = settled,
                None => return,
            }
            octets += charged - before;
            // The echo has read all of it, and the stream's window is as large as the connection's.
            let back = |scanner: &Scanner| scanner.data == octets && scanner.stream_credit == charged;
            if !peer.until("the octets and the stream's credit", &back) {
                panic!("round {n}: the connection has ended");
            }
        }
    })
    .settings(&[(INITIAL_WINDOW, 1 << 24)])
    .prologue(|out| window_update(out, 0, 1 << 24))
    .configured(|config| {
        config.initial_window_size = DEFAULT as u32;
        config.connection_window_size = DEFAULT as u32;
        config.window_tuning = false;
    })
}

#[test]
fn h50_padding_is_charged_and_given_back() {
    prove(padding());
}

fn padding_alone() -> Row {
    Row::on_server("h50a", 4000, |_, out| padded(out, 1, 255, b""))
        .prologue(|out| connect(out, 1))
        .ends(Violation::Flood(Flood::Glitches))
        .counted(|stats| stats.glitches)
}

#[test]
fn h50_nothing_but_padding() {
    prove(padding_alone());
}

/// RFC 9113 6.1: a pad length that is the payload's or more.
fn padding_over_its_frame() -> Row {
    Row::on_server("h50o", 1, |_, out| frame(out, DATA, PADDED, 1, &[20; 20]))
        .prologue(|out| connect(out, 1))
        .ends(Violation::Frame(Malformed::PaddingTooLong))
}

#[test]
fn h50_padding_as_long_as_its_frame() {
    prove(padding_over_its_frame());
}
