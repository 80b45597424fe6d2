//! The commands that need no tunnel, through the real binary: files, modes, exit codes.

use crate::common::{Lab, code, hbone, identity_section, mode, run, stderr, stdout};
use crate::process::Process;
use tempfile::TempDir;

fn text(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn an_authority_and_an_identity_are_made_with_safe_modes_and_pass_check() {
    let folder = TempDir::new().unwrap();
    let dir = text(&folder, "pki");
    let output = run(&["ca", "init", "--dir", &dir, "--trust-domain", "example.org"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(mode(&folder.path().join("pki/ca.key")), 0o600);
    let output = run(&["id", "issue", "--ca", &dir, "--ns", "shop", "--sa", "cart", "--out", &dir]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stdout(&output).contains("spiffe://example.org/ns/shop/sa/cart"), "{}", stdout(&output));
    assert_eq!(mode(&folder.path().join("pki/cart.key")), 0o600);
    let config = "[identity]\ncert = \"cart.pem\"\nkey = \"cart.key\"\nca = \"ca.pem\"\n";
    std::fs::write(folder.path().join("pki/node.toml"), config).unwrap();
    let output = run(&["check", &text(&folder, "pki/node.toml")]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn a_leaf_carries_one_uri_name_and_both_usages() {
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
    let lab = Lab::new();
    lab.issue("alice");
    let pem = std::fs::read_to_string(lab.path("alice.pem")).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    let (_, leaf) = X509Certificate::from_der(&pem.contents).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap().value;
    let [GeneralName::URI(uri)] = names.general_names.as_slice() else { panic!("{names:?}") };
    assert_eq!(*uri, "spiffe://example.org/ns/test/sa/alice");
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth);
    assert!(!leaf.is_ca());
    assert!(leaf.public_key().algorithm.parameters.is_some(), "an elliptic curve is named");
}

#[test]
fn nothing_is_ever_overwritten() {
    let folder = TempDir::new().unwrap();
    let dir = text(&folder, "pki");
    assert_eq!(code(&run(&["ca", "init", "--dir", &dir])), 0);
    let before = std::fs::read(folder.path().join("pki/ca.key")).unwrap();
    let output = run(&["ca", "init", "--dir", &dir]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("is there already"), "{}", stderr(&output));
    assert_eq!(std::fs::read(folder.path().join("pki/ca.key")).unwrap(), before);
    let issue = ["id", "issue", "--ca", &dir, "--out", &dir, "spiffe://cluster.local/ns/a/sa/b"];
    assert_eq!(code(&run(&issue)), 0);
    assert_eq!(code(&run(&issue)), 2);
}

#[test]
fn a_half_present_authority_is_not_completed() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("ca.pem"), "mine").unwrap();
    let output = run(&["ca", "init", "--dir", folder.path().to_str().unwrap()]);
    assert_eq!(code(&output), 2);
    assert!(!folder.path().join("ca.key").exists());
}

#[test]
fn wrong_identities_are_usage_faults() {
    let folder = TempDir::new().unwrap();
    let dir = text(&folder, "pki");
    let output = run(&["ca", "init", "--dir", &dir, "--trust-domain", "Example.ORG"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert_eq!(code(&run(&["ca", "init", "--dir", &dir, "--trust-domain", "example.org"])), 0);
    for identity in ["spiffe://example.org/bob", "spiffe://other.org/ns/a/sa/b", "bob"] {
        let output = run(&["id", "issue", "--ca", &dir, "--out", &dir, identity]);
        assert_eq!(code(&output), 2, "{identity}: {}", stderr(&output));
    }
    let output = run(&["id", "issue", "--ca", &text(&folder, "nowhere"), "--ns", "a", "--sa", "b"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("hbone ca init"), "{}", stderr(&output));
}

#[test]
fn wrong_usage_ends_with_two() {
    for arguments in [&["nonsense"][..], &[], &["run"], &["id", "issue", "--ns", "a"], &["dial", "a:1"]] {
        assert_eq!(code(&run(arguments)), 2, "{arguments:?}");
    }
    assert_eq!(code(&run(&["--version"])), 0);
    assert!(stdout(&run(&["--version"])).starts_with("hbone "));
    assert!(stdout(&run(&["--help"])).contains("Exit codes"));
}

#[test]
fn a_configuration_without_listeners_has_nothing_to_run() {
    let lab = Lab::new();
    lab.issue("alice");
    lab.write("node.toml", &identity_section("alice"));
    let output = run(&["run", "-c", &lab.text("node.toml")]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("[[listeners]]"), "{}", stderr(&output));
}

#[test]
fn a_log_filter_that_cannot_be_understood_is_refused() {
    let output = hbone().env("RUST_LOG", "a=b=c").args(["check", "x"]).output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("RUST_LOG"), "{}", stderr(&output));
}

#[test]
fn t35_an_authority_whose_key_others_can_read_issues_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let dir = text(&folder, "pki");
    assert_eq!(code(&run(&["ca", "init", "--dir", &dir])), 0);
    let key = folder.path().join("pki/ca.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let issue = ["id", "issue", "--ca", &dir, "--out", &dir, "spiffe://cluster.local/ns/a/sa/b"];
    let output = run(&issue);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("ca.key") && said.contains("0644") && said.contains("chmod 600"), "{said}");
    assert!(!folder.path().join("pki/b.key").exists());
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(code(&run(&issue)), 0);
}

#[test]
fn a_closed_standard_error_changes_no_exit_code() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = hbone().args(["check", "/nonexistent.toml"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = hbone();
    let status = command.env("RUST_LOG", "a=b=c").args(["check", "x"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn a_node_runs_from_the_command_line_alone() {
    let lab = Lab::new();
    lab.issue("alice");
    let start = |text: &str| {
        let mut command = hbone();
        command.current_dir(lab.path("")).args(["--log-format", "json", "run", "--toml", text]);
        command
    };
    let listener = "[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n";
    let mut node = Process::start(&mut start(&format!("{}{listener}", identity_section("alice"))), true);
    node.line("ready", |line| line.contains("\"ready\""));
    node.signal("TERM");
    assert_eq!(node.exit(), 0);
    let output = start("[identity]\n").output().unwrap();
    assert!(code(&output) == 2 && stderr(&output).contains("--toml:1:1"), "{}", stderr(&output));
}
