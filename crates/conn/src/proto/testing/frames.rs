//! Frames as a peer would write them, well-formed or not: functions that return octets.
//!
//! Header blocks are literals without indexing, so that any order of frames leaves the tables alone.

use hbone_frame::{ErrorCode, Kind, Priority, SettingId, Settings, StreamId, encode};

/// The fields of a plain CONNECT.
pub(in crate::proto) const CONNECT: &[(&str, &str)] =
    &[(":method", "CONNECT"), (":authority", "10.0.0.1:80")];
/// The fields of an ordinary request.
pub(in crate::proto) const GET: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "https"), (":authority", "a.example"), (":path", "/")];
/// An extended CONNECT (RFC 8441).
pub(in crate::proto) const WEBSOCKET: &[(&str, &str)] = &[
    (":method", "CONNECT"),
    (":scheme", "https"),
    (":authority", "a.example"),
    (":path", "/"),
    (":protocol", "websocket"),
];
/// What every peer takes.
const FRAME: u32 = 16_384;

pub(in crate::proto) fn id(value: u32) -> StreamId {
    StreamId::new(value).expect("a stream has an identifier above 0")
}

fn framed(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// A header block of literals without indexing (RFC 7541 6.2.2).
pub(in crate::proto) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    framed(|out| {
        for (name, value) in fields {
            out.push(0);
            string(name, out);
            string(value, out);
        }
    })
}

fn string(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.len();
    if rest < 127 {
        out.push(rest as u8);
    } else {
        out.push(127);
        rest -= 127;
        while rest >= 128 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
    out.extend_from_slice(text.as_bytes());
}

/// HEADERS with these fields and END_HEADERS.
pub(in crate::proto) fn head(stream: u32, fields: &[(&str, &str)], end: bool) -> Vec<u8> {
    framed(|out| encode::headers(id(stream), end, &block(fields), FRAME, out))
}

/// HEADERS of a CONNECT.
pub(in crate::proto) fn headers(stream: u32) -> Vec<u8> {
    head(stream, CONNECT, false)
}

/// HEADERS of a GET, with END_STREAM.
pub(in crate::proto) fn get(stream: u32) -> Vec<u8> {
    head(stream, GET, true)
}

/// HEADERS of a response.
pub(in crate::proto) fn response(stream: u32, status: u16, end: bool) -> Vec<u8> {
    head(stream, &[(":status", &status.to_string())], end)
}

/// Trailers.
pub(in crate::proto) fn trailers(stream: u32) -> Vec<u8> {
    head(stream, &[("checksum", "1")], true)
}

/// HEADERS that depend on `dependency`.
pub(in crate::proto) fn dependent(stream: u32, dependency: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let fragment = &block(fields);
    let priority = Some(Priority { exclusive: false, dependency, weight: 15 });
    let frame = encode::HeadersFrame {
        stream: id(stream),
        end_stream: false,
        end_headers: true,
        priority,
        padding: None,
        fragment,
    };
    framed(|out| frame.encode(out))
}

/// HEADERS without END_HEADERS.
pub(in crate::proto) fn open_block(stream: u32, fragment: &[u8]) -> Vec<u8> {
    let frame = encode::HeadersFrame {
        stream: id(stream),
        end_stream: false,
        end_headers: false,
        priority: None,
        padding: None,
        fragment,
    };
    framed(|out| frame.encode(out))
}

pub(in crate::proto) fn continuation(stream: u32, end: bool, fragment: &[u8]) -> Vec<u8> {
    framed(|out| encode::continuation(id(stream), end, fragment, out))
}

/// `octets` of DATA in frames of at most 16 384.
pub(in crate::proto) fn data(stream: u32, octets: usize) -> Vec<u8> {
    framed(|out| {
        let mut left = octets;
        loop {
            let now = left.min(16_384);
            encode::data(id(stream), &vec![b'x'; now], false, out);
            left -= now;
            if left == 0 {
                break;
            }
        }
    })
}

/// One DATA frame with END_STREAM.
pub(in crate::proto) fn last_data(stream: u32, octets: usize) -> Vec<u8> {
    framed(|out| encode::data(id(stream), &vec![b'x'; octets], true, out))
}

/// One DATA frame of `octets`, the pad-length octet, and `padding`.
pub(in crate::proto) fn padded(stream: u32, octets: usize, padding: u8) -> Vec<u8> {
    framed(|out| encode::data_padded(id(stream), &vec![b'x'; octets], padding, false, out))
}

pub(in crate::proto) fn rst(stream: u32, code: ErrorCode) -> Vec<u8> {
    framed(|out| encode::reset(id(stream), code, out))
}

pub(in crate::proto) fn settings(values: &[(SettingId, u32)]) -> Vec<u8> {
    let mut settings = Settings::new();
    for (id, value) in values {
        settings.push(*id, *value);
    }
    framed(|out| encode::settings(&settings, out))
}

pub(in crate::proto) fn settings_ack() -> Vec<u8> {
    framed(encode::settings_ack)
}

pub(in crate::proto) fn ping(payload: u64) -> Vec<u8> {
    framed(|out| encode::ping(false, payload.to_be_bytes(), out))
}

pub(in crate::proto) fn pong(payload: u64) -> Vec<u8> {
    framed(|out| encode::ping(true, payload.to_be_bytes(), out))
}

/// GOAWAY; `last` 0 is none.
pub(in crate::proto) fn goaway(last: u32, code: ErrorCode) -> Vec<u8> {
    framed(|out| encode::goaway(StreamId::new(last), code, b"", out))
}

/// WINDOW_UPDATE; stream 0 is the connection.
pub(in crate::proto) fn update(stream: u32, increment: u32) -> Vec<u8> {
    framed(|out| encode::window_update(StreamId::new(stream), increment, out))
}

pub(in crate::proto) fn priority(stream: u32, dependency: u32) -> Vec<u8> {
    let priority = Priority { exclusive: false, dependency, weight: 15 };
    framed(|out| encode::priority(id(stream), priority, out))
}

pub(in crate::proto) fn priority_update(stream: u32) -> Vec<u8> {
    raw(0x10, 0, 0, &[&stream.to_be_bytes()[..], b"u=1"].concat())
}

pub(in crate::proto) fn push_promise(stream: u32, promised: u32) -> Vec<u8> {
    framed(|out| encode::push_promise(id(stream), id(promised), &block(GET), FRAME, out))
}

/// A frame with everything chosen.
pub(in crate::proto) fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    framed(|out| encode::frame(Kind(kind), hbone_frame::Flags(flags), StreamId::new(stream), payload, out))
}
