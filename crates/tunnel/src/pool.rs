//! Connections to far nodes, shared by tunnels: one dial for all who wait, many tunnels on a connection.
//!
//! Called by the outbound side. A connection is shared only by tunnels of the same own identity (certificate,
//! key and roots), the same expected identities and the same address. Which connection takes a tunnel is
//! decided in `pool_plan`; this file dials, counts and lets go.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use hbone_conn::{Handle, OpenError, Request, Response, Stream, StreamError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout, timeout_at};

use crate::authority::Authority;
use crate::chance::chance;
use crate::connect::ConnectConfig;
use crate::error::TunnelError;
use crate::expiry;
use crate::hop::Hop;
use crate::identity::SpiffeId;
use crate::pool_plan::{Backoff, Limits, Load, Plan, plan};
use crate::reach::{Gateways, Reached, Through, reach};
use crate::resolver::SystemResolver;
use crate::reverse::Registry;
use crate::route::Peer;
use crate::tls::Identity;

/// How connections are shared.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Tunnels on one connection before another is dialled; at least 1. More connections cost handshakes and
    /// memory, fewer share one congestion window and one core.
    pub streams_per_connection: u32,
    /// Connections to one peer; at least 1.
    pub max_connections: usize,
    /// A connection without tunnels is let go after that long.
    pub idle: Duration,
    /// The pause after a failed dial; doubles with each failure.
    pub backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
    /// How far nodes are reached.
    pub connect: ConnectConfig,
    /// The nodes that have dialled this one; of one node the same for all pools.
    pub registry: Registry,
}

impl Default for PoolConfig {
    /// 100 tunnels on a connection, 64 connections to a peer, 5 min, 100 ms to 5 s; 10 s for each phase.
    fn default() -> Self {
        Self {
            streams_per_connection: 100,
            max_connections: 64,
            idle: Duration::from_secs(300),
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            connect: ConnectConfig::default(),
            registry: Registry::default(),
        }
    }
}

impl Default for ConnectConfig {
    /// 10 s for TCP, 10 s for TLS; the system's resolver.
    fn default() -> Self {
        Self {
            dial_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            resolver: Arc::new(SystemResolver),
            connection: hbone_conn::Config::default(),
        }
    }
}

/// How the connections of a pool ended when it was closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolReport {
    /// Connections that ended within the time; what they carried had left.
    pub finished: usize,
    /// Connections that were cut.
    pub cut: usize,
    /// Streams that were open on those: tunnels that were reset.
    pub streams: usize,
}

/// The connections of one runtime to all far nodes.
#[derive(Clone, Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: PoolConfig,
    slots: Mutex<HashMap<Key, Slot>>,
    serial: AtomicU64,
}

/// What two tunnels must have in common to share a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// The own identity's serial: certificate, key and roots.
    identity: u64,
    /// With the expected identities in order.
    hop: Hop,
}

#[derive(Debug)]
struct Slot {
    connections: Vec<Arc<Shareable>>,
    /// The outcome of the dial that is on its way.
    dial: Option<watch::Receiver<Option<Outcome>>>,
    backoff: Backoff,
}

type Outcome = Result<(), TunnelError>;

#[derive(Debug)]
struct Shareable {
    serial: u64,
    handle: Handle,
    peer: Option<SpiffeId>,
    /// The last second in which the certificates are valid, if there are any.
    not_after: Option<SystemTime>,
    tunnels: watch::Sender<u32>,
}

/// A stream that was answered, and the place that it takes on its connection.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    pub(crate) response: Response,
    pub(crate) lease: Lease,
}

/// A place on a connection, given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    connection: Arc<Shareable>,
    /// It was dialled for this tunnel, or for one that waited with it.
    fresh: bool,
    /// No place was free: the peer's limit decides when the stream opens.
    queue: bool,
}

impl Lease {
    /// Who is at the other end, if it has said so.
    pub(crate) fn peer(&self) -> Option<&SpiffeId> {
        self.connection.peer.as_ref()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.connection.tunnels.send_modify(|tunnels| *tunnels -= 1);
    }
}

/// Who is at the other end, and the last second in which the certificates are valid.
pub(crate) type Known = (SpiffeId, SystemTime);

/// A connection that somebody else has made and runs, and that tunnels share until this is dropped.
#[derive(Debug)]
pub(crate) struct Adopted {
    shared: Arc<Shared>,
    key: Key,
    serial: u64,
}

impl Drop for Adopted {
    fn drop(&mut self) {
        forget(&mut self.shared.slots.lock(), &self.key, self.serial);
    }
}

/// Why an attempt on one connection failed.
pub(crate) enum Failed {
    /// The far node did nothing with it: any other connection may take it.
    Unprocessed(TunnelError),
    /// The connection was lost under it. No octet of the tunnel had been sent.
    Lost(TunnelError),
    /// It is settled.
    Final(TunnelError),
}

impl Pool {
    /// A pool without connections.
    pub fn new(config: PoolConfig) -> Self {
        let (slots, serial) = (Mutex::new(HashMap::new()), AtomicU64::new(1));
        Self { shared: Arc::new(Shared { config, slots, serial }) }
    }

    /// Takes in a connection that stands already; whoever made it ends it.
    pub(crate) fn adopt(&self, identity: &Identity, hop: &Hop, handle: Handle, who: Known) -> Adopted {
        let (shared, key) = (Arc::clone(&self.shared), Key::new(identity, hop));
        let serial = shared.serial.fetch_add(1, Ordering::Relaxed);
        let (peer, not_after, (tunnels, _)) = (Some(who.0), Some(who.1), watch::channel(0));
        let mut slots = shared.slots.lock();
        let slot = slots.entry(key.clone()).or_insert_with(|| shared.slot());
        slot.connections.push(Arc::new(Shareable { serial, handle, peer, not_after, tunnels }));
        drop(slots);
        Adopted { shared, key, serial }
    }

    /// Connections that stand.
    pub fn connections(&self) -> usize {
        self.shared.slots.lock().values().map(|slot| slot.connections.len()).sum()
    }

    /// The nodes that have dialled this one.
    pub(crate) fn registry(&self) -> &Registry {
        &self.shared.config.registry
    }

    /// Lets all connections finish their tunnels, at most for `deadline`, and waits until they are gone. New
    /// tunnels dial new connections.
    pub async fn close(&self, deadline: Duration) -> PoolReport {
        let connections: Vec<_> =
            self.shared.slots.lock().values().flat_map(|slot| slot.connections.clone()).collect();
        for connection in &connections {
            // Their own deadline lies behind ours: we want to see what is cut.
            connection.handle.drain(deadline + FAREWELL);
        }
        let until = tokio::time::Instant::now() + deadline;
        let mut report = PoolReport::default();
        let mut late = Vec::new();
        for connection in &connections {
            if timeout_at(until, connection.handle.closed()).await.is_ok() {
                report.finished += 1;
            } else {
                late.push(connection);
            }
        }
        for connection in &late {
            report.cut += 1;
            report.streams += connection.handle.active_streams();
            connection.handle.drain(Duration::ZERO);
        }
        let gone = async {
            for connection in &late {
                connection.handle.closed().await;
            }
        };
        // The engine ends them; more than a moment later nothing is waited for.
        let _ = timeout(FAREWELL, gone).await;
        report
    }

    /// Sends a request to the next node and waits for its answer, whatever its status. Tries again elsewhere while
    /// the far node has not touched it.
    pub(crate) async fn connect(
        &self,
        identity: &Arc<Identity>,
        hop: &Hop,
        request: &Request,
    ) -> Result<Opened, TunnelError> {
        let mut refused_by = None;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let lease = self.lease(identity, hop, refused_by).await?;
            let (serial, fresh) = (lease.connection.serial, lease.fresh);
            let error = match attempt(lease, request.clone(), hop.address()).await {
                Ok(opened) => return Ok(opened),
                Err(Failed::Unprocessed(error)) => error,
                Err(Failed::Lost(error)) if !fresh => error,
                Err(Failed::Lost(error) | Failed::Final(error)) => return Err(error),
            };
            if attempts == ATTEMPTS {
                return Err(error);
            }
            refused_by = Some(serial);
        }
    }

    /// Finds a place: on a connection that stands, or on one that is dialled for it.
    async fn lease(
        &self,
        identity: &Arc<Identity>,
        hop: &Hop,
        refused_by: Option<u64>,
    ) -> Result<Lease, TunnelError> {
        let key = Key::new(identity, hop);
        let mut fresh = false;
        loop {
            let wait = {
                let mut slots = self.shared.slots.lock();
                let slot = slots.entry(key.clone()).or_insert_with(|| self.shared.slot());
                match self.shared.place(slot, refused_by) {
                    Plan::Use(at) => return Ok(slot.lease(at, fresh, false)),
                    Plan::Queue(at) => return Ok(slot.lease(at, fresh, true)),
                    Plan::WaitUntil(at) => Wait::Until(at),
                    Plan::Share => match &slot.dial {
                        Some(dial) => Wait::Dial(dial.clone()),
                        None => continue,
                    },
                    // No stream could be opened on it: a connection more costs only what is missing.
                    Plan::Dial if self.shared.is_short_of_memory() => {
                        let (peer, error) = (hop.address().clone(), OpenError::Memory);
                        return Err(TunnelError::Open { peer, error });
                    }
                    Plan::Dial => {
                        let (told, outcome) = watch::channel(None);
                        slot.dial = Some(outcome.clone());
                        let work = Arc::clone(&self.shared);
                        let (identity, hop, key) = (Arc::clone(identity), hop.clone(), key.clone());
                        // A task of its own: the dial must outlive whichever tunnel asked first.
                        tokio::spawn(async move { work.dial(key, &identity, &hop, told).await });
                        Wait::Dial(outcome)
                    }
                }
            };
            match wait {
                Wait::Until(at) => sleep_until(at.into()).await,
                Wait::Dial(mut outcome) => {
                    if let Ok(outcome) = outcome.wait_for(Option::is_some).await {
                        outcome.clone().unwrap_or(Ok(()))?;
                    }
                    fresh = true;
                }
            }
        }
    }
}

enum Wait {
    Until(Instant),
    Dial(watch::Receiver<Option<Outcome>>),
}

impl Key {
    fn new(identity: &Identity, hop: &Hop) -> Self {
        Self { identity: identity.serial(), hop: hop.sorted() }
    }
}

impl Slot {
    /// Nothing is left but the memory of a failure that is over: a peer or an identity of the past.
    fn is_stale(&self, now: Instant) -> bool {
        self.connections.is_empty()
            && self.dial.is_none()
            && self.backoff.not_before().is_some_and(|at| at < now)
    }

    /// Takes a place while the lock is held, so that an idle connection cannot go in between.
    fn lease(&self, at: usize, fresh: bool, queue: bool) -> Lease {
        let connection = Arc::clone(&self.connections[at]);
        connection.tunnels.send_modify(|tunnels| *tunnels += 1);
        Lease { connection, fresh, queue }
    }
}

impl Shared {
    fn slot(&self) -> Slot {
        let backoff = Backoff::new(self.config.backoff, self.config.max_backoff);
        Slot { connections: Vec::new(), dial: None, backoff }
    }

    fn is_short_of_memory(&self) -> bool {
        let config = &self.config.connect.connection;
        config.memory.as_ref().is_some_and(|budget| budget.is_short(config.initial_window_size))
    }

    fn place(&self, slot: &Slot, refused_by: Option<u64>) -> Plan {
        let load = |connection: &Arc<Shareable>| Load {
            usable: connection.handle.is_open(),
            tunnels: *connection.tunnels.borrow(),
            room: connection.handle.open_slots() > 0,
            refused: refused_by == Some(connection.serial),
        };
        let loads: Vec<Load> = slot.connections.iter().map(load).collect();
        let limits = Limits {
            tunnels: self.config.streams_per_connection.max(1),
            connections: self.config.max_connections,
        };
        plan(&loads, slot.dial.is_some(), slot.backoff.not_before(), limits, Instant::now())
    }

    /// Dials, tells everyone who waits, and runs the connection to its end.
    async fn dial(
        self: Arc<Self>,
        key: Key,
        identity: &Arc<Identity>,
        hop: &Hop,
        told: watch::Sender<Option<Outcome>>,
    ) {
        let mut undo = Abandoned { shared: &self, key: &key, armed: true };
        let connect = &self.config.connect;
        let ready = async {
            let below = Below { pool: Pool { shared: Arc::clone(&self) }, identity };
            let reached = reach(identity, hop, connect, &below).await?;
            let Reached { handle, driver, peer, not_after, settings } = reached;
            let driver = tokio::spawn(driver);
            settings.arrive().await?;
            Ok((handle, driver, peer, not_after))
        };
        let result = ready.await;
        undo.armed = false;
        let connected = {
            let mut slots = self.slots.lock();
            let slot = slots.entry(key.clone()).or_insert_with(|| self.slot());
            slot.dial = None;
            match result {
                Ok((handle, driver, peer, not_after)) => {
                    slot.backoff.succeeded();
                    let serial = self.serial.fetch_add(1, Ordering::Relaxed);
                    let (tunnels, _) = watch::channel(0);
                    let connection = Arc::new(Shareable { serial, handle, peer, not_after, tunnels });
                    slot.connections.push(Arc::clone(&connection));
                    Ok((connection, driver))
                }
                Err(error) => {
                    let now = Instant::now();
                    slot.backoff.failed(now, chance());
                    slots.retain(|_, slot| !slot.is_stale(now));
                    Err(error)
                }
            }
        };
        match connected {
            Ok((connection, driver)) => {
                tracing::debug!(hop = %hop, "connected to a node");
                told.send_replace(Some(Ok(())));
                self.tend(&key, &connection, driver).await;
            }
            Err(error) => drop(told.send_replace(Some(Err(error)))),
        }
    }

    /// Waits for the end of a connection, and ends it when it has long been idle or a certificate has ended.
    async fn tend(
        &self,
        key: &Key,
        connection: &Shareable,
        mut driver: tokio::task::JoinHandle<hbone_conn::ConnectionError>,
    ) {
        let mut tunnels = connection.tunnels.subscribe();
        loop {
            tokio::select! {
                () = expiry::passed_if_any(connection.not_after), if connection.handle.is_open() => {
                    tracing::debug!(hop = %key.hop, "a certificate has ended: no new tunnels");
                    connection.handle.drain(expiry::GRACE);
                }
                _ = &mut driver => return forget(&mut self.slots.lock(), key, connection.serial),
                () = unused(&mut tunnels, self.config.idle) => {
                    if self.retire(key, connection) {
                        connection.handle.drain(FAREWELL);
                        // Its end does not concern the pool any more.
                        let _ = driver.await;
                        return;
                    }
                }
            }
        }
    }

    /// Takes a connection out of the pool unless it is in use: under the lock nobody takes a place in between.
    fn retire(&self, key: &Key, connection: &Shareable) -> bool {
        let mut slots = self.slots.lock();
        let unused = *connection.tunnels.borrow() == 0;
        if unused {
            forget(&mut slots, key, connection.serial);
        }
        unused
    }
}

/// Tunnels for connections inside them, out of the same pool.
struct Below<'a> {
    pool: Pool,
    identity: &'a Arc<Identity>,
}

impl Gateways for Below<'_> {
    fn tunnel<'a>(
        &'a self,
        gateway: &'a Peer,
        request: &'a Request,
    ) -> Pin<Box<dyn Future<Output = Result<Through, TunnelError>> + Send + 'a>> {
        Box::pin(async move {
            let opened = self.pool.connect(self.identity, &Hop::Node(gateway.clone()), request).await?;
            let Opened { stream, response, lease } = opened;
            Ok(Through { stream, response, place: Box::new(lease) })
        })
    }
}

/// A dial that panicked or was cancelled must not keep later ones waiting.
struct Abandoned<'a> {
    shared: &'a Shared,
    key: &'a Key,
    armed: bool,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if self.armed
            && let Some(slot) = self.shared.slots.lock().get_mut(self.key)
        {
            slot.dial = None;
        }
    }
}

fn forget(slots: &mut HashMap<Key, Slot>, key: &Key, serial: u64) {
    if let Some(slot) = slots.get_mut(key) {
        slot.connections.retain(|connection| connection.serial != serial);
        if slot.connections.is_empty() && slot.dial.is_none() && slot.backoff.not_before().is_none() {
            slots.remove(key);
        }
    }
}

/// Resolves once there has been no tunnel for `limit`.
async fn unused(tunnels: &mut watch::Receiver<u32>, limit: Duration) {
    loop {
        // Fails only when the sender is gone: then nobody asks any more.
        if tunnels.wait_for(|tunnels| *tunnels == 0).await.is_err() {
            return;
        }
        if timeout(limit, tunnels.wait_for(|tunnels| *tunnels > 0)).await.is_err() {
            return;
        }
    }
}

async fn attempt(lease: Lease, request: Request, at: &Authority) -> Result<Opened, Failed> {
    let (stream, response) = attempt_on(&lease.connection.handle, lease.queue, request, at).await?;
    Ok(Opened { stream, response, lease })
}

/// Sends a CONNECT on one connection and waits for its answer; `queue`: no place is free.
pub(crate) async fn attempt_on(
    handle: &Handle,
    queue: bool,
    request: Request,
    at: &Authority,
) -> Result<(Stream, Response), Failed> {
    let opened = if queue {
        handle.open(request).await
    } else {
        match handle.try_open(request.clone()) {
            // Others were quicker: wait for a place.
            Err(OpenError::Blocked) => handle.open(request).await,
            opened => opened,
        }
    };
    let mut stream = opened.map_err(|error| {
        let elsewhere = error.is_retryable();
        let error = TunnelError::Open { peer: at.clone(), error };
        if elsewhere { Failed::Unprocessed(error) } else { Failed::Final(error) }
    })?;
    match stream.response().await {
        Ok(response) => Ok((stream, response)),
        Err(error) => {
            let unprocessed = error.is_retryable();
            let lost = matches!(error, StreamError::Connection(_));
            let error = TunnelError::Stream { peer: at.clone(), error };
            Err(match (unprocessed, lost) {
                (true, _) => Failed::Unprocessed(error),
                (false, true) => Failed::Lost(error),
                (false, false) => Failed::Final(error),
            })
        }
    }
}

/// Connections on which one tunnel is tried.
const ATTEMPTS: u32 = 4;
const FAREWELL: Duration = Duration::from_secs(5);
