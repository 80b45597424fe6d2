//! Why a policy refuses, in words that name the next step.
//!
//! Made by the policy, told in logs and by `explain`. Callers of the network see a status only.

use std::fmt;

use crate::network::AddressClass;

/// Why a policy refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The caller has no identity.
    NoIdentity,
    /// A deny rule matches.
    Rule {
        /// The rule that decided.
        rule: String,
    },
    /// There are allow rules, and none matches.
    NoRule,
    /// There is no allow rule, and the caller is of another trust domain or namespace.
    Default {
        /// The trust domain that the default asks for.
        trust_domain: String,
        /// The namespace that the default asks for.
        namespace: String,
    },
    /// The destination is of a protected class, and no rule names it.
    Protected {
        /// The class.
        class: AddressClass,
    },
}

impl Denial {
    /// The rule that denies it, if it was one.
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Rule { rule } => Some(rule),
            Self::NoIdentity | Self::NoRule | Self::Default { .. } | Self::Protected { .. } => None,
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIdentity => f.write_str(
                "the caller has no identity, and no rule with `without_identity` lets it through; \
                     add one, or give it a certificate with a spiffe:// URI",
            ),
            Self::Rule { rule } => {
                write!(f, "rule '{rule}' denies it; except the caller there if it shall pass")
            }
            Self::NoRule => {
                f.write_str("no allow rule matches caller and destination; add one that names both")
            }
            Self::Default { trust_domain, namespace } => write!(
                f,
                "without allow rules only callers of trust domain {trust_domain}, namespace {namespace} may pass; \
                 add a rule that names the caller"
            ),
            Self::Protected { class } => {
                write!(f, "the destination is protected ({class}): an allow rule must name its address")
            }
        }
    }
}
