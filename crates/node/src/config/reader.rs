//! Reads one TOML table key by key and remembers every fault instead of stopping at the first.
//! Used by raw.rs only. What a value means is not known here, only its TOML type.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::fault::{Cause, Faults, nearest};
use super::source::{At, Source, Texts};

/// One table of the file while it is read: keys are asked for one after the other, `finish` refuses the rest.
pub(super) struct Section<'a> {
    title: String,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    asked: Vec<&'static str>,
    faults: Vec<(usize, Cause)>,
}

impl<'a> Section<'a> {
    /// A table under the name that faults shall show.
    pub(super) fn new(title: impl Into<String>, table: &'a DeTable<'a>, span: Range<usize>) -> Self {
        Self { title: title.into(), table, span, asked: Vec::new(), faults: Vec::new() }
    }

    /// The octets of the whole section.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The name that faults show.
    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// A string.
    pub(super) fn string(&mut self, key: &'static str) -> Option<At<String>> {
        let (value, span) = self.value(key)?;
        let DeValue::String(text) = value else { return self.wrong(key, span, value, "a string in quotes") };
        Some(At { value: text.to_string(), span })
    }

    /// A string that must be there.
    pub(super) fn required(&mut self, key: &'static str, example: &'static str) -> Option<At<String>> {
        if !self.has(key) {
            self.missing(key, example);
        }
        self.string(key)
    }

    /// Whether the key is written, with whatever value.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.table.get(key).is_some()
    }

    /// Where the value of a key stands.
    pub(super) fn place(&self, key: &'static str) -> Option<Range<usize>> {
        self.table.get(key).map(toml::Spanned::span)
    }

    /// One string, or an array of strings.
    pub(super) fn strings(&mut self, key: &'static str) -> Option<Texts> {
        let (value, span) = self.value(key)?;
        self.texts(key, value, span)
    }

    fn texts(&mut self, key: &str, value: &DeValue<'_>, span: Range<usize>) -> Option<Texts> {
        if let DeValue::String(text) = value {
            return Some(At { value: vec![At { value: text.to_string(), span: span.clone() }], span });
        }
        let DeValue::Array(elements) = value else {
            return self.wrong(key, span, value, "a string or an array of strings");
        };
        let mut texts = Vec::new();
        for element in elements.iter() {
            let at = element.span();
            if let DeValue::String(text) = element.get_ref() {
                texts.push(At { value: text.to_string(), span: at });
            } else {
                self.wrong::<()>(key, at, element.get_ref(), "strings only");
            }
        }
        Some(At { value: texts, span })
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<At<bool>> {
        let (value, span) = self.value(key)?;
        let DeValue::Boolean(truth) = value else { return self.wrong(key, span, value, "true or false") };
        Some(At { value: *truth, span })
    }

    /// A whole number within a range, both ends included.
    pub(super) fn integer(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<At<u64>> {
        let (value, span) = self.value(key)?;
        let DeValue::Integer(number) = value else {
            return self.wrong(key, span, value, "a whole number");
        };
        let parsed = u64::from_str_radix(number.as_str(), number.radix()).ok();
        if let Some(value) = parsed.filter(|value| range.contains(value)) {
            return Some(At { value, span });
        }
        let cause = Cause::BadValue {
            key: key.into(),
            value: number.as_str().into(),
            reason: "out of range".into(),
            wanted: format!("a number from {} to {}", range.start(), range.end()),
        };
        self.faults.push((span.start, cause));
        None
    }

    /// A table whose keys are free: name and string.
    pub(super) fn pairs(&mut self, key: &'static str) -> Vec<(At<String>, At<String>)> {
        let Some((value, span)) = self.value(key) else { return Vec::new() };
        let DeValue::Table(table) = value else {
            self.wrong::<()>(key, span, value, "a table: `{ \"name\" = \"value\" }`");
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, value) in table.iter() {
            if let DeValue::String(text) = value.get_ref() {
                pairs.push((
                    At { value: name.get_ref().to_string(), span: name.span() },
                    At { value: text.to_string(), span: value.span() },
                ));
            } else {
                self.wrong::<()>(name.get_ref(), value.span(), value.get_ref(), "a string in quotes");
            }
        }
        pairs
    }

    /// A table whose keys are free: name, and one string or an array of strings.
    pub(super) fn lists(&mut self, key: &'static str) -> Vec<(At<String>, Texts)> {
        let Some((value, span)) = self.value(key) else { return Vec::new() };
        let DeValue::Table(table) = value else {
            self.wrong::<()>(key, span, value, "a table: `{ \"name\" = [\"value\"] }`");
            return Vec::new();
        };
        let mut lists = Vec::new();
        for (name, value) in table.iter() {
            let texts = self.texts(name.get_ref(), value.get_ref(), value.span());
            let name = At { value: name.get_ref().to_string(), span: name.span() };
            lists.extend(texts.map(|texts| (name, texts)));
        }
        lists
    }

    /// A section of its own: `[key]`.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Self> {
        let (value, span) = self.value(key)?;
        let DeValue::Table(table) = value else {
            return self.wrong(key, span, value, "it as a section, once");
        };
        Some(Self::new(format!("[{key}]"), table, span))
    }

    /// Sections of their own: `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some((value, span)) = self.value(key) else { return Vec::new() };
        let DeValue::Array(elements) = value else {
            self.wrong::<()>(key, span, value, "it with two brackets: a list of sections");
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            if let DeValue::Table(table) = element.get_ref() {
                sections.push(Self::new(title(key, index, table), table, element.span()));
            } else {
                self.wrong::<()>(key, element.span(), element.get_ref(), "sections only");
            }
        }
        sections
    }

    /// Notes that a key is missing.
    pub(super) fn missing(&mut self, key: &'static str, example: &'static str) {
        let cause = Cause::MissingKey { key, section: self.title.clone(), example };
        self.faults.push((self.span.start, cause));
    }

    /// Refuses every key that was not asked for, and hands the faults over.
    pub(super) fn finish(mut self, source: &Source, faults: &mut Faults) {
        for (key, _) in self.table.iter() {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let cause = Cause::UnknownKey {
                key: name.escape_debug().to_string(),
                section: self.title.clone(),
                near: nearest(name, self.asked.iter().copied()),
                known: self.asked.clone(),
            };
            self.faults.push((key.span().start, cause));
        }
        for (offset, cause) in self.faults {
            faults.add(source, offset, cause);
        }
    }

    fn value(&mut self, key: &'static str) -> Option<(&'a DeValue<'a>, Range<usize>)> {
        self.asked.push(key);
        let value = self.table.get(key)?;
        Some((value.get_ref(), value.span()))
    }

    fn wrong<T>(
        &mut self,
        key: &str,
        span: Range<usize>,
        found: &DeValue<'_>,
        wanted: &'static str,
    ) -> Option<T> {
        let cause = Cause::WrongType { key: key.into(), found: found.type_str(), wanted };
        self.faults.push((span.start, cause));
        None
    }
}

/// `[[peers]] "bob"`, or `[[peers]] number 2` when it has no name.
fn title(key: &str, index: usize, table: &DeTable<'_>) -> String {
    match table.get("name").map(|name| name.get_ref()) {
        Some(DeValue::String(name)) => format!("[[{key}]] \"{}\"", name.escape_debug()),
        _ => format!("[[{key}]] number {}", index + 1),
    }
}
