//! Resolves `[[policies]]` and `[[routes]]`: who may reach what, and which peer leads where.
//! Called by resolve.rs. Decides nothing itself; the policy does.

use std::collections::HashMap;
use std::ops::Range;

use hbone_tunnel::{Action, Choice, Claim, Mode, PolicyError, Rule, Source as Who, Target};

use super::fault::Cause;
use super::kind::Kind;
use super::raw::{Raw, RawListener, RawPolicy, RawRoute};
use super::resolved::PeerRoute;
use super::resolver::{Peers, Resolver};
use super::source::{At, Position, Texts};

impl Resolver<'_> {
    /// The rules in the order of the file.
    pub(super) fn rules(&mut self, raw: &[RawPolicy], listeners: &HashMap<String, Position>) -> Vec<Rule> {
        self.names("policy", raw.iter().map(|policy| policy.name.as_ref()));
        raw.iter().filter_map(|policy| self.rule(policy, listeners)).collect()
    }

    fn rule(&mut self, raw: &RawPolicy, listeners: &HashMap<String, Position>) -> Option<Rule> {
        let action = raw.action.as_ref().and_then(|at| {
            self.checked("action", at, "\"allow\" or \"deny\"", |text| match text {
                "allow" => Ok(Action::Allow),
                "deny" => Ok(Action::Deny),
                _ => Err("there is no such action"),
            })
        });
        let mode = raw.mode.as_ref().map(|at| {
            self.checked("mode", at, "\"enforce\" or \"dry-run\"", |text| match text {
                "enforce" => Ok(Mode::Enforce),
                "dry-run" => Ok(Mode::DryRun),
                _ => Err("there is no such mode"),
            })
        });
        self.no_empty_list(raw);
        let sources = self.callers("from", raw.from.as_ref());
        let except = self.callers("except", raw.except.as_ref());
        let networks =
            self.choice(("source_ip", &raw.source_ip), ("not_source_ip", &raw.not_source_ip), NETWORK);
        let server_names = self.choice(("sni", &raw.sni), ("not_sni", &raw.not_sni), NAME);
        let mut known = |list: Option<&Texts>| -> Vec<String> {
            let names = list.map(|list| list.value.as_slice()).unwrap_or_default();
            let known = names.iter().filter(|at| self.reference("listener", at, listeners.keys()));
            known.map(|at| at.value.clone()).collect()
        };
        let listeners =
            Choice { only: known(raw.listener.as_ref()), except: known(raw.not_listener.as_ref()) };
        let targets = self.each::<Target>("to", raw.to.as_ref(), WHAT);
        let not_targets = self.each::<Target>("not_to", raw.not_to.as_ref(), WHAT);
        Some(Rule {
            name: raw.name.as_ref()?.value.clone(),
            action: action?,
            mode: mode.unwrap_or(Some(Mode::Enforce))?,
            anonymous: raw.without_identity.as_ref().is_some_and(|at| at.value),
            sources,
            except,
            networks,
            listeners,
            server_names,
            claims: claims(&raw.claims),
            not_claims: claims(&raw.not_claims),
            targets,
            not_targets,
        })
    }

    /// Only listeners of kind `h2c` have callers without an identity: a rule for them elsewhere never matches.
    pub(super) fn anonymous_where_there_are_some(&mut self, raw: &Raw) {
        let anonymous =
            raw.policies.iter().filter(|it| it.without_identity.as_ref().is_some_and(|at| at.value));
        for at in anonymous.filter_map(|policy| policy.listener.as_ref()).flat_map(|list| &list.value) {
            let named =
                raw.listeners.iter().find(|it| it.name.as_ref().is_some_and(|name| name.value == at.value));
            let kind = named.and_then(|listener| listener.kind.as_ref()).map(|kind| kind.value.as_str());
            if kind.is_some_and(|kind| kind != Kind::H2c.name()) {
                let (key, value) = ("listener".into(), at.value.clone());
                let reason = "every caller of that listener has an identity".into();
                let wanted = "a listener of kind \"h2c\" beside `without_identity`".into();
                self.fault(&at.span, Cause::BadValue { key, value, reason, wanted });
            }
        }
    }

    /// An empty list would mean "any", which is the contrary of what it looks like.
    fn no_empty_list(&mut self, raw: &RawPolicy) {
        let lists = [&raw.from, &raw.source_ip, &raw.listener, &raw.sni, &raw.to];
        let values = raw.claims.iter().chain(&raw.not_claims).map(|(_, values)| values);
        for list in lists.into_iter().flatten().chain(values).filter(|list| list.value.is_empty()) {
            let reason = "an empty list matches nothing, which is hardly meant";
            let remedy = "leave the key out to mean any, or remove the policy";
            self.fault(&list.span, Cause::Conflict { section: raw.title.clone(), reason, remedy });
        }
    }

    fn choice<T>(
        &mut self,
        (key, only): (&str, &Option<Texts>),
        (not_key, except): (&str, &Option<Texts>),
        wanted: &str,
    ) -> Choice<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let only = self.each(key, only.as_ref(), wanted);
        Choice { only, except: self.each(not_key, except.as_ref(), wanted) }
    }

    /// Callers, each of which must be one that can be authenticated here.
    fn callers(&mut self, key: &str, list: Option<&Texts>) -> Vec<Who> {
        let texts = list.map(|list| list.value.as_slice()).unwrap_or_default();
        let mut callers = Vec::new();
        for at in texts {
            let caller = self.parse::<Who>(key, at, WHO);
            callers.extend(
                caller
                    .filter(|caller| caller.trust_domain().is_none_or(|named| self.is_ours(key, at, named))),
            );
        }
        callers
    }

    fn each<T>(&mut self, key: &str, list: Option<&Texts>, wanted: &str) -> Vec<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let texts = list.map(|list| list.value.as_slice()).unwrap_or_default();
        texts.iter().filter_map(|at| self.parse(key, at, wanted)).collect()
    }

    /// The routes in the order of the file; the first that matches wins.
    pub(super) fn routes(
        &mut self,
        raw: &[RawRoute],
        listeners: &HashMap<String, Position>,
        peers: &Peers,
    ) -> Vec<PeerRoute> {
        raw.iter().filter_map(|route| self.route(route, listeners, peers)).collect()
    }

    /// `local` is for listeners that would else send on: those of kind `hbone`.
    pub(super) fn local_routes(&mut self, raw: &[RawRoute], listeners: &[RawListener]) {
        for route in raw {
            let Some(local) = &route.local else { continue };
            let named = |listener: &&RawListener| match (&listener.name, &route.listener) {
                (Some(own), Some(wanted)) => own.value == wanted.value,
                (None, _) | (_, None) => false,
            };
            let kind = listeners.iter().find(named).and_then(|listener| listener.kind.as_ref());
            let serves =
                kind.is_some_and(|kind| [Kind::Hbone, Kind::H2c].iter().any(|it| kind.value == it.name()));
            let (reason, remedy) = match (&route.peer, local.value) {
                (Some(_), _) => ("`local` and `peer` exclude each other", "remove one of them"),
                (None, false) => ("`local = false` leads nowhere", "name a `peer`, or write `local = true`"),
                (None, true) if !serves => (
                    "`local` is for listeners of kind \"hbone\", which dial destinations themselves",
                    "name such a listener, or a `peer`",
                ),
                (None, true) => continue,
            };
            self.fault(&local.span, Cause::Conflict { section: route.title.clone(), reason, remedy });
        }
    }

    fn route(
        &mut self,
        raw: &RawRoute,
        listeners: &HashMap<String, Position>,
        peers: &Peers,
    ) -> Option<PeerRoute> {
        let known = raw.listener.as_ref().is_none_or(|at| self.reference("listener", at, listeners.keys()));
        let destination = raw.destination.as_ref().map(|at| self.parse::<Target>("destination", at, WHAT));
        let peer = match &raw.peer {
            Some(at) => Some(self.reference("peer", at, peers.keys()).then(|| at.value.clone())?),
            None => {
                raw.local.as_ref()?;
                None
            }
        };
        let destination = match destination {
            Some(parsed) => Some(parsed?),
            None => None,
        };
        let listener = raw.listener.as_ref().map(|at| at.value.clone());
        known.then_some(PeerRoute { listener, destination, peer })
    }
}

/// A fault of the rules as a whole, shown at the policy that it names. What each rule says was checked before.
pub(super) fn fault(resolver: &mut Resolver<'_>, raw: &Raw, error: &PolicyError) {
    let (rule, wanted) = match error {
        PolicyError::NoName => ("", "a name for each policy".to_owned()),
        PolicyError::DuplicateName { rule } => (rule.as_str(), "another name for one of the two".to_owned()),
        PolicyError::ForeignTrustDomain { rule, local, .. } => {
            (rule.as_str(), format!("callers of the own trust domain, {local}"))
        }
        PolicyError::AnonymousIdentity { rule } => {
            (rule.as_str(), "no `from` and no `except` beside `without_identity`".to_owned())
        }
        PolicyError::AnonymousAnywhere { rule } => {
            (rule.as_str(), "`source_ip` and `listener` beside `without_identity`".to_owned())
        }
    };
    let named = |policy: &&RawPolicy| policy.name.as_ref().is_some_and(|name| name.value == rule);
    let span: Range<usize> = raw.policies.iter().find(named).map_or(0..0, |policy| policy.span.clone());
    let (key, value, reason) = ("name".to_owned(), rule.to_owned(), error.to_string());
    resolver.fault(&span, Cause::BadValue { key, value, reason, wanted });
}

fn claims(raw: &[(At<String>, Texts)]) -> Vec<Claim> {
    let texts = |values: &Texts| values.value.iter().map(|at| at.value.clone()).collect();
    raw.iter().map(|(name, values)| Claim { name: name.value.clone(), values: texts(values) }).collect()
}

const WHO: &str = "\"*\", \"spiffe://<trust domain>\", \"spiffe://<trust domain>/ns/<namespace>\", a whole identity or \
                   one that ends in `*`";
const NETWORK: &str = "an address or a network: \"10.0.0.0/8\", \"fd00::/8\"";
const NAME: &str = "a name in lower case: \"a.example\", \"*.example\"";
const WHAT: &str =
    "a host and a port or ports: \"10.0.0.0/8:80\", \"*.example:443\", \"127.0.0.1:8000-8010\"";
