//! What the processes of a tunnel use, as /proc tells it (Linux). Asked by process.rs. Knows no names, only numbers of
//! processes; a process that is gone has used nothing.

use std::fs;
use std::time::Duration;

/// These processes and everything below them.
pub(crate) fn family(roots: &[u32]) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = numbers("/proc")
        .into_iter()
        .filter_map(|id| Some((id, parent(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)?)))
        .collect();
    let mut family = roots.to_vec();
    let mut seen = 0;
    while let Some(&of) = family.get(seen) {
        family.extend(parents.iter().filter(|(id, parent)| *parent == of && id != parent).map(|(id, _)| *id));
        seen += 1;
    }
    family
}

/// User and system time of a process' threads, in nanoseconds' resolution; threads that have ended do not count.
pub(crate) fn cpu(id: u32) -> Duration {
    let threads = threads(id);
    let used = threads.iter().filter_map(|thread| {
        let text = fs::read_to_string(format!("/proc/{id}/task/{thread}/schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(used.sum())
}

/// Octets of memory that a process has resident; the exact figure where the system gives it.
pub(crate) fn resident(id: u32) -> u64 {
    let exact = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok();
    let exact = exact.and_then(|text| kibibytes(&text, "Rss:"));
    let roughly = || kibibytes(&fs::read_to_string(format!("/proc/{id}/status")).ok()?, "VmRSS:");
    exact.or_else(roughly).unwrap_or(0) * 1024
}

/// The threads of a process.
pub(crate) fn threads(id: u32) -> Vec<u32> {
    numbers(&format!("/proc/{id}/task"))
}

fn numbers(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Field 4 of proc_pid_stat(5); the second field may hold blanks and ends with the last parenthesis.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_an_odd_name() {
        assert_eq!(parent("7 (a ) b) S 12 7 7 0"), Some(12));
        assert_eq!(parent("7 (a"), None);
    }

    #[test]
    fn this_process_has_threads_time_and_memory() {
        let id = std::process::id();
        assert!(family(&[id]).contains(&id));
        assert!(!threads(id).is_empty());
        assert!(resident(id) > 100 * 1024);
        assert_eq!(kibibytes("a: 1 kB\nRss:     20 kB\n", "Rss:"), Some(20));
    }
}
