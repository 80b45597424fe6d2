//! This engine and stock `h2`, side by side in one process and one run.
//!
//! In every case the contenders take turns, each round beginning with another; ratios are of the same round, and
//! medians are told with their spread. Prints as it goes.

use std::process::ExitCode;
use std::time::Duration;

use hbone_benches::measure::Counting;
use hbone_benches::report::{Better, Case, Measure};
use hbone_benches::versus::{Chapter, Plan, chapters, run};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const USAGE: &str = "usage: versus [--quick] [--only SUBSTRING]";

/// What the command line asks for.
#[derive(Default)]
struct Asked {
    quick: bool,
    only: Option<String>,
}

fn main() -> ExitCode {
    let asked = match asked(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(what) => {
            eprintln!("versus: {what}; {USAGE}");
            return ExitCode::from(2);
        }
    };
    let plan = if asked.quick {
        Plan { rounds: 3, time: Duration::from_millis(200) }
    } else {
        Plan { rounds: 5, time: Duration::from_millis(500) }
    };
    let chapters = asked.choose(chapters());
    if chapters.is_empty() {
        eprintln!("versus: no case has such a name; {USAGE}");
        return ExitCode::from(2);
    }
    let mut failures = Vec::new();
    for Chapter { title, note, jobs, .. } in chapters {
        println!("{title}\n{note}\n");
        for job in jobs {
            let (case, failed) = run(&job, plan);
            show(&case);
            for failure in &failed {
                println!("  FAILED: {}: {}\n", failure.contender, failure.why);
            }
            failures.extend(failed);
        }
    }
    for failure in &failures {
        eprintln!("versus: {} failed in {}: {}", failure.contender, failure.case, failure.why);
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn asked(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => asked.quick = true,
            "--only" => asked.only = Some(arguments.next().ok_or("--only needs a part of a case's name")?),
            _ => return Err(format!("unknown argument {argument:?}")),
        }
    }
    Ok(asked)
}

impl Asked {
    /// The cases to run. With a name asked for, the case of that name, or else all that have it in their names: then
    /// `--quick` chooses the time, not the cases.
    fn choose(&self, mut chapters: Vec<Chapter>) -> Vec<Chapter> {
        let exact =
            chapters.iter().flat_map(|chapter| &chapter.jobs).any(|job| Some(&job.id) == self.only.as_ref());
        for chapter in &mut chapters {
            chapter.jobs.retain(|job| match &self.only {
                Some(name) if exact => job.id == *name,
                Some(part) => job.id.contains(part),
                None => !self.quick || job.quick,
            });
        }
        chapters.retain(|chapter| !chapter.jobs.is_empty());
        chapters
    }
}

fn show(case: &Case) {
    println!("{} ({})", case.id, case.title);
    for measure in &case.measures {
        show_measure(measure);
    }
    println!();
}

fn show_measure(measure: &Measure) {
    let better = if measure.better == Better::More { "more is better" } else { "less is better" };
    println!("  {}, {} ({better})", measure.name, measure.unit);
    for entry in &measure.entries {
        let spread = entry.spread();
        let figures = format!("{:.2} ({:.2}..{:.2})", spread.median, spread.least, spread.most);
        let ratio = measure.ratio(entry).unwrap_or(f64::NAN);
        println!("    {:<24} {figures:>32}   ours ÷ theirs {ratio:>8.3}", entry.contender);
    }
}
