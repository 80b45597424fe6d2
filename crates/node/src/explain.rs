//! `hbone explain`: which route and which rule decide about a tunnel, and why the others do not.
//! Called by main.rs. Asks the same policy and the same routes as a running node; binds, resolves and connects nothing.

use std::collections::BTreeMap;
use std::fmt::Write;

use hbone_tunnel::{
    Access, Authority, Claims, Decision, Front, Mode, Rehearsal, SpiffeId, Way, is_own_listener,
};
use serde_json::{Value, json};

use crate::cli::Explain;
use crate::config::{self, Capture, Inbound, Resolved};
use crate::exit::{Exit, Failure};
use crate::report;

/// Prints the answer; the exit code says whether the tunnel would stand as far as this node knows.
///
/// # Errors
/// A faulty configuration, a listener that it has not, values that cannot be read.
pub fn explain(ask: &Explain) -> Result<Exit, Failure> {
    let config = config::load(&ask.config).map_err(|faults| report::faults(&faults))?;
    let question = Question::read(ask, &config)?;
    let called = |name: &str| ask.listener.as_deref().is_none_or(|wanted| wanted == name);
    let inbounds: Vec<_> = config.inbounds.iter().filter(|it| called(&it.name)).collect();
    let captures: Vec<_> = config.captures.iter().filter(|it| called(&it.name)).collect();
    if inbounds.is_empty() && captures.is_empty() {
        let what = match &ask.listener {
            Some(name) => format!("there is no listener `{name}` in {}", ask.config.display()),
            None => format!("there is no listener in {}", ask.config.display()),
        };
        return Err(Failure::new(Exit::Usage, what));
    }
    let judged: Vec<_> = inbounds.into_iter().map(|it| question.judged(&config, it)).collect();
    let carried: Vec<_> = captures.into_iter().map(|it| question.carried(&config, it)).collect();
    // Callers come by listeners of peers; where there are none, the question is about this node's own clients.
    let allowed = match judged.as_slice() {
        [] => carried.iter().any(|answer| answer.allowed),
        judged => judged.iter().any(|answer| answer.allowed),
    };
    let answers: Vec<_> = judged.into_iter().chain(carried).collect();
    if ask.json {
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.value).collect();
        report::say(&json!({ "allowed": allowed, "listeners": answers }).to_string());
    } else {
        let texts: Vec<_> = answers.iter().map(|answer| answer.text.trim_end()).collect();
        report::say(&texts.join("\n"));
    }
    Ok(if allowed { Exit::Success } else { Exit::Refused })
}

/// What is asked.
struct Question<'a> {
    ask: &'a Explain,
    source: Option<SpiffeId>,
    to: Authority,
    claims: Option<Claims>,
    own_ports: Vec<u16>,
}

/// What one listener would do.
struct Answer {
    allowed: bool,
    text: String,
    value: Value,
}

impl<'a> Question<'a> {
    fn read(ask: &'a Explain, config: &Resolved) -> Result<Self, Failure> {
        let wrong = |what: String| Failure::new(Exit::Usage, what);
        let source = ask.from.as_ref().map(|text| text.parse::<SpiffeId>()).transpose();
        let mut claims = BTreeMap::<String, Vec<String>>::new();
        for claim in &ask.claims {
            let pair =
                claim.split_once('=').ok_or_else(|| wrong(format!("--claim {claim}: no NAME=VALUE")))?;
            claims.entry(pair.0.to_owned()).or_default().push(pair.1.to_owned());
        }
        let captures = config.captures.iter().filter_map(|it| it.bind.address());
        let inbounds = config.inbounds.iter().map(|it| it.bind);
        Ok(Self {
            ask,
            source: source.map_err(|error| wrong(format!("--from: {error}")))?,
            to: ask.to.parse().map_err(|error| wrong(format!("--to: {error}")))?,
            claims: (!claims.is_empty()).then(|| Claims::new(claims)),
            own_ports: captures.chain(inbounds).map(|address| address.port()).collect(),
        })
    }

    /// A listener of peers: the policy decides, then the routes.
    fn judged(&self, config: &Resolved, inbound: &Inbound) -> Answer {
        let way = inbound.routes.find(&self.to);
        let access = Access {
            from: self.ask.source_ip,
            listener: &inbound.name,
            server_name: self.ask.sni.as_deref(),
            claims: self.claims.as_ref(),
            address: self.ask.address,
            own_listener: is_own_listener(&self.own_ports, &self.to, self.ask.address),
            onward: way.is_some(),
            ..Access::new(self.source.as_ref(), &self.to)
        };
        let trace = config.policy.explain(&access);
        let rehearsal = config.policy.rehearse(&access, &trace.decision);
        let kind = if inbound.trusted.is_some() { "h2c" } else { "hbone" };
        let mut text = format!("listener {} ({kind}): {}\n", inbound.name, trace.decision);
        let mut rules = Vec::new();
        for (rule, outcome) in &trace.rules {
            let mode = if rule.mode == Mode::DryRun { ", dry run" } else { "" };
            let why = outcome.err().map_or_else(|| "matches".to_owned(), |miss| format!("no: {miss}"));
            let _ = writeln!(text, "  rule {} ({}{mode}): {why}", rule.name, rule.action);
            let why = outcome.err().map(|miss| miss.to_string());
            let (action, dry_run) = (rule.action.to_string(), rule.mode == Mode::DryRun);
            rules.push(json!({
                "rule": rule.name, "action": action, "dry_run": dry_run, "matches": why.is_none(), "why_not": why,
            }));
        }
        if let Some(Rehearsal { rule, action, differs: true }) = &rehearsal {
            let _ = writeln!(text, "  in earnest, rule {rule} would {action} it");
        }
        let allowed = trace.decision.allowed();
        let far = way.map_or_else(|| "dialled from here".to_owned(), |way| through(config, way));
        if allowed {
            let _ = writeln!(text, "  way: {far}");
        }
        let unresolved =
            allowed && way.is_none() && self.to.address().is_none() && self.ask.address.is_none();
        if unresolved {
            let _ = writeln!(
                text,
                "  each address that {} resolves to is judged again: --address",
                self.to.host()
            );
        }
        let by = match &trace.decision {
            Decision::Allow { rule } => Some(rule.as_str()),
            Decision::Deny(denial) => denial.rule(),
        };
        let value = json!({
            "listener": inbound.name, "kind": kind, "allowed": allowed, "by": by,
            "decision": trace.decision.to_string(), "rules": rules, "way": allowed.then_some(far),
        });
        Answer { allowed, text, value }
    }

    /// A listener of clients: its front and its routes say where its connections go.
    fn carried(&self, config: &Resolved, capture: &Capture) -> Answer {
        let (name, kind) = (&capture.name, capture.kind.name());
        let fixed = capture.front.fixed();
        let named = if let Front::Sni(names) = &capture.front {
            names.lead_to(&self.to)
        } else {
            fixed.is_none_or(|fixed| *fixed == self.to)
        };
        let way = capture.routes.find(&self.to).filter(|_| named);
        let (far, peer) = match (way, fixed) {
            (Some(way), _) => (through(config, way), peer(config, way)),
            (None, Some(fixed)) if *fixed != self.to => (format!("not from here: all goes to {fixed}"), None),
            (None, _) if !named => ("not from here: `names` does not name it".to_owned(), None),
            (None, _) => ("no route leads there".to_owned(), None),
        };
        let value = json!({
            "listener": name, "kind": kind, "allowed": way.is_some(), "way": far, "peer": peer,
        });
        Answer { allowed: way.is_some(), text: format!("listener {name} ({kind}): {far}\n"), value }
    }
}

fn peer<'c>(config: &'c Resolved, way: &Way) -> Option<&'c str> {
    config.peers.iter().find(|(_, known)| *known == way).map(|(name, _)| name.as_str())
}

fn through(config: &Resolved, way: &Way) -> String {
    match peer(config, way) {
        Some(name) => format!("through {name}, {way}"),
        None => format!("through {way}"),
    }
}
