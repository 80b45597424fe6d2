//! The fuzz targets in plain `cargo test`: their corpora, recorded connections, random octets.

use std::path::{Path, PathBuf};

use super::{conn_client, conn_pair, conn_server};
use crate::proto::testing::rng::Rng;

/// What lies in a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs every file of the target's small corpus, which is a part of the project.
fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus-seeds").join(target);
    let files = files(&folder);
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

/// Connections that were recorded elsewhere are no part of the project: below `HBONE_TEST_DATA`, or beside it.
#[test]
#[expect(clippy::disallowed_methods, reason = "where test data lies is told by the environment")]
fn recorded_connections_upset_no_server() {
    let root = match std::env::var("HBONE_TEST_DATA") {
        Ok(root) => PathBuf::from(root),
        Err(_) => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    let folder = root.join("nghttp2-corpus");
    if !folder.is_dir() {
        let required = std::env::var("HBONE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
        assert!(!required, "test data is missing: {}", folder.display());
        eprintln!("skipped: no test data at {}", folder.display());
        return;
    }
    let recorded: Vec<_> =
        files(&folder).iter().filter(|path| path.is_dir()).flat_map(|path| files(path)).collect();
    assert!(recorded.len() > 100, "the corpus is complete");
    for file in recorded {
        let wire = std::fs::read(&file).unwrap();
        for knobs in [1_u8, 5, 9] {
            for cut in [1, 3, 50] {
                conn_server(&[&[knobs, cut][..], &wire].concat());
            }
        }
    }
}
