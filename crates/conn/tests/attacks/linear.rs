//! The work of an attack grows no faster than the attack: instructions of the engine in virtual time, counted by
//! callgrind at n, 2n and 4n repetitions. A count, not a time: it is the same on every run.

use std::path::Path;
use std::process::Command;

use crate::row::Row;
use crate::{rows, virtually};

/// More than this for twice the attack is more than linear.
const DOUBLING: f64 = 2.2;

/// What callgrind counts: everything inside.
#[inline(never)]
pub(crate) fn measured(work: impl FnOnce()) {
    count_this(Box::new(work));
}

#[inline(never)]
fn count_this(work: Box<dyn FnOnce() + '_>) {
    work();
}

/// The child under callgrind: every row at three scales.
#[test]
#[ignore = "run under callgrind by the test below"]
fn every_row_at_three_scales() {
    for work in all() {
        for times in work.scales() {
            (work.run)(times);
        }
    }
}

/// Something whose work is counted once for each scale.
struct Work {
    id: &'static str,
    least: u32,
    run: Box<dyn Fn(u32)>,
}

impl Work {
    fn of(row: Row) -> Self {
        let (id, least) = (row.id, row.units.div_ceil(4).clamp(1, 500));
        Self { id, least, run: Box::new(move |times| drop(virtually::run(&row, times))) }
    }

    const fn scales(&self) -> [u32; 3] {
        [self.least, 2 * self.least, 4 * self.least]
    }
}

fn all() -> Vec<Work> {
    let rows = rows::all().into_iter().map(Work::of);
    #[cfg(feature = "tls")]
    let rows = rows.chain([Work { id: "h74", least: 1000, run: Box::new(crate::tls::one_octet_records) }]);
    rows.collect()
}

#[test]
fn the_work_of_every_attack_is_linear() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        assert!(
            std::env::var_os("HBONE_REQUIRE_PEERS").is_none(),
            "valgrind is missing: apt-get install valgrind"
        );
        return eprintln!("skipped: valgrind is missing (apt-get install valgrind)");
    }
    let folder = tempfile();
    let counts = count_instructions(&folder);
    let all = all();
    assert_eq!(counts.len(), 3 * all.len(), "one count for every row and scale");
    let mut worse = Vec::new();
    println!("{:6} {:>8} {:>14} {:>14} {:>14}  growth", "row", "n", "n", "2n", "4n");
    for (work, counts) in all.iter().zip(counts.chunks(3)) {
        let growth = [counts[1] as f64 / counts[0] as f64, counts[2] as f64 / counts[1] as f64];
        println!(
            "{:6} {:>8} {:>14} {:>14} {:>14}  {:.2} {:.2}",
            work.id, work.least, counts[0], counts[1], counts[2], growth[0], growth[1]
        );
        if growth.iter().any(|growth| *growth > DOUBLING) {
            worse.push(work.id);
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(worse.is_empty(), "more than {DOUBLING} times the work for twice the attack: {worse:?}");
}

fn tempfile() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("hbone-attacks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// One count for every call of `count_this`, in order.
fn count_instructions(folder: &Path) -> Vec<u64> {
    let function = "*::count_this";
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
        .arg(format!("--zero-before={function}"))
        .arg(format!("--dump-after={function}"))
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "linear::every_row_at_three_scales", "--test-threads=1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut parts: Vec<(u32, u64)> =
        std::fs::read_dir(folder).unwrap().filter_map(|entry| part(&entry.unwrap().path())).collect();
    parts.sort_unstable();
    parts.into_iter().map(|(_, count)| count).collect()
}

/// The number of a dump and what it counted; `None` for what is no dump of `count_this`.
fn part(path: &Path) -> Option<(u32, u64)> {
    let text = std::fs::read_to_string(path).ok()?;
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    if !value("desc: Trigger:")?.contains("count_this") {
        return None;
    }
    let total = value("totals:").or_else(|| value("summary:"))?;
    Some((value("part:")?.parse().ok()?, total.split_whitespace().next()?.parse().ok()?))
}
