//! The section of `versus` on memory. Counts, no times: one round says everything.

use std::thread;

use super::script::{Held, Plan, Who, over_tcp};
use crate::report::{Better, Case, Limit, Measure, Section};

const OURS: &str = "hbone default";
const STOCK: &str = "h2 default";

/// Live octets of idle streams and idle connections, both ends together, over loopback TCP. The allocator of the
/// program has to be [`Counting`](crate::measure::Counting), and counts live octets from then on: to be called after
/// everything that is timed. Takes half a minute of silences.
pub fn memory(quick: bool) -> Section {
    let streams = if quick { vec![1000] } else { vec![100, 1000, 10_000] };
    let plan = Plan { streams, upload: 64 << 20 };
    // Octets are counted for each thread, so both may run at once: they mostly wait.
    let [ours, stock] = thread::scope(|scope| {
        let plan = &plan;
        let running = [Who::Ours, Who::Stock].map(|who| scope.spawn(move || over_tcp(who, plan)));
        running.map(|run| run.join().expect("a run panicked"))
    });
    let mut cases = Vec::new();
    for (nth, count) in plan.streams.iter().enumerate() {
        let each = |held: &Held| held.streams[nth].1 as f64 / *count as f64;
        let measure = measure("idle stream", &ours, &stock, each, 0.5);
        cases.push(case(&format!("memory/stream/{count}"), format!("{count} idle streams"), measure));
    }
    let fresh = measure("idle connection", &ours, &stock, |held| held.fresh as f64, 0.3);
    cases.push(case("memory/connection/fresh", "a connection without streams".into(), fresh));
    let idle = measure("idle connection", &ours, &stock, |held| held.idle as f64, 0.3);
    cases.push(case("memory/connection/used", "a connection without streams, after 64 MiB".into(), idle));
    Section {
        id: "memory".into(),
        title: "Memory".into(),
        note: "Live octets of the heap, both ends together, after a silence; what the application holds of a stream \
               counts, its tasks do not. They are counted: one round."
            .into(),
        cases,
    }
}

type Ends = (Held, Held);

fn measure(name: &str, ours: &Ends, stock: &Ends, octets: impl Fn(&Held) -> f64, bar: f64) -> Measure {
    let mut measure = Measure::new(name, "octets", Better::Less);
    for (contender, (client, server)) in [(OURS, ours), (STOCK, stock)] {
        measure.push(contender, octets(client) + octets(server));
    }
    measure.demand(STOCK, Limit::AtMost(bar));
    measure
}

fn case(id: &str, title: String, measure: Measure) -> Case {
    Case { id: id.into(), title, measures: vec![measure] }
}
