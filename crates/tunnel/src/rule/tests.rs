//! What a rule asks for, fact by fact, and what it makes of a fact that is not known.

use super::*;
use crate::claims::Claims;
use crate::identity::SpiffeId;
use crate::policy::{Decision, Policy, PolicyError, Rehearsal};
use crate::{Authority, Denial};

fn id(text: &str) -> SpiffeId {
    text.parse().expect(text)
}

fn policy(rules: Vec<Rule>) -> Policy {
    Policy::new(&id("spiffe://td/ns/shop/sa/server"), rules).unwrap()
}

/// A caller about whom everything is known.
struct Known {
    source: SpiffeId,
    authority: Authority,
    claims: Claims,
}

impl Known {
    fn new() -> Self {
        let claims = [("group".to_owned(), vec!["ops".to_owned(), "dev".to_owned()])];
        Self {
            source: id("spiffe://td/ns/shop/sa/web-1"),
            authority: "db.example:5432".parse().unwrap(),
            claims: Claims::new(claims.into_iter().collect()),
        }
    }

    fn access(&self) -> Access<'_> {
        Access {
            from: Some("192.0.2.7".parse().unwrap()),
            listener: "mesh",
            server_name: Some("db.example"),
            claims: Some(&self.claims),
            address: Some("10.0.0.1".parse().unwrap()),
            ..Access::new(Some(&self.source), &self.authority)
        }
    }
}

fn list<T: std::str::FromStr>(texts: &[&str]) -> Vec<T> {
    texts.iter().map(|text| text.parse().unwrap_or_else(|_| panic!("{text}"))).collect()
}

fn claim(name: &str, value: &str) -> Vec<Claim> {
    vec![Claim { name: name.into(), values: vec!["other".into(), value.into()] }]
}

/// A criterion that the known caller meets, or fails.
type Change = fn(&mut Rule);
/// Takes the fact away that it is about.
type Forget = Option<fn(&mut Access<'_>)>;

const SAME: Forget = None;

/// What a rule asks for, what comes of it for the known caller, and how that fact is forgotten.
const QUESTIONS: [(Change, Result<(), Miss>, Forget); 18] = [
    (|rule| rule.sources = list(&["spiffe://td/ns/shop/sa/web-*"]), Ok(()), Some(|it| it.source = None)),
    (|rule| rule.sources = list(&["spiffe://td/ns/bank"]), Err(Miss::Caller), Some(|it| it.source = None)),
    (|rule| rule.networks.only = list(&["192.0.2.0/24"]), Ok(()), Some(|it| it.from = None)),
    (|rule| rule.networks.only = list(&["10.0.0.0/8"]), Err(Miss::Network), Some(|it| it.from = None)),
    (|rule| rule.listeners.only = list(&["mesh"]), Ok(()), SAME),
    (|rule| rule.listeners.only = list(&["edge"]), Err(Miss::Listener), SAME),
    (|rule| rule.listeners.except = list(&["mesh"]), Err(Miss::ListenerExcepted), SAME),
    (|rule| rule.server_names.only = list(&["*.example"]), Ok(()), Some(|it| it.server_name = None)),
    (
        |rule| rule.server_names.only = list(&["example"]),
        Err(Miss::ServerName),
        Some(|it| it.server_name = None),
    ),
    (|rule| rule.claims = claim("group", "dev"), Ok(()), Some(|it| it.claims = None)),
    (|rule| rule.claims = claim("group", "admin"), Err(Miss::Claim), Some(|it| it.claims = None)),
    (|rule| rule.claims = claim("team", "dev"), Err(Miss::Claim), Some(|it| it.claims = None)),
    (|rule| rule.targets = list(&["db.example:5432"]), Ok(()), SAME),
    (|rule| rule.targets = list(&["10.0.0.0/24:5000-6000"]), Ok(()), SAME),
    (|rule| rule.targets = list(&["*:80"]), Err(Miss::Target), SAME),
    (|rule| rule.not_targets = list(&["*:80"]), Ok(()), SAME),
    (|rule| rule.not_targets = list(&["10.0.0.0/8"]), Err(Miss::TargetExcepted), SAME),
    (|rule| rule.anonymous = true, Err(Miss::Identity), SAME),
];

/// Exceptions, whether the known caller is one, and how that fact is forgotten.
const EXCEPTIONS: [(Change, Result<(), Miss>, Forget); 8] = [
    (
        |rule| rule.except = list(&["spiffe://td/ns/shop/sa/web-*"]),
        Err(Miss::CallerExcepted),
        Some(|it| it.source = None),
    ),
    (|rule| rule.except = list(&["spiffe://td/ns/bank"]), Ok(()), Some(|it| it.source = None)),
    (
        |rule| rule.networks.except = list(&["192.0.2.7"]),
        Err(Miss::NetworkExcepted),
        Some(|it| it.from = None),
    ),
    (|rule| rule.networks.except = list(&["10.0.0.0/8"]), Ok(()), Some(|it| it.from = None)),
    (
        |rule| rule.server_names.except = list(&["db.example"]),
        Err(Miss::ServerNameExcepted),
        Some(|it| it.server_name = None),
    ),
    (|rule| rule.server_names.except = list(&["*.db.example"]), Ok(()), Some(|it| it.server_name = None)),
    (|rule| rule.not_claims = claim("group", "ops"), Err(Miss::ClaimExcepted), Some(|it| it.claims = None)),
    (|rule| rule.not_claims = claim("team", "ops"), Ok(()), Some(|it| it.claims = None)),
];

#[test]
fn a_rule_matches_when_everything_that_it_asks_for_is_so() {
    let known = Known::new();
    for action in [Action::Allow, Action::Deny] {
        for (number, (change, expected, _)) in QUESTIONS.iter().chain(&EXCEPTIONS).enumerate() {
            let mut rule = Rule::new("r", action);
            change(&mut rule);
            assert_eq!(rule.judge(&known.access(), None), *expected, "{action} {number}");
        }
        let mut both = Rule::new("r", action);
        for (change, expected, _) in QUESTIONS.iter().chain(&EXCEPTIONS) {
            if expected.is_ok() {
                change(&mut both);
            }
        }
        assert_eq!(both.judge(&known.access(), None), Ok(()), "all of them at once");
        both.listeners.only = list(&["edge"]);
        assert_eq!(both.judge(&known.access(), None), Err(Miss::Listener), "and not one of them");
    }
}

#[test]
fn t09_a_rule_with_exceptions_only_never_allows_what_is_not_known_and_still_denies_it() {
    let known = Known::new();
    for (number, (change, _, forget)) in EXCEPTIONS.iter().enumerate() {
        let mut access = known.access();
        forget.unwrap()(&mut access);
        let mut allow = Rule::new("r", Action::Allow);
        change(&mut allow);
        assert!(allow.judge(&access, None).is_err(), "{number}");
        let mut deny = Rule::new("r", Action::Deny);
        change(&mut deny);
        assert_eq!(deny.judge(&access, None), Ok(()), "{number}");
    }
}

#[test]
fn what_a_rule_asks_for_is_never_met_by_what_is_not_known() {
    let known = Known::new();
    for action in [Action::Allow, Action::Deny] {
        for (number, (change, _, forget)) in QUESTIONS.iter().enumerate() {
            let Some(forget) = forget else { continue };
            let mut access = known.access();
            forget(&mut access);
            let mut rule = Rule::new("r", action);
            change(&mut rule);
            assert!(rule.judge(&access, None).is_err(), "{action} {number}");
        }
    }
}

#[test]
fn t08_a_caller_without_identity_passes_by_a_rule_for_such_only() {
    let open = |change: Change| {
        let mut rule = Rule {
            anonymous: true,
            networks: Choice { only: list(&["192.0.2.0/24"]), except: Vec::new() },
            listeners: Choice { only: list(&["plain"]), except: Vec::new() },
            ..Rule::new("lab", Action::Allow)
        };
        change(&mut rule);
        Policy::new(&id("spiffe://td/ns/shop/sa/server"), vec![rule])
    };
    let (known, policy) = (Known::new(), open(|_| ()).unwrap());
    let nobody = Access { source: None, listener: "plain", ..known.access() };
    assert_eq!(policy.decide(&nobody), Decision::Allow { rule: "lab".into() });
    let refused = |access: &Access<'_>| {
        assert_eq!(policy.decide(access), Decision::Deny(Denial::NoIdentity), "{access:?}");
    };
    refused(&Access { listener: "mesh", ..nobody });
    refused(&Access { from: Some("198.51.100.1".parse().unwrap()), ..nobody });
    refused(&Access { from: None, ..nobody });
    let known_caller = policy.decide(&known.access());
    assert_eq!(known_caller, Decision::Allow { rule: "default".into() }, "the default stays for the others");
    let loopback = policy.decide(&Access { address: Some("127.0.0.1".parse().unwrap()), ..nobody });
    assert!(!loopback.allowed(), "a protected destination must be named");
    let error = open(|rule| rule.networks.only.clear()).unwrap_err();
    assert_eq!(error, PolicyError::AnonymousAnywhere { rule: "lab".into() });
    let error = open(|rule| rule.listeners.only.clear()).unwrap_err();
    assert_eq!(error, PolicyError::AnonymousAnywhere { rule: "lab".into() });
    let error = open(|rule| rule.except = list(&["*"])).unwrap_err();
    assert_eq!(error, PolicyError::AnonymousIdentity { rule: "lab".into() });
    let mut rules = vec![Rule::new("no", Action::Deny)];
    rules[0].not_targets = list(&["*:1"]);
    rules.extend(open(|_| ()).unwrap().explain(&nobody).rules.into_iter().map(|(rule, _)| rule.clone()));
    let denied = self::policy(rules).decide(&nobody);
    assert_eq!(denied, Decision::Deny(Denial::Rule { rule: "no".into() }), "deny beats allow here too");
}

#[test]
fn a_dry_run_decides_nothing_and_tells_what_it_would_have_done() {
    let known = Known::new();
    let dry = |name: &str, action, targets: &[&str]| Rule {
        mode: Mode::DryRun,
        targets: list(targets),
        ..Rule::new(name, action)
    };
    let told = |rule: &str, action, differs| Some(Rehearsal { rule: rule.into(), action, differs });
    let ask = |rules: Vec<Rule>| {
        let (policy, access) = (policy(rules), known.access());
        let decision = policy.decide(&access);
        (decision.allowed(), policy.rehearse(&access, &decision))
    };
    assert_eq!(ask(vec![dry("d", Action::Deny, &["*:5432"])]), (true, told("d", Action::Deny, true)));
    assert_eq!(ask(vec![dry("d", Action::Deny, &["*:80"])]), (true, None));
    // A dry allow rule does not end the default.
    assert_eq!(ask(vec![dry("a", Action::Allow, &["*:80"])]), (true, None));
    assert_eq!(ask(vec![dry("a", Action::Allow, &[])]), (true, told("a", Action::Allow, false)));
    let other = Rule { targets: list(&["*:80"]), ..Rule::new("web", Action::Allow) };
    let both = vec![other, dry("a", Action::Allow, &[])];
    assert_eq!(ask(both), (false, told("a", Action::Allow, true)));
    let against = vec![Rule::new("never", Action::Deny), dry("a", Action::Allow, &[])];
    assert_eq!(ask(against), (false, told("a", Action::Allow, false)), "deny would still have won");
    let both = vec![dry("a", Action::Allow, &[]), dry("d", Action::Deny, &[])];
    assert_eq!(ask(both), (true, told("d", Action::Deny, true)), "deny goes first");
}

#[test]
fn a_name_that_is_sent_on_meets_no_network_that_allows_and_no_exception_from_what_is_denied() {
    let known = Known::new();
    let onward = Access { onward: true, address: None, ..known.access() };
    let rule = |action, change: Change| {
        let mut rule = Rule::new("r", action);
        change(&mut rule);
        rule.judge(&onward, None)
    };
    assert_eq!(rule(Action::Allow, |it| it.targets = list(&["10.0.0.0/8"])), Err(Miss::Target));
    assert_eq!(rule(Action::Allow, |it| it.not_targets = list(&["10.0.0.0/8"])), Err(Miss::TargetExcepted));
    assert_eq!(rule(Action::Deny, |it| it.not_targets = list(&["10.0.0.0/8"])), Ok(()));
    assert_eq!(rule(Action::Deny, |it| it.not_targets = list(&["*.example"])), Err(Miss::TargetExcepted));
    assert_eq!(rule(Action::Allow, |it| it.targets = list(&["*.example"])), Ok(()));
    // One that is resolved here is asked about again once its address is known.
    let later = Access { address: None, ..known.access() };
    let mut rule = Rule::new("r", Action::Allow);
    rule.not_targets = list(&["10.0.0.0/8"]);
    assert_eq!(rule.judge(&later, None), Ok(()));
    rule.action = Action::Deny;
    assert_eq!(rule.judge(&later, None), Err(Miss::TargetExcepted));
    rule.not_targets = list(&["11.0.0.0/8"]);
    assert_eq!(rule.judge(&known.access(), None), Ok(()));
}

#[test]
fn a_trace_names_every_rule_and_agrees_with_the_decision() {
    let known = Known::new();
    let mut rules = vec![Rule::new("bank", Action::Allow), Rule::new("all", Action::Allow)];
    rules[0].sources = list(&["spiffe://td/ns/bank"]);
    let (policy, access) = (policy(rules), known.access());
    let trace = policy.explain(&access);
    assert_eq!(trace.decision, policy.decide(&access));
    let told: Vec<_> = trace.rules.iter().map(|(rule, outcome)| (rule.name.as_str(), *outcome)).collect();
    assert_eq!(told, [("bank", Err(Miss::Caller)), ("all", Ok(()))]);
}
