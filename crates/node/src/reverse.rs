//! The reverse tunnels of a node: those that it dials, and the nodes that have dialled it.
//! Used by node.rs. Knows no sockets.

use std::collections::BTreeSet;
use std::sync::Arc;

use hbone_tunnel::{InboundConfig, PreparedReverse, Reception, Registry, ReverseConfig, ReverseDialer};

use crate::config::{self, Resolved, Reverse};
use crate::exit::{Exit, Failure};
use crate::settings;

/// A dialer, by its section and by the name that it asks for.
#[derive(Debug)]
pub(crate) struct Dialer {
    key: (String, Option<String>),
    pub(crate) side: ReverseDialer,
}

/// The settings of a listener of kind `hbone`, reverse connections included where it takes them.
pub(crate) fn inbound(
    config: &Resolved,
    inbound: &config::Inbound,
    own_ports: &[u16],
    registry: &Registry,
) -> InboundConfig {
    let mut settings = settings::inbound(config, inbound, own_ports);
    if inbound.reverse {
        let names = Arc::new(config::reverse_names(config.peers.values()));
        settings.reverse = Some(Reception { registry: registry.clone(), names });
    }
    settings
}

/// One for each name of each section.
///
/// # Errors
/// An identity that TLS refuses.
pub(crate) fn dialers(config: &Resolved, own_ports: &[u16]) -> Result<Vec<Dialer>, Failure> {
    let mut dialers = Vec::new();
    for (key, chosen) in wanted(config, own_ports)? {
        let side = ReverseDialer::new(chosen, settings::inbound_limits(&config.limits));
        dialers.push(Dialer { side: side.map_err(|error| failed(&key.0, &error))?, key });
    }
    Ok(dialers)
}

/// What dialers are to take over of another configuration, in which the same ones exist.
///
/// # Errors
/// An identity that TLS refuses.
pub(crate) fn prepared<'d>(
    dialers: &'d [Dialer],
    config: &Resolved,
    own_ports: &[u16],
) -> Result<Vec<(&'d ReverseDialer, PreparedReverse)>, Failure> {
    let mut all = Vec::new();
    for (key, chosen) in wanted(config, own_ports)? {
        if let Some(dialer) = dialers.iter().find(|dialer| dialer.key == key) {
            let prepared = PreparedReverse::new(chosen).map_err(|error| failed(&key.0, &error))?;
            all.push((&dialer.side, prepared));
        }
    }
    Ok(all)
}

/// Sections that are new, gone, or ask for other names.
pub(crate) fn changed(dialers: &[Dialer], config: &Resolved) -> BTreeSet<String> {
    let old: BTreeSet<_> = dialers.iter().map(|dialer| dialer.key.clone()).collect();
    let new: BTreeSet<_> = config.reverse.iter().flat_map(keys).map(|(key, _)| key).collect();
    old.symmetric_difference(&new).map(|(name, _)| format!("`{name}`")).collect()
}

type Key = (String, Option<String>);

fn keys(reverse: &Reverse) -> Vec<(Key, Option<hbone_tunnel::HostName>)> {
    let key = |name: Option<String>| (reverse.name.clone(), name);
    if reverse.names.is_empty() {
        return vec![(key(None), None)];
    }
    reverse.names.iter().map(|name| (key(Some(name.to_string())), Some(name.clone()))).collect()
}

fn wanted(config: &Resolved, own_ports: &[u16]) -> Result<Vec<(Key, ReverseConfig)>, Failure> {
    let mut wanted = Vec::new();
    for reverse in &config.reverse {
        let gateway = &reverse.gateway;
        let rule = format!("reverse {}", reverse.name);
        let policy = reverse.serves.policy(&config.policy, &rule, &gateway.expected, &reverse.allow);
        let policy = policy.map_err(|error| failed(&reverse.name, &error))?;
        for (key, name) in keys(reverse) {
            let serving = settings::serving(config, &reverse.name, Arc::new(policy.clone()), own_ports);
            let mut chosen = ReverseConfig::new(gateway.clone(), serving);
            chosen.serving.serves = reverse.serves.clone();
            chosen.connect = settings::connect(&config.limits);
            chosen.name = name;
            chosen.shared = reverse.shared;
            wanted.push((key, chosen));
        }
    }
    Ok(wanted)
}

fn failed(name: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, format!("reverse `{name}`: {error}"))
}
