//! Instructions per DATA frame of 16 KiB and per stream, of this engine and of stock `h2`, counted by callgrind.
//!
//! `instructions` prints them. `--write` keeps them in `benches/instructions.md` too. `--check` fails if ours differ by
//! more than 3 % from what is kept there. `--profile frame` (or `stream-1`, `stream-100`) counts ours once and says how
//! to look at it. Each figure is the difference of two runs of different length, so that what happens once is not in
//! it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hbone_benches::counted::{Instructions, Scene, Who, Work, count, is_there, measured};

const WORKS: [Work; 4] = [Work::Frames, Work::RoundTrips, Work::Streams(100), Work::Streams(1)];
const PARTIES: [Who; 3] = [Who::Ours, Who::Stock, Who::StockWindows];
/// How often the work is done before it is counted, and then, in the shorter and the longer run. Multiples of 100.
const BEFORE: usize = 400;
const TIMES: [usize; 2] = [1000, 3000];
/// How far a count of ours may be from the one that is kept.
const TOLERANCE: f64 = 0.03;

const USAGE: &str =
    "usage: instructions [--check | --write | --profile frame|round-trip|stream-100|stream-1]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["work", who, work, times] = arguments[..] {
        return work_once(who, work, times).map_or_else(|| fail(USAGE), |()| ExitCode::SUCCESS);
    }
    if !is_there() {
        if arguments == ["--check"] && std::env::var_os("HBONE_REQUIRE_PEERS").is_none() {
            println!("skipped: valgrind is missing (apt-get install valgrind)");
            return ExitCode::SUCCESS;
        }
        return fail("valgrind is missing: apt-get install valgrind");
    }
    match arguments[..] {
        [] => show(&table(&PARTIES)),
        ["--write"] => write(&table(&PARTIES)),
        ["--check"] => check(&table(&PARTIES[..1])),
        ["--profile", work] => profile(work),
        _ => fail(USAGE),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("instructions: {message}");
    ExitCode::from(2)
}

/// The child under callgrind. `None` when it was called by somebody else.
fn work_once(who: &str, work: &str, times: &str) -> Option<()> {
    let who = PARTIES.into_iter().chain([Who::Pipe]).find(|party| party.name() == who)?;
    let work = WORKS.into_iter().find(|each| each.name() == work)?;
    let times = times.parse().ok()?;
    let mut scene = Scene::new(who);
    scene.run(work, BEFORE);
    measured(|| scene.run(work, times));
    Some(())
}

/// What one frame or stream takes.
#[derive(Clone, Copy)]
struct Each {
    work: f64,
    copying: f64,
}

impl Each {
    const fn total(self) -> f64 {
        self.work + self.copying
    }
}

/// The figures of one kind of work, in the order of the parties that were asked for.
type Row = (Work, Vec<Each>);

fn table(parties: &[Who]) -> Vec<Row> {
    let pipe = each(Who::Pipe, Work::Frames).copying;
    let row = |work| {
        let figures = parties.iter().map(|who| {
            let Each { work: own, copying } = each(*who, work);
            Each { work: own, copying: if work == Work::Frames { copying - pipe } else { copying } }
        });
        (work, figures.collect())
    };
    WORKS.into_iter().map(row).collect()
}

fn each(who: Who, work: Work) -> Each {
    let file = file(who, work);
    let [few, many] = TIMES.map(|times| run(who, work, times, &file));
    let _ = std::fs::remove_file(&file);
    let per_one = |few, many| (many as f64 - few as f64) / (TIMES[1] - TIMES[0]) as f64;
    Each { work: per_one(few.work, many.work), copying: per_one(few.copying, many.copying) }
}

fn file(who: Who, work: Work) -> PathBuf {
    let name = format!("callgrind-{}-{}-{}", who.name(), work.name(), std::process::id());
    std::env::temp_dir().join(name)
}

fn run(who: Who, work: Work, times: usize, file: &Path) -> Instructions {
    let arguments = ["work", who.name(), &work.name(), &times.to_string()];
    count(&arguments, file).unwrap_or_else(|error| panic!("{} {}: {error}", who.name(), work.name()))
}

fn show(rows: &[Row]) -> ExitCode {
    print!("{}", page(rows));
    ExitCode::SUCCESS
}

/// The table as it is kept.
fn page(rows: &[Row]) -> String {
    let mut out = String::from(
        "| instructions per | ours | `h2` as it comes | `h2`, windows 4 MiB/16 MiB | ours ÷ `h2` |\n|---|---|---|---|---|\n",
    );
    for (work, figures) in rows {
        let _ = write!(out, "| {} ", work.title());
        for each in figures {
            let _ = write!(out, "| {:.0} ({:.0}) ", each.total(), each.copying.abs());
        }
        let ratios: Vec<_> =
            figures.iter().skip(1).map(|each| format!("{:.2}", figures[0].total() / each.total())).collect();
        let _ = writeln!(out, "| {} |", ratios.join(", "));
    }
    out
}

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.md");

const HEAD: &str = "\
# Instructions

What a DATA frame and a stream cost in instructions, both ends together, counted by callgrind: no time, the same on
every run. Written by

```
cargo run --release -p hbone-benches --bin instructions -- --write
```

and compared by `.ci/run` with what is built there (`--check`: ours within 3 %). Whoever makes them fewer writes this file
anew. To see where they go: `--profile frame`, `--profile stream-100`, `--profile stream-1`,
`--profile round-trip`.

";

const FOOT: &str = "
In brackets: how much of it is the C library's copying (`memcpy`), which is counted in its plainest form of 16 octets at a
time. The two copies that the pipe itself makes of every octet are not in the figures of DATA frames; they are known
from a run of the pipe alone.

Both ends stand on one current-thread runtime of tokio and speak over its duplex pipe of 64 KiB: nothing is in the
figures that a kernel or a cipher does; the runtime's work and the pipe's, but for its copies, are. Frames have at most
16 KiB at both ends, the application writes 64 KiB at a time, connections are warm. A stream is a CONNECT, its answer
200, and END_STREAM both ways. Ours has its default settings but for `window_tuning`, which takes a clock and is off.
Figures are differences of two runs (1000 and 3000) divided by 2000. Ours repeat to a few instructions; those of `h2`
vary by some more, since the hashes of its table of streams begin with a random seed.
";

fn write(rows: &[Row]) -> ExitCode {
    let text = format!(
        "{HEAD}{}{FOOT}\nx86-64 Linux, {}, release profile of this workspace.\n",
        page(rows),
        compiler()
    );
    if let Err(error) = std::fs::write(KEPT, text) {
        return fail(&format!("{KEPT}: {error}"));
    }
    show(rows)
}

fn compiler() -> String {
    let output = std::process::Command::new("rustc").arg("--version").output();
    output.map_or_else(
        |_| "rustc".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn check(rows: &[Row]) -> ExitCode {
    let kept = std::fs::read_to_string(KEPT).unwrap_or_default();
    let mut outcome = ExitCode::SUCCESS;
    for (work, figures) in rows {
        let found = figures[0].total();
        let Some(before) = kept_figure(&kept, *work) else {
            return fail(&format!("{KEPT} says nothing of: {}", work.title()));
        };
        let change = found / before - 1.0;
        let verdict = if change.abs() <= TOLERANCE { "as kept" } else { "differs" };
        println!("{}: {found:.0}, kept {before:.0} ({:+.1} %): {verdict}", work.title(), change * 100.0);
        if change.abs() > TOLERANCE {
            outcome = ExitCode::FAILURE;
        }
    }
    if outcome != ExitCode::SUCCESS {
        println!("keep the new figures, if they are meant: instructions -- --write");
    }
    outcome
}

/// Our figure in the kept table.
fn kept_figure(kept: &str, work: Work) -> Option<f64> {
    let title = work.title();
    let row =
        kept.lines().find_map(|line| line.strip_prefix("| ")?.strip_prefix(&*title)?.strip_prefix(" | "))?;
    row.split_whitespace().next()?.parse().ok()
}

fn profile(work: &str) -> ExitCode {
    let Some(work) = WORKS.into_iter().find(|each| each.name() == work) else { return fail(USAGE) };
    let file = file(Who::Ours, work);
    let found = run(Who::Ours, work, TIMES[0], &file);
    println!("{} instructions and {} of copying, {} times", found.work, found.copying, TIMES[0]);
    println!("callgrind_annotate --inclusive=yes {}", file.display());
    ExitCode::SUCCESS
}
