//! One rule of a policy: what it asks of a tunnel, and whether a tunnel meets it.
//!
//! Built by the configuration, asked by the policy. A pure function of its arguments. Every question has an answer
//! for a fact that is not known: an allow rule then does not match, and a deny rule matches unless it asks for it.

use std::fmt;

use crate::access::{Access, Guard};
use crate::claims::Claim;
use crate::matcher::{ServerName, Source, Target};
use crate::network::{AddressClass, Network, canonical};

/// What a rule does when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The tunnel is allowed, unless another rule denies it.
    Allow,
    /// The tunnel is refused, whatever the other rules say.
    Deny,
}

/// Whether a rule counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It decides nothing; what it would have done is told.
    DryRun,
}

/// The values that a rule is for, and those that it is not for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice<T> {
    /// It must be one of these; empty means any.
    pub only: Vec<T>,
    /// It must be none of these.
    pub except: Vec<T>,
}

/// A rule: it matches when everything that it asks for is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as decisions and logs show it. Not empty, and of one rule only.
    pub name: String,
    /// What it does.
    pub action: Action,
    /// Whether it counts.
    pub mode: Mode,
    /// It is for callers without an identity, and for no others. Such an allow rule names listeners and networks.
    pub anonymous: bool,
    /// Callers it is for; empty means every caller with an identity.
    pub sources: Vec<Source>,
    /// Callers it is not for.
    pub except: Vec<Source>,
    /// Networks that the caller comes from.
    pub networks: Choice<Network>,
    /// Listeners by name.
    pub listeners: Choice<String>,
    /// Names that the caller gave in its ClientHello.
    pub server_names: Choice<ServerName>,
    /// Claims of the caller's token, all of which it must have.
    pub claims: Vec<Claim>,
    /// Claims of which it must have none.
    pub not_claims: Vec<Claim>,
    /// Destinations it is for; empty means every destination that is not protected.
    pub targets: Vec<Target>,
    /// Destinations it is not for.
    pub not_targets: Vec<Target>,
}

/// The first thing that a rule asks for and a tunnel has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Miss {
    /// The caller has no identity.
    NoIdentity,
    /// It is for callers without identity.
    Identity,
    /// The caller is none of those it is for.
    Caller,
    /// The caller is excepted.
    CallerExcepted,
    /// The caller's address.
    Network,
    /// The caller's address is excepted.
    NetworkExcepted,
    /// The listener.
    Listener,
    /// The listener is excepted.
    ListenerExcepted,
    /// The name of the ClientHello.
    ServerName,
    /// The name of the ClientHello is excepted, or there is none.
    ServerNameExcepted,
    /// A claim that it asks for.
    Claim,
    /// A claim that it excepts, or no token.
    ClaimExcepted,
    /// The destination.
    Target,
    /// The destination is excepted.
    TargetExcepted,
    /// The destination is protected, and the rule does not name its address.
    Protected(AddressClass),
}

impl<T> Default for Choice<T> {
    fn default() -> Self {
        Self { only: Vec::new(), except: Vec::new() }
    }
}

/// How a value stands to a choice.
enum Fit {
    Inside,
    Outside,
    Excepted,
}

impl<T> Choice<T> {
    fn fit<V: Copy>(&self, deny: bool, value: Option<V>, same: impl Fn(&T, V) -> bool) -> Fit {
        match value {
            Some(value) if !self.only.is_empty() && !self.only.iter().any(|it| same(it, value)) => {
                Fit::Outside
            }
            Some(value) if self.except.iter().any(|it| same(it, value)) => Fit::Excepted,
            Some(_) => Fit::Inside,
            None if !self.only.is_empty() => Fit::Outside,
            None if !self.except.is_empty() && !deny => Fit::Excepted,
            None => Fit::Inside,
        }
    }
}

impl Fit {
    const fn or(self, outside: Miss, excepted: Miss) -> Result<(), Miss> {
        match self {
            Self::Inside => Ok(()),
            Self::Outside => Err(outside),
            Self::Excepted => Err(excepted),
        }
    }
}

impl Rule {
    /// A rule for every caller with an identity and every destination that is not protected.
    pub fn new(name: &str, action: Action) -> Self {
        Self {
            name: name.to_owned(),
            action,
            mode: Mode::Enforce,
            anonymous: false,
            sources: Vec::new(),
            except: Vec::new(),
            networks: Choice::default(),
            listeners: Choice::default(),
            server_names: Choice::default(),
            claims: Vec::new(),
            not_claims: Vec::new(),
            targets: Vec::new(),
            not_targets: Vec::new(),
        }
    }

    /// Whether a tunnel is one that this rule is for; else what is in the way first.
    pub(crate) fn judge(&self, access: &Access<'_>, guard: Option<&Guard>) -> Result<(), Miss> {
        let deny = self.action == Action::Deny;
        self.judge_caller(access, deny)?;
        let from = access.from.map(canonical);
        self.networks
            .fit(deny, from, |network, ip| network.contains(ip))
            .or(Miss::Network, Miss::NetworkExcepted)?;
        self.listeners
            .fit(deny, Some(access.listener), |name, listener| name == listener)
            .or(Miss::Listener, Miss::ListenerExcepted)?;
        self.server_names
            .fit(deny, access.server_name, ServerName::matches)
            .or(Miss::ServerName, Miss::ServerNameExcepted)?;
        self.judge_claims(access, deny)?;
        if deny { self.judge_denied(access) } else { self.judge_allowed(access, guard) }
    }

    fn judge_caller(&self, access: &Access<'_>, deny: bool) -> Result<(), Miss> {
        match access.source {
            Some(_) if self.anonymous => Err(Miss::Identity),
            Some(source) => {
                if !self.sources.is_empty() && !self.sources.iter().any(|it| it.matches(source)) {
                    Err(Miss::Caller)
                } else if self.except.iter().any(|it| it.matches(source)) {
                    Err(Miss::CallerExcepted)
                } else {
                    Ok(())
                }
            }
            None if self.anonymous => Ok(()),
            // Nobody is not "anyone but": what is allowed to all others is not allowed to it, what is denied to all
            // others is.
            None if deny && self.sources.is_empty() => Ok(()),
            None => Err(Miss::NoIdentity),
        }
    }

    fn judge_claims(&self, access: &Access<'_>, deny: bool) -> Result<(), Miss> {
        match access.claims {
            Some(claims) if !self.claims.iter().all(|claim| claim.is_met(claims)) => Err(Miss::Claim),
            Some(claims) if self.not_claims.iter().any(|claim| claim.is_met(claims)) => {
                Err(Miss::ClaimExcepted)
            }
            Some(_) => Ok(()),
            None if !self.claims.is_empty() => Err(Miss::Claim),
            None if !self.not_claims.is_empty() && !deny => Err(Miss::ClaimExcepted),
            None => Ok(()),
        }
    }

    fn judge_denied(&self, access: &Access<'_>) -> Result<(), Miss> {
        let (authority, address) = (access.authority, access.known_address());
        if !self.targets.is_empty() && !self.targets.iter().any(|it| it.denies(authority, address)) {
            return Err(Miss::Target);
        }
        // While the address may still be known later, so may the exception.
        let unknowable = access.is_unknowable();
        let excepted = |it: &Target| it.allows(authority, address) && !(unknowable && it.network().is_some());
        if self.not_targets.iter().any(excepted) { Err(Miss::TargetExcepted) } else { Ok(()) }
    }

    fn judge_allowed(&self, access: &Access<'_>, guard: Option<&Guard>) -> Result<(), Miss> {
        let (authority, address) = (access.authority, access.known_address());
        let unknowable = access.is_unknowable();
        let hit = |it: &&Target| it.allows(authority, address) && !(unknowable && it.network().is_some());
        let mut matching = self.targets.iter().filter(hit).peekable();
        if !self.targets.is_empty() && matching.peek().is_none() {
            return Err(Miss::Target);
        }
        if let Some(guard) = guard
            && !matching.any(|target| guard.is_named_by(target))
        {
            return Err(Miss::Protected(guard.class));
        }
        let excepted =
            |it: &Target| it.denies(authority, address) || (unknowable && it.allows(authority, None));
        if self.not_targets.iter().any(excepted) { Err(Miss::TargetExcepted) } else { Ok(()) }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        })
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoIdentity => "the caller has no identity",
            Self::Identity => "it is for callers without identity",
            Self::Caller => "the caller is none of `from`",
            Self::CallerExcepted => "the caller is one of `except`",
            Self::Network => "the caller's address is not known or in none of `source_ip`",
            Self::NetworkExcepted => "the caller's address is not known or in one of `not_source_ip`",
            Self::Listener => "the listener is none of `listener`",
            Self::ListenerExcepted => "the listener is one of `not_listener`",
            Self::ServerName => "the caller gave none of the names in `sni`",
            Self::ServerNameExcepted => "the caller gave no name, or one of `not_sni`",
            Self::Claim => "the caller has no token with all of `claims`",
            Self::ClaimExcepted => "the caller has no token, or one with some of `not_claims`",
            Self::Target => "the destination is none of `to`",
            Self::TargetExcepted => "the destination is one of `not_to`",
            Self::Protected(class) => {
                return write!(
                    f,
                    "the destination is protected ({class}), and `to` does not name its address"
                );
            }
        })
    }
}

#[cfg(test)]
mod tests;
