//! Whether two cores carry more than one: eight bulk uploads through two chains of our own, one of which may use one
//! core only. Called by run.rs.

use std::io;
use std::net::SocketAddr;

use hbone_benches::report::{Better, Case, ContenderInfo, Limit, Measure};

use crate::cases::{Amount, bulk};
use crate::chains::{Kind, Plan};
use crate::client::Way;
use crate::process;

/// Who is confined to the cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Client, server and nodes.
    All,
    /// The nodes; client and server use every core.
    Nodes,
}

impl Share {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::All, Self::Nodes];

    /// The name by which it is asked for.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::All => "cores/all",
            Self::Nodes => "cores/nodes",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::All => "8 bulk uploads; nodes, client and server confined",
            Self::Nodes => "8 bulk uploads; only the nodes confined",
        }
    }
}

/// Measures one and two cores in turns.
pub(crate) async fn measure(share: Share, amount: &Amount, server: SocketAddr) -> io::Result<Case> {
    let two = Kind::Hbone.start(Plan { server, cores: Some(2) }).await?;
    let one = Kind::Hbone.start(Plan { server, cores: Some(1) }).await?;
    let own = process::cores()?;
    let mut speed = Measure::new("throughput", "MiB/s", Better::More);
    let mut cpu = Measure::new("CPU of the tunnel", "s/GiB", Better::Less);
    if share == Share::All {
        speed.demand(ONE, Limit::AtLeast(1.6));
    }
    for _ in 0..amount.rounds {
        for (name, cores, chain) in [(Kind::Hbone.name(), 2, &two), (ONE, 1, &one)] {
            if share == Share::All {
                process::confine_self(&process::first(cores))?;
            }
            let figures = bulk(chain, Way::Up, 8, amount.octets).await;
            process::confine_self(&own)?;
            for (measure, figure) in [&mut speed, &mut cpu].into_iter().zip(figures?) {
                measure.push(name, figure.unwrap_or(f64::NAN));
            }
        }
    }
    Ok(Case { id: share.id().into(), title: share.title().into(), measures: vec![speed, cpu] })
}

/// The chain on one core among those who take part.
pub(crate) fn one() -> ContenderInfo {
    ContenderInfo { name: ONE.into(), settings: "as hbone, each process confined to the first core".into() }
}

const ONE: &str = "hbone, one core";
