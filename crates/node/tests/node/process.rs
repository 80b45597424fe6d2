//! A running `hbone run` and other programs that tests need: started, listened to, ended with the test.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitOptions, waitpid};
use serde_json::Value;

use crate::common::hbone;

/// Long enough for the slowest machine; reaching it is a failure, never a way to wait.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A program whose lines are read; killed when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Process {
    /// Starts a program; `stderr` says which of its outputs is read.
    pub(crate) fn start(command: &mut Command, stderr: bool) -> Self {
        let (out, err) =
            if stderr { (Stdio::null(), Stdio::piped()) } else { (Stdio::piped(), Stdio::null()) };
        let mut child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
        let (send, lines) = channel();
        let source: Box<dyn std::io::Read + Send> = match (child.stderr.take(), child.stdout.take()) {
            (Some(err), _) => Box::new(err),
            (None, Some(out)) => Box::new(out),
            (None, None) => unreachable!("one of them is piped"),
        };
        std::thread::spawn(move || {
            for line in BufReader::new(source).lines() {
                let Ok(line) = line else { break };
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// The next line that fits; what comes before it is kept for `seen`.
    pub(crate) fn line(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if fits(&line) {
                        return line;
                    }
                }
                Err(_) => panic!("no line with {what}; the lines were:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// Its number in the operating system.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// Stops it, and waits until it stands still: it runs on for a moment after the signal.
    pub(crate) fn stop(&self) {
        self.signal("STOP");
        let stopped = waitpid(Pid::from_raw(self.child.id() as i32), WaitOptions::UNTRACED).unwrap();
        assert!(stopped.is_some_and(|(_, status)| status.stopped()), "it ended instead");
    }

    /// Waits for the end; the exit code, or -1 after a signal.
    pub(crate) fn exit(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.seen.extend(self.lines.iter());
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "does not end; the lines were:\n{}", self.seen.join("\n"));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Every line so far.
    pub(crate) fn seen(&self) -> &[String] {
        &self.seen
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running node and the addresses of its listeners.
pub(crate) struct NodeProcess {
    process: Process,
    listeners: HashMap<String, SocketAddr>,
}

impl NodeProcess {
    /// Starts `hbone run` and waits until it is ready.
    pub(crate) fn start(config: &Path) -> Self {
        Self::start_by(hbone(), config)
    }

    /// The same by a command that ends where the arguments of `hbone` begin.
    pub(crate) fn start_by(mut command: Command, config: &Path) -> Self {
        command.args(["--log-format", "json", "run", "-c"]).arg(config);
        let mut process = Process::start(&mut command, true);
        process.line("ready", |line| line.contains("\"message\":\"ready\""));
        let mut listeners = HashMap::new();
        for line in process.seen() {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if value["message"] == "listening" {
                // Unix sockets have none.
                if let Ok(address) = value["address"].as_str().unwrap().parse() {
                    listeners.insert(value["name"].as_str().unwrap().to_owned(), address);
                }
            }
        }
        Self { process, listeners }
    }

    /// The address of a listener.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        self.listeners[name]
    }

    /// The one log line of a tunnel that could not be made or that ended badly; it must be one line of JSON.
    pub(crate) fn complaint(&mut self, what: &str) -> Value {
        let complains =
            |line: &str| line.contains("\"level\":\"WARN\"") || line.contains("\"level\":\"ERROR\"");
        let line = self.process.line(what, complains);
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Ends the node and gives back all its complaints, each of which names a cause.
    pub(crate) fn complaints(mut self) -> Vec<Value> {
        self.process.signal("TERM");
        self.process.exit();
        let complains =
            |line: &&String| line.contains("\"level\":\"WARN\"") || line.contains("\"level\":\"ERROR\"");
        let complaints = self.process.seen().iter().filter(complains);
        complaints
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Whether a program is installed. Says so when not, and fails when peers are required.
pub(crate) fn installed(program: &str) -> bool {
    if Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
        return true;
    }
    assert!(std::env::var_os("HBONE_REQUIRE_PEERS").is_none_or(|it| it != "1"), "{program} is required");
    eprintln!("skipped: {program} is not installed");
    false
}
