//! The stories of the public HPACK test set: what other encoders made of real lists, and the lists themselves
//! through our encoder with the `hpack` crate as an independent decoder.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::{decode, encode, hex, list};
use crate::Fields;
use crate::hpack::{Decoder, Encoder};

/// The folder of the test set, or `None`, said aloud, where it is missing.
#[expect(clippy::disallowed_methods, reason = "tests are told by the environment where their data lies")]
fn folder() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let data = std::env::var("HBONE_TEST_DATA").map_or(root, PathBuf::from).join("hpack-test-case");
    if data.is_dir() {
        return Some(data);
    }
    let required = std::env::var("HBONE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(!required, "no test data in {}", data.display());
    eprintln!("skipped: no test data in {}", data.display());
    None
}

/// Every story of a folder: its name and its cases.
fn stories(folder: &Path) -> Vec<(String, Vec<Value>)> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    let cases = |path: &Path| {
        let story: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        story["cases"].as_array().unwrap().clone()
    };
    paths.iter().map(|path| (path.display().to_string(), cases(path))).collect()
}

fn headers(case: &Value) -> Fields {
    let pairs = case["headers"].as_array().unwrap().iter().flat_map(|header| header.as_object().unwrap());
    pairs.map(|(name, value)| (name.as_bytes(), value.as_str().unwrap().as_bytes())).collect()
}

#[test]
fn every_block_of_every_story_decodes_to_its_list() {
    let Some(folder) = folder() else { return };
    let mut total = 0;
    for encoder in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if !encoder.is_dir() || encoder.ends_with("raw-data") {
            continue;
        }
        let mut blocks = 0;
        for (name, cases) in stories(&encoder) {
            let mut decoder = Decoder::new(4096);
            for (nth, case) in cases.iter().enumerate() {
                if let Some(size) = case["header_table_size"].as_u64() {
                    decoder.set_max_table_size(usize::try_from(size).unwrap());
                }
                let out = decode(&mut decoder, &hex(case["wire"].as_str().unwrap()));
                let bare = |fields: &Fields| -> Vec<_> {
                    list(fields).into_iter().map(|(name, value, _)| (name, value)).collect()
                };
                assert_eq!(bare(&out), bare(&headers(case)), "{name}, case {nth}");
                blocks += 1;
            }
        }
        println!("{}: {blocks} blocks", encoder.display());
        assert!(blocks > 0);
        total += blocks;
    }
    println!("{total} blocks decoded");
    assert!(total > 0);
}

#[test]
fn raw_lists_come_back_from_our_decoder_and_from_an_independent_one() {
    let Some(folder) = folder() else { return };
    let (mut blocks, mut plain_octets, mut coded_octets) = (0, 0, 0);
    for (name, cases) in stories(&folder.join("raw-data")) {
        let mut encoder = Encoder::new(4096);
        let mut decoder = Decoder::new(4096);
        let mut independent = ::hpack::Decoder::new();
        for (nth, case) in cases.iter().enumerate() {
            let fields = headers(case);
            let block = encode(&mut encoder, &fields);
            assert_eq!(list(&decode(&mut decoder, &block)), list(&fields), "{name}, case {nth}");
            let theirs: Fields = independent.decode(&block).unwrap().into_iter().collect();
            assert_eq!(list(&theirs), list(&fields), "{name}, case {nth}");
            blocks += 1;
            coded_octets += block.len();
            plain_octets += fields.iter().map(|field| field.name.len() + field.value.len()).sum::<usize>();
        }
    }
    println!("{blocks} blocks encoded: {coded_octets} octets for {plain_octets}");
    assert!(blocks > 0 && coded_octets * 2 < plain_octets);
}
