//! `h2load`, the load generator of nghttp2, against the example server and the same server on stock `h2`, in turns.
//!
//! Both servers have to be built: `cargo build --release -p hbone-conn --example h2c_server`, and this package. With
//! `--quick` it goes fewer rounds.
//! Prints requests a second and their ratio. Without `h2load` it says so and does nothing, or fails where
//! `HBONE_REQUIRE_PEERS` is set.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use hbone_benches::report::{Better, Limit, Measure, Verdict};

const OURS: &str = "hbone";
const STOCK: &str = "h2";
/// Connections, streams at a time on each of them, and how many times h2's requests a second ours is to reach, if that
/// is said.
const LOADS: [(u32, u32, Option<f64>); 2] = [(10, 100, Some(2.0)), (100, 100, None)];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rounds = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => 7,
        ["--quick"] => 3,
        _ => return fail("usage: h2load [--quick]"),
    };
    if Command::new("h2load").arg("--version").output().is_err() {
        if std::env::var_os("HBONE_REQUIRE_PEERS").is_some() {
            return fail("h2load is missing: apt-get install nghttp2-client");
        }
        println!("skipped: h2load is missing (apt-get install nghttp2-client)");
        return ExitCode::SUCCESS;
    }
    match compare(rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("h2load: {message}");
    ExitCode::FAILURE
}

fn compare(rounds: usize) -> io::Result<()> {
    let here = std::env::current_exe()?;
    let folder = here.parent().map(Path::to_path_buf).unwrap_or_default();
    let servers = [(OURS, folder.join("examples/h2c_server")), (STOCK, folder.join("h2c_stock"))];
    let servers = servers.into_iter().map(|(name, program)| Ok((name, Server::start(program)?)));
    let servers: Vec<_> = servers.collect::<io::Result<_>>()?;
    for (connections, streams, least) in LOADS {
        let mut measure = Measure::new("requests", "per s", Better::More);
        for round in 0..rounds {
            for nth in 0..servers.len() {
                // Each round begins with the other; the first entry is ours all the same.
                let (name, server) = &servers[(nth + round) % servers.len()];
                measure.push(name, load(&server.address, connections, streams)?);
            }
        }
        if let Some(least) = least {
            measure.demand(STOCK, Limit::AtLeast(least));
        }
        show(&measure, connections, streams);
    }
    Ok(())
}

fn show(measure: &Measure, connections: u32, streams: u32) {
    println!("{connections} connections, {streams} streams at a time on each, requests per second");
    for entry in &measure.entries {
        let spread = entry.spread();
        let ratio = measure.ratio(entry).unwrap_or(f64::NAN);
        let (median, least, most) = (spread.median, spread.least, spread.most);
        println!("  {:<8} {median:>9.0} ({least:.0}..{most:.0})   ours ÷ theirs {ratio:.2}", entry.contender);
    }
    for bar in &measure.bars {
        let word = if measure.verdict(bar) == Verdict::Met { "met" } else { "missed" };
        println!("  bar {}: {word}", bar.ratio);
    }
}

/// A server that ends with this program.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(program: PathBuf) -> io::Result<Self> {
        let mut process = Command::new(&program)
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line.trim().strip_prefix("listening on ").unwrap_or_default().to_owned();
        let server = Self { process, address };
        if server.address.is_empty() {
            return Err(io::Error::other(format!("{} did not start", program.display())));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already needs no ending.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One run of 200 000 requests; requests a second.
fn load(address: &str, connections: u32, streams: u32) -> io::Result<f64> {
    let output = Command::new("h2load")
        .args(["-n", "200000", "-c", &connections.to_string(), "-m", &streams.to_string()])
        .arg(format!("http://{address}/"))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let failed = || io::Error::other(format!("h2load failed:\n{text}"));
    if !output.status.success() || !text.contains("200000 succeeded, 0 failed, 0 errored") {
        return Err(failed());
    }
    // finished in 1.07s, 186915.88 req/s, 9.27MB/s
    let line = text.lines().find(|line| line.starts_with("finished in")).ok_or_else(failed)?;
    let figure = line.split(", ").nth(1).and_then(|part| part.strip_suffix(" req/s"));
    figure.and_then(|figure| figure.parse().ok()).ok_or_else(failed)
}
