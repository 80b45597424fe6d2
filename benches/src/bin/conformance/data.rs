//! The data files beside the page, and whether they agree with the tests. Renders nothing.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

/// Everything that people have written down.
pub(crate) struct Data {
    pub(crate) rules: Vec<Rule>,
    pub(crate) attacks: Vec<Attack>,
    pub(crate) differences: Vec<Difference>,
}

/// What an endpoint must do, in our words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    pub(crate) rfc: u32,
    pub(crate) section: String,
    pub(crate) name: String,
    pub(crate) role: String,
    /// MUST, MUST NOT, SHOULD, SHOULD NOT, MAY; `states`: without a keyword; `own`: stricter than the text.
    pub(crate) level: String,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) tests: Vec<String>,
    /// Why it does not concern this implementation.
    pub(crate) not_applicable: Option<String>,
}

impl Rule {
    /// Whether the text has MUST or MUST NOT.
    pub(crate) fn is_must(&self) -> bool {
        self.level.starts_with("MUST")
    }
}

/// A row of the list of attacks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attack {
    pub(crate) id: String,
    pub(crate) text: String,
    /// Tests that prove it under the name of a rule.
    #[serde(default)]
    pub(crate) also: Vec<String>,
}

/// What implementations do not do alike, and who is right.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Difference {
    /// The name of the case in the differential run.
    pub(crate) case: String,
    pub(crate) text: String,
    pub(crate) ours: String,
    pub(crate) nghttpd: String,
    pub(crate) h2: String,
    pub(crate) ruling: String,
}

#[derive(Deserialize)]
struct Rules {
    rule: Vec<Rule>,
}

#[derive(Deserialize)]
struct Attacks {
    attack: Vec<Attack>,
}

#[derive(Deserialize)]
struct Differences {
    difference: Vec<Difference>,
}

pub(crate) fn load(folder: &Path) -> Result<Data, String> {
    let rules: Rules = read(&folder.join("rules.toml"))?;
    let attacks: Attacks = read(&folder.join("attacks.toml"))?;
    let differences: Differences = read(&folder.join("differences.toml"))?;
    Ok(Data { rules: rules.rule, attacks: attacks.attack, differences: differences.difference })
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Finds rules that name tests which do not exist.
pub(crate) fn verify(data: &Data, tests: &BTreeSet<String>) -> Result<(), String> {
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    for rule in &data.rules {
        let id = format!("RFC {} {} {}", rule.rfc, rule.section, rule.name);
        if rule.not_applicable.is_some() && !rule.tests.is_empty() {
            faults.push(format!("{id} has tests and does not apply"));
        }
        for test in &rule.tests {
            if !tests.contains(test) {
                faults.push(format!("{id} names a test that does not exist: {test}"));
            }
        }
        if !ids.insert(id.clone()) {
            faults.push(format!("{id} is there twice"));
        }
    }
    for test in data.attacks.iter().flat_map(|attack| &attack.also) {
        if !tests.contains(test) {
            faults.push(format!("the list of attacks names a test that does not exist: {test}"));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}
