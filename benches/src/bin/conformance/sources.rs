//! The names of all tests, read off the sources. Knows Rust only as far as `#[test]` and `fn`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every test of the crates below `root`.
pub(crate) fn tests(root: &Path) -> Result<BTreeSet<String>, String> {
    let mut tests = BTreeSet::new();
    for folder in ["crates", "benches"] {
        visit(&root.join(folder), &mut tests).map_err(|error| format!("{folder}: {error}"))?;
    }
    Ok(tests)
}

fn visit(folder: &Path, tests: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                visit(&path, tests)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            scan(&fs::read_to_string(&path)?, tests);
        }
    }
    Ok(())
}

/// A test is a function with `#[test]` or `#[…::test…]` among the attributes before it.
fn scan(text: &str, tests: &mut BTreeSet<String>) {
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        if let Some(attribute) = line.strip_prefix("#[") {
            let name = attribute.split(['(', ']', ' ']).next().unwrap_or_default();
            marked |= name == "test" || name.ends_with("::test");
        } else if let Some(function) = line.strip_prefix("fn ").or_else(|| line.strip_prefix("async fn ")) {
            if marked {
                tests.insert(function.split(['(', '<']).next().unwrap_or_default().to_owned());
            }
            marked = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_their_attributes_and_nothing_else_is() {
        let mut found = BTreeSet::new();
        let source = "#[test]\nfn one() {}\n\nfn two() {}\n    #[tokio::test(start_paused = true)]\n    \
                      #[cfg(unix)]\n    async fn three() {}\n#[cfg(test)]\nmod tests {}\nfn four() {}";
        scan(source, &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["one", "three"]);
    }
}
