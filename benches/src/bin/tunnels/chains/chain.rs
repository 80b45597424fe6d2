//! A chain of running processes and the folder that they live in. Made by the files beside this one, measured by
//! cases.rs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client;
use crate::process::{self, Process};

/// What a chain is started for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Where it leads.
    pub(crate) server: SocketAddr,
    /// How many cores its processes may use, the first ones; all of them when left out.
    pub(crate) cores: Option<usize>,
}

/// A running chain; its processes and its folder are gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Chain {
    /// Where clients connect.
    pub(crate) entry: SocketAddr,
    plan: Plan,
    processes: Vec<Process>,
    folder: TempDir,
}

impl Chain {
    /// A chain without processes yet: it leads nowhere but to the server itself.
    pub(crate) fn new(plan: Plan) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("hbone-tunnels-").tempdir()?;
        Ok(Self { entry: plan.server, plan, processes: Vec::new(), folder })
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it leads.
    pub(crate) fn server(&self) -> SocketAddr {
        self.plan.server
    }

    /// Writes a file into its folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        std::fs::write(self.folder().join(name), text)
    }

    /// Starts one more of its processes, in its folder.
    pub(crate) fn start(&mut self, mut command: Command, name: &str) -> io::Result<()> {
        command.current_dir(self.folder());
        let process = Process::start(command, &self.folder().join(name), self.plan.cores)?;
        self.processes.push(process);
        Ok(())
    }

    /// Waits until an octet comes back through the whole chain.
    ///
    /// # Errors
    /// One of its processes has ended, or nothing comes back in time; with what the processes printed last.
    pub(crate) async fn ready(mut self, entry: SocketAddr) -> io::Result<Self> {
        self.entry = entry;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reason = match tokio::time::timeout(Duration::from_secs(3), client::probe(entry)).await {
                Ok(Ok(())) => return Ok(self),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            if Instant::now() > deadline || self.processes.iter_mut().any(Process::ended) {
                let words: Vec<_> = self.processes.iter().map(Process::last_words).collect();
                return Err(io::Error::other(format!("not ready: {reason}\n{}", words.join("\n"))));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Processor time of all its processes so far; none for a chain without any.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        (!self.processes.is_empty()).then(|| process::cpu(&self.processes))
    }

    /// Octets that all its processes have resident; none for a chain without any.
    pub(crate) fn resident(&self) -> Option<u64> {
        (!self.processes.is_empty()).then(|| process::resident(&self.processes))
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Whether a program is in the path.
///
/// # Errors
/// It is not; with what to do.
pub(crate) fn installed(program: &str) -> Result<(), String> {
    let found = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    found.map(drop).map_err(|_| format!("not installed: cargo install {program}"))
}

/// Runs a program to its end and gives back what it printed.
///
/// # Errors
/// It cannot be started, or says that it failed; with what it printed.
pub(crate) fn run(command: &mut Command) -> io::Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// Long enough for a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);
