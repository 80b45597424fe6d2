//! What can be wrong with a configuration: one variant per cause, each with what is wrong and what to do.
//! Collected by the reader and the resolver, printed by `check` and `run`. Never carries key material.

use std::fmt;
use std::path::PathBuf;

use super::files::Files;
use super::source::{Position, Source};
use crate::certs::CertificateError;

/// One fault of a configuration file and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file that the fault is in.
    pub file: PathBuf,
    /// Its place; none when the fault is about the file as a whole.
    pub position: Option<Position>,
    /// What is wrong.
    pub cause: Cause,
}

/// Every fault that was found, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    list: Vec<Fault>,
    files: Files,
}

/// What is wrong with one place of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The file cannot be read.
    Unreadable {
        /// What the operating system said.
        reason: String,
    },
    /// The text is not TOML.
    Syntax {
        /// What the parser said.
        message: String,
    },
    /// A key that no one reads.
    UnknownKey {
        /// The key as written.
        key: String,
        /// The section it stands in.
        section: String,
        /// The known key that is nearest to it.
        near: Option<String>,
        /// Every key that is known there.
        known: Vec<&'static str>,
    },
    /// A key that must be there and is not.
    MissingKey {
        /// The key.
        key: &'static str,
        /// The section it belongs to.
        section: String,
        /// An example value.
        example: &'static str,
    },
    /// A section that must be there and is not.
    MissingSection {
        /// The section.
        section: &'static str,
        /// What stands in it.
        example: &'static str,
    },
    /// A value of another TOML type than the key takes.
    WrongType {
        /// The key.
        key: String,
        /// The type found.
        found: &'static str,
        /// The type wanted.
        wanted: &'static str,
    },
    /// A value of the right type that does not mean anything.
    BadValue {
        /// The key.
        key: String,
        /// The value as written.
        value: String,
        /// Why it is refused.
        reason: String,
        /// What to write instead.
        wanted: String,
    },
    /// Two keys that exclude each other.
    Conflict {
        /// The section.
        section: String,
        /// What excludes what.
        reason: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A key that this kind of listener has no use for.
    Misplaced {
        /// The key.
        key: &'static str,
        /// The section.
        section: String,
        /// What to do about it.
        remedy: String,
    },
    /// A name that is used and not defined.
    NoSuch {
        /// What kind of thing is named: `peer`, `listener`.
        kind: &'static str,
        /// The name that does not exist.
        name: String,
        /// The nearest existing name.
        near: Option<String>,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A name that is defined twice.
    Duplicate {
        /// What kind of thing.
        kind: &'static str,
        /// The name.
        name: String,
        /// Where it was defined first.
        first: Position,
    },
    /// A capture listener that strangers can reach, without being told so.
    UnsafeBind {
        /// The address.
        bind: String,
    },
    /// A certificate, key or root file that cannot be used.
    Certificate(CertificateError),
}

impl Faults {
    /// Adds one.
    pub fn push(&mut self, fault: Fault) {
        self.list.push(fault);
    }

    /// Adds a fault at an octet offset of a source.
    pub fn add(&mut self, source: &Source, offset: usize, cause: Cause) {
        let position = Some(source.position(offset));
        self.list.push(Fault { file: source.path().to_path_buf(), position, cause });
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Every fault, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }

    /// The files that were looked into for them, each as it was before.
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// The same, for those who look into another.
    pub(super) const fn files_mut(&mut self) -> &mut Files {
        &mut self.files
    }

    /// Puts them in the order of the file.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|fault| fault.position);
    }
}

impl Cause {
    /// What to do about it, in the imperative, without a full stop.
    pub fn remedy(&self) -> String {
        match self {
            Self::Unreadable { .. } => "check the path and its permissions".into(),
            Self::Syntax { .. } => "correct the TOML at this place".into(),
            Self::UnknownKey { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownKey { known, .. } => format!("remove it; known here: {}", list(known)),
            Self::MissingKey { key, example, .. } => format!("add `{key} = {example}`"),
            Self::MissingSection { section, example } => format!("add `{section}` with {example}"),
            Self::WrongType { wanted, .. } => format!("write {wanted}"),
            Self::BadValue { wanted, .. } => format!("write {wanted}"),
            Self::Conflict { remedy, .. } => (*remedy).into(),
            Self::Misplaced { remedy, .. } => remedy.clone(),
            Self::NoSuch { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::NoSuch { kind, name, known, .. } if known.is_empty() => {
                format!("add a `[[{kind}s]]` section with `name = \"{name}\"`")
            }
            Self::NoSuch { known, .. } => format!("use one that exists: {}", list(known)),
            Self::Duplicate { .. } => "give one of them another name".into(),
            Self::UnsafeBind { .. } => {
                "bind to 127.0.0.1 or ::1, or say `allow_remote = true` if strangers shall use your identity"
                    .into()
            }
            Self::Certificate(error) => error.remedy(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { reason } => write!(f, "cannot read the file: {reason}"),
            Self::Syntax { message } => write!(f, "not TOML: {message}"),
            Self::UnknownKey { key, section, .. } => write!(f, "unknown key `{key}` in {section}"),
            Self::MissingKey { key, section, .. } => write!(f, "{section} has no `{key}`"),
            Self::MissingSection { section, .. } => write!(f, "the file has no section `{section}`"),
            Self::WrongType { key, found, .. } => write!(f, "`{key}` is of type {found}"),
            Self::BadValue { key, value, reason, .. } => {
                write!(f, "`{key} = {}`: {reason}", value.escape_debug())
            }
            Self::Conflict { section, reason, .. } => write!(f, "{section}: {reason}"),
            Self::Misplaced { key, section, .. } => write!(f, "`{key}` has no meaning in {section}"),
            Self::NoSuch { kind, name, .. } => write!(f, "there is no {kind} `{}`", name.escape_debug()),
            Self::Duplicate { kind, name, first } => {
                write!(f, "the {kind} `{}` is already defined at {first}", name.escape_debug())
            }
            Self::UnsafeBind { bind } => write!(f, "{bind} is reachable by other machines"),
            Self::Certificate(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(position) = self.position {
            write!(f, "{position}:")?;
        }
        write!(f, " {}; {}", self.cause, self.cause.remedy())
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// The names, each in backquotes, joined by commas.
fn list(names: &[impl AsRef<str>]) -> String {
    names.iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// The known name that is nearest to a written one, when it is near enough to be meant.
pub(super) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(written, name), name))
        .filter(|(similarity, name)| *similarity > 0.8 || strsim::damerau_levenshtein(written, name) < 2)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name.to_owned())
}
