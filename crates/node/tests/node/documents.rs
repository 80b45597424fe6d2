//! The tests that documents name exist.

use std::fs;
use std::path::Path;

/// All of the sources below a folder.
fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|it| it == "rs") {
            all.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_pins_a_line_of_the_wire_exists() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut all = String::new();
    sources(crates, &mut all);
    let text = include_str!("../../../../docs/hbone-wire.md");
    let lines = text.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() == 1);
    let named = lines
        .filter_map(|line| line.rsplit_once(" | "))
        .flat_map(|(_, tests)| tests.split('`').skip(1).step_by(2));
    let named: Vec<_> = named.filter(|name| name.len() > 15).collect();
    assert!(named.len() > 40, "{}", named.len());
    let missing: Vec<_> = named.iter().filter(|name| !all.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "named and not there: {missing:?}");
}
