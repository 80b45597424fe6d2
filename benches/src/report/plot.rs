//! Plots of one measure: a row for every contender, a dot for every round, a mark at the median, a line at the ceiling.
//! Writes the inside of a page and knows nothing of the rest of it.

use std::fmt::Write;

use super::html::escape;
use super::model::{Better, Entry, Measure};
use super::words::{figure, is_ceiling, is_good, ratio};

/// From here on a scale is logarithmic: the largest figure is so many times the smallest.
const WIDE: f64 = 15.0;
/// A ceiling that is so many times as high as everybody is not in the plot: it would leave no room for the others.
const ABOVE: f64 = 1.6;
/// Marks on an axis, about.
const MARKS: f64 = 4.0;

/// How far apart labels on an axis stand at least, in percent of the width.
const APART: f64 = 15.0;

/// Where a figure stands, in percent of the width.
enum Scale {
    /// From zero on.
    Linear { most: f64 },
    /// From a power of ten to a power of ten.
    Logarithmic { least: f64, most: f64 },
}

impl Scale {
    /// Holds all figures, but those of a ceiling that is far above everybody.
    fn of(measure: &Measure) -> Self {
        let peers = measure.entries.iter().filter(|entry| !is_ceiling(&entry.contender));
        let peers = finite(peers).fold(0.0, f64::max);
        let near = |value: &f64| peers == 0.0 || *value <= ABOVE * peers;
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in finite(measure.entries.iter()).filter(near) {
            (least, most) = (least.min(value), most.max(value));
        }
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

    /// Those of the marks that are said: powers of ten before others, and none that would run into another.
    fn labels(&self) -> Vec<f64> {
        let mut marks = self.marks();
        marks.sort_by_key(|mark| mark.log10().fract() != 0.0 && *mark != 0.0);
        let mut said: Vec<f64> = Vec::new();
        for mark in marks {
            if said.iter().all(|other| (self.place(*other) - self.place(mark)).abs() >= APART) {
                said.push(mark);
            }
        }
        said
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

fn finite<'a>(entries: impl Iterator<Item = &'a Entry>) -> impl Iterator<Item = f64> {
    entries.flat_map(|entry| &entry.values).copied().filter(|value| value.is_finite())
}

/// The plot of a measure. `class` says the class of a contender's colour.
pub(super) fn plot(measure: &Measure, class: impl Fn(&str) -> String) -> String {
    let scale = Scale::of(measure);
    let ceilings = measure.entries.iter().filter(|entry| is_ceiling(&entry.contender)).map(Entry::median);
    let ceilings: Vec<f64> = ceilings.map(|median| scale.place(median)).filter(|at| *at <= 100.0).collect();
    let mut out = String::from("<figure class=\"plot\"><figcaption>");
    let way = match measure.better {
        Better::More => "more is better",
        Better::Less => "less is better",
    };
    let log = if matches!(scale, Scale::Logarithmic { .. }) { ", logarithmic" } else { "" };
    let (name, unit) = (escape(&measure.name), escape(&measure.unit));
    let _ = writeln!(out, "<b>{name}</b>, {unit} <span class=\"way\">{way}{log}</span></figcaption>");
    for (nth, entry) in measure.entries.iter().enumerate() {
        let ours = if nth == 0 { " ours" } else { "" };
        let class = format!("row {}{ours}", class(&entry.contender));
        row(&mut out, measure, entry, &scale, &ceilings, &class);
    }
    axis(&mut out, &scale);
    out.push_str("</figure>\n");
    out
}

fn row(out: &mut String, measure: &Measure, entry: &Entry, scale: &Scale, ceilings: &[f64], class: &str) {
    let name = escape(&entry.contender);
    let _ = write!(out, "<div class=\"{class}\"><span class=\"name\" title=\"{name}\">{name}</span>");
    let _ = write!(out, "<svg class=\"track\" role=\"img\" aria-label=\"{name}\">");
    let marks = scale.marks().into_iter().map(|mark| ("grid", scale.place(mark)));
    for (class, at) in marks.chain(ceilings.iter().map(|at| ("top", *at))) {
        let _ = write!(out, "<line class=\"{class}\" x1=\"{at:.2}%\" x2=\"{at:.2}%\" y1=\"0\" y2=\"100%\"/>");
    }
    if scale.place(entry.median()) > 100.0 {
        out.push_str(
            "<text class=\"beyond\" x=\"100%\" y=\"70%\" text-anchor=\"end\">beyond the scale →</text>",
        );
    } else if entry.median().is_finite() {
        dots(out, measure, entry, scale);
    }
    let _ = write!(out, "</svg><span class=\"value\">{}</span>", figure(entry.median()));
    let _ = writeln!(out, "{}</div>", compared(measure, entry));
}

/// Ours beside this contender, in words; a ceiling is nobody to win against.
fn compared(measure: &Measure, entry: &Entry) -> String {
    let first = measure.ours().is_some_and(|ours| std::ptr::eq(ours, entry));
    let Some(found) = measure.ratio(entry).filter(|_| !first) else {
        return "<span class=\"ratio\"></span>".to_owned();
    };
    let (sign, class) = match is_good(measure, found) {
        _ if is_ceiling(&entry.contender) => ("", "same"),
        Some(true) => ("▲ ", "good"),
        Some(false) => ("▼ ", "bad"),
        None => ("= ", "same"),
    };
    let (size, what) = ratio(measure, found);
    format!("<span class=\"ratio {class}\">{sign}ours {size} {}</span>", escape(&what))
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
    for mark in scale.labels() {
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
            let mut said: Vec<_> = scale.labels().into_iter().map(|mark| scale.place(mark)).collect();
            said.sort_by(f64::total_cmp);
            assert!(said.len() >= 2 && said.windows(2).all(|two| two[1] - two[0] >= 15.0), "{said:?}");
        }
    }

    #[test]
    fn a_ceiling_far_above_everybody_leaves_the_others_their_room() {
        let mut measure = made_up::report().sections[0].cases[0].measures[0].clone();
        measure.push("a cipher alone", 1e5);
        assert!(Scale::of(&measure).place(2073.0) > 80.0);
        assert!(plot(&measure, |_| String::new()).contains("beyond the scale"));
    }

    #[test]
    fn every_round_is_a_dot_and_every_peer_has_a_ratio() {
        let measure = &made_up::report().sections[0].cases[0].measures[0];
        let plot = plot(measure, |_| String::new());
        assert_eq!(plot.matches("<circle").count(), 5 * 7);
        assert_eq!(plot.matches("× as fast").count(), 4);
        assert_eq!(plot.matches("class=\"top\"").count(), 5);
    }
}
