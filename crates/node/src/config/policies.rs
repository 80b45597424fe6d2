//! Resolves `[[policies]]` and `[[routes]]`: who may reach what, and which peer leads where.
//! Called by resolve.rs. Decides nothing itself; the policy does.

use std::collections::HashMap;
use std::ops::Range;

use hbone_tunnel::{Action, PolicyError, Rule, Source as Who, Target};

use super::fault::Cause;
use super::kind::Kind;
use super::raw::{Raw, RawListener, RawPolicy, RawRoute};
use super::resolved::PeerRoute;
use super::resolver::{Peers, Resolver};
use super::source::{At, Position};

impl Resolver<'_> {
    /// The rules in the order of the file.
    pub(super) fn rules(&mut self, raw: &[RawPolicy]) -> Vec<Rule> {
        self.names("policy", raw.iter().map(|policy| policy.name.as_ref()));
        raw.iter().filter_map(|policy| self.rule(policy)).collect()
    }

    fn rule(&mut self, raw: &RawPolicy) -> Option<Rule> {
        let action = raw.action.as_ref().and_then(|at| {
            self.checked("action", at, "\"allow\" or \"deny\"", |text| match text {
                "allow" => Ok(Action::Allow),
                "deny" => Ok(Action::Deny),
                _ => Err("there is no such action"),
            })
        });
        let sources = self.callers("from", raw.from.as_ref());
        let except = self.callers("except", raw.except.as_ref());
        let targets = self.each::<Target>("to", raw.to.as_ref(), WHAT);
        self.not_empty(raw, "from", raw.from.as_ref());
        self.not_empty(raw, "to", raw.to.as_ref());
        Some(Rule { name: raw.name.as_ref()?.value.clone(), action: action?, sources, except, targets })
    }

    /// An empty list would mean "any", which is the contrary of what it looks like.
    fn not_empty(&mut self, raw: &RawPolicy, key: &'static str, list: Option<&At<Vec<At<String>>>>) {
        if let Some(list) = list.filter(|list| list.value.is_empty()) {
            let reason = if key == "from" { "`from` is an empty list" } else { "`to` is an empty list" };
            let remedy = "leave the key out to mean any, or remove the policy";
            self.fault(&list.span, Cause::Conflict { section: raw.title.clone(), reason, remedy });
        }
    }

    /// Callers, each of which must be one that can be authenticated here.
    fn callers(&mut self, key: &str, list: Option<&At<Vec<At<String>>>>) -> Vec<Who> {
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

    fn each<T>(&mut self, key: &str, list: Option<&At<Vec<At<String>>>>, wanted: &str) -> Vec<T>
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
            let serves = kind.is_some_and(|kind| kind.value == Kind::Hbone.name());
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
    };
    let named = |policy: &&RawPolicy| policy.name.as_ref().is_some_and(|name| name.value == rule);
    let span: Range<usize> = raw.policies.iter().find(named).map_or(0..0, |policy| policy.span.clone());
    let (key, value, reason) = ("name".to_owned(), rule.to_owned(), error.to_string());
    resolver.fault(&span, Cause::BadValue { key, value, reason, wanted });
}

const WHO: &str =
    "\"*\", \"spiffe://<trust domain>\", \"spiffe://<trust domain>/ns/<namespace>\" or a whole identity";
const WHAT: &str =
    "a host and a port or ports: \"10.0.0.0/8:80\", \"*.example:443\", \"127.0.0.1:8000-8010\"";
