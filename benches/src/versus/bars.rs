//! What is demanded of this engine, as a table, and how it is laid onto what was measured. Measures nothing and
//! fails nothing: a bar that is missed is told.

use crate::report::{Better, Case, ITSELF, Limit, Measure};

/// Cases, of which `{a,b}` makes two; the measure; whom ours is divided by, in every round; the demand on the median.
/// `best h2` is the one whose median is the best of that case, `each 4M` all with windows of 4 MiB, `each h2` all of
/// them, `itself` nobody: the figure has to be so.
const TABLE: &str = "
bulk/up/tcp/2ct/1                      | throughput   | h2 default | >= 4
bulk/up/tcp/ct/1                       | CPU          | best h2    | <= 0.6
bulk/up/tcp/ct/1                       | CPU          | raw TCP    | <= 1.1
bulk/up/tcp/{2ct,mt}/1                 | throughput   | best h2    | >= 1.2
bulk/up/tcp/{2ct,mt}/1                 | CPU          | best h2    | <= 0.8
bulk/up/duplex/ct/1/16K                | CPU          | best h2    | <= 0.5
bulk/up/tls/2ct/1                      | throughput   | best h2    | >= 1.5
bulk/up/tls/2ct/1                      | CPU          | best h2    | <= 0.6
bulk/up/tls/2ct/1                      | CPU          | raw TCP    | <= 1.3
bulk/up/{tcp,tls}/mt/{100,1000}        | throughput   | best h2    | >= 1.5
churn/{duplex,tcp}/ct/100              | streams      | best h2    | >= 3
churn/{tcp,tls}/mt/100                 | streams      | best h2    | >= 2
rtt/idle/tcp/{ct,mt}                   | p50          | best h2    | <= 0.9
rtt/idle/tcp/{ct,mt}                   | p50          | raw TCP    | <= 1.3
rtt/beside-{1,8}/{tcp,tls}/{ct,mt}     | p50          | each 4M    | <= 0.08
rtt/beside-{1,8}/{tcp,tls}/{ct,mt}     | p99          | each 4M    | <= 0.2
rtt/beside-{1,8}/{tcp,tls}/{ct,mt}     | p50          | h2 default | <= 0.8
rtt/beside-{1,8}/{tcp,tls}/{ct,mt}     | p99          | h2 default | <= 1.0
rtt/beside-{1,8}/{tcp,tls}/{ct,mt}     | throughput   | each h2    | >= 1.0
delay/100ms/2ct/1                      | throughput   | h2 default | >= 50
delay/100ms/2ct/1                      | throughput   | h2 16M/16M | >= 1.0
allocations/bulk/tcp/{ct,2ct,mt}       | allocations  | itself     | <= 8
allocations/bulk/tls/{ct,2ct,mt}       | allocations  | itself     | <= 16
allocations/churn/{duplex,tcp}/ct      | allocations  | itself     | <= 4
calls/bulk/tcp/2ct                     | system calls | itself     | <= 24
";

/// One line of the table for one case.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    case: String,
    measure: &'static str,
    against: &'static str,
    limit: Limit,
}

/// Demands of a case's measures what the table says.
pub(super) fn demand(case: &mut Case) {
    for row in rows().filter(|row| row.case == case.id) {
        let found = case.measures.iter_mut().find(|measure| measure.name == row.measure);
        let Some(measure) = found else { continue };
        for against in against(row.against, measure) {
            measure.demand(&against, row.limit);
        }
    }
}

/// Whom a demand is about.
fn against(who: &str, measure: &Measure) -> Vec<String> {
    let stock = measure.entries.iter().filter(|entry| entry.contender.starts_with("h2 "));
    let name = |entry: &crate::report::Entry| entry.contender.clone();
    match who {
        "itself" => vec![ITSELF.to_owned()],
        "each h2" => stock.map(name).collect(),
        "each 4M" => stock.filter(|entry| entry.contender.starts_with("h2 4M")).map(name).collect(),
        "best h2" => {
            let better = |one: &f64, other: &f64| match measure.better {
                Better::More => one.total_cmp(other),
                Better::Less => other.total_cmp(one),
            };
            stock.max_by(|one, other| better(&one.median(), &other.median())).map(name).into_iter().collect()
        }
        name => vec![name.to_owned()],
    }
}

fn rows() -> impl Iterator<Item = Row> {
    let lines = TABLE.lines().filter(|line| !line.is_empty());
    lines.flat_map(|line| parse(line).expect("the table is well-formed"))
}

fn parse(line: &'static str) -> Option<Vec<Row>> {
    let mut columns = line.split('|').map(str::trim);
    let (cases, measure, against) = (columns.next()?, columns.next()?, columns.next()?);
    let limit = match columns.next()?.split_once(' ')? {
        (">=", least) => Limit::AtLeast(least.parse().ok()?),
        ("<=", most) => Limit::AtMost(most.parse().ok()?),
        _ => return None,
    };
    let rows = expand(cases).into_iter().map(|case| Row { case, measure, against, limit });
    columns.next().is_none().then(|| rows.collect())
}

/// `a/{b,c}` is `a/b` and `a/c`.
fn expand(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let Some((choices, after)) = rest.split_once('}') else { return vec![pattern.to_owned()] };
    let after = expand(after);
    let one = |choice: &str| after.iter().map(|after| format!("{before}{choice}{after}")).collect::<Vec<_>>();
    choices.split(',').flat_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::{TABLE, against, demand, expand, parse, rows};
    use crate::contender::Count;
    use crate::report::{Better, Case, ITSELF, Limit, Measure, Verdict};
    use crate::script::Outcome;
    use crate::versus::chapters;

    #[test]
    fn every_line_is_about_a_case_a_measure_and_contenders_that_there_are() {
        assert_eq!(TABLE.lines().filter(|line| !line.is_empty()).count(), 25);
        let jobs: Vec<_> = chapters().into_iter().flat_map(|chapter| chapter.jobs).collect();
        for row in rows() {
            let job = jobs.iter().find(|job| job.id == row.case).unwrap_or_else(|| panic!("{row:?}"));
            let outcome = Outcome { octets: 1, ..Outcome::default() };
            let figures = job.figures(&outcome);
            let figure = figures.iter().find(|figure| figure.name == row.measure);
            let figure = figure.unwrap_or_else(|| panic!("{row:?}"));
            let mut measure = Measure::new(figure.name, figure.unit, figure.better);
            job.contenders.iter().for_each(|contender| measure.push(contender.name, 1.0));
            let against = against(row.against, &measure);
            assert!(!against.is_empty(), "{row:?}");
            for name in against {
                assert!(name == ITSELF || measure.entry(&name).is_some(), "{row:?}: {name}");
            }
            assert!(job.quick || job.count != Count::Nothing, "{row:?} is not part of a quick run");
        }
    }

    #[test]
    fn braces_are_a_choice() {
        assert_eq!(expand("a"), ["a"]);
        assert_eq!(expand("{a,b}/c/{d,e}"), ["a/c/d", "a/c/e", "b/c/d", "b/c/e"]);
    }

    #[test]
    fn a_line_that_is_not_well_formed_is_not_taken() {
        assert_eq!(parse("a | m | h2 | >= 1.5").unwrap()[0].limit, Limit::AtLeast(1.5));
        for line in
            ["a | m | h2", "a | m | h2 | 1.5", "a | m | h2 | > 1", "a | m | h2 | >= x", "a|m|h|>= 1|x"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn the_best_is_the_best_by_what_is_good() {
        for (better, best) in [(Better::More, "h2 b"), (Better::Less, "h2 a")] {
            let mut measure = Measure::new("m", "u", better);
            [("ours", 9.0), ("h2 a", 1.0), ("h2 b", 2.0), ("raw", 9.0)]
                .iter()
                .for_each(|(name, value)| measure.push(name, *value));
            assert_eq!(against("best h2", &measure), [best]);
            assert_eq!(against("each h2", &measure), ["h2 a", "h2 b"]);
        }
    }

    #[test]
    fn a_demand_on_the_figure_itself_is_judged_without_another() {
        let mut measure = Measure::new("system calls", "per MiB", Better::Less);
        measure.push("hbone default", 25.0);
        let mut case =
            Case { id: "calls/bulk/tcp/2ct".into(), title: String::new(), measures: vec![measure] };
        demand(&mut case);
        let measure = &case.measures[0];
        assert_eq!(measure.ratio_of(&measure.bars[0]), Some(25.0));
        assert_eq!(measure.verdict(&measure.bars[0]), Verdict::Missed);
    }
}
