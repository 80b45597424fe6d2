//! nghttpx in the middle: the POST mode through it, and CONNECT.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;

use crate::common::id;
use crate::fake;
use crate::posts::{Scene, connect, echoes, from, is_cut, octets, token, web_certificate};
use crate::process::{Process, installed};
use crate::tunnels::resetting;

/// A running nghttpx with a certificate, and where it listens.
fn nghttpx(scene: &Scene, certificate: &str, backend: &str, more: &[&str]) -> (Process, SocketAddr) {
    let listening = fake::closed();
    let mut command = Command::new("nghttpx");
    command.args(["--conf=/dev/null", "--no-ocsp", "--workers=1", "--single-process", "-LINFO"]);
    command.arg(format!("-f127.0.0.1,{}", listening.port())).arg(format!("-b{backend}")).args(more);
    command
        .arg(scene.lab.path(&format!("{certificate}.key")))
        .arg(scene.lab.path(&format!("{certificate}.pem")));
    let mut process = Process::start(&mut command, true);
    process.line("that it listens", |line| line.contains("Entering event loop"));
    (process, listening)
}

#[test]
fn post_mode_passes_through_nghttpx_which_has_a_certificate_by_name_and_a_token_is_shown() {
    if !installed("nghttpx") {
        return;
    }
    let scene = Scene::new();
    web_certificate(&scene.lab, "web", "gate.example");
    let (jwks, token) = token(&id("alice"));
    scene.lab.write("keys.json", &jwks);
    scene.lab.write_private("token", &token);
    let listener = "kind = \"h2c\"\ntrusted = [\"127.0.0.0/8\"]\n[listeners.jwt]\nissuer = \"https://issuer.example\"\n\
                    audience = \"https://gate.example\"\njwks_file = \"keys.json\"";
    let bob = scene.bob(listener, &from("alice"));
    let backend = format!("127.0.0.1,{};;proto=h2", bob.address("in").port());
    let (_nghttpx, at) = nghttpx(&scene, "web", &backend, &[]);
    let peer = |token: &str| {
        format!(
            "address = \"{at}\"\nidentity = \"{}\"\n[peers.post]\nroots = \"web.pem\"\n\
             server_name = \"gate.example\"\n{token}",
            id("bob")
        )
    };
    let mut alice = scene.alice(&peer("token_file = \"token\""));
    echoes(alice.address("echo"));
    // The same file with another token: a new tunnel has the new one.
    fs::write(scene.lab.path("token.new"), "nobody.knows.me").unwrap();
    fs::rename(scene.lab.path("token.new"), scene.lab.path("token")).unwrap();
    assert!(connect(alice.address("echo")).read(&mut [0]).is_err());
    assert_eq!(alice.complaint("the status")["status"].as_u64(), Some(401));
    fs::write(scene.lab.path("token.new"), &token).unwrap();
    fs::rename(scene.lab.path("token.new"), scene.lab.path("token")).unwrap();
    echoes(alice.address("echo"));
    for complaint in bob.complaints() {
        assert!(!complaint.to_string().contains("nobody.knows.me"), "{complaint}");
    }
}

#[test]
fn t29_a_reset_passes_through_nghttpx_in_post_mode_as_a_reset() {
    if !installed("nghttpx") {
        return;
    }
    let mut scene = Scene::new();
    scene.echo = resetting();
    web_certificate(&scene.lab, "web", "gate.example");
    let bob = scene.bob("kind = \"h2c\"\ntrusted = [\"127.0.0.0/8\"]", &from("alice"));
    let backend = format!("127.0.0.1,{};;proto=h2", bob.address("in").port());
    let (_nghttpx, at) = nghttpx(&scene, "web", &backend, &[]);
    let alice = scene.alice(&format!(
        "address = \"{at}\"\nidentity = \"{}\"\n[peers.post]\nroots = \"web.pem\"\nserver_name = \"gate.example\"",
        id("bob")
    ));
    is_cut(alice.address("echo"));
}

#[test]
fn connect_passes_through_nghttpx_as_a_proxy_with_mtls_behind_it() {
    if !installed("nghttpx") {
        return;
    }
    let mut scene = Scene::new();
    // nghttpx keeps a client's end of a CONNECT to itself, and resets the stream behind a service's: ends do not pass.
    scene.echo = fake::serve(|mut stream| {
        let mut all = vec![0; LENGTH];
        stream.read_exact(&mut all).unwrap();
        stream.write_all(&all).unwrap();
        let _ = stream.read(&mut [0]);
    });
    let bob = scene.bob("kind = \"hbone\"", &from("gate"));
    let backend = format!("127.0.0.1,{};;tls;proto=h2", bob.address("in").port());
    let own = |end: &str| scene.lab.text(&format!("gate.{end}"));
    let client =
        [format!("--client-cert-file={}", own("pem")), format!("--client-private-key-file={}", own("key"))];
    let (_nghttpx, at) = nghttpx(&scene, "gate", &backend, &["-s", "-k", &client[0], &client[1]]);
    let alice = scene.alice(&format!("address = \"{at}\"\nidentity = \"{}\"", id("gate")));
    let mut stream = connect(alice.address("echo"));
    let sent = octets(LENGTH);
    let (mut writer, copy) = (stream.try_clone().unwrap(), sent.clone());
    let writing = std::thread::spawn(move || writer.write_all(&copy).unwrap());
    let mut received = vec![0; LENGTH];
    stream.read_exact(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received == sent, "other octets came back");
}

const LENGTH: usize = 3 << 20;
