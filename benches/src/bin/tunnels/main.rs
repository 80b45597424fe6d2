//! Whole tunnels: two nodes of this project beside what else carries TCP connections, in turns within one run.
//!
//! `tunnels [--quick] [--only PART] [--beside NAMES] [--json FILE] [--html FILE]`. Client and server are in this
//! process and the same for all; the chains between them are processes of their own, and CPU and memory are theirs
//! alone.

mod cases;
mod chains;
mod client;
mod cores;
mod options;
mod process;
mod procfs;
mod run;
mod server;

use std::fs;
use std::io;
use std::process::ExitCode;

use hbone_benches::report::{self, Report};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use options::{Options, USAGE};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let Some(ended) = chains::relay(&arguments) {
        return code(ended);
    }
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::read(arguments) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("tunnels: {reason}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    code(measure(&options))
}

fn code(ended: io::Result<()>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tunnels: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures and tells. The chains are started here, on the main thread, and are gone when this is left.
fn measure(options: &Options) -> io::Result<()> {
    raise_descriptors()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (report, failed) = tokio::select! {
            outcome = run::run(options) => outcome?,
            () = told_to_end() => return Err(io::Error::from(io::ErrorKind::Interrupted)),
        };
        write(options, &report)?;
        if failed.is_empty() { Ok(()) } else { Err(io::Error::other(failed.join("\n"))) }
    })
}

/// Chains inherit it: a tunnel takes two in each process that it goes through.
fn raise_descriptors() -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

async fn told_to_end() {
    let mut signals = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        signals.extend(signal(kind).ok());
    }
    std::future::poll_fn(|context| {
        let ready = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Writes the files that were asked for.
fn write(options: &Options, report: &Report) -> io::Result<()> {
    let files = [(&options.json, report::json as fn(&Report) -> String), (&options.html, report::page)];
    for (path, form) in files {
        if let Some(path) = path {
            fs::write(path, form(report)).map_err(|error| io::Error::other(format!("{path}: {error}")))?;
        }
    }
    Ok(())
}
