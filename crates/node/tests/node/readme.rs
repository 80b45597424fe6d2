//! The minute in the README works: its commands and its two configurations, with other ports. What it shows of code
//! is a file that is compiled.

use std::io::Read;

use tempfile::TempDir;

use crate::common::{code, hbone, stderr};
use crate::fake;
use crate::process::NodeProcess;

/// The texts between the fences of one language, in their order.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_minute_in_the_readme_works_as_it_is_written() {
    let readme = include_str!("../../../../README.md");
    let folder = TempDir::new().unwrap();
    for line in blocks(readme, "sh")[0].lines() {
        let arguments = line.strip_prefix("hbone ").expect("a command of ours").split(' ');
        let output = hbone().args(arguments).current_dir(folder.path()).output().unwrap();
        assert_eq!(code(&output), 0, "{line}: {}", stderr(&output));
    }
    let web = fake::serve(|mut stream| {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.0 200 OK\r\n\r\nreached");
    });
    let [bob, alice] = blocks(readme, "toml").try_into().expect("two configurations");
    let web_port = format!("127.0.0.1:{}", web.port());
    let bob = bob.replace("0.0.0.0:15008", "127.0.0.1:0").replace("127.0.0.1:8000", &web_port);
    std::fs::write(folder.path().join("bob.toml"), bob).unwrap();
    let bob = NodeProcess::start(&folder.path().join("bob.toml"));
    let alice = alice
        .replace("192.0.2.7:15008", &bob.address("mesh").to_string())
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("127.0.0.1:8000", &web_port);
    std::fs::write(folder.path().join("alice.toml"), alice).unwrap();
    let alice = NodeProcess::start(&folder.path().join("alice.toml"));
    let mut stream = std::net::TcpStream::connect(alice.address("web")).unwrap();
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("reached"), "{answer:?}");
}

#[test]
fn the_code_in_the_readme_is_the_examples_that_are_compiled() {
    let readme = include_str!("../../../../README.md");
    let examples =
        [include_str!("../../../conn/examples/echo.rs"), include_str!("../../../conn/examples/embed.rs")];
    assert!(blocks(readme, "rust") == examples, "README.md and crates/conn/examples differ");
}
