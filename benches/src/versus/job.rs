//! One case: the situation, who takes part, and which figures are made of an outcome.

use std::time::Duration;

use crate::contender::{Contender, Count, Situation};
use crate::measure::percentile;
use crate::report::Better;
use crate::script::{Outcome, Work};

/// One case.
#[derive(Clone, Debug)]
pub struct Job {
    /// A path, such as `bulk/up/tcp/2ct/1`.
    pub id: String,
    /// The situation in words.
    pub title: String,
    /// The situation.
    pub at: Situation,
    /// What is counted instead of time.
    pub count: Count,
    /// Who takes part; the first is ours.
    pub contenders: Vec<Contender>,
    /// Whether a quick run has time for it.
    pub quick: bool,
    /// A time that a run needs to tell anything, or that is enough for it.
    pub time: Option<Duration>,
}

/// One figure of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which way is good.
    pub better: Better,
    /// The figure.
    pub value: f64,
}

const MIB: f64 = 1024.0 * 1024.0;

impl Job {
    /// The figures of one run.
    pub fn figures(&self, outcome: &Outcome) -> Vec<Figure> {
        match self.count {
            Count::Nothing => timed(self.at.work, outcome),
            Count::Allocations => {
                let (per, unit) = unit(outcome);
                let allocations = outcome.taken.allocations as f64;
                vec![figure("allocations", unit, Better::Less, allocations / per)]
            }
            Count::Calls => {
                let (per, unit) = unit(outcome);
                vec![figure("system calls", unit, Better::Less, outcome.taken.calls as f64 / per)]
            }
        }
    }
}

/// What counts are divided by: streams where streams come and go, MiB elsewhere.
fn unit(outcome: &Outcome) -> (f64, &'static str) {
    if outcome.done > 0 {
        (outcome.done as f64, "per stream")
    } else {
        (outcome.octets as f64 / MIB, "per MiB")
    }
}

fn timed(work: Work, outcome: &Outcome) -> Vec<Figure> {
    let (seconds, cpu) = (outcome.taken.time.as_secs_f64(), outcome.taken.cpu.as_secs_f64());
    let (mib, done) = (outcome.octets as f64 / MIB, outcome.done as f64);
    let throughput = figure("throughput", "MiB/s", Better::More, mib / seconds);
    let busy: f64 = outcome.samples.iter().map(|nanoseconds| *nanoseconds as f64 / 1e9).sum();
    match work {
        Work::Up(_) | Work::Down(_) | Work::Pieces => {
            vec![throughput, figure("CPU", "s/GiB", Better::Less, cpu * 1024.0 / mib)]
        }
        Work::Churn(_) => vec![
            figure("streams", "per s", Better::More, done / seconds),
            figure("CPU", "µs/stream", Better::Less, cpu * 1e6 / done),
        ],
        Work::RoundTrip(beside) => {
            let mut sorted = outcome.samples.clone();
            sorted.sort_unstable();
            let at = |percent| percentile(&sorted, percent) / 1000.0;
            let mut figures = vec![
                figure("p50", "µs", Better::Less, at(50.0)),
                figure("p99", "µs", Better::Less, at(99.0)),
                figure("p99.9", "µs", Better::Less, at(99.9)),
            ];
            if beside > 0 {
                figures.push(throughput);
            }
            figures
        }
        Work::Open | Work::OpenClose => vec![figure("streams", "per s", Better::More, done / busy)],
        Work::Blocking => vec![figure("requests", "per s", Better::More, done / busy)],
    }
}

fn figure(name: &'static str, unit: &'static str, better: Better, value: f64) -> Figure {
    Figure { name, unit, better, value }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{timed, unit};
    use crate::measure::Reading;
    use crate::script::{Outcome, Work};

    fn outcome() -> Outcome {
        let taken =
            Reading { time: Duration::from_secs(2), cpu: Duration::from_secs(3), ..Reading::default() };
        Outcome { octets: 512 << 20, done: 0, samples: Vec::new(), taken }
    }

    #[test]
    fn bulk_is_told_in_mib_per_second_and_cpu_seconds_per_gib() {
        let figures = timed(Work::Up(1), &outcome());
        assert_eq!(figures.iter().map(|figure| figure.value).collect::<Vec<_>>(), [256.0, 6.0]);
    }

    #[test]
    fn round_trips_are_told_in_microseconds_and_bulk_beside_them_too() {
        let samples = (1..=1000).rev().map(|i| i * 1000).collect();
        let outcome = Outcome { samples, ..outcome() };
        let values = |work| timed(work, &outcome).iter().map(|figure| figure.value).collect::<Vec<_>>();
        assert_eq!(values(Work::RoundTrip(0)), [500.0, 990.0, 999.0]);
        assert_eq!(values(Work::RoundTrip(8)), [500.0, 990.0, 999.0, 256.0]);
    }

    #[test]
    fn counts_are_per_stream_where_streams_come_and_go() {
        assert_eq!(unit(&outcome()), (512.0, "per MiB"));
        assert_eq!(unit(&Outcome { done: 7, ..outcome() }), (7.0, "per stream"));
    }
}
