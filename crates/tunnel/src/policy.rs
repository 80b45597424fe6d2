//! Who may reach what: rules over the caller's identity and the destination.
//!
//! Called by the inbound side for every tunnel, once before a name is resolved and once for every address it
//! resolves to, and by `explain`. A pure function of its arguments: no resolution, no clock, no logging.
//!
//! The order of decision: no identity is refused; a deny rule that matches refuses; an allow rule that
//! matches allows; else, if there is no allow rule at all, the caller must have the same trust domain and
//! namespace as this node. A protected destination ([`AddressClass`]) is allowed only by a rule that names it.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;

use crate::authority::Authority;
use crate::identity::SpiffeId;
use crate::matcher::{Source, Target};
use crate::network::{AddressClass, canonical, protected};

/// What a rule does when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The tunnel is allowed, unless another rule denies it.
    Allow,
    /// The tunnel is refused, whatever the other rules say.
    Deny,
}

/// A rule: it matches when the caller is one of `sources` and none of `except`, and the destination is one
/// of `targets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as decisions and logs show it. Not empty, and of one rule only.
    pub name: String,
    /// What it does.
    pub action: Action,
    /// Callers it is for; empty means every caller with an identity.
    pub sources: Vec<Source>,
    /// Callers it is not for.
    pub except: Vec<Source>,
    /// Destinations it is for; empty means every destination that is not protected.
    pub targets: Vec<Target>,
}

/// A checked list of rules.
#[derive(Clone, Debug)]
pub struct Policy {
    local: SpiffeId,
    rules: Vec<Rule>,
    has_allow: bool,
}

impl Policy {
    /// The policy of a node with the identity `local`. Without rules it allows callers of the same trust
    /// domain and namespace.
    ///
    /// # Errors
    /// The first rule that cannot be meant: its name is empty or taken, or it names a trust domain whose
    /// callers can never be authenticated here.
    pub fn new(local: &SpiffeId, rules: Vec<Rule>) -> Result<Self, PolicyError> {
        let mut names = HashSet::new();
        for rule in &rules {
            if rule.name.is_empty() {
                return Err(PolicyError::NoName);
            }
            if !names.insert(rule.name.as_str()) {
                return Err(PolicyError::DuplicateName { rule: rule.name.clone() });
            }
            let mut named = rule.sources.iter().chain(&rule.except).filter_map(Source::trust_domain);
            if let Some(domain) = named.find(|domain| *domain != local.trust_domain()) {
                return Err(PolicyError::ForeignTrustDomain {
                    rule: rule.name.clone(),
                    named: domain.to_owned(),
                    local: local.trust_domain().to_owned(),
                });
            }
        }
        let has_allow = rules.iter().any(|rule| rule.action == Action::Allow);
        Ok(Self { local: local.clone(), rules, has_allow })
    }

    /// Decides about one tunnel.
    pub fn decide(&self, access: &Access<'_>) -> Decision {
        let Some(source) = access.source else { return Decision::Deny(Denial::NoIdentity) };
        let address = access.known_address();
        let applies = |rule: &Rule| {
            (rule.sources.is_empty() || rule.sources.iter().any(|s| s.matches(source)))
                && !rule.except.iter().any(|s| s.matches(source))
        };
        for rule in self.rules.iter().filter(|rule| rule.action == Action::Deny && applies(rule)) {
            let hit = |target: &Target| target.denies(access.authority, address);
            if rule.targets.is_empty() || rule.targets.iter().any(hit) {
                return Decision::Deny(Denial::Rule { rule: rule.name.clone() });
            }
        }
        let guard = Guard::of(access);
        let unknowable = access.onward && address.is_none();
        for rule in self.rules.iter().filter(|rule| rule.action == Action::Allow && applies(rule)) {
            let hit = |target: &&Target| {
                target.allows(access.authority, address) && !(unknowable && target.network().is_some())
            };
            let mut matching = rule.targets.iter().filter(hit);
            let allowed = match &guard {
                None => rule.targets.is_empty() || matching.next().is_some(),
                Some(guard) => matching.any(|target| guard.is_named_by(target)),
            };
            if allowed {
                return Decision::Allow { rule: rule.name.clone() };
            }
        }
        match guard {
            Some(guard) => Decision::Deny(Denial::Protected { class: guard.class }),
            None => self.fall_back(source),
        }
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

/// What a policy is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The caller, if it was authenticated.
    pub source: Option<&'a SpiffeId>,
    /// The destination as the caller asked for it.
    pub authority: &'a Authority,
    /// The address that would be dialled; `None` while a name is not resolved: then a network in an allow
    /// rule counts as matching, and the question is asked again for each address.
    pub address: Option<IpAddr>,
    /// The destination is a listener of this node.
    pub own_listener: bool,
    /// It is sent on to another node as it was asked for. A name is then resolved by nobody here, so a network in an
    /// allow rule does not match it.
    pub onward: bool,
}

impl Access<'_> {
    /// The address, in the form in which it is dialled.
    fn known_address(&self) -> Option<IpAddr> {
        self.address.or_else(|| self.authority.address().map(|address| address.ip())).map(canonical)
    }
}

/// A protected destination, and what a rule's target must be to name it.
struct Guard {
    class: AddressClass,
    access_port: u16,
    address: Option<IpAddr>,
    own: bool,
    localhost: bool,
}

impl Guard {
    fn of(access: &Access<'_>) -> Option<Self> {
        let address = access.known_address();
        let class = if access.own_listener {
            Some(AddressClass::OwnListener)
        } else {
            address.and_then(|ip| protected(ip).next()).map(|(class, _)| class)
        };
        let localhost =
            access.authority.host().to_string() == LOCALHOST && class == Some(AddressClass::Loopback);
        let (own, access_port) = (access.own_listener, access.authority.port());
        class.map(|class| Self { class, access_port, address, own, localhost })
    }

    fn is_named_by(&self, target: &Target) -> bool {
        if self.own {
            // A loop must be asked for with address and port.
            return target.is_endpoint(self.access_port);
        }
        if self.localhost && target.is_name(LOCALHOST) {
            return true;
        }
        let Some(network) = target.network() else { return false };
        self.address.is_some_and(|ip| protected(ip).all(|(_, class)| class.covers(&network)))
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

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIdentity => {
                f.write_str("the caller has no identity; give it a certificate with a spiffe:// URI")
            }
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
        }
    }
}

impl std::error::Error for PolicyError {}

/// The name under which the default decides.
const DEFAULT_RULE: &str = "default";
const LOCALHOST: &str = "localhost";

#[cfg(test)]
mod tests;
