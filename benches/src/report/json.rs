//! A report for programs: the model as it is, and what came of the bars.

use serde::Serialize;

use super::model::{Limit, Report, Verdict};

#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    report: &'a Report,
    bars: Vec<Judged<'a>>,
}

/// A bar with its ratio.
#[derive(Serialize)]
struct Judged<'a> {
    case: &'a str,
    measure: &'a str,
    against: &'a str,
    demanded: Limit,
    found: Option<f64>,
    verdict: Verdict,
}

/// The report as JSON. What is not a number is `null`.
pub fn json(report: &Report) -> String {
    let bars = report.bars().map(|(case, measure, bar)| Judged {
        case: &case.id,
        measure: &measure.name,
        against: &bar.against,
        demanded: bar.ratio,
        found: measure.ratio_of(bar),
        verdict: measure.verdict(bar),
    });
    let written = Written { report, bars: bars.collect() };
    // Numbers and text only: nothing that JSON does not know.
    serde_json::to_string_pretty(&written).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::made_up;
    use super::json;

    #[test]
    fn all_rounds_and_all_verdicts_are_in_it() {
        let report = made_up::report();
        let value: Value = serde_json::from_str(&json(&report)).unwrap();
        let entry = &value["sections"][0]["cases"][0]["measures"][0]["entries"][0];
        assert_eq!(entry["values"].as_array().unwrap().len(), 7);
        assert_eq!(value["bars"].as_array().unwrap().len(), report.bars().count());
        assert_eq!(value["bars"][0]["verdict"], "Met");
        assert_eq!(value["bars"][0]["demanded"]["AtLeast"], 4.0);
    }
}
