//! Runs a program under callgrind and reads how many instructions it took inside [`measured`].
//!
//! What would make a count differ from machine to machine or from call to call is taken away: the environment, and
//! the wide forms of the C library's copying, which it chooses by the processor.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::process::Command;

/// Copying in the form that every x86-64 processor has; other platforms know none of these.
const TUNABLES: &str =
    "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-ERMS,-FSRM,-AVX_Fast_Unaligned_Load";

/// What is counted: everything inside.
#[inline(never)]
pub fn measured(work: impl FnOnce()) {
    count_this(Box::new(work));
}

#[inline(never)]
fn count_this(work: Box<dyn FnOnce() + '_>) {
    work();
}

/// Whether valgrind can be run.
pub fn is_there() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok()
}

/// Instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instructions {
    /// All but those of copying.
    pub work: u64,
    /// The C library's copying. It copies in the plainest form here; of the forms that processors prefer some are a
    /// single instruction whatever they copy. So this says how much is copied rather than what it costs.
    pub copying: u64,
}

/// Instructions that this program takes inside [`measured`] when it is called with `arguments`; callgrind's own
/// findings are left in `file`.
///
/// # Errors
/// When valgrind cannot be run, the program fails, or nothing was counted.
pub fn count(arguments: &[&str], file: &Path) -> io::Result<Instructions> {
    let output = Command::new("valgrind")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GLIBC_TUNABLES", TUNABLES)
        .args(["--tool=callgrind", "--toggle-collect=*::count_this"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe()?)
        .args(arguments)
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text = std::fs::read_to_string(file)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals:"));
    let total: Option<u64> = total.and_then(|total| total.split_whitespace().next()?.parse().ok());
    let total = total.filter(|total| *total > 0);
    let total = total.ok_or_else(|| io::Error::other("callgrind has counted nothing"))?;
    let copying = copying(&text);
    Ok(Instructions { work: total - copying, copying })
}

/// What functions with a name like `memcpy` took themselves. In callgrind's format a line `fn=(7) name` begins a
/// function, whose name is left out from the second time on; lines of a place and a cost follow, and the one after
/// `calls=` is what was called.
fn copying(text: &str) -> u64 {
    let (mut copies, mut sum) = (HashSet::new(), 0);
    let (mut inside, mut callee) = (false, false);
    for line in text.lines() {
        let named = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn="));
        if let Some((id, name)) = named.and_then(|named| named.split_once(')')) {
            if name.contains("memcpy") || name.contains("memmove") {
                copies.insert(id);
            }
            inside = if line.starts_with("fn=") { copies.contains(id) } else { inside };
        } else if line.starts_with("calls=") {
            callee = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok());
            sum += cost.filter(|_| inside && !callee).unwrap_or(0);
            callee = false;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::copying;

    #[test]
    fn what_copies_take_themselves_is_told_apart() {
        let text = "events: Ir\nfn=(1) work\n10 7\ncfn=(2) memcpy@GLIBC_2.2.5\ncalls=3 0\n+2 90\n\n\
                    fn=(2)\n5 60\n* 30\ncfn=(3) fault\ncalls=1 0\n* 4\n\nfn=(3)\n9 4\n\ntotals: 101\n";
        assert_eq!(copying(text), 90);
    }
}
