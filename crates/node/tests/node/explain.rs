//! `hbone explain`: what it prints is what a running node does, by exit code, in words and in JSON.

use serde_json::Value;

use crate::common::{Lab, code, id, identity_section, run, stderr, stdout};

fn lab() -> Lab {
    let lab = Lab::new();
    lab.issue("bob");
    let text = identity_section("bob")
        + r#"
[[peers]]
name = "east"
address = "192.0.2.7:15008"
identity = "spiffe://example.org/ns/test/sa/east"
[[listeners]]
name = "mesh"
kind = "hbone"
bind = "0.0.0.0:15008"
[[listeners]]
name = "web"
kind = "tcp"
bind = "127.0.0.1:8080"
destination = "10.9.0.1:80"
peer = "east"
[[listeners]]
name = "proxy"
kind = "socks5"
bind = "127.0.0.1:1080"
[[routes]]
listener = "mesh"
destination = "*.east.example"
peer = "east"
[[routes]]
listener = "proxy"
destination = "10.9.0.0/16"
peer = "east"
[[policies]]
name = "web"
action = "allow"
from = "spiffe://example.org/ns/test/sa/web-*"
source_ip = "192.0.2.0/24"
to = ["10.0.0.0/8:80", "*.east.example"]
[[policies]]
name = "loopback"
action = "allow"
from = "spiffe://example.org/ns/test/sa/ops"
claims = { group = ["ops"] }
to = "127.0.0.1:9000"
[[policies]]
name = "not-this-one"
action = "deny"
to = "10.6.6.6"
[[policies]]
name = "soon"
action = "deny"
mode = "dry-run"
to = "10.7.0.0/16"
"#;
    lab.write("node.toml", &text);
    lab
}

/// The exit code and what is printed.
fn ask(lab: &Lab, arguments: &[&str]) -> (i32, String) {
    let config = lab.text("node.toml");
    let output = run(&[&["explain", "-c", &config], arguments].concat());
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
    (code(&output), stdout(&output))
}

fn json(lab: &Lab, arguments: &[&str]) -> (i32, Value) {
    let (code, text) = ask(lab, &[arguments, &["--json"]].concat());
    (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

#[test]
fn every_rule_says_why_it_matches_or_not_and_the_exit_code_what_is_decided() {
    let (lab, web) = (lab(), id("web-1"));
    let from = ["--listener", "mesh", "--from", &web, "--source-ip", "192.0.2.9", "--to"];
    let (code, text) = ask(&lab, &[&from[..], &["10.0.0.1:80"]].concat());
    let wanted = "listener mesh (hbone): allowed by rule 'web'\n\
                  \x20 rule web (allow): matches\n\
                  \x20 rule loopback (allow): no: the caller is none of `from`\n\
                  \x20 rule not-this-one (deny): no: the destination is none of `to`\n\
                  \x20 rule soon (deny, dry run): no: the destination is none of `to`\n\
                  \x20 way: dialled from here\n";
    assert_eq!((code, text.as_str()), (0, wanted));
    let (code, text) = ask(&lab, &[&from[..], &["10.7.0.1:80"]].concat());
    assert!(code == 0 && text.contains("in earnest, rule soon would deny it"), "{text}");
    let (code, text) = ask(&lab, &[&from[..], &["10.6.6.6:80"]].concat());
    assert!(code == 3 && text.contains("denied: rule 'not-this-one' denies it"), "{text}");
    let (code, text) = ask(&lab, &[&from[..], &["a.east.example:443"]].concat());
    assert!(code == 0 && text.contains("way: through east, 192.0.2.7:15008 as"), "{text}");
    let (code, text) = ask(&lab, &[&from[..], &["a.example:80"]].concat());
    assert!(code == 0 && text.contains("a.example resolves to is judged again"), "{text}");
    let (code, text) = ask(&lab, &[&from[..], &["a.example:80", "--address", "127.0.0.1"]].concat());
    assert!(code == 3 && text.contains("protected (loopback)"), "{text}");
}

#[test]
fn what_is_not_told_of_the_caller_is_not_known() {
    let (lab, web, ops) = (lab(), id("web-1"), id("ops"));
    let mesh = ["--listener", "mesh", "--to", "127.0.0.1:9000", "--from"];
    let (code, text) = ask(&lab, &[&mesh[..], &[&ops]].concat());
    assert!(code == 3 && text.contains("rule loopback (allow): no: the caller has no token"), "{text}");
    assert_eq!(ask(&lab, &[&mesh[..], &[&ops, "--claim", "group=ops"]].concat()).0, 0);
    assert_eq!(ask(&lab, &[&mesh[..], &[&ops, "--claim", "group=dev"]].concat()).0, 3);
    let (code, text) = ask(&lab, &["--listener", "mesh", "--to", "10.0.0.1:80", "--from", &web]);
    assert!(code == 3 && text.contains("the caller's address is not known"), "{text}");
    let (code, text) = ask(&lab, &["--listener", "mesh", "--to", "10.0.0.1:80"]);
    assert!(code == 3 && text.contains("the caller has no identity"), "{text}");
}

#[test]
fn listeners_of_clients_say_which_peer_carries_it() {
    let lab = lab();
    let (code, text) = ask(&lab, &["--listener", "proxy", "--to", "10.9.3.3:22"]);
    assert!(code == 0 && text.starts_with("listener proxy (socks5): through east, "), "{text}");
    let (code, text) = ask(&lab, &["--listener", "proxy", "--to", "10.8.3.3:22"]);
    assert_eq!((code, text.as_str()), (3, "listener proxy (socks5): no route leads there\n"));
    let (code, text) = ask(&lab, &["--listener", "web", "--to", "10.9.0.2:80"]);
    assert_eq!((code, text.as_str()), (3, "listener web (tcp): not from here: all goes to 10.9.0.1:80\n"));
    let (code, value) = json(&lab, &["--to", "10.9.0.1:80"]);
    assert_eq!((code, &value["allowed"]), (3, &Value::Bool(false)), "callers come by the mesh");
    let peers: Vec<_> = value["listeners"].as_array().unwrap().iter().map(|it| &it["peer"]).collect();
    assert_eq!(peers, [&Value::Null, &Value::from("east"), &Value::from("east")]);
}

#[test]
fn the_answer_in_json_names_rules_and_reasons() {
    let (lab, web) = (lab(), id("web-1"));
    let (code, value) =
        json(&lab, &["--listener", "mesh", "--from", &web, "--source-ip", "10.1.1.1", "--to", "10.0.0.1:80"]);
    let answer = &value["listeners"][0];
    assert_eq!((code, &answer["allowed"], &answer["by"]), (3, &Value::Bool(false), &Value::Null));
    assert_eq!(answer["rules"][0]["rule"], "web");
    assert_eq!(answer["rules"][0]["matches"], false);
    assert!(answer["rules"][0]["why_not"].as_str().unwrap().contains("source_ip"), "{answer}");
    assert_eq!(answer["rules"][3]["dry_run"], true);
}

#[test]
fn a_wrong_question_is_wrong_usage() {
    let lab = lab();
    let config = lab.text("node.toml");
    for (arguments, wanted) in [
        (&["--to", "10.0.0.1"][..], "port"),
        (&["--to", "10.0.0.1:80", "--from", "bob"], "spiffe://"),
        (&["--to", "10.0.0.1:80", "--listener", "mehs"], "no listener `mehs`"),
        (&["--to", "10.0.0.1:80", "--claim", "x"], "NAME=VALUE"),
    ] {
        let output = run(&[&["explain", "-c", &config], arguments].concat());
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(stderr(&output).contains(wanted), "{}", stderr(&output));
    }
}
