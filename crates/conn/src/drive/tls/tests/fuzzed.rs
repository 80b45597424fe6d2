//! The fuzz target in plain `cargo test`: its corpus, and random octets.

use std::path::Path;

use proptest::prelude::*;

use super::super::fuzzing::tls_records;

#[test]
fn the_corpus_of_tls_records_upsets_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus-seeds/tls_records");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "the corpus has content");
    for file in files {
        eprintln!("{}", file.display());
        tls_records(&std::fs::read(&file).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn random_octets_upset_no_records(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        tls_records(&octets);
    }
}
