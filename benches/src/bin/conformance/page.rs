//! Renders the page. Decides nothing: what is a gap follows from the data.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::data::{Attack, Data, Rule};

/// The RFCs in the order of the page.
const RFCS: [(u32, &str); 4] =
    [(9113, "HTTP/2"), (7541, "HPACK"), (8441, "Extended CONNECT"), (9218, "Priorities")];

pub(crate) fn render(data: &Data, tests: &BTreeSet<String>) -> String {
    let mut out = String::new();
    out.push_str(HEAD);
    summary(data, &mut out);
    gaps(data, tests, &mut out);
    differences(data, &mut out);
    for (rfc, title) in RFCS {
        rules(data, rfc, title, &mut out);
    }
    others(data, tests, &mut out);
    attacks(data, tests, &mut out);
    out
}

/// Of the MUSTs of an RFC: all, those with tests, those that do not apply.
struct Share {
    all: usize,
    tested: usize,
    not_applicable: usize,
}

fn share<'a>(rules: impl Iterator<Item = &'a Rule>) -> Share {
    let mut share = Share { all: 0, tested: 0, not_applicable: 0 };
    for rule in rules {
        share.all += 1;
        share.tested += usize::from(!rule.tests.is_empty());
        share.not_applicable += usize::from(rule.not_applicable.is_some());
    }
    share
}

fn summary(data: &Data, out: &mut String) {
    out.push_str("## In figures\n\n");
    out.push_str(
        "| RFC | MUST and MUST NOT | with a test | do not apply | gaps | other rules with a test |\n",
    );
    out.push_str("|---|---:|---:|---:|---:|---:|\n");
    for (rfc, title) in RFCS {
        let of = |must: bool| data.rules.iter().filter(move |rule| rule.rfc == rfc && rule.is_must() == must);
        let (musts, others) = (share(of(true)), share(of(false)));
        let gaps = musts.all - musts.tested - musts.not_applicable;
        let percent = |part: usize| part * 100 / musts.all.max(1);
        let _ = writeln!(
            out,
            "| {rfc} {title} | {} | {} ({} %) | {} ({} %) | {gaps} | {} of {} |",
            musts.all,
            musts.tested,
            percent(musts.tested),
            musts.not_applicable,
            percent(musts.not_applicable),
            others.tested,
            others.all,
        );
    }
    let _ = writeln!(
        out,
        "\nCounted are rules as this list cuts them: a sentence about both ends of a wire is two. {} rules in all.\n",
        data.rules.len()
    );
}

fn gaps(data: &Data, tests: &BTreeSet<String>, out: &mut String) {
    out.push_str("## Gaps\n\n");
    let mut any = false;
    for rule in data.rules.iter().filter(|rule| rule.tests.is_empty() && rule.not_applicable.is_none()) {
        any = true;
        let _ = writeln!(out, "- RFC {} {}: {} ({})", rule.rfc, rule.section, rule.text, rule.level);
    }
    for attack in data.attacks.iter().filter(|attack| proofs(attack, tests).is_empty()) {
        any = true;
        let _ = writeln!(out, "- {}: {} — no test", attack.id, attack.text);
    }
    out.push_str(if any { "\n" } else { "None.\n\n" });
}

fn differences(data: &Data, out: &mut String) {
    out.push_str(DIFFERENCES);
    out.push_str("| what is sent | this one | nghttpd | h2 | what the RFC says |\n|---|---|---|---|---|\n");
    for it in &data.differences {
        let _ = writeln!(
            out,
            "| {} (`{}`) | {} | {} | {} | {} |",
            it.text, it.case, it.ours, it.nghttpd, it.h2, it.ruling
        );
    }
    out.push('\n');
}

fn rules(data: &Data, rfc: u32, title: &str, out: &mut String) {
    let _ = writeln!(out, "## RFC {rfc}: {title}\n");
    out.push_str("| section | rule | who | level | tests |\n|---|---|---|---|---|\n");
    for rule in data.rules.iter().filter(|rule| rule.rfc == rfc) {
        let proof = match &rule.not_applicable {
            Some(reason) => format!("does not apply: {reason}"),
            None if rule.tests.is_empty() => "**gap**".to_owned(),
            None => list(rule.tests.iter()),
        };
        let _ = writeln!(
            out,
            "| {} {} | {} | {} | {} | {proof} |",
            rule.section, rule.name, rule.text, rule.role, rule.level
        );
    }
    out.push('\n');
}

/// Tests with the name of a section that no rule names.
fn others(data: &Data, tests: &BTreeSet<String>, out: &mut String) {
    let named: BTreeSet<_> = data.rules.iter().flat_map(|rule| &rule.tests).collect();
    let others: Vec<_> =
        tests.iter().filter(|test| test.starts_with("rfc") && !named.contains(test)).collect();
    if others.is_empty() {
        return;
    }
    out.push_str("## Tests of sections without a rule in this list\n\n");
    for test in others {
        let _ = writeln!(out, "- `{test}`");
    }
    out.push('\n');
}

fn attacks(data: &Data, tests: &BTreeSet<String>, out: &mut String) {
    out.push_str(
        "## Attacks\n\nThe rows of the list of attacks that concern HTTP/2 and TLS, and their tests.\n\n",
    );
    out.push_str("| id | what is done to us | tests |\n|---|---|---|\n");
    for attack in &data.attacks {
        let proofs = proofs(attack, tests);
        let proof = if proofs.is_empty() { "**gap**".to_owned() } else { list(proofs.into_iter()) };
        let _ = writeln!(out, "| {} | {} | {proof} |", attack.id, attack.text);
    }
}

fn list<'a>(tests: impl Iterator<Item = &'a String>) -> String {
    tests.map(|test| format!("`{test}`")).collect::<Vec<_>>().join("<br>")
}

/// The tests whose name begins with the id, alone or after other ids.
fn proofs<'a>(attack: &'a Attack, tests: &'a BTreeSet<String>) -> Vec<&'a String> {
    let id = attack.id.to_lowercase();
    let is_id = |word: &&str| {
        let digits = word.strip_prefix(|first: char| first.is_ascii_lowercase());
        digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let carries = |test: &&String| test.split('_').take_while(is_id).any(|word| word == id);
    tests.iter().filter(carries).chain(&attack.also).collect()
}

const HEAD: &str = "# Conformance

Which rules of the RFCs this implementation keeps, and which test proves it. This page is made by
`cargo run -p hbone-benches --bin conformance` from `docs/conformance/*.toml` and the names of the tests; a test
fails when it is not up to date. Every rule is told in our own words; the RFCs are the authority. The column
«level»: the keyword of the text; `states` where the text states a fact without one; `own` where we are stricter.
What ends arrive as through chains of nodes stands in [fidelity.md](fidelity.md).

";

const DIFFERENCES: &str = "## Where implementations differ

`cargo run -p hbone-benches --bin differential` sends the same frames, random ones and slightly broken ones, to the
example server of this project, to nghttpd (nghttp2 1.52) and to a server on stock h2 (0.4), and compares what each
does. Where they differ, the RFC decides. «Carries on» means that the connection answers a PING afterwards.

";
