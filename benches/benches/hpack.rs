//! HPACK: lists of ten to twelve fields as tunnels send them, and the stories of the public test set, ours
//! beside the `hpack` crate. (The compression of stock h2 is private to it: `versus` measures it through its frames.)
//!
//! *repeated* is one list over and over; *varied* has a new authority, trace and path each time; *literal* is
//! all literals in Huffman code, as from a peer without a table.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hbone_benches::headers::{connect, request, stories};
use hbone_frame::Fields;
use hbone_frame::hpack::{Decoder, Encoder, Limits};

/// Lists in the varied runs; each run goes through them in order.
const VARIETY: usize = 64;

fn blocks(lists: &[Fields], table: usize) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(table);
    let mut encode = |fields: &Fields| {
        let mut block = Vec::new();
        encoder.encode(fields, &mut block);
        block
    };
    lists.iter().map(&mut encode).collect()
}

fn lists(criterion: &mut Criterion) {
    for (name, make) in [("connect", connect as fn(usize) -> Fields), ("request", request)] {
        let varied: Vec<_> = (0..VARIETY).map(make).collect();
        for (run, lists) in [("repeated", &varied[..1]), ("varied", &varied[..])] {
            encode_lists(criterion, &format!("{name} {run}"), lists);
            decode_lists(criterion, &format!("{name} {run}"), lists, 4096);
        }
        decode_lists(criterion, &format!("{name} literal"), &varied, 0);
    }
}

/// Time for one list.
fn encode_lists(criterion: &mut Criterion, name: &str, lists: &[Fields]) {
    let mut group = criterion.benchmark_group(format!("hpack encode {name}"));
    let mut encoder = Encoder::new(4096);
    let mut out = Vec::new();
    let mut turn = (0..lists.len()).cycle();
    group.bench_function("ours", |bencher| {
        bencher.iter(|| {
            out.clear();
            let nth = turn.next().unwrap_or(0);
            encoder.encode(black_box(&lists[nth]), &mut out);
            out.len()
        });
    });
    let mut theirs = hpack::Encoder::new();
    group.bench_function("hpack crate", |bencher| {
        bencher.iter(|| {
            let nth = turn.next().unwrap_or(0);
            theirs.encode(black_box(&lists[nth]).iter().map(|field| (field.name, field.value))).len()
        });
    });
}

/// Time for one list. The first pass fills the table, the later ones are timed.
fn decode_lists(criterion: &mut Criterion, name: &str, lists: &[Fields], table: usize) {
    let mut group = criterion.benchmark_group(format!("hpack decode {name}"));
    let passes: Vec<_> = (0..3).flat_map(|_| lists.to_vec()).collect();
    let all = blocks(&passes, table);
    // A table of this size takes in a whole pass or nothing of it: the second pass repeats itself.
    let (first, rest) = all.split_at(lists.len());
    let (limits, mut out) = (Limits::default(), Fields::new());
    let mut decoder = Decoder::new(4096);
    for block in first {
        assert!(decoder.decode(block, &limits, &mut out).is_ok());
    }
    let mut turn = (0..lists.len()).cycle();
    group.bench_function("ours", |bencher| {
        bencher.iter(|| {
            let nth = turn.next().unwrap_or(0);
            let verdict = decoder.decode(black_box(&rest[nth]), &limits, &mut out);
            (verdict.is_ok(), out.len())
        });
    });
    let mut theirs = hpack::Decoder::new();
    for block in first {
        assert!(theirs.decode(block).is_ok());
    }
    let mut turn = (0..lists.len()).cycle();
    group.bench_function("hpack crate", |bencher| {
        bencher.iter(|| {
            let nth = turn.next().unwrap_or(0);
            theirs.decode(black_box(&rest[nth])).map_or(0, |list| list.len())
        });
    });
}

/// Time for a whole folder, a fresh decoder for each story.
fn decode_stories(criterion: &mut Criterion) {
    for name in ["nghttp2", "go-hpack"] {
        let Some(stories) = stories(name) else {
            eprintln!("skipped: no stories");
            return;
        };
        let blocks: usize = stories.iter().map(Vec::len).sum();
        let mut group = criterion.benchmark_group(format!("hpack decode stories of {name}"));
        group.throughput(Throughput::Elements(blocks as u64)).sample_size(10);
        let (limits, mut out) = (Limits::default(), Fields::new());
        group.bench_function("ours", |bencher| {
            bencher.iter(|| {
                for story in &stories {
                    let mut decoder = Decoder::new(4096);
                    for block in story {
                        assert!(decoder.decode(block, &limits, &mut out).is_ok());
                    }
                }
            });
        });
        group.bench_function("hpack crate", |bencher| {
            bencher.iter(|| {
                for story in &stories {
                    let mut decoder = hpack::Decoder::new();
                    for block in story {
                        assert!(decoder.decode(black_box(block)).is_ok());
                    }
                }
            });
        });
    }
}

criterion_group!(benches, lists, decode_stories);
criterion_main!(benches);
