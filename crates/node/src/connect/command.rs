//! From the command line of `connect` to a node with its listeners, served until a signal. Called by main.rs.
//! Tells on standard output what listens; a peer that is not to be had at the start ends it with that exit code.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use hbone_tunnel::{Authority, Front, Routes, Serves, Way, probe};

use super::grammar::{Door, Forward};
use crate::certs::Paths;
use crate::cli::Connect;
use crate::config::{self, Bind, Capture, Kind, Resolved, Reverse};
use crate::descriptors;
use crate::exit::{Exit, Failure};
use crate::node::Node;
use crate::signal::Signals;
use crate::{flags, report, run, runtime, settings};

/// Forwards until the end.
///
/// # Errors
/// With the exit code that names the kind: usage, refused, unreachable, or a listener that cannot be bound.
pub fn run(ask: &Connect) -> Result<Exit, Failure> {
    let (mut config, way) = match &ask.config {
        Some(path) => from_file(path, &ask.peer)?,
        None => from_flags(ask)?,
    };
    config.captures = captures(ask, &way)?;
    config.inbounds.clear();
    config.reverse = reverse(ask, &way)?;
    descriptors::raise();
    runtime::block_on(serve(config, ask.peer.clone(), way))
}

async fn serve(config: Resolved, name: String, way: Way) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| Failure::new(Exit::Failure, format!("cannot take signals: {error}"));
    let mut signals = Signals::new().map_err(failed)?;
    let mut node = Node::start(&config)?;
    if let Way::Node(peer) = &way {
        let settings = settings::connect(&config.limits);
        tokio::select! {
            probed = probe(&config.identity, peer, None, &settings, |_| ()) => {
                probed.map_err(|error| flags::failure(&error))?;
            }
            _ = signals.next() => return Ok(Exit::Success),
        }
    }
    for (capture, bound) in config.captures.iter().zip(node.listeners()) {
        report::say(&format!("{} {} {}", capture.name, bound.bind, capture.summary));
    }
    for Reverse { serves, .. } in &config.reverse {
        let Serves::Ports(ports) = serves else { continue };
        for (port, to) in ports {
            report::say(&format!("-R {port} to {to}, for what {name} sends"));
        }
    }
    report::say(&format!("ready, through {name}; Ctrl-C ends"));
    tokio::select! {
        signal = signals.next() => {
            run::drain(&mut node, &mut signals, signal, config.limits.drain_deadline).await
        }
        () = node.broken() => {
            let failure = Failure::new(Exit::Failure, "a listener has stopped by itself");
            Err(failure.remedy("this is a bug: please report it"))
        }
    }
}

fn from_file(path: &Path, name: &str) -> Result<(Resolved, Way), Failure> {
    let config = config::load(path).map_err(|faults| report::faults(&faults))?;
    let Some(way) = config.peers.get(name).cloned() else {
        let known: Vec<_> = config.peers.keys().map(|name| format!("`{name}`")).collect();
        let what = format!("there is no peer `{name}` in {}", path.display());
        return Err(Failure::new(Exit::Usage, what).remedy(format!("known: {}", known.join(", "))));
    };
    Ok((config, way))
}

fn from_flags(ask: &Connect) -> Result<(Resolved, Way), Failure> {
    let paths = Paths { cert: ask.cert.clone(), key: ask.key.clone(), ca: ask.ca.clone() };
    let identity = flags::identity(&paths)?;
    let peer = flags::peer(&identity, "peer", &ask.peer, ask.expect.as_deref().unwrap_or_default())?;
    let config = Resolved::bare("connect", identity)
        .map_err(|error| Failure::new(Exit::Usage, format!("the own identity: {error}")))?;
    Ok((config, Way::Node(peer)))
}

/// What the peer may send down a reverse tunnel: by the port that is asked for there.
fn reverse(ask: &Connect, way: &Way) -> Result<Vec<Reverse>, Failure> {
    let usage = |what: String, remedy: &str| Failure::new(Exit::Usage, what).remedy(remedy);
    let mut ports: Vec<(u16, Authority)> = Vec::new();
    for Forward { bind, destination } in &ask.remote {
        let loopback = |address: &SocketAddr| address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST);
        let Some(address) = bind.address().filter(loopback).filter(|address| address.port() != 0) else {
            let what = format!("-R {bind}: where the peer listens stands in its own configuration");
            return Err(usage(what, "write -R PORT:HOST:HOSTPORT, with the port that is asked for there"));
        };
        if ports.iter().any(|(port, _)| *port == address.port()) {
            return Err(usage(format!("-R {}: that port is given twice", address.port()), "leave one out"));
        }
        ports.push((address.port(), destination.clone()));
    }
    if ports.is_empty() {
        return Ok(Vec::new());
    }
    let Way::Node(gateway) = way.clone() else {
        let what = "-R needs a peer that is dialled by mTLS".to_owned();
        return Err(usage(what, "name a peer with an `address` and an `identity`"));
    };
    let (serves, name) = (Serves::Ports(ports), "-R".to_owned());
    Ok(vec![Reverse { name, gateway, names: Vec::new(), shared: false, serves, allow: Vec::new() }])
}

/// A listener for each forward, named as it was asked for.
fn captures(ask: &Connect, way: &Way) -> Result<Vec<Capture>, Failure> {
    let capture = |name: &str, kind, bind: &Bind, summary: String, front| {
        let (name, bind, routes) = (name.to_owned(), bind.clone(), Routes::all(way.clone()));
        Capture { name, kind, bind, allow_from: Vec::new(), proxies: Vec::new(), summary, front, routes }
    };
    let mut captures = Vec::new();
    for forward in &ask.local {
        let to = forward.destination.clone();
        captures.push(capture("-L", Kind::Tcp, &forward.bind, format!("to {to}"), Front::Fixed(to)));
    }
    for Door(bind) in &ask.dynamic {
        captures.push(capture("-D", Kind::Socks5, bind, "SOCKS5".into(), Front::Socks5(None)));
    }
    for Door(bind) in &ask.http_proxy {
        let front = Front::HttpConnect(None);
        captures.push(capture("--http-proxy", Kind::HttpProxy, bind, "HTTP CONNECT".into(), front));
    }
    if captures.is_empty() && ask.remote.is_empty() {
        let failure = Failure::new(Exit::Usage, "nothing to forward");
        return Err(failure.remedy("give -L, -R, -D or --http-proxy"));
    }
    if let Some(open) = captures.iter().find(|it| !it.bind.is_local() && !ask.allow_remote) {
        let what = format!("{} {} is reachable by other machines", open.name, open.bind);
        let remedy = "bind to 127.0.0.1 or ::1, or say --allow-remote if strangers shall use your identity";
        return Err(Failure::new(Exit::Usage, what).remedy(remedy));
    }
    Ok(captures)
}
