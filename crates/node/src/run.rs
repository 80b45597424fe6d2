//! `hbone run`: a node from a configuration until a signal ends it. Called by main.rs.
//! First signal: drain until the deadline. Second signal: the end, at once. SIGHUP, or files that
//! have changed: the configuration anew.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{error, info, warn};

use crate::cli::Run;
use crate::config::{self, Faults, Files, Resolved};
use crate::descriptors;
use crate::exit::{Exit, Failure};
use crate::node::Node;
use crate::report;
use crate::runtime;
use crate::signal::{Hangups, Signals};
use crate::watch::Watch;

/// Runs until the end.
///
/// # Errors
/// A wrong configuration, listeners that cannot be bound.
pub fn run(ask: &Run) -> Result<Exit, Failure> {
    let given = match (&ask.config, &ask.toml) {
        (Some(path), _) => Given::File(path.clone()),
        (None, text) => Given::Text(text.clone().unwrap_or_default()),
    };
    let config = given.load().map_err(|faults| report::faults(&faults))?;
    if config.is_idle() {
        let what = format!("{}: there is nothing to run: no listener", given.path().display());
        return Err(Failure::new(Exit::Usage, what).remedy("add a `[[listeners]]` section"));
    }
    descriptors::raise();
    runtime::block_on(serve(given, config))
}

/// Where the configuration comes from.
#[derive(Clone)]
enum Given {
    File(PathBuf),
    /// The command line.
    Text(String),
}

impl Given {
    fn load(&self) -> Result<Resolved, Faults> {
        match self {
            Self::File(path) => config::load(path),
            Self::Text(text) => config::load_text(self.path(), text),
        }
    }

    /// As faults show it.
    fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Text(_) => Path::new("--toml"),
        }
    }
}

async fn serve(given: Given, mut config: Resolved) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Failure, format!("cannot take signals: {error}"));
    let mut signals = Signals::new().map_err(failed)?;
    let mut hangups = Hangups::new().map_err(failed)?;
    warnings(&config);
    let mut node = Node::start(&config)?;
    let version = env!("CARGO_PKG_VERSION");
    info!(version, name = config.name, identity = %config.identity.id(), listeners = node.listeners().len(), "ready");
    let mut watch = Watch::new(config.files.clone());
    let signal = loop {
        tokio::select! {
            signal = signals.next() => break signal,
            () = hangups.next() => watch.took(reload(&given, &node, &mut config).await),
            () = watch.changed(), if config.watch => watch.took(reload(&given, &node, &mut config).await),
            () = node.broken() => {
                let failure = Failure::new(Exit::Failure, "a listener has stopped by itself");
                return Err(failure.remedy("this is a bug: please report it with the log"));
            }
        }
    };
    drain(&mut node, &mut signals, signal, config.limits.drain_deadline).await
}

/// Lets live tunnels end until the deadline, or until a second signal.
pub(crate) async fn drain(
    node: &mut Node,
    signals: &mut Signals,
    signal: &str,
    deadline: Duration,
) -> Result<Exit, Failure> {
    info!(signal, deadline = ?deadline, "draining: no new tunnels, live ones may end; a second signal ends at once");
    tokio::select! {
        report = node.drain(deadline) => {
            info!(finished = report.finished, reset = report.reset, "drained");
            Ok(if report.reset == 0 { Exit::Success } else { Exit::Failure })
        }
        signal = signals.next() => {
            warn!(signal, "ended before the drain was done: live tunnels are reset");
            Ok(Exit::Interrupted)
        }
    }
}

/// Reads the configuration again, with all its files. A faulty one is told and changes nothing.
/// Gives back the files, as they were when they were read.
async fn reload(given: &Given, node: &Node, config: &mut Resolved) -> Files {
    let (given, files) = (given.clone(), config.files.clone());
    // Files may be slow; tunnels must not wait for them.
    let read = move || (files.look(), given.load());
    let Ok((mut files, loaded)) = tokio::task::spawn_blocking(read).await else {
        return config.files.clone();
    };
    let fresh = match loaded {
        Ok(fresh) => fresh,
        Err(faults) => {
            for fault in faults.iter() {
                error!(%fault, "fault in the new configuration");
            }
            error!(faults = faults.len(), "not reloaded: the last good configuration stays");
            // Those of the good one too: whichever is corrected may be what was wrong.
            files.extend(faults.files().clone());
            return files;
        }
    };
    if let Err(cause) = node.reload(&fresh) {
        error!(%cause, "not reloaded: the last good configuration stays");
        return fresh.files;
    }
    warnings(&fresh);
    let waiting = config.limits.kept_until_restart(&fresh.limits);
    if !waiting.is_empty() {
        warn!(limits = waiting.join(", "), "these limits hold from the next start");
    }
    info!(name = fresh.name, identity = %fresh.identity.id(), "reloaded");
    *config = fresh;
    config.files.clone()
}

/// What is odd about a configuration, and a certificate that ends soon, while there is time.
fn warnings(config: &Resolved) {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let end = Duration::from_secs(u64::try_from(config.not_after).unwrap_or(0));
    let left = end.saturating_sub(now);
    if left < Duration::from_secs(86_400) {
        let minutes = left.as_secs() / 60;
        warn!(minutes, "the certificate ends soon: issue a new one with `hbone id issue`");
    }
}
