//! What the decoder allocates and holds, counted by the allocator: nothing for DATA, and never more than its
//! limits whatever is announced or sent.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use hbone_frame::{Decoder, DecoderConfig, Flags, Frame, FrameHead, Kind, StreamId, encode};

/// Counts for each thread alone, so that tests do not disturb each other.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(octets: isize) {
    CALLS.set(CALLS.get() + usize::from(octets > 0));
    LIVE.set(LIVE.get() + octets);
    PEAK.set(PEAK.get().max(LIVE.get()));
}

// SAFETY: every call is passed on as it came; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that the system allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` took: calls of the allocator, the most octets held beyond those before, octets still held.
fn measure(work: impl FnOnce()) -> (usize, isize, isize) {
    let (calls, live) = (CALLS.get(), LIVE.get());
    PEAK.set(live);
    work();
    (CALLS.get() - calls, PEAK.get() - live, LIVE.get() - live)
}

fn one() -> StreamId {
    StreamId::new(1).expect("not zero")
}

/// Sixteen DATA frames of 16 KiB each and a clone that makes the buffer shared, as a driver's buffers are.
fn sixteen_frames() -> (Bytes, Bytes) {
    let mut wire = Vec::new();
    for _ in 0..16 {
        encode::data(one(), &[7; 16_384], false, &mut wire);
    }
    let wire = Bytes::from(wire);
    (wire.clone(), wire)
}

fn decode_all(decoder: &mut Decoder) -> (usize, usize) {
    let (mut pieces, mut octets) = (0, 0);
    while let Ok(Some(frame)) = decoder.next() {
        let Frame::Data(piece) = frame else { panic!("only DATA was sent") };
        pieces += 1;
        octets += piece.data.len();
    }
    (pieces, octets)
}

#[test]
fn data_costs_no_allocation_and_no_copy() {
    let (wire, shared) = sixteen_frames();
    let range = shared.as_ptr_range();
    let mut decoder = Decoder::new(DecoderConfig::default());
    let (calls, peak, _) = measure(|| {
        decoder.feed(wire);
        assert_eq!(decode_all(&mut decoder), (16, 16 * 16_384));
    });
    assert_eq!((calls, peak), (0, 0));

    decoder.feed(shared);
    let Ok(Some(Frame::Data(piece))) = decoder.next() else { panic!("expected DATA") };
    assert!(range.contains(&piece.data.as_ptr()), "a piece is a slice of the input");
}

#[test]
fn data_cut_anywhere_costs_no_allocation_once_a_head_was_cut() {
    let (mut wire, _shared) = sixteen_frames();
    let mut decoder = Decoder::new(DecoderConfig::default());
    let mut chunks = Vec::new();
    while !wire.is_empty() {
        // Not a divisor of a frame's length: heads are cut at every place.
        chunks.push(wire.split_to(wire.len().min(3)));
    }
    chunks.reverse();
    for _ in 0..20_000 {
        decoder.feed(chunks.pop().expect("a chunk"));
        decode_all(&mut decoder);
    }
    let (calls, _, _) = measure(|| {
        while let Some(chunk) = chunks.pop() {
            decoder.feed(chunk);
            decode_all(&mut decoder);
        }
    });
    assert_eq!(calls, 0);
}

#[test]
fn a_chunk_is_let_go_when_its_octets_were_handed_out() {
    let mut decoder = Decoder::new(DecoderConfig::default());
    let (_, _, held) = measure(|| {
        for end in [0, 4] {
            let mut wire = Vec::new();
            encode::data(one(), &[7; 10_000], false, &mut wire);
            encode::ping(true, [0; 8], &mut wire);
            wire.extend_from_slice(&[0; 9][..end]);
            decoder.feed(Bytes::from(wire));
            assert!(matches!(decoder.next(), Ok(Some(Frame::Data(_)))));
            assert!(matches!(decoder.next(), Ok(Some(Frame::Ping { .. }))));
            assert!(matches!(decoder.next(), Ok(None)));
        }
    });
    assert!(held <= 64, "{held} octets held for the beginning of a head");
}

#[test]
fn what_is_announced_reserves_nothing() {
    for kind in [Kind::HEADERS, Kind::PUSH_PROMISE, Kind::GOAWAY, Kind::DATA, Kind(0x99)] {
        let stream = (kind != Kind::GOAWAY).then(one);
        let head = FrameHead { length: 16_384, kind, flags: Flags::END_HEADERS, stream };
        let mut decoder = Decoder::new(DecoderConfig::default());
        let (_, peak, _) = measure(|| {
            decoder.feed(Bytes::copy_from_slice(&head.encode()));
            decoder.feed(Bytes::from_static(&[0; 4]));
            while let Ok(Some(_)) = decoder.next() {}
        });
        assert!(peak <= 256, "{kind}: {peak} octets");
    }
}

#[test]
fn h04_a_flood_of_headers_stops_at_the_limits() {
    let config =
        DecoderConfig { max_frame_size: 1 << 20, max_continuations: u32::MAX, ..DecoderConfig::default() };
    let most = 3 * config.max_header_block as isize + 4096;
    // Each fragment is cut, so that it has to be held before it can be joined to the block.
    for fragment in [1, 100, 8192, 30_000] {
        let mut wire = Vec::new();
        encode::frame(Kind::HEADERS, Flags::NONE, Some(one()), &[0; 10], &mut wire);
        for _ in 0..200_000 / fragment {
            encode::continuation(one(), false, &vec![0; fragment], &mut wire);
        }
        let mut decoder = Decoder::new(config.clone());
        let mut faults = 0;
        let (_, peak, held) = measure(|| {
            for chunk in wire.chunks(10) {
                decoder.feed(Bytes::copy_from_slice(chunk));
                faults += usize::from(decoder.next().is_err());
            }
        });
        assert_eq!((faults, held), (1, 0), "fragments of {fragment}");

        assert!(peak <= most, "fragments of {fragment}: {peak} octets");
    }
}

#[test]
fn h33_unknown_payloads_debug_data_and_padding_are_never_held() {
    let config = DecoderConfig { max_frame_size: 0x00ff_ffff, ..DecoderConfig::default() };
    for kind in [Kind(0x42), Kind::GOAWAY, Kind::DATA] {
        let stream = (kind != Kind::GOAWAY).then(one);
        let head = FrameHead { length: 0x00ff_ffff, kind, flags: Flags::NONE, stream };
        let mut decoder = Decoder::new(config.clone());
        let chunk = Bytes::from(vec![0; 65_536]);
        let (_, peak, held) = measure(|| {
            decoder.feed(Bytes::copy_from_slice(&head.encode()));
            for _ in 0..255 {
                decoder.feed(chunk.clone());
                while let Ok(Some(_)) = decoder.next() {}
            }
        });
        assert!(decoder.mid_frame());
        assert!(peak <= 4096 && held <= 2048, "{kind}: {peak} octets, {held} held");
    }
}

#[test]
fn a_connection_at_rest_holds_little() {
    let mut wire = Vec::new();
    for n in 0..50 {
        encode::headers(one(), false, &vec![0; 1000 * n], 16_384, &mut wire);
        encode::goaway(None, hbone_frame::ErrorCode::NO_ERROR, &[0; 9000], &mut wire);
        encode::data_padded(one(), &[0; 9000], 200, false, &mut wire);
    }
    let mut decoder = Decoder::new(DecoderConfig::default());
    let (_, _, held) = measure(|| {
        for chunk in wire.chunks(7) {
            decoder.feed(Bytes::copy_from_slice(chunk));
            while decoder.next().expect("right").is_some() {}
        }
    });
    assert!(!decoder.mid_frame());
    assert!(held <= 4096, "{held} octets");
}
