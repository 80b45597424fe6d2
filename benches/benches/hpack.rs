//! HPACK: lists of ten to twelve fields as tunnels send them, and the stories of the public test set, ours
//! beside the `hpack` crate. (The compression of stock h2 is private to it: `versus` measures it from outside.)
//!
//! *repeated* is one list over and over; *varied* has a new authority, trace and path each time; *literal* is
//! all literals in Huffman code, as from a peer without a table.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hbone_frame::Fields;
use hbone_frame::hpack::{Decoder, Encoder, Limits};
use serde_json::Value;

/// Lists in the varied runs; each run goes through them in order.
const VARIETY: usize = 64;

/// A CONNECT as one node sends it to another: eleven fields.
fn connect(nth: usize) -> Fields {
    let authority = format!("10.{}.7.{}:8080", nth % 23, nth * 37 % 251);
    let trace = format!(
        "00-4bf92f3577b34da6a3ce929d0e0e{:04x}-00f067aa0ba9{:04x}-01",
        nth * 7919,
        nth * 104_729 % 65_536
    );
    [
        (":method", "CONNECT"),
        (":authority", &authority),
        ("baggage", "k8s.cluster.name=east,k8s.namespace.name=shop,k8s.deployment.name=cart"),
        ("forwarded", "for=10.1.2.3;by=10.4.5.6;proto=https"),
        ("traceparent", &trace),
        ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("x-forwarded-network", "network-1"),
        ("x-source", "spiffe://cluster.local/ns/shop/sa/cart"),
        ("x-destination", "spiffe://cluster.local/ns/shop/sa/stock"),
        ("user-agent", "hbone/0.1"),
        ("accept-encoding", "identity"),
    ]
    .into_iter()
    .collect()
}

/// A request as browsers and services send it: twelve fields.
fn request(nth: usize) -> Fields {
    let path = format!("/api/v1/orders/{}?page={}", nth * 7919, nth % 10);
    [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "shop.example.com"),
        (":path", &path),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("referer", "https://shop.example.com/orders"),
        ("cookie", "session=0a1b2c3d4e5f60718293a4b5c6d7e8f9; theme=dark"),
        ("cache-control", "no-cache"),
        ("te", "trailers"),
    ]
    .into_iter()
    .collect()
}

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

/// The folder of the test set, if it is there.
fn stories_folder() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = std::env::var("HBONE_TEST_DATA").map_or(root, PathBuf::from);
    Some(data.join("hpack-test-case")).filter(|folder| folder.is_dir())
}

/// The stories of one encoder with its default table: for each story its blocks.
fn stories(folder: &Path) -> Vec<Vec<Vec<u8>>> {
    let octet = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).unwrap_or_default();
        u8::from_str_radix(text, 16).expect("the wire is hexadecimal")
    };
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let story: Value =
            serde_json::from_slice(&std::fs::read(entry.path()).unwrap_or_default()).unwrap_or_default();
        let cases = story["cases"].as_array().cloned().unwrap_or_default();
        let wire = |case: &Value| {
            case["wire"].as_str().unwrap_or_default().as_bytes().chunks(2).map(octet).collect()
        };
        all.push(cases.iter().map(wire).collect());
    }
    all
}

/// Time for a whole folder, a fresh decoder for each story.
fn decode_stories(criterion: &mut Criterion) {
    let Some(folder) = stories_folder() else {
        eprintln!("skipped: no stories");
        return;
    };
    for name in ["nghttp2", "go-hpack"] {
        let stories = stories(&folder.join(name));
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
