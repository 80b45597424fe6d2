//! Finds the folder of test data, which is not a part of the project.

use std::path::{Path, PathBuf};

/// The folder `name` of the test data: below `HBONE_TEST_DATA` or `../shared/data` from the project's root.
/// `None`, and a line that says so, if it is missing; with `HBONE_REQUIRE_PEERS=1` that is a failure.
#[expect(clippy::disallowed_methods, reason = "where test data lies is told by the environment")]
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    let root = match std::env::var("HBONE_TEST_DATA") {
        Ok(root) => PathBuf::from(root),
        Err(_) => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    let required = std::env::var("HBONE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(!required, "test data is missing: {}", folder.display());
    eprintln!("skipped: no test data at {}", folder.display());
    None
}

/// All files below `folder` except licences, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "LICENSE") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
