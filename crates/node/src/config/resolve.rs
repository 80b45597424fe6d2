//! From what was written to what it means: names become references, strings become types, defaults are filled
//! in, files are loaded. Every fault is reported, none stops the search for more. Called by mod.rs.

use std::sync::Arc;

use hbone_tunnel::{Identity, Policy};

use super::fault::{Cause, Faults};
use super::kind::Kind;
use super::limits;
use super::listeners::Known;
use super::raw::{Raw, RawIdentity, RawNode};
use super::resolved::{Capture, MARK, Resolved};
use super::resolver::Resolver;
use super::source::Source;
use super::{policies, value};
use crate::certs::{self, Paths};

/// Resolves a whole file at the time `now` (seconds since 1970 in UTC); none when anything is wrong.
pub(super) fn resolve(raw: &Raw, source: &Source, now: i64, faults: &mut Faults) -> Option<Resolved> {
    let mut resolver = Resolver { source, faults, trust_domain: None };
    let name = resolver.node_name(&raw.node);
    let baggage = resolver.baggage(&raw.node);
    let identity = resolver.identity(raw.identity.as_ref(), now);
    resolver.trust_domain = identity.as_ref().map(|own| own.identity.id().trust_domain().to_owned());
    let network = resolver.network(&raw.node);
    let peers = resolver.peers(&raw.peers, network.as_deref());
    let listeners = resolver.names("listener", raw.listeners.iter().map(|it| it.name.as_ref()));
    let routes = resolver.routes(&raw.routes, &listeners, &peers);
    resolver.local_routes(&raw.routes, &raw.listeners);
    let known = Known { peers: &peers, routes: &routes, now };
    let (captures, inbounds) = resolver.listeners(&raw.listeners, known);
    let is_captured = |it: &Capture| matches!(it.kind, Kind::Redirect | Kind::Tproxy);
    let default = if captures.iter().any(is_captured) { MARK } else { 0 };
    let mark = raw.node.mark.as_ref().and_then(|at| u32::try_from(at.value).ok()).unwrap_or(default);
    resolver.receptions(&raw.peers, &inbounds);
    let reverse = resolver.reverses(&raw.reverse, &peers);
    let egress = resolver.egress(&raw.egress, &listeners, now);
    let rules = resolver.rules(&raw.policies, &listeners);
    resolver.anonymous_where_there_are_some(raw);
    let admin = resolver.admin(raw.admin.as_ref());
    let limits = limits::resolve(&mut resolver, &raw.limits);
    let Own { identity, not_after, warnings } = identity?;
    if !resolver.faults.is_empty() {
        return None;
    }
    let policy = Policy::new(identity.id(), rules)
        .map_err(|error| policies::fault(&mut resolver, raw, &error))
        .ok()?;
    let peers = peers.into_iter().filter_map(|(name, peer)| Some((name, peer?))).collect();
    let policy = Arc::new(policy);
    Some(Resolved {
        name,
        mark,
        baggage,
        tracing: raw.node.tracing.as_ref().is_some_and(|at| at.value),
        watch: raw.node.watch.as_ref().is_none_or(|at| at.value),
        files: resolver.faults.files().clone(),
        identity,
        not_after,
        warnings,
        captures,
        inbounds,
        reverse,
        egress,
        peers,
        routes,
        policy,
        admin,
        limits,
    })
}

/// Who the node is, and what is odd about it without being a fault.
struct Own {
    identity: Arc<Identity>,
    not_after: i64,
    warnings: Vec<String>,
}

impl Resolver<'_> {
    fn node_name(&mut self, raw: &RawNode) -> String {
        let Some(at) = &raw.name else { return "hbone".into() };
        self.checked("name", at, "a short name like \"node-1\"", |text| value::name(text).map(str::to_owned))
            .unwrap_or_default()
    }

    /// Told to nodes behind gateways, in a field: the characters of a name.
    fn network(&mut self, raw: &RawNode) -> Option<String> {
        let at = raw.network.as_ref()?;
        self.checked("network", at, "a short name like \"west-1\"", |text| {
            value::name(text).map(str::to_owned)
        })
    }

    /// The baggage as one field value; W3C Baggage 3.3.1 has no room for other characters without escapes.
    fn baggage(&mut self, raw: &RawNode) -> Option<String> {
        let mut members = Vec::new();
        for (name, text) in &raw.baggage {
            let wanted = "letters, digits, `-`, `_` and `.`";
            let plain = |text: &str| value::name(text).map(str::to_owned);
            // As from templates that have nothing to fill in.
            if text.value.is_empty() {
                continue;
            }
            let pair = (
                self.checked("baggage", name, wanted, plain),
                self.checked(&name.value, text, wanted, plain),
            );
            if let (Some(name), Some(text)) = pair {
                members.push(format!("{name}={text}"));
            }
        }
        (!members.is_empty()).then(|| members.join(","))
    }

    fn identity(&mut self, raw: Option<&RawIdentity>, now: i64) -> Option<Own> {
        let Some(raw) = raw else {
            let example = "the files `cert`, `key` and `ca`; `hbone id issue` makes them";
            self.fault(&(0..0), Cause::MissingSection { section: "[identity]", example });
            return None;
        };
        let at =
            [&raw.cert, &raw.key, &raw.ca].map(|at| at.as_ref().map(|at| (self.file(at), at.span.clone())));
        let [cert, key, ca] = at.clone().map(|at| at.map(|(path, _)| path));
        let loaded = match certs::load(&Paths { cert, key, ca }, now) {
            Ok(loaded) => loaded,
            Err(errors) => {
                for error in errors {
                    let place = at.iter().flatten().find(|(path, _)| error.path() == Some(path));
                    let span = place.map_or_else(|| raw.span.clone(), |(_, span)| span.clone());
                    self.fault(&span, Cause::Certificate(error));
                }
                return None;
            }
        };
        let not_after = loaded.not_after;
        let warnings = loaded.warnings;
        match Identity::new(loaded.chain, loaded.key, loaded.roots) {
            Ok(identity) => Some(Own { identity: Arc::new(identity), not_after, warnings }),
            Err(error) => {
                let path = self.source.folder().join(raw.cert.as_ref().map_or("", |at| &at.value));
                let error = certs::CertificateError::Content { path, reason: error.to_string() };
                self.fault(&raw.span, Cause::Certificate(error));
                None
            }
        }
    }
}
