//! Recorded connections of clients, replayed whole and cut in every way.

use crate::decode::DecoderConfig;
use crate::fuzzing::{Item, agree, frame_decode, outcome};
use crate::head::PREFACE;
use crate::tests::data;

#[test]
fn recorded_connections_come_out_the_same_however_they_are_cut() {
    let Some(folder) = data::folder("nghttp2-corpus") else { return };
    let files = data::files(&folder);
    assert!(files.len() > 100, "the corpus is complete");
    let (mut frames, mut faults) = (0, 0);
    for file in files {
        let wire = std::fs::read(&file).unwrap();
        let config = DecoderConfig::default();
        let whole = agree(&config, true, &wire, &[1]);
        for at in 1..wire.len() {
            let (head, tail) = wire.split_at(at);
            let cut = outcome(config.clone(), true, [head, tail]);
            assert!(cut == whole, "{} cut at {at}", file.display());
        }
        frames += whole.items.iter().filter(|item| matches!(item, Item::Frame(_))).count();
        faults += whole.items.iter().filter(|item| matches!(item, Item::Fault(_))).count();
    }
    assert!(frames > 500 && faults > 20, "the corpus has content: {frames} frames, {faults} faults");
}

#[test]
fn recorded_connections_do_not_upset_the_fuzz_target() {
    let Some(folder) = data::folder("nghttp2-corpus") else { return };
    for file in data::files(&folder) {
        let wire = std::fs::read(&file).unwrap();
        let without = wire.strip_prefix(PREFACE).unwrap_or(&wire);
        for knobs in 0..4_u8 {
            frame_decode(&[&[knobs, 3, 1, 9, 40][..], &wire].concat());
            frame_decode(&[&[knobs, 2, 5, 200][..], without].concat());
        }
    }
}
