//! Plots of one measure: a row for every contender, a dot for every round, a mark at the median, a line at the ceiling.
//! Writes the inside of a page and knows nothing of the rest of it.

use std::fmt::Write;

use super::html::escape;
use super::model::{Entry, Measure};
use super::words::{figure, is_ceiling, is_good, ratio};

/// From here on a scale is logarithmic: the largest figure is so many times the smallest.
const WIDE: f64 = 15.0;
/// Marks on an axis, about.
const MARKS: f64 = 4.0;

/// Where a figure stands, in percent of the width.
enum Scale {
    /// From zero on.
    Linear { most: f64 },
    /// From a power of ten to a power of ten.
    Logarithmic { least: f64, most: f64 },
}

impl Scale {
    fn of(measure: &Measure) -> Self {
        let all =
            || measure.entries.iter().flat_map(|entry| &entry.values).copied().filter(|v| v.is_finite());
        let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
        if least > 0.0 && most / least >= WIDE {
            let (least, most) = (least.log10(), most.log10());
            let margin = (most - least) * 0.04;
            return Self::Logarithmic { least: least - margin, most: most + margin };
        }
        Self::Linear { most: if most > 0.0 { most * 1.04 } else { 1.0 } }
    }

    fn place(&self, value: f64) -> f64 {
        match self {
            Self::Linear { most } => 100.0 * value / most,
            Self::Logarithmic { least, most } => 100.0 * (value.log10() - least) / (most - least),
        }
    }

    /// Round figures to mark on the axis.
    fn marks(&self) -> Vec<f64> {
        match self {
            Self::Linear { most } => {
                let rough = most / MARKS;
                let power = 10_f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
                let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
                (0..=(most / step) as usize).map(|nth| nth as f64 * step).collect()
            }
            Self::Logarithmic { least, most } => {
                let times: &[f64] = if most - least > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let powers = least.floor() as i32..=most.ceil() as i32;
                let all = powers.flat_map(|power| times.iter().map(move |times| times * 10_f64.powi(power)));
                all.filter(|mark| (*least..=*most).contains(&mark.log10())).collect()
            }
        }
    }
}

/// The plot of a measure. `colour` says the number of a contender's colour.
pub(super) fn plot(measure: &Measure, colour: impl Fn(&str) -> usize) -> String {
    let scale = Scale::of(measure);
    let ceiling = measure.entries.iter().find(|entry| is_ceiling(&entry.contender)).map(Entry::median);
    let mut out = String::from("<figure class=\"plot\"><figcaption>");
    let way = match measure.better {
        super::model::Better::More => "more is better",
        super::model::Better::Less => "less is better",
    };
    let log = if matches!(scale, Scale::Logarithmic { .. }) { ", logarithmic" } else { "" };
    let (name, unit) = (escape(&measure.name), escape(&measure.unit));
    let _ = writeln!(out, "<b>{name}</b>, {unit} <span class=\"way\">{way}{log}</span></figcaption>");
    for entry in &measure.entries {
        row(&mut out, measure, entry, &scale, ceiling, colour(&entry.contender));
    }
    axis(&mut out, &scale);
    out.push_str("</figure>\n");
    out
}

fn row(
    out: &mut String,
    measure: &Measure,
    entry: &Entry,
    scale: &Scale,
    ceiling: Option<f64>,
    colour: usize,
) {
    let name = escape(&entry.contender);
    let class = if is_ceiling(&entry.contender) { "ceiling".to_owned() } else { format!("c{colour}") };
    let _ = write!(out, "<div class=\"row {class}\"><span class=\"name\" title=\"{name}\">{name}</span>");
    let _ = write!(out, "<svg class=\"track\" role=\"img\" aria-label=\"{name}\">");
    for mark in scale.marks() {
        let at = scale.place(mark);
        let _ = write!(out, "<line class=\"grid\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"0\" y2=\"100%\"/>");
    }
    if let Some(ceiling) = ceiling.filter(|ceiling| ceiling.is_finite()) {
        let at = scale.place(ceiling);
        let _ = write!(out, "<line class=\"top\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"0\" y2=\"100%\"/>");
    }
    if entry.median().is_finite() {
        dots(out, measure, entry, scale);
    }
    let said = match measure.ratio(entry) {
        Some(found) if !std::ptr::eq(entry, &raw const measure.entries[0]) => {
            let (sign, good) = match is_good(measure, found) {
                Some(true) => ("▲ ", "good"),
                Some(false) => ("▼ ", "bad"),
                None => ("= ", "same"),
            };
            format!("<span class=\"ratio {good}\">{sign}ours {}</span>", escape(&ratio(measure, found)))
        }
        Some(_) | None => "<span class=\"ratio\"></span>".to_owned(),
    };
    let _ = writeln!(out, "</svg><span class=\"value\">{}</span>{said}</div>", figure(entry.median()));
}

fn dots(out: &mut String, measure: &Measure, entry: &Entry, scale: &Scale) {
    let (spread, unit, name) = (entry.spread(), escape(&measure.unit), escape(&entry.contender));
    let at = scale.place(spread.median);
    if matches!(scale, Scale::Linear { .. }) {
        let _ = write!(out, "<rect class=\"bar\" x=\"0\" y=\"25%\" width=\"{at:.2}%\" height=\"50%\"/>");
    } else {
        let (from, to) = (scale.place(spread.least), scale.place(spread.most));
        let _ =
            write!(out, "<line class=\"range\" x1=\"{from:.2}%\" x2=\"{to:.2}%\" y1=\"50%\" y2=\"50%\"/>");
    }
    for (round, value) in entry.values.iter().enumerate().filter(|(_, value)| value.is_finite()) {
        let (at, said) = (scale.place(*value), figure(*value));
        let _ = write!(
            out,
            "<circle class=\"dot\" cx=\"{at:.2}%\" cy=\"50%\" r=\"3.2\"><title>{name}, round {}: {said} {unit}</title></circle>",
            round + 1
        );
    }
    let [least, median, most] = [spread.least, spread.median, spread.most].map(figure);
    let _ = write!(
        out,
        "<line class=\"median\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"12%\" y2=\"88%\"><title>{name}: median {median} {unit}, {least} to {most}</title></line>"
    );
}

fn axis(out: &mut String, scale: &Scale) {
    out.push_str("<div class=\"row axis\"><span></span><svg class=\"track\" aria-hidden=\"true\">");
    for mark in scale.marks() {
        let at = scale.place(mark);
        let anchor = if at < 4.0 {
            "start"
        } else if at > 94.0 {
            "end"
        } else {
            "middle"
        };
        let said = if mark == 0.0 { "0".to_owned() } else { short(mark) };
        let _ = write!(out, "<text x=\"{at:.2}%\" y=\"11\" text-anchor=\"{anchor}\">{said}</text>");
    }
    out.push_str("</svg><span></span><span></span></div>\n");
}

/// A round figure without digits that say nothing.
fn short(mark: f64) -> String {
    if mark >= 100.0 { figure(mark) } else { format!("{}", (mark * 1e6).round() / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::super::made_up;
    use super::{Scale, plot};

    #[test]
    fn a_wide_spread_is_drawn_on_a_logarithmic_scale_and_no_other() {
        let report = made_up::report();
        let [bulk, trips] = [&report.sections[0], &report.sections[1]].map(|section| &section.cases[0]);
        assert!(matches!(Scale::of(&bulk.measures[0]), Scale::Linear { .. }));
        assert!(matches!(Scale::of(&trips.measures[0]), Scale::Logarithmic { .. }));
    }

    #[test]
    fn every_figure_and_every_mark_stands_within_the_plot() {
        for measure in made_up::report().sections.iter().flat_map(|s| &s.cases).flat_map(|c| &c.measures) {
            let scale = Scale::of(measure);
            let values = measure.entries.iter().flat_map(|entry| &entry.values).copied();
            for value in values.chain(scale.marks()) {
                assert!((0.0..=100.0).contains(&scale.place(value)), "{} {value}", measure.name);
            }
            assert!((2..=12).contains(&scale.marks().len()), "{:?}", scale.marks());
        }
    }

    #[test]
    fn every_round_is_a_dot_and_every_peer_has_a_ratio() {
        let measure = &made_up::report().sections[0].cases[0].measures[0];
        let plot = plot(measure, |_| 0);
        assert_eq!(plot.matches("<circle").count(), 5 * 7);
        assert_eq!(plot.matches("× as fast").count(), 4);
        assert_eq!(plot.matches("class=\"top\"").count(), 5);
    }
}
