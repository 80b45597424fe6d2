//! What a configuration means for the tunnels: one function for each kind of settings that they take.
//! Used by node.rs and `dial`. Pure; opens and reads nothing.

use std::sync::Arc;

use hbone_conn::Config;
use hbone_tunnel::{
    ConnectConfig, InboundConfig, InboundLimits, OutboundConfig, Policy, PoolConfig, RelayLimits,
};

use crate::config::{Capture, Inbound, Limits, Resolved};
use crate::memory;

/// A listener of kind `hbone` on a node that listens on `own_ports`.
pub(crate) fn inbound(config: &Resolved, inbound: &Inbound, own_ports: &[u16]) -> InboundConfig {
    let mut settings = serving(config, &inbound.name, Arc::clone(&config.policy), own_ports);
    settings.istio_status = inbound.istio_status;
    settings.proxies = inbound.proxies.clone();
    settings.proxy_protocol = inbound.proxy_protocol;
    settings.trust_forwarded = inbound.trust_forwarded;
    settings.routes = inbound.routes.clone();
    settings.services = inbound.services.clone();
    settings.tokens = inbound.tokens.clone();
    settings.other_requests = inbound.other_requests;
    settings.trusted = inbound.trusted.clone();
    settings
}

/// What serves streams of others, whoever has dialled.
pub(crate) fn serving(
    config: &Resolved,
    name: &str,
    policy: Arc<Policy>,
    own_ports: &[u16],
) -> InboundConfig {
    let limits = &config.limits;
    let mut settings = InboundConfig::new(name, Arc::clone(&config.identity), policy);
    settings.own_ports = own_ports.to_vec();
    settings.egress = config.egress_of(name);
    settings.baggage = config.baggage.clone();
    settings.tracing = config.tracing;
    settings.onward_timeout = limits.setup_timeout;
    settings.handshake_timeout = limits.handshake_timeout;
    settings.dial_timeout = limits.dial_timeout;
    settings.connection = connection(limits);
    settings.relay = relay(limits);
    settings
}

/// A listener of clients.
pub(crate) fn outbound(config: &Resolved, capture: &Capture, own_ports: &[u16]) -> OutboundConfig {
    let identity = Arc::clone(&config.identity);
    let (front, routes) = (capture.front.clone(), capture.routes.clone());
    let mut settings = OutboundConfig::with_front(&capture.name, front, routes, identity);
    settings.allow_from = capture.allow_from.clone();
    settings.proxies = capture.proxies.clone();
    settings.own_ports = own_ports.to_vec();
    settings.baggage = config.baggage.clone();
    settings.tracing = config.tracing;
    settings.setup_timeout = config.limits.setup_timeout;
    settings.relay = relay(&config.limits);
    settings
}

/// The counts that bound a listener of kind `hbone`.
pub(crate) fn inbound_limits(limits: &Limits) -> InboundLimits {
    let default = InboundLimits::default();
    InboundLimits {
        unauthenticated: limits.unauthenticated.unwrap_or(default.unauthenticated),
        connections: default.connections,
        tunnels: tunnels(limits),
    }
}

/// Tunnels of one listener of either kind.
pub(crate) fn tunnels(limits: &Limits) -> usize {
    limits.tunnels.unwrap_or(InboundLimits::default().tunnels)
}

/// One HTTP/2 connection, of either side.
fn connection(limits: &Limits) -> Config {
    let default = Config::default();
    Config {
        max_concurrent_streams: limits.served_streams.unwrap_or(default.max_concurrent_streams),
        keepalive_interval: Some(limits.keepalive_interval),
        keepalive_timeout: limits.keepalive_timeout,
        handshake_timeout: limits.handshake_timeout,
        // The engine's own limit must not end what the pool wants to keep.
        idle_timeout: default.idle_timeout.map(|idle| idle.max(limits.pool_timeout)),
        memory: Some(memory::budget(limits.memory)),
        ..default
    }
}

/// How peers are reached.
pub(crate) fn connect(limits: &Limits) -> ConnectConfig {
    ConnectConfig {
        dial_timeout: limits.dial_timeout,
        handshake_timeout: limits.handshake_timeout,
        connection: connection(limits),
        ..ConnectConfig::default()
    }
}

/// Connections to one peer, of all pools of the node together.
pub(crate) fn connections_per_peer(limits: &Limits) -> usize {
    limits.connections_per_peer.unwrap_or(PoolConfig::default().max_connections)
}

/// How connections to peers are shared in one of so many pools, the one with this number.
pub(crate) fn pool(limits: &Limits, number: usize, pools: usize) -> PoolConfig {
    let default = PoolConfig::default();
    let (connections, pools) = (connections_per_peer(limits), pools.max(1));
    // What does not come out even goes to the first.
    let share = connections / pools + usize::from(number < connections % pools);
    PoolConfig {
        streams_per_connection: limits.streams_per_connection.unwrap_or(default.streams_per_connection),
        max_connections: share.max(1),
        idle: limits.pool_timeout,
        connect: connect(limits),
        ..default
    }
}

fn relay(limits: &Limits) -> RelayLimits {
    RelayLimits {
        idle: Some(limits.idle_timeout),
        half_closed_idle: Some(limits.half_closed_timeout),
        ..RelayLimits::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_pool_timeout_longer_than_the_idle_limit_of_the_engine_holds() {
        let hour = Duration::from_secs(3600);
        let limits = Limits { pool_timeout: hour, ..Limits::default() };
        assert_eq!(pool(&limits, 0, 1).connect.connection.idle_timeout, Some(hour));
        let limits = Limits { pool_timeout: Duration::from_secs(1), ..Limits::default() };
        assert_eq!(pool(&limits, 0, 1).connect.connection.idle_timeout, Config::default().idle_timeout);
    }

    #[test]
    fn f15_both_sides_of_the_node_share_one_budget_of_memory() {
        let limits = Limits::default();
        let memory = |config: Config| config.memory.expect("a node counts its memory");
        let (near, far) = (memory(connect(&limits).connection), memory(connection(&limits)));
        assert!(Arc::ptr_eq(&near, &far));
        let fresh = Limits { memory: 1 << 30, ..limits };
        assert!(Arc::ptr_eq(&near, &memory(connection(&fresh))), "also after a reload");
    }

    #[test]
    fn pools_share_the_connections_to_a_peer() {
        let limits = Limits { connections_per_peer: Some(7), ..Limits::default() };
        for pools in 1..=7 {
            let shares: Vec<_> =
                (0..pools).map(|number| pool(&limits, number, pools).max_connections).collect();
            assert_eq!(shares.iter().sum::<usize>(), 7, "{shares:?}");
            assert!(shares.iter().all(|share| (7 / pools..=7 / pools + 1).contains(share)), "{shares:?}");
        }
        assert_eq!(connections_per_peer(&limits), 7);
    }

    #[test]
    fn few_streams_per_connection_are_no_limit_for_callers() {
        let limits = Limits { streams_per_connection: Some(1), ..Limits::default() };
        assert_eq!(pool(&limits, 0, 1).streams_per_connection, 1);
        assert_eq!(connection(&limits).max_concurrent_streams, Config::default().max_concurrent_streams);
    }
}
