//! Records that no TLS library makes, and what becomes of them.

use super::super::fault::Fault;
use super::super::layer::{End, Layer};
use super::super::record::{
    ALERT, APPLICATION_DATA, CONTENT, HANDSHAKE, HEADER, SEALED_CONTENT, TAG, header,
};
use super::super::testing::{Forger, layer, layer_with, sealed_by_layer};

/// All data that is opened in `octets` when they come in pieces of `size`, and how it ended.
fn opened_in(octets: &[u8], size: usize) -> (Vec<u8>, Option<End>) {
    let (mut layer, _) = layer();
    let data = feed(&mut layer, octets, size);
    (data, layer.end().cloned())
}

fn feed(layer: &mut Layer, octets: &[u8], size: usize) -> Vec<u8> {
    let (mut waiting, mut data) = (Vec::new(), Vec::new());
    for piece in octets.chunks(size.max(1)) {
        waiting.extend_from_slice(piece);
        let opened = layer.open(&mut waiting);
        data.extend_from_slice(&waiting[opened.plain]);
        waiting.drain(..opened.taken);
    }
    data
}

fn opened(octets: &[u8]) -> (Vec<u8>, Option<End>) {
    opened_in(octets, octets.len())
}

/// What ended it; no data may have come.
fn fault(octets: &[u8]) -> Fault {
    match opened(octets) {
        (data, Some(End::Failed(fault))) if data.is_empty() => fault,
        other => panic!("{other:?}"),
    }
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8).collect()
}

#[test]
fn records_of_any_size_come_out_together_however_their_octets_come() {
    let mut forger = Forger::new();
    let sizes = [1, 2, 16_384, 3, 0, 5000, 16_384, 16_383, 1, 100];
    let expected = pattern(sizes.iter().sum());
    let (mut rest, mut octets) = (&expected[..], Vec::new());
    for size in sizes {
        let (now, later) = rest.split_at(size);
        octets.extend(forger.record(APPLICATION_DATA, now));
        rest = later;
    }
    for size in [1, 2, 21, 22, 1000, 16_389, 40_000, octets.len()] {
        let (data, end) = opened_in(&octets, size);
        assert!(data == expected && end.is_none(), "in pieces of {size}: {} octets, {end:?}", data.len());
    }
}

#[test]
fn a_changed_octet_anywhere_in_a_record_is_noticed() {
    let record = Forger::new().record(APPLICATION_DATA, &pattern(50));
    for place in 0..record.len() {
        for bit in 0..8 {
            let mut changed = record.clone();
            changed[place] ^= 1 << bit;
            let (data, end) = opened(&changed);
            assert_eq!(data, b"", "octet {place}, bit {bit}");
            // A length that grew waits for the rest.
            let longer = (3..HEADER).contains(&place) && changed[3..5] > record[3..5];
            assert!(end.is_some() || longer, "octet {place}, bit {bit}");
        }
    }
}

#[test]
fn records_that_are_left_out_repeated_or_exchanged_are_noticed() {
    let mut forger = Forger::new();
    let records: Vec<_> = (0..3).map(|n| forger.record(APPLICATION_DATA, &[n; 10])).collect();
    for order in [&[0, 2][..], &[0, 0], &[0, 2, 1]] {
        let octets: Vec<_> = order.iter().flat_map(|place| records[*place].clone()).collect();
        assert_eq!(opened(&octets), (vec![0; 10], Some(End::Failed(Fault::BadRecord))), "{order:?}");
    }
}

#[test]
fn rfc8446_5_2_a_record_may_be_as_long_as_the_rfc_says_and_no_longer() {
    let mut largest = pattern(CONTENT);
    largest.push(APPLICATION_DATA);
    assert_eq!(opened(&Forger::new().inner(&largest)), (pattern(CONTENT), None));
    // One octet of padding too much.
    largest.push(0);
    assert_eq!(fault(&Forger::new().inner(&largest)), Fault::RecordTooLong);
    assert_eq!(fault(&Forger::new().record(APPLICATION_DATA, &pattern(CONTENT + 1))), Fault::RecordTooLong);
    // By the header alone: nobody waits for the rest, nor holds it.
    assert_eq!(fault(&header(SEALED_CONTENT + 1)), Fault::RecordTooLong);
    assert_eq!(opened(&header(SEALED_CONTENT)), (Vec::new(), None));
    // Too short for a tag and a type.
    for length in 0..=TAG {
        assert_eq!(fault(&header(length)), Fault::BadRecord, "{length}");
    }
}

#[test]
fn rfc8446_5_4_padding_is_taken_off_and_is_no_content() {
    for zeros in [0, 1, 255, CONTENT - 10] {
        let mut inner = pattern(10);
        inner.push(APPLICATION_DATA);
        inner.resize(inner.len() + zeros, 0);
        assert_eq!(opened(&Forger::new().inner(&inner)), (pattern(10), None), "{zeros}");
    }
    for zeros in [1, 2, CONTENT + 1] {
        assert_eq!(fault(&Forger::new().inner(&vec![0; zeros])), Fault::NoContentType, "{zeros}");
    }
    // Zeros of the content stay.
    assert_eq!(opened(&Forger::new().record(APPLICATION_DATA, &[0; 9])), (vec![0; 9], None));
}

#[test]
fn rfc8446_5_no_other_type_of_record_has_a_place_behind_the_handshake() {
    for kind in (1..=u8::MAX).filter(|kind| ![ALERT, HANDSHAKE, APPLICATION_DATA].contains(kind)) {
        assert_eq!(fault(&Forger::new().record(kind, &[1])), Fault::ContentType(kind));
    }
    // In the clear: change_cipher_spec, an alert, a handshake message, and what is no TLS.
    for kind in (0..=u8::MAX).filter(|kind| *kind != APPLICATION_DATA) {
        assert_eq!(fault(&[kind, 3, 3, 0, 1, 1]), Fault::ContentType(kind));
    }
}

#[test]
fn h74_records_without_content_are_taken_between_data_and_their_flood_ends_it() {
    let (mut forger, mut octets) = (Forger::new(), Vec::new());
    for _ in 0..10 {
        (0..32).for_each(|_| octets.extend(forger.record(APPLICATION_DATA, &[])));
        octets.extend(forger.record(APPLICATION_DATA, &[7]));
    }
    assert_eq!(opened(&octets), (vec![7; 10], None));
    (0..33).for_each(|_| octets.extend(forger.record(APPLICATION_DATA, &[])));
    assert_eq!(opened(&octets), (vec![7; 10], Some(End::Failed(Fault::EmptyRecords))));
}

#[test]
fn rfc8446_6_an_alert_ends_it_cleanly_only_as_close_notify() {
    for level in [1, 2, 77] {
        let octets = Forger::new().record(ALERT, &[level, 0]);
        assert_eq!(opened(&octets), (Vec::new(), Some(End::Closed)));
        for description in (1..=u8::MAX).filter(|description| *description != 90) {
            let octets = Forger::new().record(ALERT, &[level, description]);
            assert_eq!(fault(&octets), Fault::Alert(description));
        }
    }
    assert_eq!(fault(&Forger::new().record(ALERT, &[])), Fault::EmptyFragment);
    assert_eq!(fault(&Forger::new().record(ALERT, &[1])), Fault::AlertLength);
    assert_eq!(fault(&Forger::new().record(ALERT, &[1, 0, 0])), Fault::AlertLength);
    // user_canceled says nothing, a few times.
    let mut forger = Forger::new();
    let mut octets: Vec<_> = (0..4).flat_map(|_| forger.record(ALERT, &[1, 90])).collect();
    octets.extend(forger.record(APPLICATION_DATA, &[7]));
    assert_eq!(opened(&octets), (vec![7], None));
    octets.extend(forger.record(ALERT, &[1, 90]));
    assert_eq!(opened(&octets), (vec![7], Some(End::Failed(Fault::Warnings))));
}

#[test]
fn rfc8446_6_1_nothing_is_read_behind_close_notify() {
    let mut forger = Forger::new();
    let mut octets = forger.record(APPLICATION_DATA, b"before");
    octets.extend(forger.record(ALERT, &[1, 0]));
    octets.extend(forger.record(APPLICATION_DATA, b"behind"));
    octets.extend([22; 100]);
    assert_eq!(opened(&octets), (b"before".to_vec(), Some(End::Closed)));
}

#[test]
fn tickets_are_taken_whole_in_parts_and_together_but_not_interrupted() {
    let (mut layer, tickets) = layer();
    let mut forger = Forger::new();
    let message = |body: &[u8]| [&[4, 0, 0, body.len() as u8], body].concat();
    let together = [message(b"one"), message(b"two"), message(b"thr")].concat();
    let mut octets = forger.record(HANDSHAKE, &together);
    for octet in message(b"four") {
        octets.extend(forger.record(HANDSHAKE, &[octet]));
    }
    octets.extend(forger.record(HANDSHAKE, &message(b"five")[..5]));
    octets.extend(forger.record(APPLICATION_DATA, b"in between"));
    assert_eq!(feed(&mut layer, &octets, 7), b"");
    assert_eq!(layer.end(), Some(&End::Failed(Fault::Interleaved)));
    assert_eq!(*tickets.lock().unwrap(), [&b"one"[..], b"two", b"thr", b"four"]);
}

#[test]
fn h72_floods_of_tickets_and_of_key_updates_end_it_unless_data_is_between() {
    let ticket: fn(&mut Forger) -> Vec<u8> = |forger| forger.record(HANDSHAKE, &[4, 0, 0, 1, 9]);
    let update: fn(&mut Forger) -> Vec<u8> = |forger| {
        let record = forger.record(HANDSHAKE, &[24, 0, 0, 1, 1]);
        forger.renew();
        record
    };
    for (make, fault) in [(ticket, Fault::Tickets), (update, Fault::KeyUpdates)] {
        let (mut forger, mut octets) = (Forger::new(), Vec::new());
        for _ in 0..320 {
            (0..32).for_each(|_| octets.extend(make(&mut forger)));
            octets.extend(forger.record(APPLICATION_DATA, &[7]));
        }
        assert_eq!(opened(&octets), (vec![7; 320], None));
        // Empty records are no data.
        octets.extend((0..16).flat_map(|_| make(&mut forger)).collect::<Vec<_>>());
        octets.extend(forger.record(APPLICATION_DATA, &[]));
        octets.extend((0..17).flat_map(|_| make(&mut forger)).collect::<Vec<_>>());
        assert_eq!(opened(&octets), (vec![7; 320], Some(End::Failed(fault))));
    }
}

#[test]
fn rfc8446_4_6_3_several_requests_are_answered_by_one_key_update_before_data() {
    let (mut layer, _) = layer();
    let mut forger = Forger::new();
    let mut octets = Vec::new();
    for _ in 0..3 {
        octets.extend(forger.record(HANDSHAKE, &[24, 0, 0, 1, 1]));
        forger.renew();
    }
    octets.extend(forger.record(HANDSHAKE, &[24, 0, 0, 1, 0]));
    forger.renew();
    octets.extend(forger.record(APPLICATION_DATA, b"ping"));
    assert_eq!(feed(&mut layer, &octets, 100), b"ping");
    let mut out = Vec::new();
    layer.answer(&mut out).unwrap();
    layer.answer(&mut out).unwrap();
    layer.seal([&b"pong"[..]].into_iter(), 100, &mut out).unwrap();
    let expected = [(HANDSHAKE, vec![24, 0, 0, 1, 0]), (APPLICATION_DATA, b"pong".to_vec())];
    assert_eq!(sealed_by_layer(&out), expected);
    // One that asks for nothing is not answered.
    let octets = forger.record(HANDSHAKE, &[24, 0, 0, 1, 0]);
    feed(&mut layer, &octets, 100);
    let before = out.len();
    layer.answer(&mut out).unwrap();
    assert_eq!(out.len(), before);
}

#[test]
fn rfc8446_6_2_a_fault_is_told_once_and_nothing_is_sealed_behind_it() {
    for (octets, told) in
        [(header(SEALED_CONTENT + 1), Some(22)), (header(1), Some(20)), ([20, 3, 3, 0, 1], Some(10))]
    {
        let (mut layer, _) = layer();
        feed(&mut layer, &octets, 100);
        let mut out = Vec::new();
        layer.close();
        layer.answer(&mut out).unwrap();
        layer.close();
        layer.answer(&mut out).unwrap();
        let expected: Vec<_> = told.into_iter().map(|alert| (ALERT, vec![2, alert])).collect();
        assert_eq!(sealed_by_layer(&out), expected);
        assert!(layer.is_silenced());
    }
    // The peer's own alert is not answered.
    let (mut layer, _) = layer();
    let octets = Forger::new().record(ALERT, &[2, 40]);
    feed(&mut layer, &octets, 100);
    let mut out = Vec::new();
    layer.close();
    layer.answer(&mut out).unwrap();
    assert!(out.is_empty() && layer.is_silenced());
}

#[test]
fn flights_are_sealed_in_full_records_whatever_their_pieces() {
    let expected = pattern(100_000);
    for size in [1, 9, 1000, 16_384, 16_393, 100_000] {
        let (mut layer, _) = layer();
        let mut out = Vec::new();
        let taken = layer.seal(expected.chunks(size), 70_000, &mut out).unwrap();
        assert_eq!(taken, 70_000);
        let records = sealed_by_layer(&out);
        let sizes: Vec<_> = records.iter().map(|(_, content)| content.len()).collect();
        assert_eq!(sizes, [16_384, 16_384, 16_384, 16_384, 4464], "in pieces of {size}");
        let all: Vec<_> = records.into_iter().flat_map(|(_, content)| content).collect();
        assert!(all == expected[..70_000], "in pieces of {size}");
    }
}

#[test]
fn records_have_no_more_data_than_was_asked_for_and_fit_where_room_was_made() {
    let expected = pattern(100_000);
    for content in [27, 1000, 16_384] {
        for size in [1, 26, 1001, 100_000] {
            let (mut layer, _) = layer_with(content);
            let mut out = Vec::new();
            assert_eq!(layer.seal(expected.chunks(size), expected.len(), &mut out), Ok(expected.len()));
            assert!(out.len() <= layer.sealed_size(expected.len()));
            let records = sealed_by_layer(&out);
            assert_eq!(records.len(), expected.len().div_ceil(content), "in pieces of {size}");
            assert!(records.iter().all(|(_, data)| data.len() <= content), "in pieces of {size}");
            assert!(records.into_iter().flat_map(|(_, data)| data).eq(expected.iter().copied()));
        }
    }
}
