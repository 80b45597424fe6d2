//! Runs one case: all contenders once a round, and each round another of them first.

use std::time::Duration;

use super::attempt::attempt;
use super::bars::demand;
use super::job::{Figure, Job};
use crate::report::{Case, Measure};

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Rounds of every case.
    pub rounds: usize,
    /// The time of a run.
    pub time: Duration,
}

impl Plan {
    /// For figures to quote.
    pub const FULL: Self = Self { rounds: 5, time: Duration::from_millis(500) };
    /// For a look.
    pub const QUICK: Self = Self { rounds: 3, time: Duration::from_millis(200) };

    /// The time of a run in that case.
    pub fn of(self, job: &Job) -> Duration {
        job.time.unwrap_or(self.time)
    }
}

/// A run that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The case.
    pub case: String,
    /// Who failed in it.
    pub contender: &'static str,
    /// What was said.
    pub why: String,
}

/// Runs a case. Whoever fails takes no further part in it; the others go on.
pub fn run(job: &Job, plan: Plan) -> (Case, Vec<Failure>) {
    let mut measures: Vec<Measure> = Vec::new();
    let mut failures: Vec<Failure> = Vec::new();
    let mut rows: Vec<Vec<(usize, Vec<Figure>)>> = Vec::new();
    for round in 0..plan.rounds {
        let mut row = Vec::new();
        for who in order(round, job.contenders.len()) {
            let contender = &job.contenders[who];
            if failures.iter().any(|failure| failure.contender == contender.name) {
                continue;
            }
            match attempt(|| contender.run(job.at, plan.of(job), job.count)) {
                Ok(outcome) => row.push((who, job.figures(&outcome))),
                Err(why) => {
                    failures.push(Failure { case: job.id.clone(), contender: contender.name, why });
                }
            }
        }
        row.sort_by_key(|(who, _)| *who);
        rows.push(row);
    }
    for (who, figures) in rows.into_iter().flatten() {
        for figure in figures {
            let index =
                measures.iter().position(|measure| measure.name == figure.name).unwrap_or_else(|| {
                    measures.push(Measure::new(figure.name, figure.unit, figure.better));
                    measures.len() - 1
                });
            measures[index].push(job.contenders[who].name, figure.value);
        }
    }
    let mut case = Case { id: job.id.clone(), title: job.title.clone(), measures };
    demand(&mut case);
    (case, failures)
}

/// Who runs when in a round.
fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |place| (place + round) % count)
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn each_round_begins_with_another_and_has_all() {
        assert_eq!(order(0, 3).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(order(1, 3).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(order(5, 3).collect::<Vec<_>>(), [2, 0, 1]);
    }
}
