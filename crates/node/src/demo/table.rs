//! A short table of names and values, the values in one column. Used by the demo's report. Pure.

use std::fmt;

/// Rows in the order they were added; a row without value is a heading.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<(String, String)>);

impl Table {
    /// Adds a row.
    pub(super) fn row(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in &self.0 {
            let pad = " ".repeat(width - name.chars().count());
            writeln!(f, "  {name}{pad}   {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_one_column() {
        let mut table = Table::default();
        table.row("a", "1");
        table.row("long", "2");
        assert_eq!(table.to_string(), "  a      1\n  long   2\n");
    }
}
