//! Every kind of mistake in a configuration is named with its line and column, all of them at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{Lab, code, hbone, id, identity_section, run, stderr, stdout};
use hbone_node::config;

/// The positions (`line:column`) and texts of the faults of a configuration in a lab.
fn faults(lab: &Lab, text: &str) -> Vec<(String, String)> {
    let path = lab.write("node.toml", text);
    let faults = config::load(&path).expect_err("there must be faults");
    faults
        .iter()
        .map(|fault| {
            let position = fault.position.map(|position| position.to_string()).unwrap_or_default();
            (position, format!("{}; {}", fault.cause, fault.cause.remedy()))
        })
        .collect()
}

fn lab() -> Lab {
    let lab = Lab::new();
    lab.issue("alice");
    lab
}

/// One file with every kind of mistake; each line that is wrong ends with what must be said of it.
const ALL: &str = r#"
[node]
nam = "x"                                  # 3:1 did you mean `name`
baggage = { "a b" = "c" }                  # 4:13 has characters

[identity]
cert = "alice.pem"
key = "missing.key"                        # 8:7 missing.key
ca = 7                                     # 9:6 of type integer

[[listeners]]
name = "web"
kind = "tpc"                               # 13:8 no such kind
bind = "127.0.0.1"                         # 14:8 "127.0.0.1:8080"

[[listeners]]                              # 16:1 has no `destination`
name = "web"                               # 17:8 already defined at 12:8
kind = "tcp"
bind = "0.0.0.0:8080"                      # 19:8 allow_remote = true
istio_status = true                        # 20:16 no meaning

[[listeners]]
name = "db"
kind = "tcp"
bind = "127.0.0.1:5432"
destination = "db.example"                 # 26:15 "192.0.2.7:80"
peer = "bbo"                               # 27:8 did you mean `bob`

[[listeners]]
name = "in"
kind = "hbone"
bind = "127.0.0.1:5432"                    # 32:8 already defined at 25:8
destination = "127.0.0.1:80"               # 33:15 no meaning
allow_remote = "yes"                       # 34:16 of type string

[[listeners]]                              # 36:1 no route leads to its destination
name = "lost"
kind = "tcp"
bind = "[::1]:0"
destination = "127.0.0.1:80"

[[peers]]                                  # 42:1 has no `address`
name = "bob"
identity = "spiffe://example.org/bob"      # 44:12 spiffe://<trust domain>

[[peers]]
name = "bob"                               # 47:8 already defined at 43:8
address = "192.0.2.7:15008"
identity = []                              # 49:12 anyone could be it

[[routes]]                                 # 51:1 has no `peer`
listener = "wep"                           # 52:12 did you mean `web`

[[policies]]                               # 54:1 has no `action`
name = "p q"                               # 55:8 a short name
from = ["spiffe://", 5]                    # 56:9 trust domain | 56:22 of type integer
to = []                                    # 57:6 empty list

[[policies]]
name = "q"
action = "permit"                          # 61:10 "allow" or "deny"
to = ["10.0.0.0/8:99999"]                  # 62:7 a host and a port or ports

[limits]
dial_timeout = "10"                        # 65:16 has no unit
handshake_timeout = "0s"                   # 66:21 longer than nothing
idle_timeout = 5                           # 67:16 of type integer
tunnels = 0                                # 68:11 from 1 to
streams = 3                                # 69:1 did you mean

[listener]                                 # 71:2 did you mean `listeners`
"#;

#[test]
fn every_kind_of_fault_is_reported_at_once_with_its_place() {
    assert_faults(&lab(), ALL);
}

/// Asserts that a configuration has the faults that the comments behind its lines name, and no others.
pub(crate) fn assert_faults(lab: &Lab, text: &str) {
    let found = faults(lab, text);
    let listing = found.iter().map(|(at, what)| format!("{at} {what}")).collect::<Vec<_>>().join("\n");
    let mut wanted = 0;
    for line in text.lines() {
        let Some((_, comment)) = line.split_once(" # ") else { continue };
        let mut last = "";
        for part in comment.split(" | ") {
            let (at, what) = match part.trim().split_once(' ') {
                Some((at, what)) if at.contains(':') && at.starts_with(|c: char| c.is_ascii_digit()) => {
                    wanted += 1;
                    (at, what)
                }
                _ => continue,
            };
            last = at;
            let hit = found.iter().any(|(position, text)| position == at && text.contains(what.trim()));
            assert!(hit, "no fault at {at} with {what:?}; found:\n{listing}");
        }
        assert!(!last.is_empty(), "a comment without a place: {line}");
    }
    assert_eq!(found.len(), wanted, "faults without a wanted place:\n{listing}");
}

#[test]
fn faults_are_listed_in_the_order_of_the_file() {
    let lab = lab();
    let path = lab.write("node.toml", ALL);
    let faults = config::load(&path).expect_err("there must be faults");
    let positions: Vec<_> = faults.iter().map(|fault| fault.position).collect();
    assert!(positions.is_sorted());
}

#[test]
fn broken_toml_is_reported_with_its_place_and_the_rest_is_still_read() {
    let found = faults(&lab(), "[node]\nname = \n\n[limits]\nnonsense = 1\n");
    assert!(found.iter().any(|(at, what)| at.starts_with("2:") && what.contains("not TOML")), "{found:?}");
    assert!(found.iter().any(|(at, what)| at == "5:1" && what.contains("nonsense")), "{found:?}");
}

#[test]
fn a_missing_file_is_one_fault_without_a_place() {
    let output = run(&["check", "/nonexistent/hbone.toml"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("/nonexistent/hbone.toml: cannot read the file"), "{}", stderr(&output));
}

#[test]
fn t35_a_key_file_that_others_can_read_is_refused_and_named() {
    let lab = lab();
    fs::set_permissions(lab.path("alice.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let found = faults(&lab, &identity_section("alice"));
    let [(at, what)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(at, "3:7");
    assert!(what.contains("alice.key") && what.contains("0640") && what.contains("chmod 600"), "{what}");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let lab = lab();
    lab.issue("bob");
    let text = "[identity]\ncert = \"alice.pem\"\nkey = \"bob.key\"\nca = \"ca.pem\"\n";
    let found = faults(&lab, text);
    assert!(found.len() == 1 && found[0].1.contains("does not belong"), "{found:?}");
    assert_eq!(found[0].0, "3:7");
}

#[test]
fn an_expired_certificate_is_refused_with_its_end() {
    let lab = lab();
    let now = time::OffsetDateTime::now_utc();
    let hour = time::Duration::hours(1);
    let issued = lab.authority().issue_between(&id("old"), now - hour * 2, now - hour).unwrap();
    lab.write_identity("old", &issued.cert_pem, &issued.key_pem);
    let found = faults(&lab, &identity_section("old"));
    assert!(found.len() == 1 && found[0].1.contains("expired at"), "{found:?}");
    assert_eq!(found[0].0, "2:8");
}

#[test]
fn a_certificate_without_a_spiffe_identity_is_refused() {
    let lab = lab();
    lab.issue_as("odd", "https://example.org/alice");
    let found = faults(&lab, &identity_section("odd"));
    assert!(found.len() == 1 && found[0].1.contains("spiffe://"), "{found:?}");
}

#[test]
fn t10_a_rule_for_a_foreign_trust_domain_is_refused_at_load() {
    let rule = "[[policies]]\nname = \"far\"\naction = \"allow\"\nfrom = \"spiffe://elsewhere\"\n";
    let found = faults(&lab(), &format!("{}{rule}", identity_section("alice")));
    assert!(found.len() == 1 && found[0].1.contains("elsewhere"), "{found:?}");
    assert!(found[0].1.contains("the own trust domain, example.org"), "no next step: {found:?}");
    assert_eq!(found[0].0, "8:8");
}

#[test]
fn t10_every_foreign_trust_domain_is_told_at_its_own_place() {
    let text = format!(
        "{}{}",
        identity_section("alice"),
        r#"[[policies]]
name = "a"
action = "allow"
from = ["spiffe://example.org", "spiffe://one"]
[[policies]]
name = "a-longer"
action = "deny"
from = "spiffe://two/ns/x"
except = ["spiffe://three/ns/x/sa/y"]
[[peers]]
name = "far"
address = "192.0.2.7:15008"
identity = ["spiffe://example.org/ns/x/sa/y", "spiffe://four/ns/x/sa/y"]
"#
    );
    let found = faults(&lab(), &text);
    let wanted = [("8:33", "one"), ("12:8", "two"), ("13:11", "three"), ("17:47", "four")];
    assert_eq!(found.len(), wanted.len(), "{found:?}");
    for ((at, what), (place, domain)) in found.iter().zip(wanted) {
        assert_eq!(at, place, "{found:?}");
        assert!(what.contains(&format!("trust domain {domain}")), "{what}");
    }
}

#[test]
fn check_warns_of_a_leaf_that_the_own_roots_do_not_know() {
    let (lab, other) = (lab(), Lab::new());
    lab.write("other.pem", other.authority().cert_pem());
    let text = "[identity]\ncert = \"alice.pem\"\nkey = \"alice.key\"\nca = \"other.pem\"\n";
    lab.write("node.toml", text);
    let output = run(&["check", &lab.text("node.toml")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("warning") && stdout(&output).contains("not issued by"), "{output:?}");
    lab.write("node.toml", &identity_section("alice"));
    let output = run(&["check", &lab.text("node.toml")]);
    assert!(!stdout(&output).contains("warning"), "{output:?}");
}

#[test]
fn few_streams_per_connection_leave_callers_their_own_number() {
    let lab = lab();
    let text =
        format!("{}[limits]\nstreams_per_connection = 1\nserved_streams = 500\n", identity_section("alice"));
    let resolved = config::load(&lab.write("node.toml", &text)).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(resolved.limits.streams_per_connection, Some(1));
    assert_eq!(resolved.limits.served_streams, Some(500));
    let text = format!("{}[limits]\nserved_streams = 99\n", identity_section("alice"));
    let found = faults(&lab, &text);
    assert!(found.len() == 1 && found[0].1.contains("from 100 to"), "{found:?}");
}

#[test]
fn f15_memory_is_bounded_by_default_and_by_mebibytes() {
    let lab = lab();
    for (line, octets) in [("", 1 << 30), ("memory_mib = 64\n", 64 << 20)] {
        let text = format!("{}[limits]\n{line}", identity_section("alice"));
        let resolved =
            config::load(&lab.write("node.toml", &text)).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(resolved.limits.memory, octets);
    }
    let found = faults(&lab, &format!("{}[limits]\nmemory_mib = 15\n", identity_section("alice")));
    assert!(found.len() == 1 && found[0].1.contains("from 16 to"), "{found:?}");
}

#[test]
fn a_whole_configuration_has_no_faults_and_check_explains_it() {
    let lab = lab();
    let text = format!(
        "{}{}",
        identity_section("alice"),
        r#"
[node]
name = "alice"
baggage = { "service.name" = "shop" }
[[listeners]]
name = "web"
kind = "tcp"
bind = "127.0.0.1:0"
destination = "127.0.0.1:80"
[[listeners]]
name = "in"
kind = "hbone"
bind = "0.0.0.0:0"
[[peers]]
name = "bob"
address = "192.0.2.7:15008"
identity = ["spiffe://example.org/ns/test/sa/bob"]
[[routes]]
destination = "127.0.0.1:80"
peer = "bob"
[[policies]]
name = "friends"
action = "allow"
from = "spiffe://example.org/ns/test"
to = ["127.0.0.1:8000-8010", "*.example:443"]
[limits]
drain_deadline = "0s"
idle_timeout = "2h"
"#
    );
    let path = lab.write("node.toml", &text);
    let resolved = config::load(&path).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(resolved.baggage.as_deref(), Some("service.name=shop"));
    assert_eq!(resolved.limits.idle_timeout.as_secs(), 7200);
    assert!(resolved.captures[0].summary.ends_with(" through bob"), "found by the route");
    let output = run(&["check", &lab.text("node.toml")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("tcp 127.0.0.1:0 to 127.0.0.1:80 through bob"), "{}", stdout(&output));
    assert!(stdout(&output).contains("watch      4 files"), "itself and its identity: {}", stdout(&output));
    lab.write("node.toml", &text.replace("[node]", "[node]\nwatch = false"));
    let output = run(&["check", &lab.text("node.toml")]);
    assert!(stdout(&output).contains("watch      off"), "{}", stdout(&output));
}

#[test]
fn check_prints_one_line_a_fault_in_text_and_in_json() {
    let lab = lab();
    lab.write("node.toml", "[node]\nnam = 1\n");
    let output = run(&["check", &lab.text("node.toml")]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("node.toml:2:1: unknown key `nam` in [node]; did you mean `name`?"));
    let output = hbone().args(["--log-format", "json", "check", &lab.text("node.toml")]).output().unwrap();
    assert_eq!(code(&output), 2);
    let text = stderr(&output);
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect(line);
        assert_eq!(value["exit"], 2);
    }
    assert!(text.lines().count() >= 2, "{text}");
}

#[test]
fn no_key_material_is_ever_printed() {
    let lab = lab();
    let path = lab.write("node.toml", &identity_section("alice"));
    let resolved = config::load(&path).unwrap_or_else(|faults| panic!("{faults}"));
    let key = fs::read_to_string(lab.path("alice.key")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    assert!(!format!("{resolved:?}").contains(secret));
}

#[test]
fn a_local_route_belongs_to_a_listener_that_serves_peers_and_has_no_peer() {
    let text = format!(
        "{}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n\
         [[peers]]\nname = \"bob\"\naddress = \"192.0.2.7:15008\"\nidentity = \"{}\"\n\
         [[routes]]\nlistener = \"in\"\nlocal = true\n\
         [[routes]]\nlistener = \"in\"\npeer = \"bob\"\nlocal = true\n\
         [[routes]]\nlistener = \"in\"\nlocal = false\n\
         [[routes]]\nlocal = true\n\
         [[routes]]\nlistener = \"in\"\n",
        identity_section("alice"),
        id("bob")
    );
    let found = faults(&lab(), &text);
    let wanted = [
        ("19:9", "exclude each other"),
        ("22:9", "leads nowhere"),
        ("24:9", "kind \"hbone\""),
        ("25:1", "has no `peer`"),
    ];
    assert_eq!(found.len(), wanted.len(), "{found:?}");
    for ((at, what), (place, part)) in found.iter().zip(wanted) {
        assert!(at == place && what.contains(part), "{at} {what}; wanted {place} {part}");
    }
}

#[test]
fn a_peer_behind_another_says_which_and_that_one_is_dialled() {
    let peer = |name: &str, more: &str| {
        format!("[[peers]]\nname = \"{name}\"\nidentity = \"{}\"\n{more}\n", id("bob"))
    };
    let text = [
        identity_section("alice"),
        peer("gate", "address = \"192.0.2.7:15008\""),
        peer("bob", "through = \"gate\""),
        peer("far", "through = \"bob\""),
        peer("self", "through = \"self\""),
        peer("lost", "through = \"gat\""),
        peer("none", "# 29: neither"),
        "[node]\nnetwork = \"a b\"\n".into(),
    ];
    let found = faults(&lab(), &text.concat());
    let wanted = [
        ("16:11", "itself reached"),
        ("20:11", "itself reached"),
        ("24:11", "did you mean `gate`"),
        ("25:1", "has no `address`"),
        ("30:11", "a short name"),
    ];
    assert_eq!(found.len(), wanted.len(), "{found:?}");
    for ((at, what), (place, part)) in found.iter().zip(wanted) {
        assert!(at == place && what.contains(part), "{at} {what}; wanted {place} {part}");
    }
}

#[test]
fn several_addresses_are_for_a_peer_that_is_dialled_by_mtls_and_each_is_judged() {
    let peers = "[[peers]]\nname = \"far\"\naddress = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\nplain = true\n\
                 [[peers]]\nname = \"near\"\naddress = [\"127.0.0.1:1\", \"nowhere\"]\nidentity = \"";
    let text = format!("{}{peers}{}\"\n", identity_section("alice"), id("bob"));
    let faults = faults(&lab(), &text);
    let places: Vec<_> = faults.iter().map(|(position, _)| position.as_str()).collect();
    assert_eq!(places, ["7:27", "11:27"], "{faults:?}");
    assert!(faults[0].1.contains("only a peer that is dialled by mTLS has several addresses"), "{faults:?}");
}

/// What must be said of each line stands behind it.
const SERVING: &str = r#"
[[listeners]]                              # has no `trusted`
name = "a"
kind = "h2c"
bind = "127.0.0.1:1"

[[listeners]]
name = "b"
kind = "h2c"
bind = "127.0.0.1:2"
trusted = ["10.0.0.1/8"]                   # an address or a network
other_requests = "localhost"               # an address and a port
services = { web = "nowhere" }             # a host and a port

[[listeners]]
name = "c"
kind = "hbone"
bind = "127.0.0.1:3"
trusted = ["10.0.0.0/8"]                   # belongs to listeners of kind "h2c"
[listeners.jwt]                            # one place
issuer = "https://issuer.example"
audience = "https://gate.example"
algorithms = ["ES256", "HS256"]            # no algorithm with public keys
leeway = "5m"                              # longer than clocks may differ

[[listeners]]
name = "d"
kind = "hbone"
bind = "127.0.0.1:4"
[listeners.jwt]                            # has no `audience`
issuer = "https://issuer.example"
jwks_file = "node.toml"                    # no JWK set

[[listeners]]
name = "e"
kind = "tcp"
bind = "127.0.0.1:5"
destination = "127.0.0.1:9"
peer = "one"
[listeners.jwt]                            # belongs to listeners of kind "hbone", "h2c"
issuer = "https://issuer.example"

[[peers]]
name = "one"
address = "gate.example:443"
identity = "spiffe://example.org/ns/test/sa/bob"
[peers.post]                               # exactly one way

[[peers]]
name = "two"
address = "gate.example:443"
identity = "spiffe://example.org/ns/test/sa/bob"
[peers.post]
roots = "node.toml"                        # no root certificate
service = "a b"                            # a short name
token_file = "t"
token_command = "sh"                       # one file or one command

[[peers]]
name = "three"
address = "unix:relative"                  # an absolute path
plain = true

[[peers]]
name = "four"
address = "127.0.0.1:15009"
plain = true
identity = "spiffe://example.org/ns/test/sa/bob" # nobody shows an identity
"#;

#[test]
fn what_is_wrong_with_listeners_without_tls_with_tokens_and_with_the_post_mode_is_told_at_its_line() {
    let found = faults(&lab(), &format!("{}{SERVING}", identity_section("alice")));
    let offset = identity_section("alice").lines().count();
    let listing = found.iter().map(|(at, what)| format!("{at} {what}")).collect::<Vec<_>>().join("\n");
    for (line, text) in SERVING.lines().enumerate() {
        let Some((_, wanted)) = text.split_once(" # ") else { continue };
        let place = format!("{}:", offset + line + 1);
        let hit = found.iter().any(|(at, what)| at.starts_with(&place) && what.contains(wanted.trim()));
        assert!(hit, "nothing at {place} with {wanted:?}; found:\n{listing}");
    }
}

#[test]
fn an_admin_port_that_others_reach_is_a_fault() {
    let lab = lab();
    let with = |admin: &str| format!("{}[admin]\n{admin}\n", identity_section("alice"));
    for (bind, what) in [
        ("0.0.0.0:15020", "no login"),
        ("192.0.2.7:15020", "no login"),
        ("[::]:15020", "no login"),
        ("unix:@admin", "abstract"),
        ("15020", "invalid"),
    ] {
        let faults = faults(&lab, &with(&format!("bind = \"{bind}\"")));
        let [(position, text)] = faults.as_slice() else { panic!("{faults:?}") };
        assert_eq!(position, "6:8");
        assert!(text.contains(what) && text.contains("127.0.0.1:15020"), "{text}");
    }
    assert!(faults(&lab, &with(""))[0].1.contains("`bind`"));
    assert!(faults(&lab, &with("bind = \"127.0.0.1:0\"\nport = 1"))[0].1.contains("unknown key `port`"));
    let path = lab.write("node.toml", &with("bind = \"[::1]:15020\""));
    let told = stdout(&run(&["check", path.to_str().unwrap()]));
    assert!(told.contains("admin      [::1]:15020"), "{told}");
}
