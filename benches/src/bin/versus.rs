//! This engine and stock `h2`, side by side in one process and one run.
//!
//! In every case the contenders take turns, each round beginning with another; ratios are of the same round, and
//! medians are told with their spread. Prints as it goes. Only a run that fails makes the program fail: a bar that is
//! missed does not.

use std::fs;
use std::process::ExitCode;

use hbone_benches::headers::hpack;
use hbone_benches::held::memory;
use hbone_benches::measure::Counting;
use hbone_benches::report::{self, ContenderInfo, Machine, Report, Section};
use hbone_benches::versus::{Chapter, Failure, Job, Plan, chapters, run};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const USAGE: &str = "usage: versus [--quick] [--only CASE-OR-PART-OF-ITS-NAME] [--json FILE] [--html FILE]";

/// What the command line asks for.
#[derive(Default)]
struct Asked {
    quick: bool,
    only: Option<String>,
    json: Option<String>,
    html: Option<String>,
}

fn main() -> ExitCode {
    let asked = match asked(std::env::args().skip(1)) {
        Ok(asked) => asked,
        Err(what) => {
            eprintln!("versus: {what}; {USAGE}");
            return ExitCode::from(2);
        }
    };
    let chapters = asked.choose(chapters());
    if chapters.is_empty() && !asked.wants("hpack") && !asked.wants("memory") {
        eprintln!("versus: no case has such a name; {USAGE}");
        return ExitCode::from(2);
    }
    let plan = if asked.quick { Plan::QUICK } else { Plan::FULL };
    let mut report = Report {
        title: "hbone beside stock h2".into(),
        machine: machine(plan),
        contenders: contenders(&chapters),
        sections: Vec::new(),
    };
    print!("{}", report::head(&report));
    let mut failures = Vec::new();
    for chapter in chapters {
        report.sections.push(measure(chapter, plan, &mut failures));
    }
    if asked.wants("hpack") {
        let settings = "version 0.3 as it comes, lists and blocks without frames".to_owned();
        report.contenders.push(ContenderInfo { name: "hpack crate".into(), settings });
        add(&mut report, hpack(plan.rounds, plan.time / 10));
    }
    if asked.wants("memory") {
        // The last: from here on live octets are counted.
        add(&mut report, memory(asked.quick));
    }
    print!("{}", report::bars(&report));
    for failure in &failures {
        eprintln!("versus: {} failed in {}: {}", failure.contender, failure.case, failure.why);
    }
    let written = asked.write(&report);
    if let Err(error) = &written {
        eprintln!("versus: {error}");
    }
    if failures.is_empty() && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn asked(mut arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--quick" => asked.quick = true,
            "--only" => asked.only = Some(value()?),
            "--json" => asked.json = Some(value()?),
            "--html" => asked.html = Some(value()?),
            _ => return Err(format!("unknown argument {argument:?}")),
        }
    }
    Ok(asked)
}

impl Asked {
    /// Whether the cases of a section are run that is not made of chapters.
    fn wants(&self, section: &str) -> bool {
        self.only.as_ref().is_none_or(|name| name.split('/').next() == Some(section))
    }

    /// The cases to run. With a name asked for, the case of that name, or else all that have it in their names: then
    /// `--quick` chooses the time, not the cases.
    fn choose(&self, mut chapters: Vec<Chapter>) -> Vec<Chapter> {
        let all = || chapters.iter().flat_map(|chapter| &chapter.jobs);
        let exact = all().any(|job| Some(&job.id) == self.only.as_ref());
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

    fn write(&self, report: &Report) -> Result<(), String> {
        let write =
            |path: &str, text: String| fs::write(path, text).map_err(|error| format!("{path}: {error}"));
        if let Some(path) = &self.json {
            write(path, report::json(report))?;
        }
        if let Some(path) = &self.html {
            write(path, report::page(report))?;
        }
        Ok(())
    }
}

/// Shows a section that is whole already.
fn add(report: &mut Report, section: Section) {
    print!("{}", report::section(&section));
    report.sections.push(section);
}

/// Runs the cases of a chapter.
fn measure(chapter: Chapter, plan: Plan, failures: &mut Vec<Failure>) -> Section {
    let Chapter { id, title, note, jobs } = chapter;
    let mut section = Section { id: id.into(), title: title.into(), note: note.into(), cases: Vec::new() };
    print!("{}", report::heading(&section));
    for job in jobs {
        let (case, failed) = run(&job, plan);
        print!("{}", report::case(&case));
        for failure in &failed {
            println!("  FAILED: {}: {}", failure.contender, failure.why);
        }
        failures.extend(failed);
        section.cases.push(case);
    }
    section
}

fn machine(plan: Plan) -> Machine {
    let Plan { rounds, time } = plan;
    Machine::here(vec![
        format!("{rounds} rounds of runs of {} ms, the contenders in turns", time.as_millis()),
        "both ends in this process; TLS 1.3 with AES-128-GCM by aws-lc-rs for all".to_owned(),
    ])
}

/// All that take part, in the order of their first case.
fn contenders(chapters: &[Chapter]) -> Vec<ContenderInfo> {
    let jobs = chapters.iter().flat_map(|chapter| &chapter.jobs);
    let mut all: Vec<ContenderInfo> = Vec::new();
    for contender in jobs.flat_map(|job: &Job| &job.contenders) {
        if !all.iter().any(|info| info.name == contender.name) {
            all.push(ContenderInfo { name: contender.name.into(), settings: contender.settings.clone() });
        }
    }
    all
}
