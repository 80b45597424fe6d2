//! Prints how a command ended: faults and failures, one line each, on standard error. Called by main.rs and
//! the commands.

use std::io::Write;

use crate::config::Faults;
use crate::exit::{Exit, Failure};
use crate::log::Format;

/// Faults of a configuration as a failure: one line each, then how many.
pub fn faults(faults: &Faults) -> Failure {
    let count = faults.len();
    let noun = if count == 1 { "fault" } else { "faults" };
    Failure::new(Exit::Usage, format!("{faults}\n{count} {noun} in the configuration"))
}

/// Prints an answer on standard output; that no one reads it is no failure.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a complaint on standard error; that no one reads it is no failure.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "hbone: {text}");
}

/// Prints a failure in the form of the log.
pub fn failure(format: Format, failure: &Failure) {
    match format {
        Format::Text => complain(&failure.to_string().replace('\n', "\nhbone: ")),
        Format::Json => {
            for line in failure.to_string().lines() {
                tracing::error!(exit = failure.exit.code(), "{line}");
            }
        }
    }
}
