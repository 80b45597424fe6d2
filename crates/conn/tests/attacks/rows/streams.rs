//! Streams and CONNECT: identifiers, limits, slots, and messages that are none.

use std::time::Duration;

use hbone_conn::{Flood, Violation};

use crate::frames::*;
use crate::prove;
use crate::row::{App, End, HEAP, Row};
use crate::script::{Peer, answer_pings, count};

pub(super) fn all() -> Vec<Row> {
    vec![
        skipped_identifiers(),
        even_identifiers(),
        fallen_identifiers(),
        used_up_identifiers(),
        idle_identifiers(),
        parity_at_a_client(),
        too_many_streams(),
        too_many_before_acknowledging(),
        limit_lowered(),
        every_exit(),
        informational_flood(),
        informational_bulk(),
        streams_without_end(),
        data_before_the_answer(),
        data_before_a_refusal(),
        data_before_the_head(),
        headers_on_a_tunnel(),
        headers_on_a_clients_tunnel(),
        odd_answers(),
        content_length_of_a_connect(),
    ]
}

const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

fn sent(peer: &mut dyn Peer, write: impl FnOnce(&mut Vec<u8>)) {
    let mut wire = Vec::new();
    write(&mut wire);
    peer.send(&wire);
}

/// Two million streams are skipped between two that are opened.
fn skipped_identifiers() -> Row {
    batches("h60s", 400, 2_000_000)
}

fn even_identifiers() -> Row {
    Row::on_server("h60e", 1, |_, out| connect(out, 2)).ends(Violation::IdleStream)
}

fn fallen_identifiers() -> Row {
    Row::on_server("h60f", 1, |_, out| {
        connect(out, 101);
        connect(out, 99);
    })
    .ends(Violation::StreamIdFell)
}

/// The largest identifier works like any other, and nothing opens after it.
fn used_up_identifiers() -> Row {
    Row::scripted("h60u", 1, |peer, _| {
        sent(peer, |out| {
            connect(out, (1 << 31) - 1);
            frame(out, DATA, END_STREAM, (1 << 31) - 1, b"the last");
        });
        if peer.until("an echo", &|scanner| scanner.data == 8 && scanner.ends == 1) {
            sent(peer, |out| connect(out, 1));
        }
    })
    .ends(Violation::StreamIdFell)
}

/// DATA, RST_STREAM and WINDOW_UPDATE for what nobody has opened.
fn idle_identifiers() -> Row {
    Row::on_server("h60i", 1, |_, out| data(out, 7, b"for nobody")).ends(Violation::IdleStream)
}

fn parity_at_a_client() -> Row {
    Row::on_client("h60k", 1, 1, |_, out| connect(out, 2)).ends(Violation::StreamParity)
}

#[test]
fn h60_stream_identifiers_at_a_server() {
    prove(skipped_identifiers());
    prove(even_identifiers());
    prove(fallen_identifiers());
    prove(used_up_identifiers());
    prove(idle_identifiers());
    let others = [
        Row::on_server("h60r", 1, |_, out| reset(out, 7, CANCEL)),
        Row::on_server("h60w", 1, |_, out| window_update(out, 7, 1)),
    ];
    for row in others {
        prove(row.ends(Violation::IdleStream));
    }
}

#[test]
fn h60_stream_identifiers_at_a_client() {
    prove(parity_at_a_client());
    let others = [
        Row::on_client("h60ko", 1, 1, |_, out| ok(out, 101)),
        Row::on_client("h60kd", 1, 1, |_, out| data(out, 2, b"for nobody")),
        Row::on_client("h60kr", 1, 1, |_, out| reset(out, 101, CANCEL)),
    ];
    for row in others {
        prove(row.ends(Violation::IdleStream));
    }
}

/// More tunnels than announced, each of which waits for its dial.
fn too_many_streams() -> Row {
    Row::on_server("h61", 2000, |n, out| connect(out, nth(n)))
        .app(App::Dial)
        .ends(Violation::Flood(Flood::ProvokedResets))
        .counted(|stats| stats.streams_refused)
        .resets(REFUSED_STREAM)
}

/// As above, by a peer that never acknowledges our SETTINGS: it cannot know the limit, and has only so many tries.
fn too_many_before_acknowledging() -> Row {
    Row { id: "h61a", ..too_many_streams() }.never_acknowledges().ends(Violation::Flood(Flood::Glitches))
}

/// A server that takes back what it allowed: what is open stays, and all of it works.
fn limit_lowered() -> Row {
    Row::on_client("h61k", 50, 50, |n, out| {
        ok(out, nth(n));
        settings_once(n, out);
        frame(out, DATA, END_STREAM, nth(n), b"the end");
    })
}

fn settings_once(n: u32, out: &mut Vec<u8>) {
    if n == 0 {
        // SETTINGS_MAX_CONCURRENT_STREAMS.
        settings(out, &[(3, 1)]);
    }
}

/// All slots are taken and given back by every exit, round after round: no stream is ever refused.
fn every_exit() -> Row {
    const SLOTS: u32 = 16;
    Row::scripted("h61x", 20, |peer, times| {
        for round in 0..times {
            let ids = (round * SLOTS..).map(nth).take(SLOTS as usize);
            sent(peer, |out| ids.clone().for_each(|id| connect(out, id)));
            let heads = u64::from((round + 1) * SLOTS);
            if !peer.until("all answers", &|scanner| scanner.heads == heads) {
                return;
            }
            sent(peer, |out| {
                for (place, id) in ids.enumerate() {
                    match place % 4 {
                        0 => frame(out, DATA, END_STREAM, id, b""),
                        // A fault: HEADERS on a tunnel.
                        1 => ok(out, id),
                        _ => reset(out, id, CANCEL),
                    }
                }
            });
            let (ends, faults) = (u64::from((round + 1) * SLOTS / 4), (round + 1) * SLOTS / 4);
            let over = |scanner: &Scanner| scanner.ends == ends && scanner.resets[1] == faults;
            if !peer.until("every end", &over) {
                return;
            }
            assert_eq!(count(peer, |scanner| scanner.resets[7].into()), 0, "a slot is lost");
        }
    })
    .configured(|config| config.max_concurrent_streams = SLOTS)
}

#[test]
fn h61_more_streams_than_allowed() {
    prove(too_many_streams());
    prove(too_many_before_acknowledging());
    prove(limit_lowered());
}

#[test]
fn h61_every_exit_returns_its_slot_once() {
    prove(every_exit());
}

#[test]
fn h62_an_idle_connection_kept_busy_by_pings() {
    let script = |peer: &mut dyn Peer, _| {
        for _ in 0..600 {
            sent(peer, |out| frame(out, PING, 0, 0, b"i am old"));
            peer.pass(Duration::from_millis(100));
            answer_pings(peer);
            if count(peer, |scanner| scanner.goaways.into()) == 2 {
                return;
            }
        }
    };
    prove(
        Row::scripted("h62", 1, script)
            .configured(|config| config.idle_timeout = Some(Duration::from_millis(400)))
            .drained(),
    );
}

/// Interim responses without end.
fn informational_flood() -> Row {
    Row::on_client("h63", 1, 2000, |_, out| frame(out, HEADERS, END_HEADERS, 1, &interim(0)))
        .ends(Violation::Flood(Flood::Glitches))
        .counted(|stats| stats.stream_violations)
}

/// As many as allowed, of 8 KB each, on all tunnels.
fn informational_bulk() -> Row {
    Row::on_client("h63l", 10, 10 * 16, |n, out| frame(out, HEADERS, END_HEADERS, nth(n / 16), &interim(80)))
}

/// 103, with fields of that many hundred octets.
fn interim(hundreds: usize) -> Vec<u8> {
    let mut block = vec![0x08, 3];
    block.extend_from_slice(b"103");
    for _ in 0..hundreds / 10 {
        field(&mut block, b"x-early", &[b'x'; 1000]);
    }
    block
}

#[test]
fn h63_interim_responses() {
    prove(informational_flood());
    prove(Row { id: "h63-", units: 20, end: End::Lives, ..informational_flood() }.resets(PROTOCOL_ERROR));
    prove(informational_bulk());
}

/// Streams open and end, as many as there is time for.
fn streams_without_end() -> Row {
    batches("h64", 400, 1)
}

/// Tunnels that are refused, a hundred at a time, with so many identifiers from one to the next.
fn batches(id: &'static str, units: u32, gap: u32) -> Row {
    const AT_ONCE: u32 = 100;
    Row::scripted(id, units, move |peer, times| {
        let mut done = 0;
        while done < times {
            let batch = AT_ONCE.min(times - done);
            sent(peer, |out| (done..done + batch).for_each(|n| connect(out, nth(n * gap))));
            done += batch;
            // Refused with an answer, and reset for want of an end.
            let over = |scanner: &Scanner| scanner.resets[CANCEL as usize] == done;
            if !peer.until("the ends of a hundred streams", &over) {
                return;
            }
        }
    })
    .app(App::Refuse)
}

#[test]
fn h64_memory_after_very_many_streams() {
    prove(Row { units: 50_000, ..streams_without_end() });
    let held = |times| crate::virtually::run(&streams_without_end(), times).peak;
    let (few, many) = (held(1000), held(20_000));
    assert!(many <= few + 1024, "{few} octets for a thousand streams, {many} for twenty thousand");
}

/// A whole window of DATA before the dial is done; then the peer has enough.
fn data_before_the_answer() -> Row {
    Row::on_server("h65", 60, |n, out| {
        connect(out, nth(n));
        (0..WINDOW / 4096).for_each(|_| data(out, nth(n), &[7; 4096]));
    })
    .app(App::Dial)
    .configured(|config| config.initial_window_size = WINDOW)
    .heap(60 * WINDOW as usize * 5 / 4 + HEAP)
}

const WINDOW: u32 = 32 * 1024;

/// As above, and one octet more.
fn data_beyond_the_window() -> Row {
    let whole = data_before_the_answer();
    Row::on_server("h65o", 60, move |n, out| {
        (whole.unit)(n, out);
        data(out, nth(n), b"!");
    })
    .app(App::Dial)
    .configured(|config| config.initial_window_size = WINDOW)
    .counted(|stats| stats.stream_violations)
    .resets(3)
}

/// DATA that comes with a CONNECT that is refused: nobody gets it, and nothing keeps it.
fn data_before_a_refusal() -> Row {
    Row { id: "h65r", units: 200, heap: 2 * HEAP, app: App::Refuse, ..data_before_the_answer() }
}

/// A server that sends DATA before its answer.
fn data_before_the_head() -> Row {
    Row::on_client("h65k", 90, 90, |n, out| data(out, nth(n), &[7; 4096]))
        .counted(|stats| stats.stream_violations)
        .resets(PROTOCOL_ERROR)
}

#[test]
fn h65_data_before_the_answer_to_connect() {
    prove(data_before_the_answer());
    prove(data_beyond_the_window());
    prove(data_before_a_refusal());
    prove(data_before_the_head());
}

/// A second head, or trailers, on an open tunnel.
fn headers_on_a_tunnel() -> Row {
    Row::on_server("h66", 150, |n, out| {
        connect(out, nth(n));
        let flags = END_HEADERS | ((n % 2) as u8 * END_STREAM);
        frame(out, HEADERS, flags, nth(n), &connect_block("target.example:443"));
    })
    .counted(|stats| stats.stream_violations)
    .resets(PROTOCOL_ERROR)
}

fn headers_on_a_clients_tunnel() -> Row {
    Row::on_client("h66k", 90, 90, |n, out| {
        ok(out, nth(n));
        frame(out, HEADERS, END_HEADERS | ((n % 2) as u8 * END_STREAM), nth(n), &[0x88]);
    })
    .counted(|stats| stats.stream_violations)
    .resets(PROTOCOL_ERROR)
}

#[test]
fn h66_headers_on_an_open_tunnel() {
    prove(headers_on_a_tunnel());
    prove(headers_on_a_clients_tunnel());
    let many = Row { id: "h66-", units: 2000, resets: None, ..headers_on_a_tunnel() };
    prove(many.ends(Violation::Flood(Flood::ProvokedResets)));
}

/// 204, and 200 with a content-length of 0 or too little: tunnels all the same, which carry octets.
fn odd_answers() -> Row {
    const TUNNELS: u32 = 90;
    Row::on_client("h67k", TUNNELS, 4 * TUNNELS, |n, out| {
        let mut block = vec![if n % 3 == 0 { 0x89 } else { 0x88 }];
        if n % 3 > 0 {
            field(&mut block, b"content-length", [b"0", b"5"][n as usize % 2]);
        }
        if n < TUNNELS {
            frame(out, HEADERS, END_HEADERS, nth(n), &block);
        }
        data(out, nth(n % TUNNELS), &[7; 1000]);
    })
    .counted(|stats| u64::from(stats.stream_violations == 0 && stats.data_received == 360 * 1000))
}

/// A CONNECT with a content-length is a tunnel too.
fn content_length_of_a_connect() -> Row {
    Row::on_server("h67", 100, |n, out| {
        let mut block = connect_block("target.example:443");
        field(&mut block, b"content-length", b"3");
        frame(out, HEADERS, END_HEADERS, nth(n), &block);
        data(out, nth(n), &[7; 1000]);
    })
    .counted(|stats| u64::from(stats.stream_violations == 0 && stats.data_received == 100 * 1000))
}

#[test]
fn h67_content_length_or_204_on_connect() {
    prove(odd_answers());
    prove(content_length_of_a_connect());
}
