//! Header blocks that abuse RFC 7541 (H01, H02, H08, H10 to H13).

use std::time::Duration;

use hbone_conn::{Config, Connection, Event, Flood, Request, Side, Transmit, Violation};
use hbone_frame::hpack::CompressionError;

use super::heads::*;
use crate::frames::*;
use crate::heap::Mark;
use crate::row::{App, End, Row};
use crate::{prove, really, virtually};

pub(super) fn all() -> Vec<Row> {
    let mut rows = bombs();
    rows.push(Row { units: 64, ..bombs_within_the_list() });
    rows.push(crumbs(20));
    rows.extend(integers());
    rows.extend(huffman_ends());
    rows.extend(size_updates());
    rows.extend(tables());
    rows.push(encoder_table_of_four_gigabytes());
    rows
}

fn broken(row: Row, error: CompressionError) -> Row {
    row.ends(Violation::Compression(error)).heap(64 * 1024)
}

/// The newest entry of the dynamic table.
const NEWEST: u8 = 0x80 | 62;

/// An entry that fills the table.
fn fill_table(block: &mut Vec<u8>) {
    indexed_field(block, b"x", &[b'v'; 4096 - 33]);
}

fn bombs() -> Vec<Row> {
    let flood = Violation::Compression(CompressionError::Flood);
    let fill = |out: &mut Vec<u8>| {
        let mut extra = Vec::new();
        fill_table(&mut extra);
        request(out, 1, &extra);
    };
    let fill_client = |out: &mut Vec<u8>| {
        let mut extra = Vec::new();
        fill_table(&mut extra);
        answer(out, 1, &extra);
    };
    vec![
        Row::on_server("h01", 4, |n, out| request(out, nth(n + 1), &[NEWEST; 16_384]))
            .prologue(fill)
            .ends(flood),
        Row::on_client("h01-client", 4, 3, |n, out| answer(out, nth(n + 1), &[NEWEST; 16_384]))
            .prologue(fill_client)
            .ends(flood),
        // Over the list, but not four times: each is answered with 431, for a while.
        Row::on_server("h01-list", 2000, |n, out| request(out, nth(n + 1), &[NEWEST; 20]))
            .prologue(fill)
            .ends(Violation::Flood(Flood::ProvokedResets))
            .breaks(Violation::HeaderListTooLarge),
        Row::on_client("h01-list-client", TUNNELS, TUNNELS - 1, |n, out| {
            answer(out, nth(n + 1), &[NEWEST; 20]);
        })
        .prologue(fill_client)
        .resets(11)
        .breaks(Violation::HeaderListTooLarge),
    ]
}

#[test]
fn h01_hpack_bomb() {
    bombs().into_iter().for_each(prove);
}

/// Seven octets are 28 KiB, on as many streams as may be open: lists that wait for the application are bounded.
fn bombs_within_the_list() -> Row {
    Row::on_server("h01-fits", 255, |n, out| request(out, nth(n + 1), &[NEWEST; 7]))
        .prologue(|out| {
            let mut extra = Vec::new();
            fill_table(&mut extra);
            request(out, 1, &extra);
        })
        .app(App::Refuse)
        .counted(|stats| stats.streams_accepted)
}

#[test]
fn h01_bombs_within_the_list_do_not_pile_up() {
    prove(bombs_within_the_list());
}

/// Cookie crumbs of one octet each on 256 streams, which are then pinned: no window, and it grows by one octet.
fn crumbs(crumbs: usize) -> Row {
    Row::on_server("h02", 256 + 12_000, move |n, out| match n {
        0..256 => request(out, nth(n + 1), &[NEWEST].repeat(crumbs)),
        _ => window_update(out, nth(n % 255 + 1), 1),
    })
    .settings(&[(4, 0)])
    .prologue(|out| {
        // The first stream is over at once and leaves its entry behind.
        let mut extra = Vec::new();
        indexed_field(&mut extra, b"cookie", b"a=1");
        request(out, 1, &extra);
        reset(out, 1, 8);
    })
    .app(App::Source)
    // Faster it would be a flood.
    .pace(Duration::from_millis(20))
    .counted(|stats| stats.streams_accepted)
    .heap(320 * 1024)
}

#[test]
fn h02_reference_bomb_of_crumbs_holds_less_than_twice_its_wire() {
    let row = crumbs(90);
    let (held, wire) = virtually::prove(&row);
    println!("{:6} sent {wire:>9}  engine held {held:>8}", row.id);
    assert!(held < 2 * wire, "{held} octets held for {wire} sent");
    // Over a socket updates that come in one read find less DATA to have earned them.
    really::prove(&Row { units: 256 + 500, ..row });
}

/// Literals and references of every prefix, size updates, and lengths of strings.
fn integers() -> Vec<Row> {
    use CompressionError::{IndexOutOfRange, IntegerTooLong, SizeUpdateOverLimit};
    let endless = |id, before: &'static [u8]| {
        let row = Row::on_server(id, 1, move |n, out| {
            block(out, nth(n), &[before, &[0x80; 1000]].concat());
        });
        broken(row, IntegerTooLong)
    };
    let huge = |id, first: u8, error| {
        let row = Row::on_server(id, 1, move |n, out| {
            block(out, nth(n), &[first, 0xff, 0xff, 0xff, 0x7f, 0, 0]);
        });
        broken(row, error)
    };
    vec![
        endless("h08-7", &[0xff]),
        endless("h08-6", &[0x7f]),
        endless("h08-5", &[0x3f]),
        endless("h08-4", &[0x0f]),
        endless("h08-4n", &[0x1f]),
        endless("h08-name", &[0x40, 0x7f]),
        endless("h08-value", &[0x40, 0x01, b'x', 0xff]),
        huge("h08-huge-7", 0xff, IndexOutOfRange),
        huge("h08-huge-6", 0x7f, IndexOutOfRange),
        huge("h08-huge-5", 0x3f, SizeUpdateOverLimit),
        huge("h08-huge-4", 0x0f, IndexOutOfRange),
        broken(
            Row::on_client("h08-client", 4, 1, |n, out| answer(out, nth(n), &[0xff, 0x80, 0x80, 0x80, 0x80])),
            IntegerTooLong,
        ),
        split_integer(),
    ]
}

/// A frame whose every octet comes alone.
fn split_integer() -> Row {
    let mut whole = Vec::new();
    block(&mut whole, 1, &[&[0x0f][..], &[0x80; 500]].concat());
    let octets = whole.len() as u32;
    let row = Row::on_server("h08-split", octets, move |n, out| out.extend(whole.get(n as usize)));
    broken(row.pace(Duration::from_micros(1)), CompressionError::IntegerTooLong)
}

#[test]
fn h08_integer_abuse() {
    integers().into_iter().for_each(prove);
}

/// A request with one field whose value is this Huffman code.
fn coded(id: &'static str, coded: &'static [u8]) -> Row {
    Row::on_server(id, 1, move |n, out| {
        let mut extra = Vec::new();
        huffman_field(&mut extra, b"x", coded);
        request(out, nth(n), &extra);
    })
}

fn huffman_ends() -> Vec<Row> {
    use CompressionError::{HuffmanEos, HuffmanPaddingInvalid, HuffmanPaddingTooLong};
    let client = Row::on_client("h10-client", 4, 1, |n, out| {
        let mut extra = Vec::new();
        huffman_field(&mut extra, b"x", &[0xff; 4]);
        answer(out, nth(n), &extra);
    });
    vec![
        // Eight digits 0 in five octets, and an octet of padding.
        broken(coded("h10-pad-8", &[0, 0, 0, 0, 0, 0xff]), HuffmanPaddingTooLong),
        broken(coded("h10-pad-24", &[0, 0, 0, 0, 0, 0xff, 0xff, 0xff]), HuffmanPaddingTooLong),
        // One digit 0, and three bits of padding that are not ones.
        broken(coded("h10-pad-0", &[0]), HuffmanPaddingInvalid),
        broken(coded("h10-pad-6", &[0b0000_0110]), HuffmanPaddingInvalid),
        broken(coded("h10-eos", &[0xff; 4]), HuffmanEos),
        broken(coded("h10-eos-inside", &[0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc, 0, 0]), HuffmanEos),
        broken(client, HuffmanEos),
    ]
}

#[test]
fn h10_huffman_padding_and_eos() {
    huffman_ends().into_iter().for_each(prove);
}

/// Whether these bits are symbols of five, six or seven bits (RFC 7541 appendix B) and then ones.
fn ends_well(bits: u32, value: u32) -> bool {
    let symbol = match bits {
        5 => value <= 9,
        6 => (20..=45).contains(&value),
        7 => (92..=123).contains(&value),
        _ => false,
    };
    let ones = |bits: u32, value: u32| value == (1 << bits) - 1;
    let five_and_ones =
        bits > 5 && value >> (bits - 5) <= 9 && ones(bits - 5, value & ((1 << (bits - 5)) - 1));
    let six_and_one = bits == 7 && (20..=45).contains(&(value >> 1)) && value & 1 == 1;
    ones(bits, value) || symbol || five_and_ones || six_and_one
}

#[test]
fn h10_every_padding_of_every_length_is_judged() {
    for bits in 1..=7_u32 {
        // So many digits 0 leave so many bits of the last octet.
        let digits = (1..=8).find(|digits| 5 * digits % 8 == 8 - bits).unwrap();
        for value in 0..1_u32 << bits {
            let mut string = vec![0; (5 * digits as usize).div_ceil(8)];
            *string.last_mut().unwrap() |= value as u8;
            let row = Row::on_server("h10", 1, move |n, out| {
                let mut extra = Vec::new();
                huffman_field(&mut extra, b"x", &string);
                request(out, nth(n), &extra);
            });
            let invalid = Violation::Compression(CompressionError::HuffmanPaddingInvalid);
            let end = if ends_well(bits, value) { End::Lives } else { End::Fault(invalid) };
            let seen = virtually::run(&row, 1).error;
            Row { end, ..row }.judge_end(seen.as_ref());
        }
    }
}

fn size_updates() -> Vec<Row> {
    use CompressionError::{
        SizeUpdateInsideBlock, SizeUpdateMissing, SizeUpdateOverLimit, TooManySizeUpdates,
    };
    let starts_with = |id, start: &'static [u8]| {
        Row::on_server(id, 1, move |n, out| {
            block(out, nth(n), &[start, &with_extra(&[])].concat());
        })
    };
    let client = Row::on_client("h11-client", 4, 1, |n, out| {
        block(out, nth(n), &[0x3f, 0xe2, 0x1f, 0x88]);
    });
    vec![
        broken(starts_with("h11-over", &[0x3f, 0xe2, 0x1f]), SizeUpdateOverLimit),
        broken(client, SizeUpdateOverLimit),
        broken(Row::on_server("h11-mid", 1, |n, out| request(out, nth(n), &[0x20])), SizeUpdateInsideBlock),
        broken(
            Row::on_server("h11-many", 1, |n, out| block(out, nth(n), &[0x20; 10_000])),
            TooManySizeUpdates,
        ),
        // We have reduced the table, the peer has acknowledged it and goes on as before.
        broken(starts_with("h11-missing", &[]), SizeUpdateMissing)
            .configured(|config| config.header_table_size = 100),
        // Two at the start are fine, in every block.
        Row::on_server("h11-fine", 250, |n, out| {
            block(out, nth(n), &[&[0x20, 0x3f, 0xe1, 0x1f], &with_extra(&[])[..]].concat());
        })
        .app(App::Refuse)
        .counted(|stats| stats.streams_accepted),
    ]
}

#[test]
fn h11_table_size_updates() {
    size_updates().into_iter().for_each(prove);
}

/// Inserts that evict what they refer to, and tables full of the smallest entries.
fn tables() -> Vec<Row> {
    vec![
        // A table that holds one entry, `:authority`. Each block takes the name of it for the entry that evicts it:
        // with any other name the request has no authority.
        Row::on_server("h12-evict", 240, |n, out| {
            let value: &[u8] = if n.is_multiple_of(2) { b"target.example:443" } else { b"target.example:7" };
            let mut evicting = Vec::new();
            field(&mut evicting, b":method", b"CONNECT");
            evicting.extend_from_slice(&[0x40 | 62, value.len() as u8]);
            evicting.extend_from_slice(value);
            block(out, nth(n + 1), &evicting);
        })
        .prologue(|out| {
            let mut first = vec![0x3f, 64 - 31];
            field(&mut first, b":method", b"CONNECT");
            indexed_field(&mut first, b":authority", b"target.example:443");
            block(out, 1, &first);
        })
        .app(App::Refuse)
        .counted(|stats| u64::from(stats.streams_accepted > 1 && stats.stream_violations == 0)),
        // 128 entries of 32 octets are all that fits.
        Row::on_server("h12-empty", 100, |n, out| request(out, nth(n), &[0x40, 0, 0].repeat(90)))
            .resets(1)
            .breaks(Violation::FieldOctets)
            .heap(64 * 1024),
    ]
}

#[test]
fn h12_evicting_what_is_referred_to_and_tables_of_empty_entries() {
    tables().into_iter().for_each(prove);
}

/// SETTINGS_HEADER_TABLE_SIZE 2^32-1 and 0 in turn.
fn encoder_table_of_four_gigabytes() -> Row {
    Row::on_server("h13", 1000, |n, out| {
        settings(out, &[(1, if n.is_multiple_of(2) { 0 } else { u32::MAX })]);
        request(out, nth(n), &[]);
    })
    .settings(&[(1, u32::MAX)])
    .app(App::Refuse)
    .ends(Violation::Flood(Flood::Settings))
}

#[test]
fn h13_encoder_table_of_four_gigabytes() {
    prove(encoder_table_of_four_gigabytes());
}

#[test]
fn h13_the_encoder_says_the_size_that_it_uses_and_holds_no_more() {
    let config = Config { header_table_size: 16_384, ..Config::default() };
    let now = virtually::epoch();
    let mark = Mark::now();
    let mut conn = Connection::new(Side::Client, config, now);
    let mut out = Transmit::new();
    let mut first_block = None;
    let mut wire = Vec::new();
    settings(&mut wire, &[(1, u32::MAX)]);
    conn.handle_bytes(now, wire.into());
    for n in 0..20_000 {
        let mut request = Some(Request::connect(&format!("name-{n}.example:443")));
        let key = conn.open(&mut request, false).unwrap();
        while conn.poll_transmit(now, &mut out) {
            let flight: Vec<u8> = out.pieces().flatten().copied().collect();
            // HEADERS of stream 1 come last in the first flight: behind their head of 9 octets the block.
            first_block.get_or_insert_with(|| {
                let at = flight.windows(5).position(|octets| octets == [HEADERS, END_HEADERS, 0, 0, 0]);
                flight[at.unwrap() + 6..].to_vec()
            });
            out.advance(out.len());
        }
        conn.release(key);
        while conn.poll_transmit(now, &mut out) {
            out.advance(out.len());
        }
        while let Some(event) = conn.poll_event() {
            assert!(!matches!(event, Event::Closed(_)), "{event:?}");
        }
    }
    assert_eq!(first_block.unwrap()[..3], [0x3f, 0xe1, 0x7f], "the update says 16 384");
    assert!(mark.held() < 128 * 1024, "{} octets held", mark.held());
}
