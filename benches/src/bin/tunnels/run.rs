//! A whole run: starts the chains, takes turns, collects the figures. Called by main.rs.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hbone_benches::report::{self, Case, Entry, Machine, Report, Section};

use crate::cases::{Amount, QUICK, Situation, WHOLE};
use crate::chains::{Chain, Kind, Plan};
use crate::cores::{self, Share};
use crate::options::Options;
use crate::server;

/// Measures everything that was asked for and prints as it goes; gives back what went wrong in single runs too.
///
/// # Errors
/// Nothing that was asked for can be measured, or a chain that must take part cannot.
pub(crate) async fn run(options: &Options) -> io::Result<(Report, Vec<String>)> {
    let amount = if options.quick { QUICK } else { WHOLE };
    let kinds = available(options)?;
    let jobs = jobs(options)?;
    let mut report = empty(&kinds, &jobs, amount);
    print!("{}", report::head(&report));
    let mut run = Run { amount, kinds, server: server::start()?, standing: Vec::new(), failed: Vec::new() };
    for job in jobs {
        if !matches!(job, Job::All(situation) if !situation.starts_its_own()) {
            run.standing.clear();
        }
        eprintln!("{} …", job.id());
        let case = match job {
            Job::All(situation) if situation.starts_its_own() => run.fresh(situation).await,
            Job::All(situation) => run.in_turns(situation).await?,
            Job::Ours(share) => run.ours(share).await?,
        };
        place(&mut report.sections, job.section(), case);
    }
    print!("{}", report::bars(&report));
    Ok((report, run.failed))
}

/// A case to measure.
#[derive(Debug, Clone, Copy)]
enum Job {
    /// In all chains.
    All(Situation),
    /// In two of our own.
    Ours(Share),
}

impl Job {
    fn id(self) -> String {
        match self {
            Self::All(situation) => situation.id(),
            Self::Ours(share) => share.id().to_owned(),
        }
    }

    const fn section(self) -> &'static str {
        match self {
            Self::All(situation) => situation.section(),
            Self::Ours(_) => "cores",
        }
    }
}

/// Those that were asked for: the one of that name, or else all that have it in their names.
fn jobs(options: &Options) -> io::Result<Vec<Job>> {
    let all = Situation::ALL.map(Job::All).into_iter().chain(Share::ALL.map(Job::Ours));
    let all: Vec<_> = all.collect();
    let Some(part) = &options.only else { return Ok(all) };
    let exact = all.iter().any(|job| job.id() == *part);
    let asked = |job: &Job| if exact { job.id() == *part } else { job.id().contains(part.as_str()) };
    let chosen: Vec<_> = all.into_iter().filter(asked).collect();
    if chosen.is_empty() { Err(io::Error::other(format!("no case is called {part:?}"))) } else { Ok(chosen) }
}

fn empty(kinds: &[Kind], jobs: &[Job], amount: Amount) -> Report {
    let mut contenders: Vec<_> = kinds.iter().map(|kind| kind.info()).collect();
    contenders.extend(jobs.iter().any(|job| matches!(job, Job::Ours(_))).then(cores::one));
    let settings = vec![
        format!("{} rounds, the chains in turns; bulk of {} MiB a run", amount.rounds, amount.octets >> 20),
        "client and server in one process of their own; writes of 64 KiB, reads of 256 KiB".to_owned(),
    ];
    let title = "hbone beside other tunnels".into();
    Report { title, machine: Machine::here(settings), contenders, sections: Vec::new() }
}

/// Names those that are not installed and leaves them out.
fn available(options: &Options) -> io::Result<Vec<Kind>> {
    let mut kinds = Vec::new();
    for &kind in &options.kinds {
        match kind.find() {
            Ok(()) => kinds.push(kind),
            Err(missing) if kind == Kind::Hbone || options.required && kind.must_be_there() => {
                return Err(io::Error::other(format!("{}: {missing}", kind.name())));
            }
            Err(missing) => eprintln!("left out: {}: {missing}", kind.name()),
        }
    }
    Ok(kinds)
}

/// Prints a case and puts it where it belongs.
fn place(sections: &mut Vec<Section>, id: &str, case: Case) {
    if sections.last().is_none_or(|section| section.id != id) {
        let (title, note) = words(id);
        let section = Section { id: id.into(), title: title.into(), note: note.into(), cases: Vec::new() };
        print!("{}", report::heading(&section));
        sections.push(section);
    }
    print!("{}", report::case(&case));
    if let Some(section) = sections.last_mut() {
        section.cases.push(case);
    }
}

/// The heading of a section, and what a reader has to know.
fn words(section: &str) -> (&'static str, &'static str) {
    match section {
        "bulk" => (
            "Transfers",
            "From the first octet until the receiver has the last. CPU is that of the tunnel's processes alone.",
        ),
        "churn" => ("Tunnels opened", "Each carries 64 octets each way and ends in both directions."),
        "trip" => (
            "Round trips",
            "One message at a time over a tunnel that is open; beside bulk, one every millisecond, whether or not those \
             before are answered.",
        ),
        "memory" => {
            ("Memory", "Resident memory of all the tunnel's processes, beyond that of the fresh chain.")
        }
        "cores" => (
            "One core and two",
            "Eight bulk uploads. Where only the nodes are confined, client and server have the other core to themselves, \
             which two cores then have to share: less than twice as fast is to be expected of the best.",
        ),
        _ => ("", ""),
    }
}

/// What the rounds need.
struct Run {
    amount: Amount,
    kinds: Vec<Kind>,
    server: SocketAddr,
    /// Chains that serve one case after the other.
    standing: Vec<(Kind, Chain)>,
    /// What went wrong.
    failed: Vec<String>,
}

impl Run {
    /// All chains stand side by side; each works in its turn.
    async fn in_turns(&mut self, situation: Situation) -> io::Result<Case> {
        for &kind in &self.kinds {
            if self.standing.iter().all(|(standing, _)| *standing != kind) {
                self.standing.push((kind, kind.start(self.plan()).await.map_err(named(kind))?));
            }
        }
        let mut case = self.case(situation);
        for round in 0..self.amount.rounds {
            for nth in 0..self.standing.len() {
                // Each round begins with another.
                let (kind, chain) = &self.standing[(round + nth) % self.standing.len()];
                let figures = in_time(situation.run(chain, &self.amount)).await;
                note(&mut case, *kind, figures, &mut self.failed);
            }
        }
        Ok(measured(case))
    }

    /// One chain after the other, each started for this alone.
    async fn fresh(&mut self, situation: Situation) -> Case {
        let mut case = self.case(situation);
        for _ in 0..self.amount.fresh_rounds {
            for kind in self.kinds.clone() {
                let figures = match kind.start(self.plan()).await {
                    Ok(chain) => in_time(situation.run(&chain, &self.amount)).await,
                    Err(error) => Err(error),
                };
                note(&mut case, kind, figures, &mut self.failed);
            }
        }
        measured(case)
    }

    /// Two chains of our own.
    async fn ours(&self, share: Share) -> io::Result<Case> {
        in_time(cores::measure(share, &self.amount, self.server)).await.map_err(named(Kind::Hbone))
    }

    /// A case with all that take part and no figures: ours is the first, whoever begins.
    fn case(&self, situation: Situation) -> Case {
        let mut case = situation.case();
        for measure in &mut case.measures {
            let nobody = |kind: &Kind| Entry { contender: kind.name().into(), values: Vec::new() };
            measure.entries = self.kinds.iter().map(nobody).collect();
        }
        case
    }

    fn plan(&self) -> Plan {
        Plan { server: self.server, cores: None }
    }
}

/// Without those that have no figure.
fn measured(mut case: Case) -> Case {
    for measure in &mut case.measures {
        measure.entries.retain(|entry| !entry.values.is_empty());
    }
    case
}

/// Adds the figures of one run to the case.
fn note(case: &mut Case, kind: Kind, figures: io::Result<Vec<Option<f64>>>, failed: &mut Vec<String>) {
    match figures {
        Ok(figures) => {
            for (measure, figure) in case.measures.iter_mut().zip(figures) {
                if let Some(figure) = figure {
                    measure.push(kind.name(), figure);
                }
            }
        }
        Err(error) => {
            let reason = format!("{} in {}: {error}", kind.name(), case.id);
            eprintln!("{reason}");
            failed.push(reason);
            // The index of a figure is its round.
            case.measures.iter_mut().for_each(|measure| measure.push(kind.name(), f64::NAN));
        }
    }
}

fn named(kind: Kind) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", kind.name()))
}

async fn in_time<T>(run: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(PATIENCE, run).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Long enough for the slowest; reaching it means that a chain has stalled.
const PATIENCE: Duration = Duration::from_secs(60);
