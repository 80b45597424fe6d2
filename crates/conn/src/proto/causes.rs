//! How often each rule was broken, by its label. Costs nothing until one is; then as much as there are labels.

/// Counts by label.
#[derive(Debug, Default)]
pub(super) struct Causes(Vec<(&'static str, u64)>);

impl Causes {
    /// Counts one. Labels are a finite set, so the table is too.
    pub(super) fn count(&mut self, label: &'static str) {
        match self.0.iter_mut().find(|(known, _)| *known == label) {
            Some((_, count)) => *count += 1,
            None => self.0.push((label, 1)),
        }
    }

    /// Labels and counts, in the order of their first time.
    pub(super) fn all(&self) -> &[(&'static str, u64)] {
        &self.0
    }
}
