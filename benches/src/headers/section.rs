//! The section of `versus` on header compression: all in turns, nanoseconds for one list.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone_frame::Fields;

use super::{connect, other, ours, request, stock, stories};
use crate::report::{Better, Case, Limit, Measure, Section};

const OURS: &str = "hbone default";
const STOCK: &str = "h2 default";
const OTHER: &str = "hpack crate";

/// Lists that differ; a run goes through them in order.
const VARIETY: usize = 64;

/// Lists that a connection takes before the next begins with empty tables.
const LONG: usize = if cfg!(test) { 8 } else { 512 };

/// Does a batch of lists once; the time that it took and how many lists they were.
type Batch<'a> = Box<dyn FnMut() -> (Duration, usize) + 'a>;

/// Encoding and decoding, `rounds` rounds of `time` for each contender and case.
pub fn hpack(rounds: usize, time: Duration) -> Section {
    let mut cases = Vec::new();
    for (name, words, make) in [
        ("connect", "CONNECT between two nodes, 11 fields", connect as fn(usize) -> Fields),
        ("request", "GET of a browser, 12 fields", request),
    ] {
        let varied: Vec<_> = (0..VARIETY).map(make).collect();
        for (run, lists) in [("repeated", &varied[..1]), ("varied", &varied[..])] {
            let (id, words) = (format!("{name}-{run}"), format!("{words}, {run}"));
            cases.push(encoding(&id, &words, lists, rounds, time));
            cases.push(decoding(&id, &words, lists, rounds, time));
        }
    }
    if let Some(stories) = stories("nghttp2") {
        cases.push(decoding_stories(&stories, rounds, time));
    }
    Section {
        id: "hpack".into(),
        title: "Header compression".into(),
        note: "A list becomes a HEADERS frame, and octets become frames and lists, as each keeps them; for ours and for \
               h2 the frame is part of it, the hpack crate has none. Repeated: one list over and over. Varied: a new \
               authority, trace or path each time."
            .into(),
        cases,
    }
}

fn encoding(id: &str, words: &str, lists: &[Fields], rounds: usize, time: Duration) -> Case {
    let (mut ours, mut theirs, mut other) = (ours::Sender::new(), stock::Sender::new(), other::Sender::new());
    // Lists enough for a batch that takes much longer than to look at the clock, and few enough for the cache: those
    // of h2 are made anew for every batch, since it uses them up, and not timed.
    let times = (VARIETY / 2).div_ceil(lists.len());
    let batch = move || (0..times).flat_map(move |_| lists);
    let batches: Vec<(&str, Batch<'_>)> = vec![
        (OURS, timed(move || batch().filter(|list| ours.send(black_box(list)) > 0).count())),
        (
            STOCK,
            Box::new(move || {
                let made: Vec<_> =
                    batch().map(|list| stock::list(list).expect("h2 has every list")).collect();
                let start = Instant::now();
                let count =
                    made.into_iter().map(|list| theirs.send(list)).filter(|octets| *octets > 0).count();
                (start.elapsed(), count)
            }),
        ),
        (OTHER, timed(move || batch().filter(|list| other.send(black_box(list)) > 0).count())),
    ];
    let mut measure = in_turns(batches, rounds, time);
    measure.demand(STOCK, Limit::AtMost(0.6));
    case(&format!("hpack/encode/{id}"), format!("encode: {words}"), measure)
}

fn timed<'a>(mut batch: impl FnMut() -> usize + 'a) -> Batch<'a> {
    Box::new(move || {
        let start = Instant::now();
        let found = black_box(batch());
        (start.elapsed(), found)
    })
}

fn decoding(id: &str, words: &str, lists: &[Fields], rounds: usize, time: Duration) -> Case {
    let long: Vec<_> = lists.iter().cycle().take(LONG).cloned().collect();
    let octets = Bytes::from(ours::frames(&mut ours::Sender::new(), &long));
    let blocks = blocks_of(&octets);
    let batches: Vec<(&str, Batch<'_>)> = vec![
        (OURS, timed(|| ours::Receiver::new().receive(black_box(&octets)))),
        (STOCK, timed(|| stock::Receiver::new().receive(black_box(&octets)))),
        (OTHER, timed(|| other::Receiver::new().receive(black_box(&blocks)))),
    ];
    let mut measure = in_turns(batches, rounds, time);
    measure.demand(STOCK, Limit::AtMost(0.6));
    if lists.len() > 1 {
        // What is repeated is little more than indices, which take nobody long.
        measure.demand(OTHER, Limit::AtMost(0.01));
    }
    case(&format!("hpack/decode/{id}"), format!("decode: {words}"), measure)
}

/// Every story with tables of its own, if stock `h2` gets through it.
fn decoding_stories(stories: &[Vec<Vec<u8>>], rounds: usize, time: Duration) -> Case {
    let framed = stories.iter().map(|blocks| (blocks, Bytes::from(ours::frames_of(blocks))));
    let taken: Vec<_> =
        framed.filter(|(blocks, octets)| stock::Receiver::new().receive(octets) == blocks.len()).collect();
    let batches: Vec<(&str, Batch<'_>)> = vec![
        (OURS, timed(|| taken.iter().map(|(_, octets)| ours::Receiver::new().receive(octets)).sum())),
        (STOCK, timed(|| taken.iter().map(|(_, octets)| stock::Receiver::new().receive(octets)).sum())),
        (OTHER, timed(|| taken.iter().map(|(blocks, _)| other::Receiver::new().receive(blocks)).sum())),
    ];
    let mut measure = in_turns(batches, rounds, time);
    measure.demand(STOCK, Limit::AtMost(0.6));
    measure.demand(OTHER, Limit::AtMost(0.01));
    let title = format!("decode: {} stories of the public test set, by nghttp2", taken.len());
    case("hpack/decode/stories", title, measure)
}

fn case(id: &str, title: String, measure: Measure) -> Case {
    Case { id: id.into(), title, measures: vec![measure] }
}

/// The payloads of HEADERS frames.
fn blocks_of(frames: &Bytes) -> Vec<Vec<u8>> {
    let (mut blocks, mut at) = (Vec::new(), 0);
    while let Some(head) = frames.get(at..at + 9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        blocks.push(frames[at + 9..at + 9 + length].to_vec());
        at += 9 + length;
    }
    blocks
}

/// Nanoseconds for a list.
fn in_turns(mut batches: Vec<(&str, Batch<'_>)>, rounds: usize, time: Duration) -> Measure {
    let mut measure = Measure::new("time", "ns per list", Better::Less);
    for _ in 0..rounds {
        for (name, batch) in &mut batches {
            let (mut spent, mut count) = (Duration::ZERO, 0);
            while spent < time {
                let (took, lists) = batch();
                (spent, count) = (spent + took, count + lists);
            }
            measure.push(name, spent.as_nanos() as f64 / count as f64);
        }
    }
    measure
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{connect, decoding, decoding_stories, encoding, ours, request, stock};

    #[test]
    fn what_ours_sends_stock_h2_takes_list_for_list() {
        let lists: Vec<_> = (0..100).flat_map(|nth| [connect(nth), request(nth)]).collect();
        let octets = ours::frames(&mut ours::Sender::new(), &lists).into();
        assert_eq!(stock::Receiver::new().receive(&octets), 200);
        assert_eq!(ours::Receiver::new().receive(&octets), 200);
    }

    #[test]
    fn every_contender_has_a_figure_in_every_round() {
        let (lists, time) = ([connect(1), request(2)], Duration::from_nanos(1));
        let story = vec![vec![0x82, 0x86], vec![0x84]];
        for case in [
            encoding("made", "made up", &lists, 2, time),
            decoding("made", "made up", &lists, 2, time),
            decoding_stories(&[story], 2, time),
        ] {
            for measure in case.measures {
                assert_eq!(measure.entries.len(), 3);
                for entry in &measure.entries {
                    assert_eq!(entry.values.len(), 2);
                    assert!(entry.values.iter().all(|value| value.is_finite() && *value > 0.0));
                }
            }
        }
    }
}
