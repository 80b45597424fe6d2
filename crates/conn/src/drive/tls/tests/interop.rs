//! Our records against rustls', in both roles and all suites.

use rustls::crypto::aws_lc_rs::kx_group;
use rustls::{AlertDescription, Connection, HandshakeKind, ProtocolVersion};

use super::super::layer::End;
use super::rustls_peer::{Configs, NAME, Pair, ROLES, Role, limited, said, suites, write};

fn pattern(seed: usize, size: usize) -> Vec<u8> {
    (0..size).map(|i| ((i + seed) % 251) as u8).collect()
}

#[test]
fn data_passes_both_ways_in_every_role_and_suite_in_pieces_of_any_size() {
    for suite in suites() {
        let configs = Configs::new(suite);
        for role in ROLES {
            for size in [1, 1000, 1 << 20] {
                let mut pair = Pair::new(role, &configs, size);
                assert_eq!(pair.suite(), suite.suite());
                for octets in [1, 16_384, 16_385, 50_000] {
                    let data = pattern(octets, octets);
                    write(&mut pair.peer, &data);
                    assert!(pair.receive(size) == data, "{role:?} {suite:?}: from rustls");
                    assert!(pair.send(&data, size) == data, "{role:?} {suite:?}: to rustls");
                }
            }
        }
    }
}

#[test]
fn both_ends_agree_on_what_was_agreed() {
    let configs = Configs::new(suites()[0]);
    for role in ROLES {
        let pair = Pair::new(role, &configs, 1000);
        assert_eq!(pair.facts.alpn.as_deref(), Some(&b"h2"[..]));
        assert_eq!(pair.facts.suite, Some(suites()[0].suite()));
        assert_eq!(pair.facts.version, Some(ProtocolVersion::TLSv1_3));
        assert_eq!(pair.facts.name.as_deref(), (role == Role::Server).then_some(NAME));
        assert_eq!(pair.facts.certificates.is_some(), role == Role::Client);
    }
}

#[test]
fn a_second_hello_and_messages_in_many_small_records_are_no_obstacle() {
    let suite = suites()[0];
    for role in ROLES {
        for size in [1, 50, 1 << 20] {
            let mut configs = Configs::with_groups(suite, suite, Some(kx_group::SECP384R1));
            configs.client.max_fragment_size = Some(64);
            configs.server.max_fragment_size = Some(64);
            let mut pair = Pair::new(role, &configs, size);
            assert_eq!(pair.peer.handshake_kind(), Some(HandshakeKind::FullWithHelloRetryRequest));
            assert_eq!(pair.facts.name.as_deref(), (role == Role::Server).then_some(NAME));
            write(&mut pair.peer, b"small records");
            assert_eq!(pair.receive(1), b"small records");
        }
    }
}

#[test]
fn sessions_are_resumed_with_the_tickets_of_either_end() {
    for role in ROLES {
        let configs = Configs::new(suites()[1]);
        let mut first = Pair::new(role, &configs, 1000);
        assert_eq!(first.peer.handshake_kind(), Some(HandshakeKind::Full));
        // As the client we take tickets from the records, as the server rustls does.
        write(&mut first.peer, b"tickets came before");
        assert_eq!(first.receive(7), b"tickets came before");
        let mut second = Pair::new(role, &configs, 1000);
        assert_eq!(second.peer.handshake_kind(), Some(HandshakeKind::Resumed), "{role:?}");
        assert_eq!(second.facts.name.as_deref(), (role == Role::Server).then_some(NAME));
        assert_eq!(second.send(b"resumed", 1), b"resumed");
    }
}

#[test]
fn rfc8446_4_6_3_rustls_updates_its_keys_and_asks_for_ours_ten_thousand_times() {
    for suite in suites() {
        let configs = Configs::new(suite);
        for role in ROLES {
            let mut pair = Pair::new(role, &configs, 1000);
            let times = if suite == suites()[0] { 10_000 } else { 100 };
            for n in 0..times {
                pair.peer.refresh_traffic_keys().unwrap();
                write(&mut pair.peer, &pattern(n, 3));
                assert_eq!(pair.receive(100), pattern(n, 3), "{role:?} {suite:?} {n}");
                assert_eq!(pair.send(&pattern(n, 5), 100), pattern(n, 5), "{role:?} {suite:?} {n}");
            }
            assert_eq!(pair.layer.end(), None);
        }
    }
}

#[test]
fn rfc8446_5_5_keys_are_updated_before_they_have_sealed_too_many_records() {
    for suite in suites() {
        for limit in [2, 3, 10] {
            let configs = Configs::with_groups(limited(suite, limit), limited(suite, limit), None);
            for role in ROLES {
                let mut pair = Pair::new(role, &configs, 1 << 20);
                for n in 0..20 {
                    // Three records at a time, sealed by ours.
                    let data = pattern(n, 40_000);
                    assert!(pair.send(&data, 1 << 20) == data, "{role:?} {suite:?} {limit} {n}");
                }
            }
        }
    }
}

#[test]
fn a_flight_ends_where_the_key_does_and_its_last_record_is_the_key_update() {
    let suite = suites()[0];
    let configs = Configs::with_groups(limited(suite, 10), limited(suite, 10), None);
    let mut pair = Pair::new(Role::Client, &configs, 1 << 20);
    let (data, mut out) = (pattern(0, 400_000), Vec::new());
    // Nine of data; the tenth is left for the KeyUpdate.
    assert_eq!(pair.layer.seal([&data[..]].into_iter(), data.len(), &mut out), Ok(9 * 16_384));
    assert_eq!(pair.layer.seal([&data[..]].into_iter(), 1, &mut out), Ok(1));
    assert_eq!(out.len(), 9 * (16_384 + 22) + (5 + 22) + (1 + 22));
}

#[test]
fn rfc8446_6_1_close_notify_is_said_and_heard() {
    let configs = Configs::new(suites()[0]);
    for role in ROLES {
        let mut pair = Pair::new(role, &configs, 1000);
        pair.layer.close();
        pair.send(b"", 1);
        assert!(pair.peer.process_new_packets().unwrap().peer_has_closed());
        // The other direction goes on until it is closed, too.
        write(&mut pair.peer, b"still there");
        pair.peer.send_close_notify();
        assert_eq!(pair.receive(3), b"still there");
        assert_eq!(pair.layer.end(), Some(&End::Closed));
    }
}

#[test]
fn rfc8446_6_2_rustls_is_told_why() {
    for (forged, alert) in [
        (
            vec![23, 3, 3, 0, 17, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9],
            AlertDescription::BadRecordMac,
        ),
        (vec![20, 3, 3, 0, 1, 1], AlertDescription::UnexpectedMessage),
        (vec![23, 3, 3, 0x41, 1], AlertDescription::RecordOverflow),
    ] {
        for role in ROLES {
            let mut pair = Pair::new(role, &Configs::new(suites()[0]), 1000);
            assert_eq!(pair.receive_octets(&forged, 1), b"");
            let mut out = Vec::new();
            pair.layer.answer(&mut out).unwrap();
            let mut told = &out[..];
            pair.peer.read_tls(&mut told).unwrap();
            let heard = pair.peer.process_new_packets().unwrap_err();
            assert_eq!(heard, rustls::Error::AlertReceived(alert));
        }
    }
}

#[test]
fn a_truncated_record_waits_and_gives_nothing() {
    let mut pair = Pair::new(Role::Client, &Configs::new(suites()[0]), 1000);
    // The tickets.
    pair.receive(1000);
    write(&mut pair.peer, b"not whole");
    let octets = said(&mut pair.peer);
    let (most, last) = octets.split_at(octets.len() - 1);
    assert_eq!(pair.receive_octets(most, 1), b"");
    assert_eq!(pair.layer.end(), None);
    assert_eq!(pair.receive_octets(last, 1), b"not whole");
    assert!(matches!(pair.peer, Connection::Server(_)));
}
