//! The order of decision, the default, and the protected classes.

use super::*;
use crate::network::AddressClass;

fn id(text: &str) -> SpiffeId {
    text.parse().expect(text)
}

fn local() -> SpiffeId {
    id("spiffe://td/ns/shop/sa/server")
}

fn rule(name: &str, action: Action, sources: &[&str], targets: &[&str]) -> Rule {
    Rule {
        sources: sources.iter().map(|text| text.parse().expect(text)).collect(),
        targets: targets.iter().map(|text| text.parse().expect(text)).collect(),
        ..Rule::new(name, action)
    }
}

fn policy(rules: Vec<Rule>) -> Policy {
    Policy::new(&local(), rules).unwrap()
}

fn ask(policy: &Policy, source: Option<&str>, authority: &str, address: Option<&str>) -> Decision {
    let source = source.map(id);
    let authority = authority.parse().expect(authority);
    let address = address.map(|text| text.parse().expect(text));
    policy.decide(&Access { address, ..Access::new(source.as_ref(), &authority) })
}

const CART: Option<&str> = Some("spiffe://td/ns/shop/sa/cart");
const STRANGER: Option<&str> = Some("spiffe://td/ns/bank/sa/cart");

fn allowed(rule: &str) -> Decision {
    Decision::Allow { rule: rule.into() }
}

fn protected_as(class: AddressClass) -> Decision {
    Decision::Deny(Denial::Protected { class })
}

#[test]
fn t08_without_rules_only_neighbours_pass() {
    let policy = policy(Vec::new());
    assert_eq!(ask(&policy, CART, "10.0.0.1:80", None), allowed("default"));
    let other = Denial::Default { trust_domain: "td".into(), namespace: "shop".into() };
    assert_eq!(ask(&policy, STRANGER, "10.0.0.1:80", None), Decision::Deny(other.clone()));
    let foreign = Some("spiffe://td2/ns/shop/sa/cart");
    assert_eq!(ask(&policy, foreign, "10.0.0.1:80", None), Decision::Deny(other));
    assert_eq!(ask(&policy, None, "10.0.0.1:80", None), Decision::Deny(Denial::NoIdentity));
}

#[test]
fn t08_the_first_allow_rule_replaces_the_default() {
    let policy = policy(vec![rule("bank", Action::Allow, &["spiffe://td/ns/bank"], &["10.0.0.0/8:80"])]);
    assert_eq!(ask(&policy, STRANGER, "10.0.0.1:80", None), allowed("bank"));
    assert_eq!(ask(&policy, STRANGER, "10.0.0.1:81", None), Decision::Deny(Denial::NoRule));
    assert_eq!(ask(&policy, CART, "10.0.0.1:80", None), Decision::Deny(Denial::NoRule));
}

#[test]
fn deny_beats_allow_and_names_its_rule() {
    let policy = policy(vec![
        rule("all", Action::Allow, &["*"], &[]),
        rule("not the database", Action::Deny, &["spiffe://td/ns/bank"], &["*:5432", "10.9.0.0/16"]),
    ]);
    let denied = Decision::Deny(Denial::Rule { rule: "not the database".into() });
    assert_eq!(ask(&policy, STRANGER, "10.0.0.1:5432", None), denied);
    assert_eq!(ask(&policy, STRANGER, "10.9.1.1:80", None), denied);
    assert_eq!(ask(&policy, STRANGER, "[64:ff9b::a09:101]:80", None), denied, "NAT64 leads to the same host");
    assert_eq!(ask(&policy, STRANGER, "[::ffff:10.9.1.1]:80", None), denied);
    assert_eq!(ask(&policy, STRANGER, "db:80", Some("10.9.1.1")), denied);
    assert_eq!(ask(&policy, STRANGER, "10.0.0.1:80", None), allowed("all"));
    assert_eq!(ask(&policy, CART, "10.0.0.1:5432", None), allowed("all"));
}

#[test]
fn a_deny_rule_alone_keeps_the_default() {
    let policy = policy(vec![rule("no ssh", Action::Deny, &[], &["*:22"])]);
    assert_eq!(
        ask(&policy, CART, "10.0.0.1:22", None),
        Decision::Deny(Denial::Rule { rule: "no ssh".into() })
    );
    assert_eq!(ask(&policy, CART, "10.0.0.1:80", None), allowed("default"));
    assert!(!ask(&policy, STRANGER, "10.0.0.1:80", None).allowed());
}

#[test]
fn t09_a_rule_with_exceptions_only_never_matches_a_missing_identity() {
    let mut all_but_cart = rule("all but cart", Action::Allow, &[], &[]);
    all_but_cart.except = vec!["spiffe://td/ns/shop/sa/cart".parse().unwrap()];
    let policy = policy(vec![all_but_cart]);
    assert_eq!(ask(&policy, None, "10.0.0.1:80", None), Decision::Deny(Denial::NoIdentity));
    assert_eq!(ask(&policy, STRANGER, "10.0.0.1:80", None), allowed("all but cart"));
    assert_eq!(ask(&policy, CART, "10.0.0.1:80", None), Decision::Deny(Denial::NoRule));
}

#[test]
fn t10_a_policy_that_names_what_cannot_exist_is_refused() {
    let refused = |rules| Policy::new(&local(), rules).unwrap_err();
    let foreign = rule("x", Action::Allow, &["spiffe://td2/ns/shop"], &[]);
    let error = PolicyError::ForeignTrustDomain { rule: "x".into(), named: "td2".into(), local: "td".into() };
    assert_eq!(refused(vec![foreign.clone()]), error);
    let mut in_except = rule("x", Action::Deny, &[], &[]);
    in_except.except = foreign.sources;
    assert_eq!(refused(vec![in_except]), error);
    let twice = vec![rule("a", Action::Allow, &[], &[]), rule("a", Action::Deny, &[], &[])];
    assert_eq!(refused(twice), PolicyError::DuplicateName { rule: "a".into() });
    assert_eq!(refused(vec![rule("", Action::Allow, &[], &[])]), PolicyError::NoName);
}

#[test]
fn t01_protected_destinations_are_refused_unless_named() {
    let defaults = policy(Vec::new());
    let everything =
        policy(vec![rule("everything", Action::Allow, &["*"], &["*", "0.0.0.0/0", "[::/0]", "[::/96]"])]);
    let no_targets = policy(vec![rule("everything", Action::Allow, &["*"], &[])]);
    for (authority, class) in [
        ("127.0.0.1:80", AddressClass::Loopback),
        ("[::1]:80", AddressClass::Loopback),
        ("[::ffff:127.0.0.1]:80", AddressClass::Loopback),
        ("[2002:7f00:1::]:80", AddressClass::Loopback),
        ("[64:ff9b::7f00:1]:80", AddressClass::Loopback),
        ("169.254.169.254:80", AddressClass::Metadata),
        ("[64:ff9b::a9fe:a9fe]:80", AddressClass::Metadata),
        ("169.254.0.1:80", AddressClass::LinkLocal),
        ("[fe80::1]:80", AddressClass::LinkLocal),
        ("224.0.0.1:80", AddressClass::Multicast),
        ("0.0.0.0:80", AddressClass::Unspecified),
        ("[::]:80", AddressClass::Unspecified),
    ] {
        for policy in [&defaults, &everything, &no_targets] {
            assert_eq!(ask(policy, CART, authority, None), protected_as(class), "{authority}");
        }
    }
}

#[test]
fn t01_a_rule_that_names_the_address_opens_exactly_that() {
    let policy =
        policy(vec![rule("demo", Action::Allow, &["*"], &["127.0.0.1:8000", "127.2.0.0/16", "localhost:1"])]);
    for authority in ["127.0.0.1:8000", "[::ffff:127.0.0.1]:8000", "127.2.3.4:9"] {
        assert_eq!(ask(&policy, CART, authority, None), allowed("demo"), "{authority}");
    }
    for authority in ["127.0.0.1:8001", "127.0.0.2:8000", "[::1]:8000", "[64:ff9b::7f00:1]:8000"] {
        assert_eq!(ask(&policy, CART, authority, None), protected_as(AddressClass::Loopback), "{authority}");
    }
    assert_eq!(ask(&policy, CART, "localhost:1", Some("::1")), allowed("demo"));
    assert_eq!(ask(&policy, CART, "localhost:2", Some("::1")), protected_as(AddressClass::Loopback));
}

#[test]
fn t01_naming_the_link_does_not_name_the_metadata_service() {
    let policy = policy(vec![rule("link", Action::Allow, &["*"], &["169.254.0.0/16"])]);
    assert_eq!(ask(&policy, CART, "169.254.3.3:80", None), allowed("link"));
    assert_eq!(ask(&policy, CART, "169.254.169.254:80", None), protected_as(AddressClass::Metadata));
}

#[test]
fn t02_a_name_that_is_allowed_may_not_lead_to_a_protected_address() {
    let policy = policy(vec![rule("names", Action::Allow, &["*"], &["*.example", "10.0.0.0/8"])]);
    assert_eq!(ask(&policy, CART, "a.example:80", None), allowed("names"));
    assert_eq!(ask(&policy, CART, "a.example:80", Some("10.0.0.1")), allowed("names"));
    assert_eq!(ask(&policy, CART, "a.example:80", Some("127.0.0.1")), protected_as(AddressClass::Loopback));
    let metadata = ask(&policy, CART, "a.example:80", Some("::ffff:169.254.169.254"));
    assert_eq!(metadata, protected_as(AddressClass::Metadata));
    assert_eq!(ask(&policy, CART, "other:80", None), allowed("names"), "may resolve into the network");
    assert_eq!(ask(&policy, CART, "other:80", Some("11.0.0.1")), Decision::Deny(Denial::NoRule));
}

#[test]
fn t32_an_own_listener_is_opened_by_address_and_port_only() {
    let ask = |targets: &[&str]| {
        let policy = policy(vec![rule("loop", Action::Allow, &["*"], targets)]);
        let (source, authority) = (id(CART.unwrap()), "10.0.0.1:15008".parse().unwrap());
        policy.decide(&Access { own_listener: true, ..Access::new(Some(&source), &authority) })
    };
    for targets in [&["*"][..], &["10.0.0.0/8:15008"], &["10.0.0.1"], &["10.0.0.2:15008"]] {
        assert_eq!(ask(targets), protected_as(AddressClass::OwnListener), "{targets:?}");
    }
    assert_eq!(ask(&["10.0.0.1:15008"]), allowed("loop"));
}

#[test]
fn every_refusal_names_the_next_step() {
    let (rule, class) = ("r".to_owned(), AddressClass::Loopback);
    let (trust_domain, namespace) = ("td".to_owned(), "a".to_owned());
    for (denial, step) in [
        (Denial::NoIdentity, "give it a certificate"),
        (Denial::Rule { rule }, "except the caller"),
        (Denial::NoRule, "add one"),
        (Denial::Default { trust_domain, namespace }, "add a rule"),
        (Denial::Protected { class }, "must name its address"),
    ] {
        let text = denial.to_string();
        assert!(text.contains(step) && !text.contains('\n') && !text.contains("  "), "{text}");
    }
}

#[test]
fn a_name_that_is_sent_on_is_allowed_by_its_name_and_by_no_network() {
    let ask = |targets: &[&str], authority: &str, onward| {
        let policy = policy(vec![rule("r", Action::Allow, &["*"], targets)]);
        let (source, authority) = (id(CART.unwrap()), authority.parse().unwrap());
        policy.decide(&Access { onward, ..Access::new(Some(&source), &authority) })
    };
    assert_eq!(
        ask(&["10.0.0.0/8"], "db.example:5432", false),
        allowed("r"),
        "its addresses are asked about later"
    );
    assert_eq!(ask(&["10.0.0.0/8"], "db.example:5432", true), Decision::Deny(Denial::NoRule));
    for targets in [&["*"][..], &["db.example"], &["*.example:5432"]] {
        assert_eq!(ask(targets, "db.example:5432", true), allowed("r"));
    }
    assert_eq!(ask(&["10.0.0.0/8"], "10.1.2.3:80", true), allowed("r"));
}
