//! A whole run: starts the chains, takes turns, collects the figures. Called by main.rs.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hbone_benches::report::{Case, Machine, Report, Section};

use crate::cases::{self, Amount, IDLE_LIMIT, LIMIT, QUICK, Situation, WHOLE};
use crate::chains::{Chain, Kind, Plan};
use crate::cores::{self, Share};
use crate::options::Options;
use crate::server;

/// Measures everything that was asked for; gives back what went wrong in single runs too.
///
/// # Errors
/// Nothing that was asked for can be measured, or a chain that must take part cannot.
pub(crate) async fn run(options: &Options) -> io::Result<(Report, Vec<String>)> {
    let amount = if options.quick { QUICK } else { WHOLE };
    let kinds = available(options)?;
    let mut run = Run { amount, kinds, server: server::start()?, standing: Vec::new(), failed: Vec::new() };
    let mut sections: Vec<Section> = Vec::new();
    for (section, situation) in Situation::ALL {
        let id = situation.id();
        if !asked(options, &id) {
            continue;
        }
        eprintln!("{id} …");
        let case = if let Situation::Idle { .. } = situation {
            run.standing.clear();
            run.fresh(situation).await
        } else {
            run.in_turns(situation).await?
        };
        place(&mut sections, section, case);
    }
    run.standing.clear();
    if run.kinds.contains(&Kind::Hbone) {
        for share in Share::ALL.into_iter().filter(|share| asked(options, share.id())) {
            eprintln!("{} …", share.id());
            let case =
                in_time(cores::measure(share, &run.amount, run.server)).await.map_err(named(Kind::Hbone))?;
            place(&mut sections, "cores", case);
        }
    }
    if sections.is_empty() {
        return Err(io::Error::other("no case has a name that contains what was asked for"));
    }
    let settings = vec![
        "client and server in one process, tokio multi-thread; writes of 64 KiB, reads of 256 KiB".to_owned(),
        format!("{} rounds in turns; bulk of {} MiB a run", amount.rounds, amount.octets >> 20),
    ];
    let mut contenders: Vec<_> = run.kinds.iter().map(|kind| kind.info()).collect();
    let has = |id: &str| sections.iter().any(|section| section.id == id);
    contenders.extend(has("idle").then(cases::limit));
    contenders.extend(has("cores").then(cores::one));
    Ok((Report { machine: Machine::here(settings), contenders, sections }, run.failed))
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

fn asked(options: &Options, id: &str) -> bool {
    options.only.as_ref().is_none_or(|only| id.contains(only.as_str()))
}

fn place(sections: &mut Vec<Section>, id: &str, case: Case) {
    if sections.last().is_none_or(|section| section.id != id) {
        let (title, note) = words(id);
        sections.push(Section { id: id.into(), title: title.into(), note: note.into(), cases: Vec::new() });
    }
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
        "trip" => ("Round trips", "One message at a time over a tunnel that is open."),
        "idle" => {
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
        let mut case = situation.case();
        for _ in 0..self.amount.rounds {
            for (kind, chain) in &self.standing {
                let figures = in_time(situation.run(chain, &self.amount)).await;
                note(&mut case, *kind, figures, &mut self.failed);
            }
        }
        Ok(case)
    }

    /// One chain after the other, each started for this alone.
    async fn fresh(&mut self, situation: Situation) -> Case {
        let mut case = situation.case();
        for _ in 0..self.amount.fresh_rounds {
            for kind in self.kinds.clone() {
                let figures = match kind.start(self.plan()).await {
                    Ok(chain) => in_time(situation.run(&chain, &self.amount)).await,
                    Err(error) => Err(error),
                };
                note(&mut case, kind, figures, &mut self.failed);
            }
            case.measures[0].push(LIMIT, IDLE_LIMIT);
        }
        case
    }

    fn plan(&self) -> Plan {
        Plan { server: self.server, cores: None }
    }
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
