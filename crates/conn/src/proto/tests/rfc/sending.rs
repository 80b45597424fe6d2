//! What this end sends, judged octet by octet: sections 4.1, 4.2, 4.3, 5.1, 6.1, 8.1.

use std::collections::HashSet;

use hbone_frame::{ErrorCode, PREFACE, Side};

use super::script::plain;
use crate::proto::testing::epoch;
use crate::proto::{Config, Connection, Event, Request, Response, StreamKey, Transmit};

/// The head of a frame as it stands on the wire.
#[derive(Clone, Copy, Debug)]
struct Head {
    length: usize,
    kind: u8,
    flags: u8,
    reserved: bool,
    stream: u32,
}

fn heads(mut octets: &[u8]) -> Vec<Head> {
    let mut heads = Vec::new();
    while let Some((head, rest)) = octets.split_first_chunk::<9>() {
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        heads.push(Head { length, kind, flags, reserved: stream >> 31 != 0, stream: stream & 0x7fff_ffff });
        octets = &rest[length..];
    }
    assert!(octets.is_empty());
    heads
}

/// Lets two engines speak until nothing is left; what each has sent grows.
fn speak(client: &mut Connection, server: &mut Connection, sent: &mut [Vec<u8>; 2]) {
    let now = epoch();
    loop {
        let mut any = false;
        for (at, from_client) in [(0, true), (1, false)] {
            let (from, to) =
                if from_client { (&mut *client, &mut *server) } else { (&mut *server, &mut *client) };
            let mut flight = Transmit::new();
            any |= from.poll_transmit(now, &mut flight);
            let octets: Vec<u8> = flight.pieces().flatten().copied().collect();
            sent[at].extend_from_slice(&octets);
            to.handle_bytes(now, octets.into());
        }
        if !any {
            break;
        }
    }
}

fn incoming(server: &mut Connection) -> StreamKey {
    loop {
        match server.poll_event() {
            Some(Event::Incoming { key, .. }) => return key,
            Some(_) => {}
            None => panic!("no stream came"),
        }
    }
}

/// A conversation with every frame that an engine sends; the octets of the client and of the server.
fn conversation() -> [Vec<u8>; 2] {
    let now = epoch();
    let config = Config { connection_window_size: 1 << 20, max_frame_size: 50_000, ..plain() };
    let mut client = Connection::new(Side::Client, config, now);
    let mut server = Connection::new(Side::Server, plain(), now);
    let mut sent = [Vec::new(), Vec::new()];
    let mut request = Request::new("POST", "https", "a.example", "/");
    for n in 0..20 {
        request.push(&format!("x-{n}"), &"~".repeat(1500));
    }
    let big = client.open(&mut Some(request), false).unwrap();
    client.write(big, vec![1; 100_000].into()).unwrap();
    speak(&mut client, &mut server, &mut sent);
    let far = incoming(&mut server);
    while let Ok(crate::proto::Read::Data(_)) = server.read(far, usize::MAX) {}
    server.respond(far, Response::new(103), false).unwrap();
    server.respond(far, Response::new(200), false).unwrap();
    server.write(far, vec![2; 120_000].into()).unwrap();
    server.finish(far).unwrap();
    client.finish(big).unwrap();
    speak(&mut client, &mut server, &mut sent);
    while let Ok(crate::proto::Read::Data(_)) = server.read(far, usize::MAX) {}
    speak(&mut client, &mut server, &mut sent);
    let tunnel = client.open(&mut Some(Request::connect("10.0.0.1:80")), false).unwrap();
    let other = client.open(&mut Some(Request::connect("10.0.0.1:80")), true).unwrap();
    speak(&mut client, &mut server, &mut sent);
    let far = incoming(&mut server);
    server.reset(far, ErrorCode::CONNECT_ERROR);
    client.reset(other, ErrorCode::CANCEL);
    client.release(tunnel);
    client.ping();
    server.ping();
    speak(&mut client, &mut server, &mut sent);
    server.drain(now, None);
    speak(&mut client, &mut server, &mut sent);
    client.close(ErrorCode::NO_ERROR);
    speak(&mut client, &mut server, &mut sent);
    sent[0].drain(..PREFACE.len());
    sent
}

#[test]
fn rfc9113_4_1_what_we_send_has_no_reserved_bit_no_undefined_flag_and_a_known_type() {
    let mut kinds = HashSet::new();
    for head in conversation().iter().flat_map(|octets| heads(octets)) {
        kinds.insert(head.kind);
        assert!(!head.reserved, "{head:?}");
        let defined = match head.kind {
            0x0 => 0x1,
            0x1 => 0x1 | 0x4,
            0x9 => 0x4,
            0x4 | 0x6 => 0x1,
            0x3 | 0x7 | 0x8 => 0,
            other => panic!("type {other} is never sent"),
        };
        assert_eq!(head.flags & !defined, 0, "{head:?}");
    }
    assert_eq!(kinds, HashSet::from([0x0, 0x1, 0x3, 0x4, 0x6, 0x7, 0x8, 0x9]), "the conversation is whole");
}

#[test]
fn rfc9113_4_2_no_frame_of_ours_is_larger_than_the_peer_takes() {
    let [client, server] = conversation();
    // The server has announced nothing, the client 50 000.
    assert!(heads(&client).iter().all(|head| head.length <= 16_384));
    assert!(heads(&server).iter().all(|head| head.length <= 50_000));
    assert!(heads(&server).iter().any(|head| head.length > 16_384));
}

#[test]
fn rfc9113_4_3_our_blocks_are_contiguous_and_end_with_end_headers() {
    for octets in conversation() {
        let mut open = None;
        let mut continued = false;
        for head in heads(&octets) {
            match open {
                Some(stream) => {
                    assert_eq!((head.kind, head.stream), (0x9, stream), "{head:?}");
                    continued = true;
                }
                None => assert_ne!(head.kind, 0x9, "{head:?}"),
            }
            open = (matches!(head.kind, 0x1 | 0x9) && head.flags & 0x4 == 0).then_some(head.stream);
        }
        assert_eq!(open, None);
        let _ = continued;
    }
    let continued = |octets: &[u8]| heads(octets).iter().any(|head| head.kind == 0x9);
    assert!(continued(&conversation()[0]), "the long block was continued");
}

#[test]
fn rfc9113_6_each_type_is_sent_where_it_belongs() {
    for octets in conversation() {
        for head in heads(&octets) {
            match head.kind {
                0x0 | 0x1 | 0x3 | 0x9 => assert_ne!(head.stream, 0, "{head:?}"),
                0x4 | 0x6 | 0x7 => assert_eq!(head.stream, 0, "{head:?}"),
                _ => {}
            }
            match head.kind {
                0x3 | 0x8 => assert_eq!(head.length, 4, "{head:?}"),
                0x6 => assert_eq!(head.length, 8, "{head:?}"),
                0x4 if head.flags & 1 != 0 => assert_eq!(head.length, 0, "{head:?}"),
                0x4 => assert_eq!(head.length % 6, 0, "{head:?}"),
                _ => {}
            }
        }
    }
}

#[test]
fn rfc9113_5_1_after_end_stream_or_a_reset_of_ours_no_data_and_no_headers_follow() {
    for octets in conversation() {
        let mut over = HashSet::new();
        for head in heads(&octets) {
            if matches!(head.kind, 0x0 | 0x1) {
                assert!(!over.contains(&head.stream), "{head:?}");
            }
            if head.kind == 0x3 || (matches!(head.kind, 0x0 | 0x1) && head.flags & 0x1 != 0) {
                over.insert(head.stream);
            }
        }
        assert!(!over.is_empty());
    }
}

#[test]
fn rfc9113_5_1_1_only_the_client_opens_streams_and_with_odd_identifiers() {
    let [client, server] = conversation();
    let mut highest = 0;
    for head in heads(&client).iter().filter(|head| head.kind == 0x1) {
        assert!(head.stream % 2 == 1 && head.stream > highest, "{head:?}");
        highest = head.stream;
    }
    assert!(
        heads(&server)
            .iter()
            .all(|head| head.stream <= highest && (head.stream == 0 || head.stream % 2 == 1))
    );
}
