//! Figures and ratios as a person says them. Knows nothing of where they are shown.

use super::model::{Better, Measure, Verdict};

/// Three digits that count, more before the point where there are more.
pub(super) fn figure(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "–".to_owned(),
        size if size >= 99.95 || size == 0.0 => grouped(value),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A whole number, in groups of three from 10 000 on.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::from(if value < 0.0 { "-" } else { "" });
    for (nth, digit) in digits.chars().enumerate() {
        if digits.len() > 4 && nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// What a ratio of ours ÷ theirs says of ours, in two parts: `2.9 ×` and `as fast`, `0.41 ×` and `the CPU`,
/// `1/55` and `of the p50`.
pub(super) fn ratio(measure: &Measure, ratio: f64) -> (String, String) {
    if measure.better == Better::More && is_speed(measure) {
        return (format!("{} ×", factor(ratio)), "as fast".to_owned());
    }
    if ratio > 0.0 && ratio < 0.095 {
        return (format!("1/{}", factor(1.0 / ratio)), format!("of the {}", measure.name));
    }
    (format!("{} ×", factor(ratio)), format!("the {}", measure.name))
}

/// A ratio: two digits that count, three close to 1.
pub(super) fn factor(ratio: f64) -> String {
    match ratio {
        ratio if !ratio.is_finite() => "–".to_owned(),
        ratio if ratio >= 9.95 => grouped(ratio),
        ratio if ratio >= 1.945 => format!("{ratio:.1}"),
        ratio if ratio >= 0.0995 => format!("{ratio:.2}"),
        _ => format!("{ratio:.3}"),
    }
}

fn is_speed(measure: &Measure) -> bool {
    measure.unit.ends_with("/s") || measure.unit == "per s"
}

/// Whether a ratio of ours ÷ theirs is good for ours; `None` when both are about the same.
pub(super) fn is_good(measure: &Measure, ratio: f64) -> Option<bool> {
    let more = measure.better == Better::More;
    if ratio.is_finite() && (0.97..=1.03).contains(&ratio) { None } else { Some((ratio > 1.0) == more) }
}

/// A verdict with a sign that needs no colour.
pub(super) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "✓ met",
        Verdict::Missed => "✗ missed",
        Verdict::Unknown => "– not measured",
    }
}

/// Whether somebody is no peer but what nobody can beat: the socket or the cipher alone.
pub(super) fn is_ceiling(contender: &str) -> bool {
    contender.starts_with("raw ") || contender.ends_with(" alone")
}

#[cfg(test)]
mod tests {
    use super::super::model::{Better, Measure};
    use super::{factor, figure, is_good, ratio};

    #[test]
    fn figures_have_three_digits_that_count() {
        let said: Vec<_> =
            [0.0, 0.01234, 1.5, 12.34, 123.4, 1234.5, 12345.6, f64::NAN].map(figure).into_iter().collect();
        assert_eq!(said, ["0", "0.012", "1.50", "12.3", "123", "1234", "12\u{202f}346", "–"]);
    }

    #[test]
    fn ratios_are_said_by_what_is_measured() {
        let speed = Measure::new("throughput", "MiB/s", Better::More);
        let cpu = Measure::new("CPU", "s/GiB", Better::Less);
        let said = |measure, found| {
            let (size, what) = ratio(measure, found);
            format!("{size} {what}")
        };
        assert_eq!(said(&speed, 2.94), "2.9 × as fast");
        assert_eq!(said(&cpu, 0.414), "0.41 × the CPU");
        assert_eq!(said(&cpu, 0.018), "1/56 of the CPU");
        assert_eq!([0.04, 1.0, 1.2, 61.4].map(factor), ["0.040", "1.00", "1.20", "61"]);
        assert_eq!(is_good(&speed, 2.0), Some(true));
        assert_eq!(is_good(&cpu, 2.0), Some(false));
        assert_eq!(is_good(&cpu, 1.01), None);
    }
}
