//! Mistakes in the configuration of a gateway, each named with its line and column.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{Lab, code, identity_section, run, stderr, stdout};
use crate::config_faults::assert_faults;
use crate::web::PublicAuthority;

const PEER: &str = "[[peers]]\nname = \"bob\"\naddress = \"192.0.2.7:15008\"\n\
                    identity = \"spiffe://example.org/ns/test/sa/bob\"\n";

fn lab() -> Lab {
    let lab = Lab::new();
    lab.issue("alice");
    lab
}

/// Four lines of identity and four of a peer stand before.
fn configuration(text: &str) -> String {
    format!("{}{PEER}{text}", identity_section("alice"))
}

const SNI: &str = r#"[[listeners]]             # 9:1 no `names`
name = "a"
kind = "sni"
bind = "0.0.0.0:15443"                        # 12:8 allow_remote = true
peer = "bbo"                                  # 13:8 did you mean `bob`
allow_from = []                               # 14:14 leave the key out
destination = "web.example:443"               # 15:15 no meaning
[[listeners]]                                 # 16:1 no route leads anywhere
name = "b"
kind = "sni"
bind = "127.0.0.1:15443"
names = ["*:443", "10.0.0.0/8", "a.example:x"] # 20:10 a name or *.name | 20:19 a name or | 20:33 the port must
allow_from = ["10.0.0.1/8"]                   # 21:15 an address or a network
[[listeners]]
name = "c"
kind = "tcp"
bind = "127.0.0.1:1"
destination = "a.example:1"
peer = "bob"
names = ["a.example"]                         # 28:9 of kind "sni"
[[listeners]]
name = "d"
kind = "sni"
bind = "127.0.0.1:2"
peer = "bob"
names = []                                    # 34:9 nobody gets through
"#;

#[test]
fn every_fault_of_an_sni_gateway_is_named_with_its_place() {
    assert_faults(&lab(), &configuration(SNI));
}

#[test]
fn check_says_what_an_sni_gateway_lets_through_for_whom_and_where() {
    let lab = lab();
    let text = "[[listeners]]\nname = \"east\"\nkind = \"sni\"\nbind = \"0.0.0.0:15443\"\npeer = \"bob\"\n\
                allow_remote = true\nallow_from = \"10.0.0.0/8\"\nnames = [\"*.example:443\", \"db.example:1-9\"]\n";
    lab.write("node.toml", &configuration(text));
    let output = run(&["check", &lab.text("node.toml")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let line = "sni 0.0.0.0:15443 to *.example:443, db.example:1-9 through bob, for 10.0.0.0/8";
    assert!(stdout(&output).contains(line), "{}", stdout(&output));
}

const TLS: &str = r#"[[listeners]]             # 9:1 no section `[[listeners.certificates]]`
name = "a"
kind = "tls"
bind = "0.0.0.0:443"                          # 12:8 allow_remote = true
destination = "web.example"                   # 13:15 "192.0.2.7:80"
peer = "bob"
names = ["a.example"]                         # 15:9 of kind "sni"
[[listeners]]                                 # 16:1 has no `destination`
name = "b"
kind = "tls"
bind = "127.0.0.1:443"
[[listeners.certificates]]                    # 20:1 has no `key`
cert = "web.pem"
[[listeners.certificates]]
cert = "none.pem"                             # 23:8 none.pem
key = "loose.key"                             # 24:7 chmod 600
[[listeners.certificates]]
names = ["*", "a.example:443"]                # 26:10 without a port | 26:15 without a port
cert = "web.pem"
key = "alice.key"                             # 28:7 does not belong
[[listeners.certificates]]                    # 29:1 shown to no name
cert = "alice.pem"
key = "alice.key"
nmes = []                                     # 32:1 did you mean `names`
[[listeners]]
name = "c"
kind = "tcp"
bind = "127.0.0.1:1"
destination = "a.example:1"
peer = "bob"
[[listeners.certificates]]                    # 39:1 of kind "tls"
cert = "web.pem"
key = "web.key"
"#;

#[test]
fn t35_every_fault_of_a_gateway_that_ends_tls_is_named_with_its_place() {
    let lab = lab();
    let authority = PublicAuthority::new();
    authority.issue_to(&lab, "web", &["web.example"]);
    authority.issue_to(&lab, "loose", &["web.example"]);
    fs::set_permissions(lab.path("loose.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_faults(&lab, &configuration(TLS));
}

#[test]
fn check_says_for_which_names_tls_is_ended() {
    let lab = lab();
    PublicAuthority::new().issue_to(&lab, "web", &["web.example", "*.web.example"]);
    let text = "[[listeners]]\nname = \"web\"\nkind = \"tls\"\nbind = \"127.0.0.1:443\"\npeer = \"bob\"\n\
                destination = \"127.0.0.1:80\"\n[[listeners.certificates]]\ncert = \"web.pem\"\nkey = \"web.key\"\n";
    lab.write("node.toml", &configuration(text));
    let output = run(&["check", &lab.text("node.toml")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let line = "tls 127.0.0.1:443 to 127.0.0.1:80 through bob, as web.example, *.web.example";
    assert!(stdout(&output).contains(line), "{}", stdout(&output));
}

const WEB: &str = r#"[[listeners]]             # 9:1 no section `[[listeners.routes]]`
name = "a"
kind = "http"
bind = "0.0.0.0:80"                           # 12:8 allow_remote = true
destination = "web.example:80"                # 13:15 no meaning
[[listeners]]                                 # 14:1 no section `[[listeners.certificates]]`
name = "b"
kind = "https"
bind = "127.0.0.1:443"
[[listeners.routes]]                          # 18:1 no `peer`, and no route
host = "*"                                    # 19:8 a name or *.name
path = "api"                                  # 20:8 begin with a slash
destination = "web.example:1"
[[listeners.routes]]                          # 22:1 has no `destination`
peer = "bbo"                                  # 23:8 did you mean `bob`
hots = "a.example"                            # 24:1 did you mean `host`
[[listeners]]
name = "c"
kind = "sni"
bind = "127.0.0.1:1"
names = "a.example"
peer = "bob"
[[listeners.routes]]                          # 31:1 of kind "http", "https"
destination = "web.example:1"
"#;

#[test]
fn every_fault_of_a_web_front_is_named_with_its_place() {
    assert_faults(&lab(), &configuration(WEB));
}

#[test]
fn check_says_where_requests_go() {
    let lab = lab();
    PublicAuthority::new().issue_to(&lab, "web", &["web.example"]);
    let text = "[[listeners]]\nname = \"web\"\nkind = \"https\"\nbind = \"127.0.0.1:443\"\npeer = \"bob\"\n\
                [[listeners.certificates]]\ncert = \"web.pem\"\nkey = \"web.key\"\n\
                [[listeners.routes]]\nhost = \"web.example\"\npath = \"/api\"\ndestination = \"10.0.0.1:80\"\n\
                [[listeners.routes]]\ndestination = \"10.0.0.2:80\"\n";
    lab.write("node.toml", &configuration(text));
    let output = run(&["check", &lab.text("node.toml")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let line =
        "https 127.0.0.1:443 to web.example/api at 10.0.0.1:80 through bob, */ at 10.0.0.2:80 through bob";
    assert!(stdout(&output).contains(line), "{}", stdout(&output));
}

const EGRESS: &str = r#"[[egress]]                # 9:1 has no `tls`
destination = "api.example:443:1"             # 10:15 a host and a port
[[egress]]                                    # 11:1 has no `destination`
listener = "nobody"                           # 12:12 there is no listener
tls = { sni = "a:1", roots = "none.pem", cert = "web.pem" } # 13:15 without a port | 13:30 none.pem | 13:49 belong together
[[egress]]
destination = "*.example:443"
tls = { root = "public.pem", cert = "web.pem", key = "alice.key" } # 16:7 no `roots` | 16:9 did you mean `roots` | 16:54 does not belong
[[egress]]
destination = "10.0.0.0/8"
tls = "yes"                                   # 19:7 of type string
"#;

#[test]
fn every_fault_of_an_egress_rule_is_named_with_its_place() {
    let lab = lab();
    PublicAuthority::new().issue_to(&lab, "web", &["web.example"]);
    assert_faults(&lab, &configuration(EGRESS));
}

#[test]
fn check_says_which_destinations_get_tls() {
    let lab = lab();
    PublicAuthority::new().issue_to(&lab, "web", &["web.example"]);
    let text = "[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n\
                [[egress]]\nlistener = \"in\"\ndestination = \"10.0.0.0/8:443\"\n\
                tls = { sni = \"api.example\", roots = \"public.pem\", cert = \"web.pem\", key = \"web.key\" }\n";
    lab.write("node.toml", &configuration(text));
    let output = run(&["check", &lab.text("node.toml")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let line = "egress     10.0.0.0/8:443 with TLS as api.example, for in";
    assert!(stdout(&output).contains(line), "{}", stdout(&output));
}
