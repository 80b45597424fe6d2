//! From a path to a resolved configuration or to its faults. Called by the commands; the only entry.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::fault::{Cause, Fault, Faults};
use super::raw::Raw;
use super::resolve::resolve;
use super::resolved::Resolved;
use super::source::Source;

/// Loads a file with all that it names.
///
/// # Errors
/// Every fault at once, in the order of the file.
pub fn load(path: &Path) -> Result<Resolved, Faults> {
    let mut faults = Faults::default();
    // Before it is read: what is written afterwards is a change.
    faults.files_mut().add(path);
    let source = match Source::read(path) {
        Ok(source) => source,
        Err(error) => {
            let cause = Cause::Unreadable { reason: error.to_string() };
            faults.push(Fault { file: path.to_path_buf(), position: None, cause });
            return Err(faults);
        }
    };
    resolved(&source, now(), faults)
}

/// Loads a text with all the files that it names, which start from the folder of `path`; faults show it.
///
/// # Errors
/// Every fault at once, in the order of the text.
pub fn load_text(path: &Path, text: &str) -> Result<Resolved, Faults> {
    resolved(&Source::new(path, text), now(), Faults::default())
}

/// Resolves a text at the time `now` (seconds since 1970 in UTC).
///
/// # Errors
/// Every fault at once, in the order of the file.
pub fn parse(source: &Source, now: i64) -> Result<Resolved, Faults> {
    resolved(source, now, Faults::default())
}

fn resolved(source: &Source, now: i64, mut faults: Faults) -> Result<Resolved, Faults> {
    let raw = Raw::parse(source, &mut faults);
    let resolved = resolve(&raw, source, now, &mut faults);
    faults.sort();
    resolved.filter(|_| faults.is_empty()).ok_or(faults)
}

/// The wall clock, which certificates are measured by.
pub(crate) fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}
