//! The same frames for three servers: the example server of this project, nghttpd, stock h2.
//!
//! `differential [--seeds N] [--case NAME]`: named cases, each slightly broken, then random sequences, legal ones
//! and ones with one mutation. Prints where the three do not do alike; what the RFC says about it stands in
//! `docs/conformance/differences.toml`. Ends with 1 when a named case differs and is not listed there, or when ours
//! does something else than what is listed.

mod cases;
mod outcome;
mod random;
mod servers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;

use outcome::{Outcome, observe};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut seeds, mut only) = (300, None);
    while let Some(argument) = arguments.next() {
        let value = arguments.next();
        match (argument.as_str(), value.as_ref().and_then(|value| value.parse().ok()), value) {
            ("--seeds", Some(number), _) => seeds = number,
            ("--case", _, Some(name)) => only = Some(name),
            _ => {
                eprintln!("usage: differential [--seeds N] [--case NAME]");
                return ExitCode::from(2);
            }
        }
    }
    let Some(servers) = servers::Servers::start() else {
        eprintln!("differential: nghttpd is not installed");
        return ExitCode::from(2);
    };
    let unknown = named(&servers.addresses, only.as_deref());
    if only.is_none() {
        sequences(&servers.addresses, seeds);
    }
    if unknown == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the page of conformance says about differences, as far as this program asks.
#[derive(serde::Deserialize)]
struct Rulings {
    difference: Vec<Ruling>,
}

#[derive(serde::Deserialize)]
struct Ruling {
    case: String,
    ours: String,
}

const RULINGS: &str = include_str!("../../../../docs/conformance/differences.toml");

type Three = [(&'static str, SocketAddr); 3];

fn ask(servers: &Three, octets: &[u8]) -> [Outcome; 3] {
    std::thread::scope(|scope| {
        servers
            .map(|(_, address)| scope.spawn(move || observe(address, octets)))
            .map(|thread| thread.join().expect("an observer never panics"))
    })
}

fn alike(outcomes: &[Outcome; 3]) -> bool {
    outcomes.iter().all(|outcome| *outcome == outcomes[0])
}

/// The named cases; how many differ without a ruling.
fn named(servers: &Three, only: Option<&str>) -> usize {
    let rulings: Rulings = toml::from_str(RULINGS).expect("the rulings are in order");
    let (mut same, mut known, mut unknown) = (0, 0, 0);
    for (name, octets) in cases::all() {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let outcomes = ask(servers, &octets);
        if alike(&outcomes) && only.is_none() {
            same += 1;
            continue;
        }
        let note = match rulings.difference.iter().find(|ruling| ruling.case == name) {
            Some(ruling) if ruling.ours == outcomes[0].to_string() => "",
            Some(_) => " (ours is not what the ruling says)",
            None => " (no ruling)",
        };
        if note.is_empty() {
            known += 1
        } else {
            unknown += 1
        }
        println!("{name}{note}");
        for ((server, _), outcome) in servers.iter().zip(&outcomes) {
            println!("    {server:<8} {outcome}");
        }
    }
    println!("named cases: {same} alike, {known} differ with a ruling, {unknown} without\n");
    unknown
}

/// Random sequences, their differences grouped by what was mutated and what each server did.
fn sequences(servers: &Three, seeds: u64) {
    let mut groups: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut same = 0;
    for seed in 0..seeds {
        let sequence = random::sequence(seed);
        let outcomes = ask(servers, &sequence.octets);
        let verdicts = outcomes.clone().map(|outcome| outcome.verdict);
        if alike(&outcomes) {
            same += 1;
            continue;
        }
        let what = if verdicts.iter().all(|verdict| *verdict == verdicts[0]) {
            let streams: Vec<_> = outcomes.iter().map(Outcome::streams).collect();
            format!("{verdict}, streams {streams:?}", verdict = verdicts[0])
        } else {
            format!("{} / {} / {}", verdicts[0], verdicts[1], verdicts[2])
        };
        groups.entry(format!("{}: {what}", sequence.mutation)).or_default().push(seed);
    }
    println!("random sequences: {same} of {seeds} alike; ours / nghttpd / h2 where not:");
    for (group, seeds) in groups {
        println!("{:>5} {group} (seeds {:?})", seeds.len(), &seeds[..seeds.len().min(4)]);
    }
}
