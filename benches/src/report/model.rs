//! The figures of one run of a benchmark, by case, contender and round. The cases fill it in; `text`, `json` and `html`
//! show it. Knows nothing of what the figures mean.

use std::fs;

use serde::Serialize;

use crate::measure::Spread;

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What is beside what.
    pub title: String,
    /// Where it ran.
    pub machine: Machine,
    /// Who took part.
    pub contenders: Vec<ContenderInfo>,
    /// What was measured, in the order in which it is shown.
    pub sections: Vec<Section>,
}

/// Where a run took place.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The model of the processor.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The kernel and its release.
    pub system: String,
    /// How the program was built and called, in words.
    pub settings: Vec<String>,
}

/// Who takes part, under which settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContenderInfo {
    /// The name in tables and plots.
    pub name: String,
    /// Its settings in words.
    pub settings: String,
}

/// Cases that belong together.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// Its name in anchors and files: lower case, without blanks.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// What a reader has to know in order to read the figures.
    pub note: String,
    /// What was measured.
    pub cases: Vec<Case>,
}

/// One situation in which all contenders are measured.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// A path, such as `bulk/up/tcp/2ct/1`.
    pub id: String,
    /// The situation in words.
    pub title: String,
    /// What was measured in it.
    pub measures: Vec<Measure>,
}

/// One quantity, measured for all contenders in the same rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Measure {
    /// What it is, such as `throughput`.
    pub name: String,
    /// Its unit, such as `MiB/s`.
    pub unit: String,
    /// Which way is good.
    pub better: Better,
    /// The contenders; the first is ours.
    pub entries: Vec<Entry>,
    /// What is demanded of ours.
    pub bars: Vec<Bar>,
}

/// Which figures are the good ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Better {
    /// The more the better.
    More,
    /// The less the better.
    Less,
}

/// The figures of one contender.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its name among [`Report::contenders`].
    pub contender: String,
    /// One figure a round: the same index is the same round.
    pub values: Vec<f64>,
}

/// Whom a demand on the figure itself is against.
pub const ITSELF: &str = "nobody: the figure itself";

/// A demand on ours beside another, or on our figure itself.
#[derive(Clone, Debug, Serialize)]
pub struct Bar {
    /// The name of the other contender, or [`ITSELF`].
    pub against: String,
    /// What the median of the rounds' ratios of ours ÷ theirs has to be.
    pub ratio: Limit,
}

/// A demand on a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Limit {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

/// What came of a [`Bar`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// The ratio is within the limit.
    Met,
    /// The ratio is not.
    Missed,
    /// There is no ratio: one of the two was not measured.
    Unknown,
}

impl Machine {
    /// This one, as far as the system tells; what it does not tell is called `unknown`.
    pub fn here(settings: Vec<String>) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processor = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned());
        let release = read("/proc/sys/kernel/osrelease");
        let system = format!("{} {}", std::env::consts::OS, release.trim());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { processor, cores, system, settings }
    }
}

impl Report {
    /// Every bar of the run with the case and the measure that it stands in.
    pub fn bars(&self) -> impl Iterator<Item = (&Case, &Measure, &Bar)> {
        let cases = self.sections.iter().flat_map(|section| &section.cases);
        let measures = cases.flat_map(|case| case.measures.iter().map(move |measure| (case, measure)));
        measures.flat_map(|(case, measure)| measure.bars.iter().map(move |bar| (case, measure, bar)))
    }
}

impl Measure {
    /// A measure without figures yet.
    pub fn new(name: &str, unit: &str, better: Better) -> Self {
        Self { name: name.into(), unit: unit.into(), better, entries: Vec::new(), bars: Vec::new() }
    }

    /// Adds the figure of one more round to a contender, which becomes the last entry if it is not there yet.
    pub fn push(&mut self, contender: &str, value: f64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.contender == contender) {
            entry.values.push(value);
        } else {
            self.entries.push(Entry { contender: contender.into(), values: vec![value] });
        }
    }

    /// Demands something of ours beside `against`.
    pub fn demand(&mut self, against: &str, ratio: Limit) {
        self.bars.push(Bar { against: against.into(), ratio });
    }

    /// Our figures.
    pub fn ours(&self) -> Option<&Entry> {
        self.entries.first()
    }

    /// The figures of a contender.
    pub fn entry(&self, contender: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.contender == contender)
    }

    /// Ours ÷ theirs, for every round in which both have a figure.
    pub fn ratios(&self, theirs: &Entry) -> Vec<f64> {
        let ours = self.ours().map_or(&[][..], |entry| &entry.values);
        let pairs = ours.iter().zip(&theirs.values);
        pairs.map(|(ours, theirs)| ours / theirs).filter(|ratio| ratio.is_finite()).collect()
    }

    /// The median of [`Self::ratios`]; `None` when there are none.
    pub fn ratio(&self, theirs: &Entry) -> Option<f64> {
        let ratios = self.ratios(theirs);
        (!ratios.is_empty()).then(|| Spread::of(ratios).median)
    }

    /// The ratio, or the figure, that a bar speaks of; `None` when it was not measured.
    pub fn ratio_of(&self, bar: &Bar) -> Option<f64> {
        if bar.against == ITSELF {
            return self.ours().map(Entry::median);
        }
        self.ratio(self.entry(&bar.against)?)
    }

    /// Whether a bar is met.
    pub fn verdict(&self, bar: &Bar) -> Verdict {
        match self.ratio_of(bar) {
            None => Verdict::Unknown,
            Some(ratio) if bar.ratio.holds(ratio) => Verdict::Met,
            Some(_) => Verdict::Missed,
        }
    }
}

impl Entry {
    /// The median with the smallest and the largest figure; not a number when there are none.
    pub fn spread(&self) -> Spread {
        Spread::of(self.values.iter().copied())
    }

    /// The median.
    pub fn median(&self) -> f64 {
        self.spread().median
    }
}

impl Limit {
    /// Whether a ratio is within the limit.
    pub fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(out, "≥ {least}"),
            Self::AtMost(most) => write!(out, "≤ {most}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Better, Limit, Measure, Verdict};

    fn measure() -> Measure {
        let mut measure = Measure::new("throughput", "MiB/s", Better::More);
        for (ours, theirs) in [(10.0, 5.0), (30.0, 10.0), (8.0, 8.0)] {
            measure.push("ours", ours);
            measure.push("theirs", theirs);
        }
        measure
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_the_medians() {
        let measure = measure();
        let theirs = measure.entry("theirs").unwrap();
        assert_eq!(measure.ratios(theirs), [2.0, 3.0, 1.0]);
        assert_eq!(measure.ratio(theirs), Some(2.0));
        assert_eq!(measure.ours().unwrap().median() / theirs.median(), 1.25);
    }

    #[test]
    fn a_spread_reaches_from_the_least_to_the_most() {
        let measure = measure();
        let spread = measure.ours().unwrap().spread();
        assert_eq!((spread.least, spread.median, spread.most), (8.0, 10.0, 30.0));
    }

    #[test]
    fn a_bar_is_met_at_its_limit_and_unknown_without_figures() {
        let mut measure = measure();
        for (against, limit) in [
            ("theirs", Limit::AtLeast(2.0)),
            ("theirs", Limit::AtLeast(2.1)),
            ("theirs", Limit::AtMost(2.0)),
            ("theirs", Limit::AtMost(1.9)),
            ("nobody", Limit::AtMost(1.0)),
        ] {
            measure.demand(against, limit);
        }
        let verdicts: Vec<_> = measure.bars.iter().map(|bar| measure.verdict(bar)).collect();
        use Verdict::{Met, Missed, Unknown};
        assert_eq!(verdicts, [Met, Missed, Met, Missed, Unknown]);
    }

    #[test]
    fn rounds_that_one_of_both_lacks_have_no_ratio() {
        let mut measure = measure();
        measure.push("ours", 7.0);
        measure.push("never", 0.0);
        assert_eq!(measure.ratios(measure.entry("theirs").unwrap()).len(), 3);
        assert_eq!(measure.ratio(measure.entry("never").unwrap()), None);
    }
}
