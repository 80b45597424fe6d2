//! Two engines in virtual time, seed after seed: `cargo run --release -p hbone-benches --bin soak -- --seeds 1000`.
//!
//! Every seed is a session of random streams over a random transport, judged by a model (`hbone_benches::soak`).
//! With `--steps N` it is one connection of N steps instead, for the accounting of windows. Prints figures, and
//! for a seed that fails the command that replays it; then the exit code is 1.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hbone_benches::soak::{Summary, World};

/// Steps of a session.
const SESSION: usize = 300;
/// Failing seeds that are told one by one.
const TOLD: u64 = 10;

const USAGE: &str = "usage: soak [--seeds N] [--from SEED] [--steps N] [--threads N]
  --seeds N    so many seeds, one session each (1000)
  --from SEED  the first of them (0)
  --steps N    instead of sessions, one connection of N steps for each seed (then 1 seed)
  --threads N  side by side (as many as there are cores)";

/// What was asked for.
struct Plan {
    seeds: u64,
    from: u64,
    steps: Option<usize>,
    threads: usize,
}

thread_local! {
    static LAST_WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

fn main() -> ExitCode {
    let Some(plan) = plan() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    std::panic::set_hook(Box::new(|panic| LAST_WORDS.set(panic.to_string().replace('\n', " "))));
    let start = Instant::now();
    let (next, violations) = (AtomicU64::new(0), AtomicU64::new(0));
    let summary = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..plan.threads).map(|_| scope.spawn(|| work(&plan, &next, &violations))).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).fold(Summary::default(), add)
    });
    report(&plan, &summary, violations.into_inner(), start.elapsed())
}

/// Takes seeds until there are none.
fn work(plan: &Plan, next: &AtomicU64, violations: &AtomicU64) -> Summary {
    let mut summary = Summary::default();
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= plan.seeds {
            return summary;
        }
        let seed = plan.from + at;
        let world = World::new(seed, Instant::now());
        let run = catch_unwind(AssertUnwindSafe(|| match plan.steps {
            Some(steps) => world.marathon(steps),
            None => world.session(SESSION),
        }));
        match run {
            Ok(run) => summary = add(summary, run),
            Err(_) if violations.fetch_add(1, Ordering::Relaxed) < TOLD => {
                let steps = plan.steps.map(|steps| format!(" --steps {steps}")).unwrap_or_default();
                eprintln!("seed {seed}: {}", LAST_WORDS.take());
                eprintln!(
                    "  cargo run --release -p hbone-benches --bin soak -- --seeds 1 --from {seed}{steps}"
                );
            }
            Err(_) => {}
        }
    }
}

fn add(one: Summary, other: Summary) -> Summary {
    Summary {
        steps: one.steps + other.steps,
        streams: one.streams + other.streams,
        by_server: one.by_server + other.by_server,
        octets: one.octets + other.octets,
        cut: one.cut + other.cut,
        drained: one.drained + other.drained,
    }
}

fn report(plan: &Plan, summary: &Summary, violations: u64, took: Duration) -> ExitCode {
    let seconds = took.as_secs_f64();
    println!("seeds       {} ({:.0}/s), the first {}", plan.seeds, plan.seeds as f64 / seconds, plan.from);
    println!("steps       {} ({:.0}/s)", summary.steps, summary.steps as f64 / seconds);
    let (streams, by_server) = (summary.streams, summary.by_server);
    println!("streams     {streams}, {by_server} of them by servers, {} MiB read", summary.octets >> 20);
    println!("sessions    {} cut, {} drained", summary.cut, summary.drained);
    println!("violations  {violations}");
    println!("time        {seconds:.1} s");
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plan() -> Option<Plan> {
    let mut words = std::env::args().skip(1);
    let (mut seeds, mut from, mut steps) = (None, 0, None);
    let mut threads = std::thread::available_parallelism().map_or(1, usize::from);
    while let Some(word) = words.next() {
        let number = words.next()?.parse::<u64>().ok()?;
        match word.as_str() {
            "--seeds" => seeds = Some(number),
            "--from" => from = number,
            "--steps" => steps = Some(usize::try_from(number).ok()?),
            "--threads" => threads = usize::try_from(number).ok()?.max(1),
            _ => return None,
        }
    }
    let seeds = seeds.unwrap_or(if steps.is_some() { 1 } else { 1000 });
    Some(Plan { seeds, from, steps, threads })
}
