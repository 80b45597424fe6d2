//! Who may reach what: rules over the caller, the way it came, and the destination.
//!
//! Called by the inbound side for every tunnel, once before a name is resolved and once for every address it
//! resolves to, again when a configuration is replaced, and by `explain`. A pure function of its arguments: no
//! resolution, no clock, no logging.
//!
//! The order of decision: a deny rule that matches refuses; an allow rule that matches allows; a protected
//! destination ([`AddressClass`](crate::AddressClass)) is refused unless that rule names it; a caller without identity
//! is refused; else, if there is no allow rule at all, the caller must have the same trust domain and namespace as this
//! node. Dry-run rules decide nothing: [`Policy::rehearse`] tells what they would have done.

use std::collections::HashSet;
use std::fmt;

use crate::access::{Access, Guard};
use crate::denial::Denial;
use crate::identity::SpiffeId;
use crate::matcher::Source;
use crate::rule::{Action, Miss, Mode, Rule};

/// A checked list of rules.
#[derive(Clone, Debug)]
pub struct Policy {
    local: SpiffeId,
    rules: Vec<Rule>,
    /// Rules that end the default: allow rules that count, for callers with an identity.
    has_allow: bool,
}

/// A decision, and how each rule came out on the way to it.
#[derive(Clone, Debug)]
pub struct Trace<'a> {
    /// As [`Policy::decide`] gives it.
    pub decision: Decision,
    /// Every rule in the order of the file, and what it asked for and did not get.
    pub rules: Vec<(&'a Rule, Result<(), Miss>)>,
}

/// What a dry-run rule would have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// The rule.
    pub rule: String,
    /// What it would have done.
    pub action: Action,
    /// The tunnel would have been allowed where it is refused, or the other way round.
    pub differs: bool,
}

impl Policy {
    /// The policy of a node with the identity `local`. Without rules it allows callers of the same trust
    /// domain and namespace.
    ///
    /// # Errors
    /// The first rule that cannot be meant: its name is empty or taken, it names a trust domain whose callers can
    /// never be authenticated here, or it is for callers without identity and names identities or lets everybody in.
    pub fn new(local: &SpiffeId, rules: Vec<Rule>) -> Result<Self, PolicyError> {
        let mut names = HashSet::new();
        for rule in &rules {
            let name = || rule.name.clone();
            if rule.name.is_empty() {
                return Err(PolicyError::NoName);
            }
            if !names.insert(rule.name.as_str()) {
                return Err(PolicyError::DuplicateName { rule: name() });
            }
            let mut named = rule.sources.iter().chain(&rule.except).filter_map(Source::trust_domain);
            if let Some(domain) = named.find(|domain| *domain != local.trust_domain()) {
                let (named, local) = (domain.to_owned(), local.trust_domain().to_owned());
                return Err(PolicyError::ForeignTrustDomain { rule: name(), named, local });
            }
            if rule.anonymous && !(rule.sources.is_empty() && rule.except.is_empty()) {
                return Err(PolicyError::AnonymousIdentity { rule: name() });
            }
            let open = rule.networks.only.is_empty() || rule.listeners.only.is_empty();
            if rule.anonymous && rule.action == Action::Allow && open {
                return Err(PolicyError::AnonymousAnywhere { rule: name() });
            }
        }
        let ends_default =
            |it: &Rule| it.action == Action::Allow && it.mode == Mode::Enforce && !it.anonymous;
        let has_allow = rules.iter().any(ends_default);
        Ok(Self { local: local.clone(), rules, has_allow })
    }

    /// Decides about one tunnel.
    pub fn decide(&self, access: &Access<'_>) -> Decision {
        let guard = Guard::of(access);
        let guard = guard.as_ref();
        if let Some(rule) = self.first(Action::Deny, Mode::Enforce, access, guard) {
            return Decision::Deny(Denial::Rule { rule: rule.name.clone() });
        }
        if let Some(rule) = self.first(Action::Allow, Mode::Enforce, access, guard) {
            return Decision::Allow { rule: rule.name.clone() };
        }
        match (access.source, guard) {
            (None, _) => Decision::Deny(Denial::NoIdentity),
            (Some(_), Some(guard)) => Decision::Deny(Denial::Protected { class: guard.class }),
            (Some(source), None) => self.fall_back(source),
        }
    }

    /// The first dry-run rule that would have had a say, given what is decided without it.
    pub fn rehearse(&self, access: &Access<'_>, decision: &Decision) -> Option<Rehearsal> {
        let guard = Guard::of(access);
        let first = |action| self.first(action, Mode::DryRun, access, guard.as_ref());
        let (rule, differs) = match first(Action::Deny) {
            Some(rule) => (rule, decision.allowed()),
            // A deny rule that counts goes before any allow rule.
            None => (
                first(Action::Allow)?,
                !decision.allowed() && !matches!(decision, Decision::Deny(Denial::Rule { .. })),
            ),
        };
        Some(Rehearsal { rule: rule.name.clone(), action: rule.action, differs })
    }

    /// Decides as [`Policy::decide`] does, and tells of every rule how it came out.
    pub fn explain(&self, access: &Access<'_>) -> Trace<'_> {
        let guard = Guard::of(access);
        let rules = self.rules.iter().map(|rule| (rule, rule.judge(access, guard.as_ref()))).collect();
        Trace { decision: self.decide(access), rules }
    }

    /// The deny rules of this policy, and one rule that allows; nothing else is allowed.
    ///
    /// # Errors
    /// As [`Policy::new`].
    pub(crate) fn narrowed(&self, allow: Rule) -> Result<Self, PolicyError> {
        let denied = self.rules.iter().filter(|rule| rule.action == Action::Deny).cloned();
        Self::new(&self.local, denied.chain([allow]).collect())
    }

    /// The identity of the node that this policy protects.
    pub const fn local(&self) -> &SpiffeId {
        &self.local
    }

    /// The first rule of a kind that matches.
    fn first(&self, action: Action, mode: Mode, access: &Access<'_>, guard: Option<&Guard>) -> Option<&Rule> {
        let mut rules = self.rules.iter().filter(|rule| rule.action == action && rule.mode == mode);
        rules.find(|rule| rule.judge(access, guard).is_ok())
    }

    fn fall_back(&self, source: &SpiffeId) -> Decision {
        if self.has_allow {
            Decision::Deny(Denial::NoRule)
        } else if self.local.is_neighbour(source) {
            Decision::Allow { rule: DEFAULT_RULE.to_owned() }
        } else {
            let namespace = self.local.namespace().to_owned();
            Decision::Deny(Denial::Default { trust_domain: self.local.trust_domain().to_owned(), namespace })
        }
    }
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed by the rule of this name (`default` when no allow rule is configured).
    Allow {
        /// The rule that decided.
        rule: String,
    },
    /// Refused.
    Deny(Denial),
}

impl Decision {
    /// Whether the tunnel may stand.
    pub const fn allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow { rule } => write!(f, "allowed by rule '{rule}'"),
            Self::Deny(denial) => write!(f, "denied: {denial}"),
        }
    }
}

/// Why a list of rules is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// A rule without a name.
    NoName,
    /// Two rules of one name.
    DuplicateName {
        /// The name.
        rule: String,
    },
    /// A rule names a trust domain other than this node's: its callers cannot be authenticated here.
    ForeignTrustDomain {
        /// The rule.
        rule: String,
        /// The trust domain that it names.
        named: String,
        /// This node's trust domain.
        local: String,
    },
    /// A rule for callers without identity names identities.
    AnonymousIdentity {
        /// The rule.
        rule: String,
    },
    /// An allow rule for callers without identity does not say which networks and which listeners.
    AnonymousAnywhere {
        /// The rule.
        rule: String,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => f.write_str("every rule needs a name"),
            Self::DuplicateName { rule } => write!(f, "two rules are named '{rule}'"),
            Self::ForeignTrustDomain { rule, named, local } => write!(
                f,
                "rule '{rule}' names trust domain {named}, but callers are authenticated in {local} only"
            ),
            Self::AnonymousIdentity { rule } => {
                write!(f, "rule '{rule}' is for callers without identity, and names identities")
            }
            Self::AnonymousAnywhere { rule } => write!(
                f,
                "rule '{rule}' allows callers without identity: it must say from which networks and by which listeners"
            ),
        }
    }
}

impl std::error::Error for PolicyError {}

/// The name under which the default decides.
const DEFAULT_RULE: &str = "default";

#[cfg(test)]
mod tests;
