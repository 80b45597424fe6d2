//! The fuzz targets in plain `cargo test`: their corpora, recorded connections, random octets.

use std::path::Path;

use super::{conn_client, conn_pair, conn_server};
use crate::proto::testing::rng::Rng;

/// Runs every file of the target's small corpus, which is a part of the project.
fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus-seeds").join(target);
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() >= 10, "the corpus of {target} has content");
    for file in files {
        eprintln!("{}", file.display());
        body(&std::fs::read(&file).unwrap());
    }
}

/// Random octets; a failing input is printed by its seed.
fn chance(inputs: u64, most: usize, body: fn(&[u8])) {
    for seed in 0..inputs {
        eprintln!("seed {seed}");
        let mut rng = Rng::new(seed);
        let octets: Vec<u8> = (0..rng.size(most)).map(|_| rng.below(256) as u8).collect();
        body(&octets);
    }
}

#[test]
fn the_corpus_of_conn_server_upsets_nothing() {
    replay("conn_server", conn_server);
}

#[test]
fn the_corpus_of_conn_client_upsets_nothing() {
    replay("conn_client", conn_client);
}

#[test]
fn the_corpus_of_conn_pair_upsets_nothing() {
    replay("conn_pair", conn_pair);
}

#[test]
fn random_octets_upset_no_server() {
    chance(300, 2000, conn_server);
}

#[test]
fn random_octets_upset_no_client() {
    chance(300, 2000, conn_client);
}

#[test]
fn random_octets_upset_no_pair() {
    chance(40, 2000, conn_pair);
}
