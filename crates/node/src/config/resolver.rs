//! What all parts of resolving share: the faults found so far, and the checks of single values, names and
//! references. Called by resolve.rs, limits.rs and policies.rs. Never stops at a fault, reads no files, and
//! knows no section.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use hbone_tunnel::Way;

use super::fault::{Cause, Faults, nearest};
use super::source::{At, Position, Source};
use super::value;

/// What a resolver works with: the file for positions and relative paths, and the faults found so far.
pub(super) struct Resolver<'a> {
    pub(super) source: &'a Source,
    pub(super) faults: &'a mut Faults,
    /// The own trust domain, once the identity is loaded: callers and peers of another cannot be authenticated.
    pub(super) trust_domain: Option<String>,
}

/// The peers by name; none for one that is defined and faulty, so that references to it are not a second fault.
pub(super) type Peers = HashMap<String, Option<Way>>;

impl Resolver<'_> {
    /// Notes a fault at a place.
    pub(super) fn fault(&mut self, span: &Range<usize>, cause: Cause) {
        self.faults.add(self.source, span.start, cause);
    }

    /// The path of a file that is about to be read, and notes that the configuration is made of it.
    pub(super) fn file(&mut self, at: &At<String>) -> PathBuf {
        let path = self.source.folder().join(&at.value);
        self.faults.files_mut().add(&path);
        path
    }

    /// Reads a string as a type of its own.
    pub(super) fn parse<T>(&mut self, key: &str, at: &At<String>, wanted: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.checked(key, at, wanted, |text| text.parse::<T>())
    }

    /// Reads a string with a function of its own.
    pub(super) fn checked<T, E: Display>(
        &mut self,
        key: &str,
        at: &At<String>,
        wanted: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match read(&at.value) {
            Ok(value) => Some(value),
            Err(reason) => {
                let (key, value, reason) = (key.into(), at.value.clone(), reason.to_string());
                self.fault(&at.span, Cause::BadValue { key, value, reason, wanted: wanted.into() });
                None
            }
        }
    }

    /// Checks that names are plain and unique, and gives them back with their places.
    pub(super) fn names<'n>(
        &mut self,
        kind: &'static str,
        names: impl Iterator<Item = Option<&'n At<String>>>,
    ) -> HashMap<String, Position> {
        let mut seen = HashMap::new();
        for at in names.flatten() {
            self.checked("name", at, "a short name like \"web-1\"", |text| value::name(text).map(drop));
            let here = self.source.position(at.span.start);
            if let Some(first) = seen.get(&at.value) {
                let (name, first) = (at.value.clone(), *first);
                self.fault(&at.span, Cause::Duplicate { kind, name, first });
            } else {
                seen.insert(at.value.clone(), here);
            }
        }
        seen
    }

    /// Notes a fault when a name is not among those that exist.
    pub(super) fn reference<'n>(
        &mut self,
        kind: &'static str,
        at: &At<String>,
        known: impl Iterator<Item = &'n String>,
    ) -> bool {
        let mut known: Vec<String> = known.cloned().collect();
        if known.contains(&at.value) {
            return true;
        }
        known.sort();
        let near = nearest(&at.value, known.iter().map(String::as_str));
        self.fault(&at.span, Cause::NoSuch { kind, name: at.value.clone(), near, known });
        false
    }

    /// Refuses what names a foreign trust domain: the roots of `ca` speak for the own one only.
    pub(super) fn is_ours(&mut self, key: &str, at: &At<String>, named: &str) -> bool {
        let Some(own) = self.trust_domain.clone().filter(|own| own != named) else { return true };
        let reason = format!("nobody of the trust domain {named} can be authenticated here");
        let wanted = format!("an identity of the own trust domain, {own}");
        let (key, value) = (key.into(), at.value.clone());
        self.fault(&at.span, Cause::BadValue { key, value, reason, wanted });
        false
    }
}

pub(super) const ADDRESS: &str =
    "a host and a port like \"192.0.2.7:80\", \"[2001:db8::7]:80\" or \"web.example:80\"";
