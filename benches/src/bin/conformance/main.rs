//! The page of conformance, `docs/conformance.md`: made from the rules, the names of the tests, and the rulings on
//! differences.
//!
//! `conformance` writes the page; `conformance --check` fails when it is not up to date, when a rule names a test
//! that does not exist. Run from anywhere.

mod data;
mod page;
mod sources;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => build().and_then(|page| std::fs::write(path(), page).map_err(|error| error.to_string())),
        ["--check"] => check(),
        _ => Err("usage: conformance [--check]".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the project.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn path() -> PathBuf {
    root().join("docs/conformance.md")
}

fn build() -> Result<String, String> {
    let data = data::load(&root().join("docs/conformance"))?;
    let tests = sources::tests(&root())?;
    data::verify(&data, &tests)?;
    Ok(page::render(&data, &tests))
}

fn check() -> Result<(), String> {
    let page = build()?;
    let found = std::fs::read_to_string(path()).map_err(|error| error.to_string())?;
    if found == page {
        return Ok(());
    }
    Err("docs/conformance.md is not up to date; run: cargo run -p hbone-benches --bin conformance".to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_of_conformance_is_up_to_date() {
        if let Err(error) = super::check() {
            panic!("{error}");
        }
    }
}
