//! Frames: octets to frames and back, without an engine. Nanoseconds, for looking at one change at a time.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hbone_benches::headers::connect;
use hbone_frame::hpack::{Decoder as Lists, Encoder, Limits};
use hbone_frame::{Decoder, DecoderConfig, ErrorCode, Fields, Frame, StreamId, encode};

const FRAMES: usize = 16;

fn stream() -> StreamId {
    StreamId::new(1).expect("1 is a stream")
}

/// The same frame again and again, as one read brings it.
fn read_of(frame: impl Fn(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::new();
    (0..FRAMES).for_each(|_| frame(&mut out));
    out.into()
}

fn kinds() -> Vec<(&'static str, Bytes)> {
    let mut block = Vec::new();
    Encoder::new(0).encode(&connect(1), &mut block);
    let data = vec![7; 16 * 1024];
    vec![
        ("data 16 KiB", read_of(|out| encode::data(stream(), &data, false, out))),
        ("data 64 octets", read_of(|out| encode::data(stream(), &data[..64], false, out))),
        ("headers", read_of(|out| encode::headers(stream(), false, &block, 16 * 1024, out))),
        ("window_update", read_of(|out| encode::window_update(Some(stream()), 1, out))),
        ("ping", read_of(|out| encode::ping(false, [1; 8], out))),
        ("rst_stream", read_of(|out| encode::reset(stream(), ErrorCode::CANCEL, out))),
    ]
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame decode");
    group.throughput(Throughput::Elements(FRAMES as u64)).sample_size(20);
    for (name, read) in kinds() {
        let mut decoder = Decoder::new(DecoderConfig::default());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                decoder.feed(black_box(&read).clone());
                let mut frames = 0;
                while let Ok(Some(frame)) = decoder.next() {
                    frames += 1;
                    black_box::<Frame>(frame);
                }
                assert_eq!(frames, FRAMES);
            });
        });
    }
}

fn encode_frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame encode");
    group.throughput(Throughput::Elements(FRAMES as u64)).sample_size(20);
    let block = [0x82; 12];
    type Write<'a> = &'a dyn Fn(&mut Vec<u8>);
    let kinds: [(&str, Write<'_>); 4] = [
        ("data head", &|out| encode::data_head(stream(), 16 * 1024, false, out)),
        ("headers", &|out| encode::headers(stream(), false, &block, 16 * 1024, out)),
        ("window_update", &|out| encode::window_update(Some(stream()), 1, out)),
        ("ping", &|out| encode::ping(true, [1; 8], out)),
    ];
    let mut out = Vec::new();
    for (name, write) in kinds {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                (0..FRAMES).for_each(|_| write(black_box(&mut out)));
            });
        });
    }
}

/// One literal of 64 octets in Huffman code, and back: a list of one field that no table holds.
fn huffman(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("huffman, 64 octets");
    group.throughput(Throughput::Bytes(64)).sample_size(20);
    let value = "spiffe://cluster.local/ns/shop/sa/cart/of/a/customer/0123456789a";
    let list: Fields = [("x", value)].into_iter().collect();
    let (mut encoder, mut block) = (Encoder::new(0), Vec::new());
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            block.clear();
            encoder.encode(black_box(&list), &mut block);
        });
    });
    assert!(block.len() < 64, "in Huffman code it is shorter");
    let (mut decoder, limits, mut out) = (Lists::new(0), Limits::default(), Fields::new());
    group.bench_function("decode", |bencher| {
        bencher.iter(|| decoder.decode(black_box(&block), &limits, &mut out).is_ok());
    });
}

criterion_group!(benches, decode, encode_frames, huffman);
criterion_main!(benches);
