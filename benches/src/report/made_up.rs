//! A report with figures that nobody has measured: for tests of how reports look.

use super::model::{Better, Case, ContenderInfo, Limit, Machine, Measure, Report, Section};

const CONTENDERS: [(&str, &str); 5] = [
    ("hbone default", "as it comes: windows follow the path from 256 KiB on"),
    ("h2 default", "as it comes: windows of 65 535 octets, frames of 16 KiB"),
    ("h2 4M/16M", "windows 4 MiB and 16 MiB, frames of 16 KiB"),
    ("h2 4M/16M, 1M frames", "windows 4 MiB and 16 MiB, frames of 1 MiB, send buffer 4 MiB"),
    ("raw TCP", "the socket alone, writes of 64 KiB"),
];

/// Seven rounds around each median.
fn measure(name: &str, unit: &str, better: Better, medians: &[f64], bars: &[(&str, Limit)]) -> Measure {
    let mut measure = Measure::new(name, unit, better);
    for round in [0.0, -0.03, 0.02, 0.05, -0.075, 0.09, -0.01] {
        for (nth, median) in medians.iter().enumerate() {
            measure.push(CONTENDERS[nth].0, median * (1.0 + round * if nth == 0 { 0.5 } else { 1.0 }));
        }
    }
    for (against, limit) in bars {
        measure.demand(against, *limit);
    }
    measure
}

fn case(id: &str, title: &str, measures: Vec<Measure>) -> Case {
    Case { id: id.into(), title: title.into(), measures }
}

fn section(id: &str, title: &str, note: &str, cases: Vec<Case>) -> Section {
    Section { id: id.into(), title: title.into(), note: note.into(), cases }
}

/// Three sections with everything that a report can have in it.
pub(super) fn report() -> Report {
    use Better::{Less, More};
    use Limit::{AtLeast, AtMost};
    let bulk = |id: &str, title: &str, faster: f64| {
        let speeds = [1820.0, 292.0, 2073.0, 1615.0, 2100.0].map(|speed| speed * faster);
        let cpu = [0.66, 3.15, 0.83, 0.78, 0.6];
        let faster = [("h2 default", AtLeast(4.0)), ("h2 4M/16M", AtLeast(1.2))];
        let cheaper = [("h2 4M/16M, 1M frames", AtMost(0.85)), ("raw TCP", AtMost(1.1))];
        let speed = measure("throughput", "MiB/s", More, &speeds, &faster);
        case(id, title, vec![speed, measure("CPU", "s/GiB", Less, &cpu, &cheaper)])
    };
    let near =
        measure("p50", "µs", Less, &[71.0, 69.0, 3871.0, 3300.0, 12.0], &[("h2 4M/16M", AtMost(0.08))]);
    let far =
        measure("p99", "µs", Less, &[160.0, 187.0, 6358.0, 7100.0, 21.0], &[("h2 default", AtMost(1.0))]);
    let odd = "<script>alert(\"a & b\")</script>";
    let contenders =
        CONTENDERS.map(|(name, settings)| ContenderInfo { name: name.into(), settings: settings.into() });
    let lists = measure("time", "ns per list", Less, &[310.0, 1264.0], &[]);
    Report {
        title: "hbone beside <others>".into(),
        machine: Machine {
            processor: "a processor <of no maker>".into(),
            cores: 2,
            system: "linux 6.18".into(),
            settings: vec!["7 rounds, in turns".into()],
        },
        contenders: contenders.into(),
        sections: vec![
            section("bulk", "Bulk", "One stream & its socket.", {
                let up = bulk("bulk/up/tcp/2ct/1", "up, TCP, two single-thread runtimes, 1 stream", 1.0);
                let mut down = bulk("bulk/down/tcp/ct/1", "down, TCP, one runtime, 1 stream", 0.7);
                down.measures.iter_mut().for_each(|measure| measure.bars.clear());
                vec![up, down]
            }),
            section(
                "latency",
                "Round trips",
                "64 octets, beside one bulk stream.",
                vec![case("latency/tcp/ct/1", "beside one bulk stream, TCP, one runtime", vec![near, far])],
            ),
            section("hpack", "Header compression", "", vec![case("hpack/decode", odd, vec![lists])]),
        ],
    }
}
