//! A report for a terminal: a table for every measure, and one of the bars.

use std::fmt::Write;

use super::model::{Case, Measure, Report, Section, Verdict};
use super::words::{factor, figure, verdict};

/// Who takes part, and where.
pub fn head(report: &Report) -> String {
    let machine = &report.machine;
    let mut out = format!("{}, {} cores, {}\n", machine.processor, machine.cores, machine.system);
    for settings in &machine.settings {
        let _ = writeln!(out, "{settings}");
    }
    for contender in &report.contenders {
        let _ = writeln!(out, "  {:<24} {}", contender.name, contender.settings);
    }
    let _ = writeln!(
        out,
        "medians (least..most) of the rounds; ratios are ours ÷ theirs, medians of each round's own"
    );
    out
}

/// The tables of one section.
pub fn section(section: &Section) -> String {
    section.cases.iter().fold(heading(section), |text, one| text + &case(one))
}

/// The head of a section.
pub fn heading(section: &Section) -> String {
    let mut out = format!("\n== {}\n", section.title);
    if !section.note.is_empty() {
        let _ = writeln!(out, "{}", section.note);
    }
    out
}

/// The tables of one case.
pub fn case(case: &Case) -> String {
    let mut out = format!("\n{}   [{}]\n", case.title, case.id);
    for measure in &case.measures {
        table(&mut out, measure);
    }
    out
}

fn table(out: &mut String, measure: &Measure) {
    let title = format!("{}, {}", measure.name, measure.unit);
    let _ = writeln!(out, "  {title:<32} {:>12}   {:<24} {:>8}", "median", "(least..most)", "ratio");
    for entry in &measure.entries {
        let spread = entry.spread();
        let ratio = measure.ratio(entry).map_or_else(|| "–".to_owned(), factor);
        let range = format!("({}..{})", figure(spread.least), figure(spread.most));
        let _ = writeln!(
            out,
            "    {:<30} {:>12}   {range:<24} {ratio:>8}",
            entry.contender,
            figure(spread.median)
        );
    }
}

/// What was demanded and what came of it; empty when nothing was.
pub fn bars(report: &Report) -> String {
    let mut out = String::new();
    let (mut met, mut all) = (0, 0);
    for (case, measure, bar) in report.bars() {
        let judged = measure.verdict(bar);
        let found = measure.ratio_of(bar).map_or_else(|| "–".to_owned(), factor);
        let what = format!("{} {}", case.id, measure.name);
        let demanded = bar.ratio.to_string();
        let _ =
            writeln!(out, "  {what:<44} {:<24} {demanded:>8} {found:>8}   {}", bar.against, verdict(judged));
        met += usize::from(judged == Verdict::Met);
        all += 1;
    }
    if all == 0 {
        return out;
    }
    let title = format!("\n== Bars: {met} of {all} met\n");
    let head = format!("  {:<44} {:<24} {:>8} {:>8}\n", "ours ÷ theirs", "against", "bar", "found");
    title + &head + &out
}

#[cfg(test)]
mod tests {
    use super::super::made_up;
    use super::{bars, head, section};

    #[test]
    fn a_row_has_median_spread_and_ratio() {
        let report = made_up::report();
        let text = section(&report.sections[0]);
        let row = text.lines().find(|line| line.contains("h2 default")).unwrap();
        assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["h2", "default", "292", "(270..318)", "6.2"]);
        assert!(head(&report).contains("windows 4 MiB"));
    }

    #[test]
    fn the_last_table_counts_what_was_met() {
        let text = bars(&made_up::report());
        assert!(text.contains("Bars: 5 of 6 met"), "{text}");
        assert!(text.contains("≤ 0.08"), "{text}");
        assert!(text.contains("✗ missed"), "{text}");
    }
}
