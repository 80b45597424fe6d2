//! A running node: the listeners of a resolved configuration, served until they are drained.
//! Started by `run` and, twice, by the demo. Knows nothing of files and signals.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use hbone_tunnel::{
    Drain, DrainReport, Inbound, Listener, Outbound, Pool, PoolConfig, PoolReport, Prepared, Registry,
    Shutdown, drain, mark_connections,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::admin;
use crate::bound::{Bound, Sockets, bind};
use crate::config::{self, Bind, Kind, Resolved};
use crate::exit::{Exit, Failure};
use crate::reverse::{self, Dialer};
use crate::settings;
use crate::shard::Shards;

/// A node whose listeners accept connections.
#[derive(Debug)]
pub struct Node {
    listeners: Vec<Bound>,
    own_ports: Vec<u16>,
    captures: Vec<(config::Capture, Outbound)>,
    inbounds: Vec<(config::Inbound, Inbound)>,
    dialers: Vec<Dialer>,
    /// The nodes that have dialled this one.
    registry: Registry,
    shutdown: Shutdown,
    /// Of each shard its own, as far as they go.
    pools: Vec<Pool>,
    tasks: JoinSet<()>,
    /// Where it tells how it is, and the task that does, which no drain ends.
    admin: Option<Bind>,
    telling: JoinSet<()>,
    shards: Shards,
}

impl Node {
    /// Binds every listener and serves them, on a thread for each core; nothing is served when one cannot be bound.
    /// To be called within a runtime.
    ///
    /// # Errors
    /// All listeners that cannot be bound, by name; an identity that TLS refuses; threads that are not to be had.
    pub fn start(config: &Resolved) -> Result<Self, Failure> {
        let shards = Shards::start();
        let shards =
            shards.map_err(|error| Failure::new(Exit::Failure, format!("cannot start threads: {error}")))?;
        // Each has connections of its own: threads for which there are none take no clients.
        let pools = shards.len().min(settings::connections_per_peer(&config.limits));
        let all = shards.len();
        mark_connections(config.mark).map_err(|error| unmarked(config.mark, &error))?;
        let wanted = |it: &config::Capture| (it.bind.clone(), it.kind == Kind::Tproxy);
        let captures = bind(&shards, pools, config.captures.iter().map(|it| (it.name.as_str(), wanted(it))));
        let inbounds =
            bind(&shards, all, config.inbounds.iter().map(|it| (it.name.as_str(), (it.bind.into(), false))));
        let admins = bind(&shards, 1, config.admin.iter().map(|place| ("admin", (place.clone(), false))));
        let (captures, inbounds, admins) = match (captures, inbounds, admins) {
            (Ok(captures), Ok(inbounds), Ok(admins)) => (captures, inbounds, admins),
            (captures, inbounds, admins) => {
                let faults = [captures.err(), inbounds.err(), admins.err()];
                let faults: Vec<_> = faults.into_iter().flatten().flatten().collect();
                return Err(Failure::new(Exit::Failure, faults.join("\n")));
            }
        };
        let listeners: Vec<_> = captures.iter().chain(&inbounds).map(|(_, bound)| bound.clone()).collect();
        let ports = listeners
            .iter()
            .chain(admins.iter().map(|(_, bound)| bound))
            .filter_map(|bound| bound.bind.address());
        let own_ports: Vec<_> = ports.map(|address| address.port()).collect();
        let (shutdown, drain) = drain();
        let registry = Registry::default();
        let dialers = reverse::dialers(config, &own_ports)?;
        let mut node = Self {
            listeners,
            own_ports,
            captures: Vec::new(),
            inbounds: Vec::new(),
            dialers,
            shutdown,
            pools: (0..pools)
                .map(|number| {
                    let settings = settings::pool(&config.limits, number, pools);
                    Pool::new(PoolConfig { registry: registry.clone(), ..settings })
                })
                .collect(),
            registry,
            tasks: JoinSet::new(),
            admin: config.admin.clone(),
            telling: JoinSet::new(),
            shards,
        };
        for (inbound, (sockets, bound)) in config.inbounds.iter().zip(inbounds) {
            if let Sockets::Tcp(listeners) = sockets {
                node.serve_inbound(config, inbound, listeners, &bound, drain.clone())?;
            }
        }
        for (capture, (sockets, bound)) in config.captures.iter().zip(captures) {
            node.serve_capture(config, capture, sockets, &bound, &drain);
        }
        node.dial_gateways(&drain);
        for (sockets, bound) in admins {
            node.tell(sockets, &bound, drain.clone());
        }
        Ok(node)
    }

    /// The listeners in the order of the configuration, those of clients first.
    pub fn listeners(&self) -> &[Bound] {
        &self.listeners
    }

    /// The address of a listener, of those that are bound to one.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.listeners.iter().find(|bound| bound.name == name).and_then(|bound| bound.bind.address())
    }

    /// Waits until a listener has stopped by itself, which none does unless something is broken.
    pub async fn broken(&mut self) {
        match self.tasks.join_next().await {
            Some(ended) => error!(cause = ?ended.err(), "a listener has stopped"),
            None => std::future::pending().await,
        }
    }

    /// Lets new tunnels follow another configuration: identity, policy, destinations, peers and times. Live
    /// tunnels stay, but for those that the new policy denies. All or nothing.
    ///
    /// # Errors
    /// Listeners that are not the same, by name; an identity that TLS refuses. The old configuration stays.
    pub fn reload(&self, config: &Resolved) -> Result<(), Failure> {
        self.same_listeners(config)?;
        // All that may fail comes first.
        let mut inbounds = Vec::new();
        for (at, side) in &self.inbounds {
            if let Some(inbound) = config.inbounds.iter().find(|inbound| inbound.name == at.name) {
                let chosen = reverse::inbound(config, inbound, &self.own_ports, &self.registry);
                let failed = |error| Failure::new(Exit::Usage, format!("listener `{}`: {error}", at.name));
                inbounds.push((side, Prepared::new(chosen).map_err(failed)?));
            }
        }
        let dialers = reverse::prepared(&self.dialers, config, &self.own_ports)?;
        mark_connections(config.mark).map_err(|error| unmarked(config.mark, &error))?;
        for (side, prepared) in inbounds {
            side.adopt(prepared);
        }
        for (side, prepared) in dialers {
            side.adopt(prepared);
        }
        for (at, side) in &self.captures {
            if let Some(capture) = config.captures.iter().find(|capture| capture.name == at.name) {
                side.replace(settings::outbound(config, capture, &self.own_ports));
            }
        }
        Ok(())
    }

    /// Sockets are bound at the start only.
    fn same_listeners(&self, config: &Resolved) -> Result<(), Failure> {
        let captures = |it: &config::Capture| (it.name.clone(), it.kind.name(), it.bind.clone());
        let inbounds = |it: &config::Inbound| (it.name.clone(), it.kind().name(), Bind::Tcp(it.bind));
        let old: BTreeSet<_> = (self.captures.iter().map(|(it, _)| captures(it)))
            .chain(self.inbounds.iter().map(|(it, _)| inbounds(it)))
            .collect();
        let new: BTreeSet<_> =
            config.captures.iter().map(captures).chain(config.inbounds.iter().map(inbounds)).collect();
        let changed: BTreeSet<_> =
            old.symmetric_difference(&new).map(|(name, ..)| format!("`{name}`")).collect();
        let dialled = reverse::changed(&self.dialers, config);
        if !dialled.is_empty() {
            let names = dialled.into_iter().collect::<Vec<_>>().join(", ");
            let what = format!("`[[reverse]]` sections are new, gone, or ask for other names: {names}");
            return Err(Failure::new(Exit::Usage, what).remedy("restart the node to dial them"));
        }
        if config.admin != self.admin {
            let what = "`[admin]` is new, gone, or has another address";
            return Err(Failure::new(Exit::Usage, what).remedy("restart the node to bind it"));
        }
        if changed.is_empty() {
            return Ok(());
        }
        let names = changed.into_iter().collect::<Vec<_>>().join(", ");
        let what = format!("listeners are new, gone, or of another kind or address: {names}");
        Err(Failure::new(Exit::Usage, what).remedy("restart the node to bind them"))
    }

    /// Accepts nothing more, lets live tunnels end until the deadline, then resets them. What tunnels have
    /// handed to connections has until the deadline too.
    pub async fn drain(&mut self, deadline: Duration) -> DrainReport {
        let until = Instant::now() + deadline;
        self.shutdown.start(deadline);
        while self.tasks.join_next().await.is_some() {}
        let mut report = self.shutdown.finished().await;
        let left = until.saturating_duration_since(Instant::now());
        let closed = self.close_pools(left.max(FAREWELL)).await;
        if closed.cut > 0 {
            warn!(connections = closed.cut, streams = closed.streams, "connections to peers were cut");
        }
        // What had ended here and not left yet was cut off: its far end has seen a reset.
        report.reset += u64::try_from(closed.streams).unwrap_or(u64::MAX);
        report
    }

    /// All at once: they have the same time.
    async fn close_pools(&self, deadline: Duration) -> PoolReport {
        let mut closing = JoinSet::new();
        for pool in &self.pools {
            let pool = pool.clone();
            closing.spawn(async move { pool.close(deadline).await });
        }
        let mut sum = PoolReport::default();
        while let Some(closed) = closing.join_next().await {
            let closed = closed.unwrap_or_default();
            sum.finished += closed.finished;
            sum.cut += closed.cut;
            sum.streams += closed.streams;
        }
        sum
    }

    /// How the node is, to whoever asks on this host.
    fn tell(&mut self, sockets: Sockets, bound: &Bound, drain: Drain) {
        info!(name = bound.name, kind = "admin", address = %bound.bind, "listening");
        if let Some(shard) = self.shards.iter().next() {
            self.telling.spawn_on(admin::serve(sockets, drain), shard);
        }
    }

    /// Each on a shard of its own, as far as there are.
    fn dial_gateways(&mut self, drain: &Drain) {
        let shards: Vec<_> = self.shards.iter().cloned().zip(self.pools.iter().cloned()).collect();
        for (dialer, (shard, pool)) in self.dialers.iter().zip(shards.iter().cycle()) {
            let (side, pool, drain) = (dialer.side.clone(), pool.clone(), drain.clone());
            self.tasks.spawn_on(async move { side.run(pool, drain).await }, shard);
        }
    }

    fn serve_inbound(
        &mut self,
        config: &Resolved,
        inbound: &config::Inbound,
        listeners: Vec<TcpListener>,
        bound: &Bound,
        drain: Drain,
    ) -> Result<(), Failure> {
        let chosen = reverse::inbound(config, inbound, &self.own_ports, &self.registry);
        let side = Inbound::new(chosen, settings::inbound_limits(&config.limits))
            .map_err(|error| Failure::new(Exit::Usage, format!("listener `{}`: {error}", bound.name)))?;
        info!(name = bound.name, kind = inbound.kind().name(), address = %bound.bind, "listening");
        self.inbounds.push((inbound.clone(), side.clone()));
        // There may be fewer pools than threads: connections to the next nodes are then shared by some.
        let shards = self.shards.iter().zip(self.pools.iter().cycle());
        for (listener, (shard, pool)) in Listener::together(listeners).into_iter().zip(shards) {
            let (side, pool, drain) = (side.clone(), pool.clone(), drain.clone());
            self.tasks.spawn_on(async move { side.serve_through(listener, pool, drain).await }, shard);
        }
        Ok(())
    }

    fn serve_capture(
        &mut self,
        config: &Resolved,
        capture: &config::Capture,
        sockets: Sockets,
        bound: &Bound,
        drain: &Drain,
    ) {
        let side = Outbound::new(
            settings::outbound(config, capture, &self.own_ports),
            settings::tunnels(&config.limits),
        );
        let (kind, address, to) = (capture.kind.name(), &bound.bind, &capture.summary);
        info!(name = bound.name, kind, %address, to, "listening");
        self.captures.push((capture.clone(), side.clone()));
        let shards: Vec<_> = self.shards.iter().cloned().zip(self.pools.iter().cloned()).collect();
        match sockets {
            Sockets::Tcp(listeners) => {
                for (listener, (shard, pool)) in Listener::together(listeners).into_iter().zip(shards) {
                    let (side, drain) = (side.clone(), drain.clone());
                    self.tasks.spawn_on(async move { side.serve(listener, pool, drain).await }, &shard);
                }
            }
            Sockets::Unix(listener) => {
                let (drain, first) = (drain.clone(), shards.into_iter().next());
                if let Some((shard, pool)) = first {
                    self.tasks.spawn_on(async move { side.serve_unix(listener, pool, drain).await }, &shard);
                }
            }
        }
    }
}

fn unmarked(mark: u32, error: &std::io::Error) -> Failure {
    let what = format!("cannot mark the node's own connections with {mark}: {error}");
    let remedy =
        "give the capability CAP_NET_ADMIN, or set `mark = 0` in [node] and leave its user out of the rules";
    Failure::new(Exit::Failure, what).remedy(remedy)
}

/// For the connections of the pool to say goodbye, even when no time is left.
const FAREWELL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
