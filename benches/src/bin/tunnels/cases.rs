//! The situations in which all chains are measured, what is demanded of ours in each, and one run of each. Driven by
//! main.rs.

use std::io;
use std::time::{Duration, Instant};

use hbone_benches::report::{Better, Case, ITSELF, Limit, Measure};

use crate::chains::{Chain, Kind};
use crate::client::{self, Load, MESSAGE, Way};

/// How much is moved and how long is measured, in each run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    pub(crate) rounds: usize,
    /// Octets of all connections together.
    pub(crate) octets: u64,
    pub(crate) time: Duration,
    /// Rounds of the cases that start chains of their own.
    pub(crate) fresh_rounds: usize,
}

/// For figures to quote.
pub(crate) const WHOLE: Amount =
    Amount { rounds: 7, octets: 768 << 20, time: Duration::from_millis(1000), fresh_rounds: 3 };
/// For a quick look.
pub(crate) const QUICK: Amount =
    Amount { rounds: 3, octets: 256 << 20, time: Duration::from_millis(400), fresh_rounds: 1 };

/// A situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Situation {
    Bulk { connections: usize, way: Way },
    Churn { lanes: usize },
    Trip { octets: usize },
    Beside { connections: usize },
    Idle { count: usize },
}

impl Situation {
    /// All of them, those of one section together.
    pub(crate) const ALL: [Self; 10] = [
        Self::Bulk { connections: 1, way: Way::Up },
        Self::Bulk { connections: 8, way: Way::Up },
        Self::Bulk { connections: 1, way: Way::Down },
        Self::Churn { lanes: 1 },
        Self::Churn { lanes: 16 },
        Self::Trip { octets: 1 },
        Self::Trip { octets: MESSAGE },
        Self::Beside { connections: 1 },
        Self::Beside { connections: 8 },
        Self::Idle { count: 5000 },
    ];

    /// The section that it belongs to.
    pub(crate) const fn section(self) -> &'static str {
        match self {
            Self::Bulk { .. } => "bulk",
            Self::Churn { .. } => "churn",
            Self::Trip { .. } | Self::Beside { .. } => "trip",
            Self::Idle { .. } => "memory",
        }
    }

    /// Whether it needs a chain that has done nothing before, and no other beside it.
    pub(crate) const fn starts_its_own(self) -> bool {
        matches!(self, Self::Idle { .. })
    }

    /// The name by which it is asked for.
    pub(crate) fn id(self) -> String {
        match self {
            Self::Bulk { connections, way: Way::Up } => format!("bulk/{connections}"),
            Self::Bulk { connections, way: Way::Down } => format!("down/{connections}"),
            Self::Churn { lanes } => format!("churn/{lanes}"),
            Self::Trip { octets } => format!("trip/idle/{octets}"),
            Self::Beside { connections } => format!("trip/beside/{connections}"),
            Self::Idle { count } => format!("memory/{count}"),
        }
    }

    /// The situation in words, and its measures without figures.
    pub(crate) fn case(self) -> Case {
        let title = match self {
            Self::Bulk { connections, way } => {
                let way = if way == Way::Up { "up" } else { "down" };
                format!("bulk {way}, {}", plural(connections, "connection"))
            }
            Self::Churn { lanes } => format!("open, 64 octets each way, close; {lanes} at a time"),
            Self::Trip { octets } => {
                format!("round trip of {}, nothing else under way", plural(octets, "octet"))
            }
            Self::Beside { connections } => {
                format!("round trip of 64 octets beside {}", plural(connections, "bulk upload"))
            }
            Self::Idle { count } => format!("{count} idle tunnels that have carried 64 octets each way"),
        };
        Case { id: self.id(), title, measures: self.measures() }
    }

    fn measures(self) -> Vec<Measure> {
        use Better::{Less, More};
        use Limit::{AtLeast, AtMost};
        match self {
            Self::Bulk { way, .. } => {
                let mut speed = Measure::new("throughput", "MiB/s", More);
                let mut cpu = Measure::new("CPU of the tunnel", "s/GiB", Less);
                speed.demand(Kind::Envoy.name(), AtLeast(1.4));
                cpu.demand(Kind::Relays.name(), AtMost(1.0));
                cpu.demand(Kind::Envoy.name(), AtMost(0.65));
                cpu.demand(Kind::OpenSsh.name(), AtMost(0.6));
                if way == Way::Down {
                    speed.bars.clear();
                }
                vec![speed, cpu]
            }
            Self::Churn { lanes } => {
                let mut rate = Measure::new("tunnels", "1/s", More);
                if lanes == 16 {
                    rate.demand(Kind::Relays.name(), AtLeast(1.0));
                }
                vec![rate, Measure::new("CPU of the tunnel", "µs each", Less)]
            }
            Self::Trip { .. } => trips(),
            Self::Beside { .. } => {
                let mut measures = trips();
                measures[0].demand(Kind::Envoy.name(), AtMost(0.05));
                measures[0].demand(Kind::Relays.name(), AtMost(2.0));
                measures.push(Measure::new("bulk in the same time", "MiB/s", More));
                measures
            }
            Self::Idle { .. } => {
                let mut memory = Measure::new("memory of a tunnel", "KiB", Less);
                memory.demand(ITSELF, AtMost(IDLE_LIMIT));
                vec![memory]
            }
        }
    }

    /// One run of one chain; a figure for each measure, or none where the chain has none.
    pub(crate) async fn run(self, chain: &Chain, amount: &Amount) -> io::Result<Vec<Option<f64>>> {
        match self {
            Self::Bulk { connections, way } => bulk(chain, way, connections, amount.octets).await,
            Self::Churn { lanes } => churn(chain, lanes, amount.time).await,
            Self::Trip { octets } => {
                let times = client::round_trips(chain.entry, octets, amount.time).await?;
                Ok(percentiles(&times))
            }
            Self::Beside { connections } => beside(chain, connections, amount.time).await,
            Self::Idle { count } => idle(chain, count).await,
        }
    }
}

fn trips() -> Vec<Measure> {
    vec![Measure::new("p50", "µs", Better::Less), Measure::new("p99", "µs", Better::Less)]
}

/// Moves that many octets and takes the time, and the processor time of the chain.
pub(crate) async fn bulk(
    chain: &Chain,
    way: Way,
    connections: usize,
    octets: u64,
) -> io::Result<Vec<Option<f64>>> {
    let each = octets / connections as u64;
    let mut sockets = client::ready(chain.entry, way, connections, each).await?;
    let (before, start) = (chain.cpu(), Instant::now());
    client::transfer(&mut sockets, way, each).await?;
    let time = start.elapsed().as_secs_f64();
    let cpu = spent(before, chain.cpu()).map(|cpu| cpu.as_secs_f64() * GIB / octets as f64);
    Ok(vec![Some(octets as f64 / MIB / time), cpu])
}

async fn churn(chain: &Chain, lanes: usize, time: Duration) -> io::Result<Vec<Option<f64>>> {
    let (before, start) = (chain.cpu(), Instant::now());
    let rate = client::churn(chain.entry, lanes, time).await?;
    let opened = rate * start.elapsed().as_secs_f64();
    let cpu = spent(before, chain.cpu()).map(|cpu| cpu.as_secs_f64() * 1e6 / opened);
    Ok(vec![Some(rate), cpu])
}

async fn beside(chain: &Chain, connections: usize, time: Duration) -> io::Result<Vec<Option<f64>>> {
    let load = Load::start(chain.entry, connections).await?;
    // The first windows have opened and buffers are full.
    tokio::time::sleep(time / 4).await;
    let (before, start) = (load.carried(), Instant::now());
    let times = client::paced_trips(chain.entry, MESSAGE, time, PACE).await?;
    let carried = load.carried() - before;
    let speed = carried as f64 / MIB / start.elapsed().as_secs_f64();
    load.stop().await?;
    let mut figures = percentiles(&times);
    figures.push(Some(speed));
    Ok(figures)
}

async fn idle(chain: &Chain, count: usize) -> io::Result<Vec<Option<f64>>> {
    tokio::time::sleep(SETTLE).await;
    let Some(before) = chain.resident() else { return Ok(vec![None]) };
    let sockets = client::rest(chain.entry, count).await?;
    tokio::time::sleep(SETTLE).await;
    let after = chain.resident();
    drop(sockets);
    Ok(vec![after.map(|after| (after as f64 - before as f64) / 1024.0 / count as f64)])
}

/// The times below which half and 99 of 100 lie, in microseconds.
fn percentiles(sorted: &[Duration]) -> Vec<Option<f64>> {
    let at = |share: usize| {
        let index = (sorted.len() * share / 100).min(sorted.len().saturating_sub(1));
        sorted.get(index).map(|time| time.as_secs_f64() * 1e6)
    };
    vec![at(50), at(99)]
}

fn spent(before: Option<Duration>, after: Option<Duration>) -> Option<Duration> {
    Some(after?.saturating_sub(before?))
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("one {what}") } else { format!("{count} {what}s") }
}

/// KiB of an idle tunnel, both ends together.
const IDLE_LIMIT: f64 = 6.0;

/// How often a message is sent beside bulk.
const PACE: Duration = Duration::from_millis(1);
/// After which a chain has given back what it holds only while it works.
const SETTLE: Duration = Duration::from_millis(1500);
const MIB: f64 = (1 << 20) as f64;
const GIB: f64 = (1 << 30) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_sorted_list() {
        let times: Vec<_> = (1..=100).map(Duration::from_micros).collect();
        assert_eq!(percentiles(&times), [Some(51.0), Some(100.0)]);
        assert_eq!(percentiles(&[]), [None, None]);
    }

    #[test]
    fn every_situation_has_a_name_of_its_own() {
        let mut ids: Vec<_> = Situation::ALL.iter().map(|it| it.id()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), Situation::ALL.len());
    }
}
