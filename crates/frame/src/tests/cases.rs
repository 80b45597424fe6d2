//! Single frames of `http2-frame-test-case`: decoded as the JSON says, encoded to the same octets; or refused
//! with one of the codes that it allows.

use std::path::Path;

use bytes::Bytes;
use serde_json::Value;

use crate::code::ErrorCode;
use crate::control::Priority;
use crate::decode::{Decoder, DecoderConfig};
use crate::encode::{self, HeadersFrame};
use crate::frame::Frame;
use crate::head::{Flags, FrameHead, Kind};
use crate::malformed::Fault;
use crate::settings::{SettingId, Settings};
use crate::stream_id::StreamId;
use crate::tests::data;

#[test]
fn single_frames_are_decoded_as_described_and_encoded_to_the_same_octets() {
    let Some(folder) = data::folder("http2-frame-test-case") else { return };
    let (mut right, mut wrong) = (0, 0);
    for file in data::files(&folder) {
        let case: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let wire = unhex(case["wire"].as_str().unwrap());
        let codes = &case["error"];
        if codes.is_null() {
            accept(&file, &wire, &case["frame"]);
            right += 1;
        } else {
            refuse(&file, wire, codes);
            wrong += 1;
        }
    }
    assert_eq!((right, wrong), (12, 22));
}

fn refuse(file: &Path, wire: Vec<u8>, codes: &Value) {
    let fault: Fault = decode(wire).expect_err(&file.display().to_string());
    let code = u64::from(fault.malformed.code().0);
    let allowed = codes.as_array().expect("codes").iter().any(|allowed| allowed.as_u64() == Some(code));
    assert!(allowed, "{}: {fault}", file.display());
}

fn accept(file: &Path, wire: &[u8], frame: &Value) {
    let name = file.display();
    let head = FrameHead::parse(wire.first_chunk().expect("a head"));
    assert_eq!(u64::from(head.length), number(&frame["length"]), "{name}");
    assert_eq!(u64::from(head.kind.0), number(&frame["type"]), "{name}");
    assert_eq!(u64::from(head.flags.0), number(&frame["flags"]), "{name}");
    let stream = head.stream.map_or(0, StreamId::get);
    assert_eq!(u64::from(stream), number(&frame["stream_identifier"]), "{name}");

    let payload = &frame["frame_payload"];
    check(decode(whole(head, wire)).expect("right").pop().expect("a frame"), payload);

    let mut again = Vec::new();
    encode(head, payload, &mut again);
    // Padding is sent as zero (RFC 9113 6.1); these cases were recorded with text in it.
    let padding = payload["padding"].as_str().unwrap_or("").as_bytes();
    let unpadded = again.len() - padding.len();
    assert!(again[unpadded..].iter().all(|&octet| octet == 0), "{name}");
    again.truncate(unpadded);
    again.extend_from_slice(padding);
    assert_eq!(again, wire, "{name}");
}

/// A CONTINUATION of these cases stands alone: put into a header block so that it may come.
fn whole(head: FrameHead, wire: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(stream) = head.stream.filter(|_| head.kind == Kind::CONTINUATION) else { return wire.to_vec() };
    encode::frame(Kind::HEADERS, Flags::NONE, Some(stream), b"<", &mut out);
    out.extend_from_slice(wire);
    encode::continuation(stream, true, b">", &mut out);
    out
}

fn decode(wire: Vec<u8>) -> Result<Vec<Frame>, Fault> {
    let mut decoder = Decoder::new(DecoderConfig::default());
    decoder.feed(Bytes::from(wire));
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next()? {
        frames.push(frame);
    }
    Ok(frames)
}

/// Compares a frame with what the case says of its payload.
fn check(frame: Frame, payload: &Value) {
    match frame {
        Frame::Data(piece) => {
            assert_eq!(piece.data, text(&payload["data"]));
            assert_eq!(piece.overhead, number(&payload["padding_length"]) as u32 + 1);
            assert!(piece.last);
        }
        Frame::Headers(headers) => {
            let block = text(&payload["header_block_fragment"]);
            let joined = [b"<", &block[..], b">"].concat();
            assert!(headers.block == block || headers.block == joined);
            assert_eq!(headers.priority, priority(payload));
        }
        Frame::Priority { priority: found, .. } => assert_eq!(Some(found), priority(payload)),
        Frame::Reset { code, .. } => assert_eq!(u64::from(code.0), number(&payload["error_code"])),
        Frame::Settings(found) => assert_eq!(found, settings(payload)),
        Frame::PushPromise { promised, block, .. } => {
            assert_eq!(u64::from(promised.get()), number(&payload["promised_stream_id"]));
            assert_eq!(block, text(&payload["header_block_fragment"]));
        }
        Frame::Ping { ack, payload: octets } => {
            assert!(!ack);
            assert_eq!(octets[..], text(&payload["opaque_data"]));
        }
        Frame::Goaway { last, code, debug } => {
            assert_eq!(last, stream(&payload["last_stream_id"]));
            assert_eq!(u64::from(code.0), number(&payload["error_code"]));
            assert_eq!(debug, text(&payload["additional_debug_data"]));
        }
        Frame::WindowUpdate { increment, .. } => {
            assert_eq!(u64::from(increment), number(&payload["window_size_increment"]));
        }
        Frame::SettingsAck | Frame::PriorityUpdate { .. } | Frame::Unknown { .. } => {
            panic!("no such frame is among the cases: {frame:?}")
        }
    }
}

/// Builds the frame that the case describes.
fn encode(head: FrameHead, payload: &Value, out: &mut Vec<u8>) {
    let id = head.stream;
    let code = || ErrorCode(number(&payload["error_code"]) as u32);
    let fragment = || text(&payload["header_block_fragment"]);
    let padding = payload["padding_length"].as_u64().map(|length| length.to_string().parse().expect("u8"));
    match (head.kind, id) {
        // The padding of these cases is as long as said; the length says one more than there are octets.
        (Kind::DATA, Some(id)) => {
            encode::data_padded(id, &text(&payload["data"]), padding.expect("padded"), false, out);
        }
        (Kind::HEADERS, Some(stream)) => HeadersFrame {
            stream,
            end_stream: head.flags.contains(Flags::END_STREAM),
            end_headers: head.flags.contains(Flags::END_HEADERS),
            priority: priority(payload),
            padding,
            fragment: &fragment(),
        }
        .encode(out),
        (Kind::PRIORITY, Some(id)) => encode::priority(id, priority(payload).expect("priority"), out),
        (Kind::RST_STREAM, Some(id)) => encode::reset(id, code(), out),
        (Kind::SETTINGS, None) => encode::settings(&settings(payload), out),
        (Kind::PUSH_PROMISE, Some(id)) => {
            let promised = number(&payload["promised_stream_id"]) as u32;
            let padding: u8 = padding.expect("padded");
            let zeros = vec![0; usize::from(padding)];
            let octets = [&[padding][..], &promised.to_be_bytes(), &fragment(), &zeros].concat();
            encode::frame(head.kind, head.flags, Some(id), &octets, out);
        }
        (Kind::PING, None) => {
            encode::ping(false, text(&payload["opaque_data"]).try_into().expect("8 octets"), out);
        }
        (Kind::GOAWAY, None) => {
            let debug = text(&payload["additional_debug_data"]);
            encode::goaway(stream(&payload["last_stream_id"]), code(), &debug, out);
        }
        (Kind::WINDOW_UPDATE, id) => {
            encode::window_update(id, number(&payload["window_size_increment"]) as u32, out);
        }
        (Kind::CONTINUATION, Some(id)) => encode::continuation(id, false, &fragment(), out),
        (kind, id) => panic!("no such frame is among the cases: {kind} on {id:?}"),
    }
}

fn priority(payload: &Value) -> Option<Priority> {
    let dependency = payload["stream_dependency"].as_u64()? as u32;
    let exclusive = payload["exclusive"].as_bool().expect("exclusive");
    // The cases give the weight that is meant, 1 to 256.
    let weight = (number(&payload["weight"]) - 1) as u8;
    Some(Priority { exclusive, dependency, weight })
}

fn settings(payload: &Value) -> Settings {
    let entries = payload["settings"].as_array().expect("settings").iter();
    entries.map(|entry| (SettingId(number(&entry[0]) as u16), number(&entry[1]) as u32)).collect()
}

fn stream(value: &Value) -> Option<StreamId> {
    StreamId::new(number(value) as u32)
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn text(value: &Value) -> Vec<u8> {
    value.as_str().expect("a string").as_bytes().to_vec()
}

fn unhex(digits: &str) -> Vec<u8> {
    let octet = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("digits");
    digits.as_bytes().chunks(2).map(octet).collect()
}
