//! What a token says of its bearer: claims by name, each with its values.
//!
//! Filled in by whoever has verified the token; read by the policy. Verifies nothing.

use std::collections::BTreeMap;

/// Claims by name. A claim that is one value is a list of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims(BTreeMap<String, Vec<String>>);

impl Claims {
    /// Claims of a token whose signature, audience and times were verified.
    pub const fn new(claims: BTreeMap<String, Vec<String>>) -> Self {
        Self(claims)
    }

    /// The values of a claim; none when it is not there.
    pub fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A claim that a rule asks for: one of some values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Its name.
    pub name: String,
    /// One of these is enough.
    pub values: Vec<String>,
}

impl Claim {
    /// Whether the bearer has it.
    pub(crate) fn is_met(&self, claims: &Claims) -> bool {
        claims.values(&self.name).iter().any(|value| self.values.contains(value))
    }
}
