//! Header blocks that do not end, end late, or are longer than they may be (H03 to H06, H09).

use std::time::Duration;

use hbone_conn::{Flood, Timeout, Violation};
use hbone_frame::Malformed;
use hbone_frame::hpack::CompressionError;

use super::heads::*;
use crate::frames::*;
use crate::prove;
use crate::row::{App, Row};

pub(super) fn all() -> Vec<Row> {
    let mut rows = endless_huffman();
    rows.push(huffman_over_the_list());
    rows.extend(continuations());
    rows.push(eight_continuations());
    rows.extend(empty_continuations());
    rows.extend(slow_blocks());
    rows.extend(long_strings());
    rows
}

/// HEADERS that are to be continued, for both victims: opened by a client, answered by a server.
fn begin_block(out: &mut Vec<u8>) {
    frame(out, HEADERS, 0, 1, &connect_block("target.example:443"));
}

fn begin_answer(out: &mut Vec<u8>) {
    frame(out, HEADERS, 0, 1, &[0x88]);
}

/// Huffman code for `8 * fives` digits 0, of five bits each.
fn zeros(fives: usize) -> Vec<u8> {
    vec![0; 5 * fives]
}

fn endless_huffman() -> Vec<Row> {
    // The string of 2^20 octets is begun and goes on; nothing of it is decoded before its block is whole.
    let begin = |out: &mut Vec<u8>| {
        let mut fragment = vec![0, 1, b'x'];
        integer(&mut fragment, 0x80, 7, 1 << 20);
        frame(out, CONTINUATION, 0, 1, &fragment);
    };
    let go_on = |_, out: &mut Vec<u8>| frame(out, CONTINUATION, 0, 1, &zeros(3200));
    let too_large = Violation::Frame(Malformed::HeaderBlockTooLarge);
    vec![
        Row::on_server("h03", 1000, go_on)
            .prologue(move |out| {
                begin_block(out);
                begin(out);
            })
            .ends(too_large),
        Row::on_client("h03-client", 4, 1000, go_on)
            .prologue(move |out| {
                begin_answer(out);
                begin(out);
            })
            .ends(too_large),
        // One frame that is too large is refused at its head.
        Row::on_server("h03-frame", 1000, |_, out| out.extend(zeros(200)))
            .prologue(|out| head_alone(out, HEADERS, END_HEADERS, 1, 200_000))
            .ends(too_large),
    ]
}

#[test]
fn h03_endless_huffman_is_closed_within_twice_the_list() {
    endless_huffman().into_iter().for_each(prove);
}

/// Strings that decode to more than the list may hold: decoded up to the limit only, each answered with 431.
fn huffman_over_the_list() -> Row {
    Row::on_server("h03-list", 1000, |n, out| {
        let mut extra = Vec::new();
        huffman_field(&mut extra, b"x", &zeros(130));
        request(out, nth(n), &extra);
    })
    .configured(|config| config.max_header_list_size = 1024)
    .ends(Violation::Flood(Flood::ProvokedResets))
    .breaks(Violation::HeaderListTooLarge)
}

#[test]
fn h03_huffman_over_the_list_is_refused_and_then_ends() {
    prove(huffman_over_the_list());
}

fn continuations() -> Vec<Row> {
    let flood = |_, out: &mut Vec<u8>| {
        let mut fragment = Vec::new();
        field(&mut fragment, b"a", b"b");
        frame(out, CONTINUATION, 0, 1, &fragment);
    };
    let ended = |row: Row| row.ends(Violation::Frame(Malformed::TooManyContinuations)).heap(64 * 1024);
    vec![
        ended(Row::on_server("h04", 10_000, flood).prologue(begin_block)),
        ended(Row::on_client("h04-client", 4, 10_000, flood).prologue(begin_answer)),
    ]
}

#[test]
fn h04_continuation_flood_ends_at_the_ninth() {
    for row in continuations() {
        prove(Row { units: 9, ..row.clone() });
        prove(row);
    }
}

/// As many as are fine, again and again.
fn eight_continuations() -> Row {
    Row::on_server("h04-fine", 250, |n, out| {
        frame(out, HEADERS, 0, nth(n), &[]);
        let whole = connect_block("target.example:443");
        let (last, fragments) = (7, whole.chunks(whole.len().div_ceil(8)));
        for (place, fragment) in fragments.enumerate() {
            let flags = if place == last { END_HEADERS } else { 0 };
            frame(out, CONTINUATION, flags, nth(n), fragment);
        }
    })
    .app(App::Refuse)
    .counted(|stats| stats.streams_accepted)
}

#[test]
fn h04_eight_continuations_are_fine() {
    prove(eight_continuations());
}

fn empty_continuations() -> Vec<Row> {
    let flood = |_, out: &mut Vec<u8>| frame(out, CONTINUATION, 0, 1, &[]);
    let ended = |row: Row| row.ends(Violation::Frame(Malformed::TooManyEmptyContinuations)).heap(64 * 1024);
    vec![
        ended(Row::on_server("h05", 10_000, flood).prologue(begin_block)),
        ended(Row::on_client("h05-client", 4, 10_000, flood).prologue(begin_answer)),
    ]
}

#[test]
fn h05_empty_continuation_flood_ends_at_the_second() {
    for row in empty_continuations() {
        prove(Row { units: 2, ..row.clone() });
        prove(row);
    }
}

/// Over a socket everything comes at once, and then nothing.
fn slow_blocks() -> Vec<Row> {
    let late = |row: Row| {
        row.configured(|config| config.header_block_timeout = Duration::from_millis(300))
            .pace(Duration::from_millis(10))
            .late(Timeout::HeaderBlock)
            .heap(64 * 1024)
    };
    let octet = |n, out: &mut Vec<u8>| out.push(connect_block("target.example:443")[n as usize % 30]);
    let fragment = |n: u32, out: &mut Vec<u8>| {
        if n.is_multiple_of(10) && n < 80 {
            frame(out, CONTINUATION, 0, 1, &[0, 1, b'a', 1, b'b']);
        }
    };
    vec![
        // An octet every 10 ms of a block that would take 5 s.
        late(Row::on_server("h06", 400, octet).prologue(|out| head_alone(out, HEADERS, END_HEADERS, 1, 500))),
        // A frame every 100 ms: the timer is not refreshed by frames.
        late(Row::on_server("h06-frames", 400, fragment).prologue(begin_block)),
        late(Row::on_client("h06-client", 4, 400, fragment).prologue(begin_answer)),
    ]
}

#[test]
fn h06_slow_header_block() {
    slow_blocks().into_iter().for_each(prove);
}

/// Octets of the block that comes octet by octet.
const DRIPPED: u32 = 60_000;

fn long_strings() -> Vec<Row> {
    let declared = || {
        let mut extra = vec![0, 1, b'x'];
        integer(&mut extra, 0, 7, 1 << 27);
        extra.extend_from_slice(&[b'v'; 100]);
        extra
    };
    let cut = Violation::Compression(CompressionError::StringTruncated);
    vec![
        Row::on_server("h09", 1, move |n, out| request(out, nth(n), &declared())).ends(cut).heap(64 * 1024),
        Row::on_client("h09-client", 4, 1, move |n, out| answer(out, nth(n), &declared()))
            .ends(cut)
            .heap(64 * 1024),
        dripped(),
    ]
}

/// 60 000 octets of one string, one by one: refused with 431, and the work is linear.
fn dripped() -> Row {
    let mut whole = with_extra(&[0, 1, b'x']);
    let rest = DRIPPED as usize - whole.len() - 4;
    integer(&mut whole, 0, 7, rest);
    whole.resize(DRIPPED as usize, b'v');
    Row::on_server("h09-drip", DRIPPED, move |n, out| out.extend(whole.get(n as usize)))
        .prologue(|out| head_alone(out, HEADERS, END_HEADERS, 1, DRIPPED))
        .pace(Duration::from_micros(10))
        .breaks(Violation::HeaderListTooLarge)
}

#[test]
fn h09_long_strings_are_refused_at_the_length_and_cost_linear_work() {
    long_strings().into_iter().for_each(prove);
}
