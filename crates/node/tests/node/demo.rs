//! The demo as a user runs it.

use crate::common::{code, hbone, run, stderr, stdout};
use crate::process::{Process, installed};

#[test]
fn the_demo_succeeds_and_reports_what_it_has_shown() {
    let output = run(&["demo", "--quick"]);
    let text = stdout(&output);
    assert_eq!(code(&output), 0, "{text}{}", stderr(&output));
    for part in ["spiffe://", "TLS 1.3", "SHA-256 equal", "half-close", "reset", "MiB/s", "p99", "a second"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert_eq!(stderr(&output), "", "nothing to complain about");
}

#[test]
fn what_the_demo_prints_with_keep_works_and_nothing_stays_behind() {
    let mut command = hbone();
    command.args(["demo", "--quick", "--keep"]);
    let mut demo = Process::start(&mut command, false);
    demo.line("how to end it", |line| line.starts_with("Control-C"));
    let lines: Vec<String> = demo.seen().iter().map(|line| line.trim().to_owned()).collect();
    let command = |start: &str| lines.iter().find(|line| line.starts_with(start)).unwrap().clone();
    let shell = |line: &str| std::process::Command::new("sh").args(["-c", line]).output().unwrap();
    let output = shell(&command("printf"));
    assert!(
        stdout(&output).ends_with("hello through the tunnel\n"),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    if installed("curl") {
        let output = shell(&command("curl http"));
        assert_eq!(stdout(&output), "hello through the tunnel\n", "{}", stderr(&output));
    }
    let ssh = command("ssh -o ProxyCommand=");
    let config = ssh.split(" -c ").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    let folder = std::path::Path::new(&config).parent().unwrap().to_owned();
    assert_eq!(crate::common::mode(&folder), 0o700);
    assert_eq!(crate::common::mode(&folder.join("alice.key")), 0o600);
    demo.signal("INT");
    assert_eq!(demo.exit(), 0);
    assert!(!folder.exists(), "{} is still there", folder.display());
}
