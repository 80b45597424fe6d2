//! Resolves `[limits]`: every knob with its default. Called by resolve.rs.

use std::time::Duration;

use super::raw::RawLimits;
use super::resolver::Resolver;
use super::source::At;
use super::value;

/// Times and counts that bound a node. A longer time keeps more dead state; a larger count takes more memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a TCP connection to a peer or a destination may take (10 s).
    pub dial_timeout: Duration,
    /// How long TLS and the first SETTINGS may take (10 s).
    pub handshake_timeout: Duration,
    /// How long a tunnel may take until its answer: dialling, handshake, and the notice of a dead link (60 s).
    pub setup_timeout: Duration,
    /// How long a tunnel may stay without an octet in either direction (1 h).
    pub idle_timeout: Duration,
    /// The same once one direction has ended (5 min).
    pub half_closed_timeout: Duration,
    /// How long a connection to a peer stays without tunnels (5 min).
    pub pool_timeout: Duration,
    /// How often a connection is probed by PING (10 s).
    pub keepalive_interval: Duration,
    /// How long the answer to a PING may take (20 s).
    pub keepalive_timeout: Duration,
    /// How long a drain waits for live tunnels before it resets them (30 s).
    pub drain_deadline: Duration,
    /// Tunnels opened in one connection to a peer before another connection is dialled (100).
    pub streams_per_connection: Option<u32>,
    /// Tunnels that one connection of a caller may have open (256); at least 100, or callers would starve.
    pub served_streams: Option<u32>,
    /// Connections to one peer (16).
    pub connections_per_peer: Option<usize>,
    /// Tunnels of one listener (65 536).
    pub tunnels: Option<usize>,
    /// Connections of one listener that have not shown their certificate yet (1024).
    pub unauthenticated: Option<usize>,
    /// Octets that all tunnels together may hold unread or unsent (1 GiB), see `MemoryBudget`.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            dial_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            setup_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(3600),
            half_closed_timeout: Duration::from_secs(300),
            pool_timeout: Duration::from_secs(300),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(20),
            drain_deadline: Duration::from_secs(30),
            streams_per_connection: None,
            served_streams: None,
            connections_per_peer: None,
            tunnels: None,
            unauthenticated: None,
            memory: 1024 * MIB,
        }
    }
}

impl Limits {
    /// The keys that a running node cannot change to what `fresh` says.
    pub fn kept_until_restart(&self, fresh: &Self) -> Vec<&'static str> {
        let differs = [
            ("pool_timeout", self.pool_timeout != fresh.pool_timeout),
            ("streams_per_connection", self.streams_per_connection != fresh.streams_per_connection),
            ("connections_per_peer", self.connections_per_peer != fresh.connections_per_peer),
            ("tunnels", self.tunnels != fresh.tunnels),
            ("unauthenticated", self.unauthenticated != fresh.unauthenticated),
            ("memory_mib", self.memory != fresh.memory),
            // The listeners follow, the pool does not.
            ("dial_timeout (to peers)", self.dial_timeout != fresh.dial_timeout),
            ("handshake_timeout (to peers)", self.handshake_timeout != fresh.handshake_timeout),
            ("keepalive_interval (to peers)", self.keepalive_interval != fresh.keepalive_interval),
            ("keepalive_timeout (to peers)", self.keepalive_timeout != fresh.keepalive_timeout),
        ];
        differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}

/// Reads the section; what is not written keeps its default.
pub(super) fn resolve(resolver: &mut Resolver<'_>, raw: &RawLimits) -> Limits {
    let mut limits = Limits::default();
    let durations = [
        ("dial_timeout", &raw.dial_timeout, &mut limits.dial_timeout),
        ("handshake_timeout", &raw.handshake_timeout, &mut limits.handshake_timeout),
        ("setup_timeout", &raw.setup_timeout, &mut limits.setup_timeout),
        ("idle_timeout", &raw.idle_timeout, &mut limits.idle_timeout),
        ("half_closed_timeout", &raw.half_closed_timeout, &mut limits.half_closed_timeout),
        ("pool_timeout", &raw.pool_timeout, &mut limits.pool_timeout),
        ("keepalive_interval", &raw.keepalive_interval, &mut limits.keepalive_interval),
        ("keepalive_timeout", &raw.keepalive_timeout, &mut limits.keepalive_timeout),
    ];
    for (key, raw, limit) in durations {
        if let Some(duration) = raw.as_ref().and_then(|at| duration(resolver, key, at)) {
            *limit = duration;
        }
    }
    if let Some(at) = &raw.drain_deadline
        && let Some(deadline) = resolver.checked("drain_deadline", at, DURATION, value::duration)
    {
        limits.drain_deadline = deadline;
    }
    let count = |at: &Option<At<u64>>| at.as_ref().and_then(|at| usize::try_from(at.value).ok());
    let streams = |at: &Option<At<u64>>| at.as_ref().and_then(|at| u32::try_from(at.value).ok());
    limits.streams_per_connection = streams(&raw.streams_per_connection);
    limits.served_streams = streams(&raw.served_streams);
    limits.connections_per_peer = count(&raw.connections_per_peer);
    limits.tunnels = count(&raw.tunnels);
    limits.unauthenticated = count(&raw.unauthenticated);
    limits.memory = count(&raw.memory_mib).map_or(limits.memory, |mib| mib.saturating_mul(MIB));
    limits
}

/// A time limit of nothing would end everything at once; only the drain may be told not to wait.
fn duration(resolver: &mut Resolver<'_>, key: &str, at: &At<String>) -> Option<Duration> {
    resolver.checked(key, at, DURATION, |text| match value::duration(text)? {
        Duration::ZERO => Err("must be longer than nothing"),
        duration => Ok(duration),
    })
}

const MIB: usize = 1 << 20;
const DURATION: &str = "a whole number and a unit: \"500ms\", \"10s\", \"5m\", \"1h\"";
