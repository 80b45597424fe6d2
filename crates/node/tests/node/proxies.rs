//! Listeners whose clients say where they want to go, with programs of others as clients: SOCKS5 and HTTP CONNECT.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use hbone_node::config;

use crate::common::{Lab, id, identity_section, run, stderr, stdout};
use crate::fake;
use crate::process::{NodeProcess, Process, installed};

/// Alice with a proxy of each kind, with and without a password; bob lets her reach his loopback but for one port.
struct Proxies {
    _lab: Lab,
    alice: NodeProcess,
    _bob: NodeProcess,
}

impl Proxies {
    fn start(denied: SocketAddr) -> Self {
        let lab = Lab::new();
        lab.issue("alice");
        lab.issue("bob");
        let config = format!(
            "{}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n\
             [[policies]]\nname = \"alice\"\naction = \"allow\"\nfrom = \"{}\"\n\
             to = [\"127.0.0.1\", \"[::1]\", \"localhost\"]\n\
             [[policies]]\nname = \"not\"\naction = \"deny\"\nto = \"{denied}\"\n",
            identity_section("bob"),
            id("alice"),
        );
        let bob = NodeProcess::start(&lab.write("bob.toml", &config));
        let alice = NodeProcess::start(&lab.write("alice.toml", &alice(&lab, bob.address("in"))));
        Self { _lab: lab, alice, _bob: bob }
    }

    /// What `curl` says through a listener, as that kind of proxy.
    fn curl(&self, scheme: &str, user: &str, listener: &str, url: &str) -> Output {
        self.curl_as(true, scheme, user, listener, url)
    }

    /// The same, where `http:` may be asked for without a CONNECT.
    fn curl_as(&self, tunnel: bool, scheme: &str, user: &str, listener: &str, url: &str) -> Output {
        let proxy = format!("{scheme}://{user}{}", self.alice.address(listener));
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "30", "--noproxy", "", "-x", &proxy, url]);
        if tunnel {
            curl.arg("--proxytunnel");
        }
        curl.env_remove("http_proxy").output().unwrap()
    }
}

fn alice(lab: &Lab, peer: SocketAddr) -> String {
    lab.write_private("password", "s3cret\n");
    let mut config = identity_section("alice");
    let _ = writeln!(config, "[[peers]]\nname = \"bob\"\naddress = \"{peer}\"\nidentity = \"{}\"", id("bob"));
    for (kind, name) in [("socks5", "socks"), ("http-proxy", "http")] {
        let listener = format!("[[listeners]]\nkind = \"{kind}\"\nbind = \"127.0.0.1:0\"\npeer = \"bob\"\n");
        let _ = writeln!(config, "{listener}name = \"{name}\"");
        let _ =
            writeln!(config, "{listener}name = \"{name}-pw\"\nuser = \"ann\"\npassword_file = \"password\"");
    }
    config
}

fn web() -> (Lab, Process, String, Vec<u8>) {
    let lab = Lab::new();
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(lab.path("file"), &body).unwrap();
    let mut python = Command::new("python3");
    python.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]).arg(lab.path(""));
    let mut python = Process::start(&mut python, false);
    let line = python.line("its port", |line| line.contains(" port "));
    let port = line.split(" port ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    (lab, python, port, body)
}

#[test]
fn curl_fetches_through_socks5_and_through_http_connect_by_address_and_by_name() {
    if !installed("curl") || !installed("python3") {
        return;
    }
    let (_folder, _python, port, body) = web();
    let proxies = Proxies::start(fake::closed());
    for (scheme, listener) in [("socks5", "socks"), ("socks5h", "socks"), ("http", "http")] {
        for host in ["127.0.0.1", "localhost"] {
            for user in ["", "ann:s3cret@"] {
                let listener = if user.is_empty() { listener.into() } else { format!("{listener}-pw") };
                let url = format!("http://{host}:{port}/file");
                let output = proxies.curl(scheme, user, &listener, &url);
                assert!(output.status.success(), "{scheme} {host}: {}", stderr(&output));
                assert!(output.stdout == body, "{} octets of {}", output.stdout.len(), body.len());
            }
        }
    }
}

#[test]
fn curl_fetches_whole_urls_through_the_http_proxy_and_hears_of_failures_by_status() {
    if !installed("curl") || !installed("python3") {
        return;
    }
    let (_folder, _python, port, body) = web();
    let closed = fake::closed();
    let proxies = Proxies::start(fake::echo());
    for (user, listener) in [("", "http"), ("ann:s3cret@", "http-pw")] {
        let output = proxies.curl_as(false, "http", user, listener, &format!("http://localhost:{port}/file"));
        assert!(output.status.success() && output.stdout == body, "{}", stderr(&output));
    }
    let output = proxies.curl_as(false, "http", "", "http", &format!("http://{closed}/"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("nothing listens at it"), "{text}");
    let output = proxies.curl_as(false, "http", "", "http-pw", &format!("http://localhost:{port}/file"));
    assert!(output.status.success() && output.stdout != body, "a password was not asked for");
}

#[test]
fn t31_curl_hears_the_cause_as_its_protocol_has_it() {
    if !installed("curl") {
        return;
    }
    let (denied, closed) = (fake::echo(), fake::closed());
    let proxies = Proxies::start(denied);
    // curl prints the code of RFC 1928 in brackets, and the status of an HTTP proxy.
    let cases = [
        ("socks5h", "socks", "", denied, "(2)"),
        ("socks5h", "socks", "", closed, "(5)"),
        ("http", "http", "", denied, "403"),
        ("http", "http", "", closed, "502"),
        ("socks5h", "socks-pw", "ann:wrong@", closed, "rejected"),
        ("socks5h", "socks-pw", "", closed, "No authentication method was acceptable"),
        ("http", "http-pw", "ann:wrong@", closed, "407"),
        ("http", "http-pw", "", closed, "407"),
    ];
    for (scheme, listener, user, to, wanted) in cases {
        let output = proxies.curl(scheme, user, listener, &format!("http://{to}/"));
        let said = stderr(&output);
        assert!(!output.status.success() && said.contains(wanted), "{listener} {to} {wanted}: {said}");
    }
}

#[test]
fn faults_of_proxies_are_named_with_their_places() {
    let lab = Lab::new();
    lab.issue("alice");
    lab.write("loose", "s3cret\n");
    std::fs::set_permissions(lab.path("loose"), Permissions::from_mode(0o644)).unwrap();
    let text = format!(
        "{}[[peers]]\nname = \"bob\"\naddress = \"127.0.0.1:1\"\nidentity = \"{}\"\n\
         [[listeners]]\nname = \"a\"\nkind = \"socks5\"\nbind = \"0.0.0.0:1080\"\npeer = \"bob\"\nuser = \"ann\"\n\
         [[listeners]]\nname = \"b\"\nkind = \"http-proxy\"\nbind = \"127.0.0.1:3128\"\npeer = \"bob\"\n\
         user = \"ann\"\npassword_file = \"loose\"\ndestination = \"a:1\"\n\
         [[listeners]]\nname = \"c\"\nkind = \"socks5\"\nbind = \"127.0.0.1:0\"\n",
        identity_section("alice"),
        id("bob")
    );
    let faults = config::load(&lab.write("node.toml", &text)).expect_err("there must be faults");
    let listing: Vec<_> = faults.iter().map(ToString::to_string).collect();
    let wanted = [
        ":12:8: 0.0.0.0:1080 is reachable",
        ":14:8: [[listeners]] \"a\": `user` and `password_file` belong together",
        ":21:17: the key file",
        ":22:15: `destination` has no meaning",
        ":23:1: [[listeners]] \"c\": no `peer`, and no route",
    ];
    assert_eq!(listing.len(), wanted.len(), "{listing:#?}");
    for (fault, wanted) in listing.iter().zip(wanted) {
        assert!(fault.contains(wanted), "{fault}");
    }
}

#[test]
fn check_says_what_a_proxy_does() {
    let lab = Lab::new();
    lab.issue("alice");
    lab.write("node.toml", &alice(&lab, "127.0.0.1:15008".parse().unwrap()));
    let output = run(&["check", &lab.text("node.toml")]);
    let said = stdout(&output);
    assert!(said.contains("socks: socks5 127.0.0.1:0 to what is asked for through bob"), "{said}");
    assert!(said.contains("http-pw: http-proxy 127.0.0.1:0 to what clients with the password ask"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}
