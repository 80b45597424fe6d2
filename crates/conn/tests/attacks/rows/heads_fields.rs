//! Field lists that are legal to HPACK and not to HTTP, or only too many (H07, H14 to H17).

use hbone_conn::{Flood, Stats, Violation};
use hbone_frame::Malformed;
use hbone_frame::hpack::CompressionError;

use super::heads::*;
use crate::frames::*;
use crate::row::{App, Row};
use crate::{prove, virtually};

pub(super) fn all() -> Vec<Row> {
    let mut rows = empty_names();
    rows.extend(unique_names());
    rows.extend(injected());
    rows.extend(smuggled());
    rows.push(Row { units: 800, ..interning() });
    rows
}

/// `extra` in a request of the n-th stream; for clients in the answer to it.
fn on_both(
    ids: [&'static str; 2],
    requests: u32,
    extra: impl Fn(u32) -> Vec<u8> + Clone + Send + Sync + 'static,
) -> [Row; 2] {
    let same = extra.clone();
    [
        Row::on_server(ids[0], requests, move |n, out| request(out, nth(n), &extra(n))),
        Row::on_client(ids[1], TUNNELS, TUNNELS, move |n, out| answer(out, nth(n), &same(n))),
    ]
}

fn empty_names() -> Vec<Row> {
    let indexed = [0x40, 0, 0];
    let [server, client] = on_both(["h07", "h07-client"], 10_000, |_| vec![0, 0, 1, b'v']);
    vec![
        server.ends(Violation::Flood(Flood::ProvokedResets)).breaks(Violation::FieldOctets),
        client.breaks(Violation::FieldOctets).resets(1),
        Row::on_server("h07-block", 1, move |n, out| request(out, nth(n), &indexed.repeat(10_000)))
            .ends(Violation::Compression(CompressionError::Flood))
            .heap(96 * 1024),
    ]
}

#[test]
fn h07_empty_names() {
    empty_names().into_iter().for_each(prove);
}

/// `count` names that no other request has, as literals that enter the table.
fn names(n: u32, count: u32) -> Vec<u8> {
    let mut block = Vec::new();
    for name in 0..count {
        indexed_field(&mut block, format!("{n:x}-{name:x}").as_bytes(), b"");
    }
    block
}

fn unique_names() -> Vec<Row> {
    // 100 fields are fine: those of the request, and 98.
    let [server, client] = on_both(["h14", "h14-client"], 1000, |n| names(n, 100));
    vec![
        server.ends(Violation::Flood(Flood::ProvokedResets)).breaks(Violation::HeaderListTooLarge),
        client.breaks(Violation::HeaderListTooLarge).resets(11),
        Row::on_server("h14-fine", 40, |n, out| request(out, nth(n), &names(n, 98)))
            .app(App::Refuse)
            .counted(untouched),
        Row::on_server("h14-block", 1, |n, out| request(out, nth(n), &names(n, 6000)))
            .ends(Violation::Compression(CompressionError::Flood)),
        Row::on_server("h14-frame", 1, |n, out| request(out, nth(n), &names(n, 25_000)))
            .ends(Violation::Frame(Malformed::HeaderBlockTooLarge)),
    ]
}

/// Every request was taken, none was blamed.
fn untouched(stats: &Stats) -> u64 {
    u64::from(stats.streams_accepted > 0 && stats.streams_refused + stats.stream_violations == 0)
}

#[test]
fn h14_unique_names() {
    unique_names().into_iter().for_each(prove);
}

/// Octets that RFC 9113 8.2.1 and RFC 9110 5.5 forbid in a value wherever they stand.
fn is_control(octet: u8) -> bool {
    (octet < 0x20 && octet != b'\t') || octet == 0x7f
}

/// A token of RFC 9110 5.6.2.
fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

/// The samples that also go over a socket: every octet in the middle of a value and of a name.
fn injected() -> Vec<Row> {
    // An odd factor: each octet once, and controls are not the first.
    let octet = |n: u32| (n * 97) as u8;
    let value = move |n: u32| {
        let mut extra = Vec::new();
        field(&mut extra, b"x", &[b'a', octet(n), b'b']);
        extra
    };
    let name = move |n: u32| {
        let mut extra = Vec::new();
        field(&mut extra, &[b'a', octet(n), b'b'], b"v");
        extra
    };
    let [server, client] = on_both(["h15-value", "h15-value-client"], 250, value);
    let [names, names_client] = on_both(["h15-name", "h15-name-client"], 1000, name);
    vec![
        server.breaks(Violation::FieldOctets).resets(1),
        client.breaks(Violation::FieldOctets).resets(1),
        names.ends(Violation::Flood(Flood::ProvokedResets)).breaks(Violation::FieldOctets),
        names_client.breaks(Violation::FieldOctets).resets(1),
    ]
}

#[test]
fn h15_injection_over_a_socket() {
    injected().into_iter().for_each(prove);
}

/// Names and values.
type List = Vec<(Vec<u8>, Vec<u8>)>;

/// A place of a request where an octet is injected: the fields around it, and what is allowed there.
struct Place {
    name: &'static str,
    fields: fn(u8) -> List,
    allowed: fn(u8) -> bool,
}

fn fields(pairs: &[(&[u8], &[u8])]) -> List {
    pairs.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

const METHOD: (&[u8], &[u8]) = (b":method", b"GET");
const SCHEME: (&[u8], &[u8]) = (b":scheme", b"http");
const AUTHORITY: (&[u8], &[u8]) = (b":authority", b"target.example");
const PATH: (&[u8], &[u8]) = (b":path", b"/");
const EXTENDED: (&[u8], &[u8]) = (b":method", b"CONNECT");

/// A request with one more field.
fn with(name: &[u8], value: &[u8]) -> List {
    fields(&[METHOD, SCHEME, AUTHORITY, PATH, (name, value)])
}

const PLACES: &[Place] = &[
    Place {
        name: "the start of a name",
        fields: |octet| with(&[octet, b'a', b'b'], b"v"),
        allowed: |octet| is_token(octet) && !octet.is_ascii_uppercase(),
    },
    Place {
        name: "the middle of a name",
        fields: |octet| with(&[b'a', octet, b'b'], b"v"),
        allowed: |octet| is_token(octet) && !octet.is_ascii_uppercase(),
    },
    Place {
        name: "the end of a name",
        fields: |octet| with(&[b'a', b'b', octet], b"v"),
        allowed: |octet| is_token(octet) && !octet.is_ascii_uppercase(),
    },
    Place {
        name: "the start of a value",
        fields: |octet| with(b"x", &[octet, b'v']),
        allowed: |octet| !is_control(octet) && octet != b' ' && octet != b'\t',
    },
    Place {
        name: "the middle of a value",
        fields: |octet| with(b"x", &[b'v', octet, b'v']),
        allowed: |octet| !is_control(octet),
    },
    Place {
        name: "the end of a value",
        fields: |octet| with(b"x", &[b'v', octet]),
        allowed: |octet| !is_control(octet) && octet != b' ' && octet != b'\t',
    },
    Place {
        name: ":method",
        fields: |octet| fields(&[(b":method", &[b'G', octet, b'T']), SCHEME, AUTHORITY, PATH]),
        allowed: is_token,
    },
    Place {
        name: ":scheme",
        fields: |octet| fields(&[METHOD, (b":scheme", &[b'h', octet, b'p']), AUTHORITY, PATH]),
        allowed: |octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet),
    },
    Place {
        name: ":authority",
        fields: |octet| fields(&[METHOD, SCHEME, (b":authority", &[b'a', octet, b'b']), PATH]),
        // RFC 3986 3.2 without user information: no control, no blank, nothing that ends an authority.
        allowed: |octet| octet.is_ascii_graphic() && !b"@/?#\\\"<>".contains(&octet),
    },
    Place {
        name: ":path",
        fields: |octet| fields(&[METHOD, SCHEME, AUTHORITY, (b":path", &[b'/', octet, b'b'])]),
        allowed: |octet| octet > b' ' && octet != 0x7f,
    },
    Place {
        name: ":protocol",
        fields: |octet| fields(&[EXTENDED, SCHEME, AUTHORITY, PATH, (b":protocol", &[b'w', octet, b's'])]),
        allowed: |octet| is_token(octet) || octet == b'/',
    },
    Place {
        name: "the target of a tunnel",
        fields: |octet| fields(&[EXTENDED, (b":authority", &[b'a', octet, b':', b'1'])]),
        allowed: |octet| octet.is_ascii_graphic() && !b"@/?#\\\"<>".contains(&octet),
    },
];

/// A row of one request of these fields.
fn one_request(fields: List) -> Row {
    Row::on_server("h15", 1, move |n, out| {
        let mut list = Vec::new();
        fields.iter().for_each(|(name, value)| field(&mut list, name, value));
        block(out, nth(n), &list);
    })
}

#[test]
fn h15_every_octet_at_every_place_of_a_request() {
    for place in PLACES {
        for octet in 0..=255 {
            let outcome = virtually::run(&one_request((place.fields)(octet)), 1);
            let (taken, blamed) = (outcome.stats.streams_accepted, outcome.stats.stream_violations);
            let expected = if (place.allowed)(octet) { (1, 0) } else { (0, 1) };
            assert_eq!((taken, blamed), expected, "{octet:#04x} in {}", place.name);
            assert_eq!(outcome.resets[1], expected.1 as u32, "{octet:#04x} in {}", place.name);
            assert_eq!(outcome.error, None, "{octet:#04x} in {}", place.name);
        }
    }
}

/// The same in a response.
const ANSWER_PLACES: &[Place] = &[
    Place {
        name: ":status",
        fields: |octet| fields(&[(b":status", &[b'2', octet, b'0'])]),
        allowed: |octet| octet.is_ascii_digit(),
    },
    Place {
        name: "a name",
        fields: |octet| fields(&[(b":status", b"200"), (&[b'a', octet], b"v")]),
        allowed: |octet| is_token(octet) && !octet.is_ascii_uppercase(),
    },
    Place {
        name: "a value",
        fields: |octet| fields(&[(b":status", b"200"), (b"x", &[b'v', octet, b'v'])]),
        allowed: |octet| !is_control(octet),
    },
];

#[test]
fn h15_every_octet_at_every_place_of_a_response() {
    for Place { name, fields, allowed } in ANSWER_PLACES {
        for octet in 0..=255 {
            let list = fields(octet);
            let row = Row::on_client("h15", 1, 1, move |n, out| {
                let mut whole = Vec::new();
                list.iter().for_each(|(name, value)| field(&mut whole, name, value));
                block(out, nth(n), &whole);
            });
            let outcome = virtually::run(&row, 1);
            let blamed = u32::from(!allowed(octet));
            assert_eq!(outcome.stats.stream_violations, u64::from(blamed), "{octet:#04x} in {name}");
            assert_eq!(outcome.resets[1], blamed, "{octet:#04x} in {name}");
            assert_eq!(outcome.error, None, "{octet:#04x} in {name}");
        }
    }
}

/// What HTTP/1.1 frames its messages with.
const FRAMING: [(&[u8], &[u8]); 9] = [
    (b"transfer-encoding", b"chunked"),
    (b"connection", b"keep-alive"),
    (b"connection", b""),
    (b"proxy-connection", b"close"),
    (b"keep-alive", b"timeout=5"),
    (b"upgrade", b"h2c"),
    (b"te", b"gzip"),
    (b"te", b"trailers, gzip"),
    (b"te", b"Trailers"),
];

fn smuggled() -> Vec<Row> {
    let framing = |n: u32| {
        let (name, value) = FRAMING[n as usize % FRAMING.len()];
        let mut extra = Vec::new();
        field(&mut extra, name, value);
        extra
    };
    let length = |values: &'static [&'static [u8]]| {
        move |n: u32, out: &mut Vec<u8>| {
            let mut whole = get_block();
            values.iter().for_each(|value| field(&mut whole, b"content-length", value));
            block(out, nth(n), &whole);
            data(out, nth(n), &[b'd'; 4]);
        }
    };
    let [server, client] = on_both(["h16", "h16-client"], 150, framing);
    let lengths = |id, values| {
        Row::on_server(id, 150, length(values))
            .breaks(Violation::ContentLength)
            .resets(1)
            .counted(|stats| u64::from(stats.stream_violations == 150))
    };
    vec![
        server
            .breaks(Violation::ConnectionField)
            .resets(1)
            .counted(|stats| u64::from(stats.stream_violations == 150 && stats.streams_accepted == 0)),
        client
            .breaks(Violation::ConnectionField)
            .resets(1)
            .counted(|stats| u64::from(stats.stream_violations == u64::from(TUNNELS))),
        lengths("h16-twice", &[b"4", b"5"]),
        lengths("h16-short", &[b"3"]),
        lengths("h16-sign", &[b"+4"]),
        lengths("h16-huge", &[b"18446744073709551620"]),
        // On a tunnel it means nothing (RFC 9113 8.5), and `te: trailers` is fine.
        Row::on_server("h16-tunnel", 200, |n, out| {
            let mut extra = Vec::new();
            field(&mut extra, b"content-length", b"3");
            field(&mut extra, b"te", b"trailers");
            request(out, nth(n), &extra);
            data(out, nth(n), &[b'd'; 4]);
        })
        .counted(untouched),
    ]
}

#[test]
fn h16_framing_smuggled_through() {
    smuggled().into_iter().for_each(prove);
}

/// Names, authorities and values that no other request has, `padding` octets in each.
fn unique(id: &'static str, requests: u32, padding: usize) -> Row {
    Row::on_server(id, requests, move |n, out| {
        let mut list = Vec::new();
        field(&mut list, b":method", b"CONNECT");
        indexed_field(&mut list, b":authority", format!("t{n}.example:443").as_bytes());
        indexed_field(&mut list, format!("x-{n}").as_bytes(), b"v");
        indexed_field(&mut list, b"baggage", format!("{n:0padding$}").as_bytes());
        block(out, nth(n), &list);
    })
    .app(App::Refuse)
    .counted(untouched)
}

fn interning() -> Row {
    unique("h17", 20_000, 8)
}

#[test]
fn h17_a_hundred_thousand_unique_names_leave_the_heap_flat() {
    let row = interning();
    let few = virtually::run(&row, 5000).peak;
    let (many, wire) = virtually::prove(&Row { units: 100_000, ..row });
    println!("{:6} sent {wire:>9}  engine held {many:>8} ({few} of a twentieth)", "h17");
    assert!(many <= few + few / 10, "{few} octets held of 5000, {many} of 100 000");
}

/// Requests so large that a few reads bring no more of them than streams are allowed.
#[test]
fn h17_unique_names_over_a_socket() {
    let row = unique("h17-socket", 4000, 2600).live(1000);
    prove(row.configured(|config| config.max_concurrent_streams = 1000));
}
