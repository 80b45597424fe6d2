//! The steps of the demo in their order, and its report. Called through `demo`; prints on standard output.

use std::io;
use std::time::{Duration, Instant};

use super::client;
use super::keep::{ALSO, Kept};
use super::measure::{self, Amount, Rate, Way, mebibytes, percentile};
use super::nodes::{Handshake, Nodes};
use super::payload::Payload;
use super::server::{End, Servers};
use super::table::Table;
use super::watchdog::Watchdog;
use crate::cli::Demo;
use crate::descriptors;
use crate::exit::{Exit, Failure};
use crate::report::say;
use crate::runtime;
use crate::signal::Signals;

/// Runs the demo.
///
/// # Errors
/// The step that failed and why.
pub fn demo(ask: &Demo) -> Result<Exit, Failure> {
    let amount = if ask.quick { measure::QUICK } else { measure::WHOLE };
    descriptors::raise();
    runtime::block_on(run(amount, ask.keep))
}

async fn run(amount: Amount, keep: bool) -> Result<Exit, Failure> {
    let begin = Instant::now();
    let watchdog = Watchdog::start();
    let payload = Payload::new();
    let mut servers = watchdog.step("start the servers", Servers::start(&payload)).await?;
    let more = if keep { ALSO } else { &[] };
    let mut nodes = watchdog.step("start the nodes", Nodes::start(&servers, more)).await?;
    say(&format!("{TITLE}\n"));
    let mut table = Table::default();
    let handshake = watchdog.step("handshake", nodes.handshake()).await?;
    introduce(&mut table, &nodes, &handshake);
    correct(&watchdog, &mut table, &nodes, &mut servers, &payload, amount).await?;
    figures(&watchdog, &mut table, &nodes, &servers, &payload, amount).await?;
    say(&table.to_string());
    say(NOTE);
    say(&format!("Done in {:.1} s.", begin.elapsed().as_secs_f64()));
    if keep {
        drop(watchdog);
        stay(&nodes, &servers).await?;
        nodes.drain(Duration::from_secs(2)).await;
        return Ok(Exit::Success);
    }
    let reset = watchdog.step("drain", async { Ok(nodes.drain(Duration::from_secs(10)).await) }).await?;
    if reset > 0 {
        let what = format!("demo, step `drain`: {reset} tunnels were still open at the end");
        return Err(Failure::new(Exit::Failure, what));
    }
    Ok(Exit::Success)
}

fn introduce(table: &mut Table, nodes: &Nodes, handshake: &Handshake) {
    table.row("alice", format!("{}, captures on {}", nodes.people.alice.id, nodes.web));
    table.row("bob", format!("{}, serves on {}", nodes.people.bob.id, nodes.bob_address));
    table.row("between them", format!("{}, {}, ALPN h2", handshake.version, handshake.cipher));
    table.row("PING", format!("{:.0} µs", micros(handshake.ping)));
}

/// Everything that is right or wrong, before anything is measured.
async fn correct(
    watchdog: &Watchdog,
    table: &mut Table,
    nodes: &Nodes,
    servers: &mut Servers,
    payload: &Payload,
    amount: Amount,
) -> Result<(), Failure> {
    let requests = watchdog.step("HTTP requests", client::requests(nodes.web)).await?;
    table.row("HTTP requests", format!("{requests} over one connection, all answered"));
    watchdog.step("half-close", client::half_close(nodes.after, payload)).await?;
    table.row("half-close", "the answer arrives after the end of the request");
    watchdog.step("reset by the server", client::reset_by_server(nodes.reset)).await?;
    watchdog
        .step("reset by the client", async {
            client::reset_by_client(nodes.echo).await?;
            match servers.ends.recv().await {
                Some(End::Reset) => Ok(()),
                Some(End::Clean) => {
                    Err(io::Error::other("the client has reset, the server sees a clean end"))
                }
                None => Err(io::Error::other("the echo has gone")),
            }
        })
        .await?;
    table.row("reset", "arrives as a reset, both ways");
    let elapsed =
        watchdog.step("verified transfer", measure::verified(nodes.web, payload, amount.verified)).await?;
    let size = mebibytes(amount.verified);
    let seconds = elapsed.as_secs_f64();
    table.row(
        "verified",
        format!("{size:.0} MiB up and {size:.0} MiB down at once in {seconds:.1} s, SHA-256 equal"),
    );
    Ok(())
}

async fn figures(
    watchdog: &Watchdog,
    table: &mut Table,
    nodes: &Nodes,
    servers: &Servers,
    payload: &Payload,
    amount: Amount,
) -> Result<(), Failure> {
    for (name, way) in [("up", Way::Up), ("down", Way::Down)] {
        let step = if way == Way::Up { "measure up" } else { "measure down" };
        let direct = measure::transfer(servers.http, payload, amount.measured, way);
        let direct = watchdog.step(step, direct).await?;
        let tunnel = measure::transfer(nodes.web, payload, amount.measured, way);
        let tunnel = watchdog.step(step, tunnel).await?;
        table.row(name, format!("{}   (without tunnel {})", rate(tunnel), rate(direct)));
    }
    let count = amount.round_trips;
    let direct = watchdog.step("round trips", client::round_trips(servers.echo, count)).await?;
    let tunnel = watchdog.step("round trips", client::round_trips(nodes.echo, count)).await?;
    let times = |times: &[Duration]| {
        format!("p50 {:.0} µs, p99 {:.0} µs", micros(percentile(times, 50)), micros(percentile(times, 99)))
    };
    table.row("64-octet round trip", format!("{}   (without tunnel {})", times(&tunnel), times(&direct)));
    let one = watchdog.step("open tunnels", client::churn(nodes.echo, 1, amount.churn)).await?;
    let many = watchdog.step("open tunnels", client::churn(nodes.echo, LANES, amount.churn)).await?;
    table.row("tunnels opened", format!("{one:.0} a second one by one, {many:.0} with {LANES} at a time"));
    Ok(())
}

/// Waits until the user has seen enough.
async fn stay(nodes: &Nodes, servers: &Servers) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(Exit::Failure, format!("demo --keep: {error}"));
    let mut signals = Signals::new().map_err(failed)?;
    let kept = Kept::new(nodes).map_err(failed)?;
    say(&format!("\n{}", kept.commands(nodes, servers).map_err(failed)?));
    signals.next().await;
    Ok(())
}

fn rate(rate: Rate) -> String {
    let cpu = rate.cpu.map_or_else(|| "unknown".into(), |cpu| format!("{cpu:.2} s"));
    format!("{:.0} MiB/s, {cpu} CPU per GiB", rate.speed)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Connections at a time when their rate is measured.
const LANES: usize = 16;
const TITLE: &str =
    "client -> alice (captures, mTLS) -> bob (policy) -> server, all on loopback in this process";
const NOTE: &str =
    "CPU is user and system time of the whole process: client, both nodes and server, without hashing.";
