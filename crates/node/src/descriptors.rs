//! Asks the operating system for as many open files as it may give: a tunnel takes two. Called by `run` and the
//! demo before anything is opened. Never asks for more than the hard limit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// Raises the soft limit of open files to the hard one, and logs what holds from now on.
pub fn raise() {
    let before = getrlimit(Resource::Nofile);
    if before.current == before.maximum {
        return info!(limit = shown(before.current), "open files");
    }
    let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => info!(limit = shown(before.maximum), before = shown(before.current), "open files"),
        Err(cause) => {
            warn!(limit = shown(before.current), %cause, "the limit of open files cannot be raised")
        }
    }
}

/// None stands for no limit.
fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}
