//! Policies of running nodes: what a configuration may say, dry runs, and what a change does to live tunnels.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use hbone_node::config;
use serde_json::Value;

use crate::common::{Lab, id, identity_section};
use crate::fake;
use crate::process::{NodeProcess, PATIENCE};

/// Bob serves alice; the policies of bob are written by the test.
struct Ruled {
    lab: Lab,
    bob: NodeProcess,
    alice: NodeProcess,
}

impl Ruled {
    fn start(policies: &str, behind: &[SocketAddr]) -> Self {
        let lab = Lab::new();
        lab.issue("alice");
        lab.issue("bob");
        let bob = NodeProcess::start(&write_bob(&lab, policies));
        let peer = format!(
            "[[peers]]\nname = \"bob\"\naddress = \"{}\"\nidentity = \"{}\"\n",
            bob.address("mesh"),
            id("bob")
        );
        let captures: String = behind
            .iter()
            .enumerate()
            .map(|(number, to)| {
                format!(
                    "[[listeners]]\nname = \"to{number}\"\nkind = \"tcp\"\nbind = \"127.0.0.1:0\"\n\
                     destination = \"{to}\"\npeer = \"bob\"\n"
                )
            })
            .collect();
        let text = format!("{}{peer}{captures}", identity_section("alice"));
        let alice = NodeProcess::start(&lab.write("alice.toml", &text));
        Self { lab, bob, alice }
    }

    fn connect(&self, number: usize) -> TcpStream {
        let stream = TcpStream::connect(self.alice.address(&format!("to{number}"))).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Gives bob other policies and waits for what he says to it.
    fn change(&mut self, policies: &str, message: &str) {
        write_bob(&self.lab, policies);
        self.bob.process().signal("HUP");
        let mark = format!("\"message\":\"{message}");
        self.bob.process().line(message, |line| line.contains(&mark));
    }
}

fn write_bob(lab: &Lab, policies: &str) -> PathBuf {
    let listener = "[[listeners]]\nname = \"mesh\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n";
    lab.write("bob.toml", &format!("{}{listener}{policies}", identity_section("bob")))
}

fn policy(name: &str, action: &str, keys: &str) -> String {
    format!("[[policies]]\nname = \"{name}\"\naction = \"{action}\"\n{keys}\n")
}

fn echoed(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"word")?;
    stream.read_exact(&mut [0; 4])
}

/// Faults of policies in a file with one listener, `mesh`.
fn faults(policies: &str) -> Vec<String> {
    let lab = Lab::new();
    lab.issue("bob");
    let path = write_bob(&lab, policies);
    let Err(faults) = config::load(&path) else { return Vec::new() };
    faults.iter().map(|fault| format!("{}; {}", fault.cause, fault.cause.remedy())).collect()
}

#[test]
fn t10_a_policy_that_names_a_listener_that_does_not_exist_is_refused_and_the_nearest_one_told() {
    for key in ["listener", "not_listener"] {
        let found = faults(&policy("p", "allow", &format!("{key} = \"mehs\"")));
        assert!(found.len() == 1 && found[0].contains("did you mean `mesh`"), "{found:?}");
        assert!(faults(&policy("p", "allow", &format!("{key} = [\"mesh\"]"))).is_empty());
    }
}

#[test]
fn every_key_of_a_policy_is_read_and_a_wrong_value_named() {
    let all = "mode = \"dry-run\"\nfrom = \"spiffe://example.org/ns/test/sa/web-*\"\nsource_ip = \"10.0.0.0/8\"\n\
               not_source_ip = [\"10.1.0.0/16\"]\nsni = \"*.example\"\nnot_sni = \"a.example\"\nlistener = \"mesh\"\n\
               claims = { group = [\"ops\"], iss = \"x\" }\nnot_claims = { group = \"out\" }\nto = \"*:80\"\nnot_to = \"db:80\"";
    assert!(faults(&policy("p", "allow", all)).is_empty());
    for (key, wanted) in [
        ("mode = \"dry\"", "\"enforce\" or \"dry-run\""),
        ("source_ip = \"10.0.0.1/8\"", "first address"),
        ("not_source_ip = \"::ffff:10.0.0.1\"", "IPv4"),
        ("sni = \"A.example\"", "lower case"),
        ("not_to = \"db:0\"", "a host and a port"),
        ("claims = { group = [] }", "empty list"),
        ("claims = \"group\"", "a table"),
        ("from = \"spiffe://example.org/ns/t*/sa/x\"", "letters, digits"),
        ("without_identity = true", "source_ip"),
        ("without_identity = true\nsource_ip = \"10.0.0.0/8\"", "listener"),
        ("without_identity = true\nfrom = \"*\"", "no `from`"),
        ("without_identity = true\nsource_ip = \"10.0.0.0/8\"\nlistener = \"mesh\"", "has an identity"),
    ] {
        let found = faults(&policy("p", "allow", key));
        assert!(found.len() == 1 && found[0].contains(wanted), "{key}: {found:?}");
    }
}

#[test]
fn a_dry_run_lets_the_tunnel_stand_and_says_what_it_would_have_done() {
    let behind = fake::echo();
    let rules = policy("open", "allow", &format!("to = \"{behind}\""))
        + &policy("try", "deny", "mode = \"dry-run\"\nfrom = \"*\"");
    let mut ruled = Ruled::start(&rules, &[behind]);
    echoed(&mut ruled.connect(0)).unwrap();
    let line = ruled.bob.process().line("dry run", |line| line.contains("\"message\":\"dry run\""));
    let told: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(told["rule"], "try");
    assert_eq!(told["would"], "deny");
    assert_eq!(told["differs"], true);
    assert_eq!(told["source"], id("alice"));
    assert_eq!(told["destination"], behind.to_string());
}

#[test]
fn t12_a_change_of_any_fact_resets_both_legs_of_what_it_denies_and_the_others_lose_no_octet() {
    let (heard, hear) = std::sync::mpsc::channel();
    let victim_service = TcpListener::bind("127.0.0.1:0").unwrap();
    let (behind, other) = (fake::echo(), victim_service.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in victim_service.incoming().flatten() {
            let heard = heard.clone();
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut octets = [0; 4096];
                loop {
                    match stream.read(&mut octets) {
                        Ok(0) => return heard.send(None),
                        Ok(count) => stream.write_all(&octets[..count]).unwrap(),
                        Err(error) => return heard.send(Some(error.kind())),
                    }
                }
            });
        }
    });
    let open = policy("open", "allow", &format!("to = [\"{behind}\", \"{other}\"]"));
    let mut ruled = Ruled::start(&open, &[behind, other]);
    let stop = Arc::new(AtomicBool::new(false));
    let survivor = keep_busy(ruled.connect(0), Arc::clone(&stop));
    for denying in [
        format!("from = \"spiffe://example.org/ns/test/sa/al*\"\nto = \"{other}\""),
        format!("source_ip = \"127.0.0.0/8\"\nto = \"{other}\""),
        format!("listener = \"mesh\"\nnot_to = \"{behind}\""),
        format!("not_sni = \"a.example\"\nto = \"{other}\""),
    ] {
        let mut victim = ruled.connect(1);
        echoed(&mut victim).unwrap();
        ruled.change(&format!("{open}{}", policy("no", "deny", &denying)), "reloaded");
        let told = Instant::now();
        let error = victim.read(&mut [0; 1]).expect_err("must be a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{denying}");
        let far = hear.recv_timeout(PATIENCE).unwrap();
        assert_eq!(far, Some(ErrorKind::ConnectionReset), "{denying}: the destination's leg");
        eprintln!("both legs were reset {:?} after the change was told", told.elapsed());
        assert!(echoed(&mut ruled.connect(1)).is_err(), "{denying}: a new tunnel is still allowed");
        ruled.change(&open, "reloaded");
        echoed(&mut ruled.connect(1)).unwrap();
        assert_eq!(hear.recv_timeout(PATIENCE).unwrap(), None, "the client of before ended cleanly");
    }
    stop.store(true, Ordering::Relaxed);
    let rounds = survivor.join().unwrap();
    assert!(rounds > 0);
}

/// Sends octets that tell their place round and round, and checks what comes back, until told to stop; the rounds.
fn keep_busy(mut stream: TcpStream, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut rounds = 0u64;
        while !stop.load(Ordering::Relaxed) {
            let sent: Vec<u8> = (0..8192u64).flat_map(|at| (rounds * 8192 + at).to_le_bytes()).collect();
            stream.write_all(&sent).unwrap();
            let mut back = vec![0; sent.len()];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(back, sent);
            rounds += 1;
        }
        rounds
    })
}

#[test]
fn t08_a_policy_that_is_broken_by_meaning_keeps_the_last_good_one() {
    let behind = fake::echo();
    let open = policy("open", "allow", &format!("to = \"{behind}\""));
    let mut ruled = Ruled::start(&open, &[behind]);
    let mut live = ruled.connect(0);
    echoed(&mut live).unwrap();
    for broken in [
        policy("no", "deny", "listener = \"gone\""),
        policy("no", "deny", "without_identity = true\nfrom = \"*\""),
        policy("open", "deny", ""),
    ] {
        ruled.change(&format!("{open}{broken}"), "not reloaded");
        echoed(&mut live).unwrap();
        echoed(&mut ruled.connect(0)).unwrap();
    }
}
