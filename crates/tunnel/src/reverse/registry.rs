//! The connections of nodes that have dialled this gateway, by the names that they hold.
//!
//! Filled by `gateway`, asked by the opener for every tunnel to a name. One for all runtimes of a node: streams may be
//! used on another runtime than the one that drives their connection. A name has one holder at a time; of the holder's
//! connections the newest is asked first, so that one which has come back never waits for its stale one.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hbone_conn::{Handle, Request, Response, Stream};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::authority::Authority;
use crate::error::TunnelError;
use crate::identity::SpiffeId;
use crate::pool::{Failed, attempt_on};

use super::name::ReverseName;

/// The connections by name. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    names: Mutex<HashMap<ReverseName, Entry>>,
    /// A connection was registered.
    arrived: Notify,
    serial: AtomicU64,
}

/// Who holds a name, and on which connections; never empty, the newest last.
#[derive(Debug)]
struct Entry {
    holder: Arc<SpiffeId>,
    connections: Vec<Arc<Registered>>,
}

#[derive(Debug)]
struct Registered {
    serial: u64,
    handle: Handle,
    /// From where it was dialled, for people.
    from: Authority,
}

/// A connection's place under its names; given up when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    shared: Arc<Shared>,
    serial: u64,
    names: Vec<ReverseName>,
}

/// A stream that was answered, and by whom.
pub(crate) struct Answered {
    pub(crate) stream: Stream,
    pub(crate) response: Response,
    pub(crate) peer: SpiffeId,
    /// From where that node has dialled.
    pub(crate) from: Authority,
}

/// A name that another identity holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) name: ReverseName,
    pub(super) holder: Arc<SpiffeId>,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} holds the name {} already; check which of the two is meant", self.holder, self.name)
    }
}

impl Registry {
    /// Connections that are registered under a name.
    pub fn connections(&self, name: &ReverseName) -> usize {
        self.shared.names.lock().get(name).map_or(0, |entry| entry.connections.len())
    }

    /// Registers a connection under all of `names` that nobody else holds, and hands back the older connections of the
    /// same holder, which may be stale. `may_hold` says whether a holder may go on, by the rules of now.
    ///
    /// # Errors
    /// When somebody else holds all of them: the first.
    pub(super) fn register(
        &self,
        names: &[ReverseName],
        holder: &Arc<SpiffeId>,
        handle: &Handle,
        from: SocketAddr,
        may_hold: impl Fn(&ReverseName, &SpiffeId) -> bool,
    ) -> Result<(Registration, Vec<Handle>), Option<Taken>> {
        let from = Authority::try_from(from).map_err(|_| None)?;
        let serial = self.shared.serial.fetch_add(1, Ordering::Relaxed);
        let registered = Arc::new(Registered { serial, handle: handle.clone(), from });
        let (mut held, mut older, mut taken) = (Vec::new(), HashMap::new(), None);
        let mut table = self.shared.names.lock();
        for name in names {
            let entry = table.entry(name.clone());
            let entry =
                entry.or_insert_with(|| Entry { holder: Arc::clone(holder), connections: Vec::new() });
            if entry.holder != *holder {
                let stands = may_hold(name, &entry.holder);
                if stands && entry.connections.iter().any(|it| it.handle.is_open()) {
                    taken.get_or_insert(Taken { name: name.clone(), holder: Arc::clone(&entry.holder) });
                    continue;
                }
                // Those that are going away take nothing more, and those whose name is bound to others now hold it no
                // more: the name is free. Tunnels that stand go on.
                *entry = Entry { holder: Arc::clone(holder), connections: Vec::new() };
            }
            older.extend(entry.connections.iter().map(|it| (it.serial, it.handle.clone())));
            entry.connections.push(Arc::clone(&registered));
            held.push(name.clone());
        }
        drop(table);
        if held.is_empty() {
            return Err(taken);
        }
        self.shared.arrived.notify_waiters();
        let registration = Registration { shared: Arc::clone(&self.shared), serial, names: held };
        Ok((registration, older.into_values().collect()))
    }

    /// Sends a CONNECT to who holds a name and waits for its answer, whatever its status. A node that is not there is
    /// waited for a while, for it may be on its way back; another connection is tried while the node has not touched
    /// the CONNECT.
    pub(crate) async fn open(
        &self,
        name: &ReverseName,
        expected: &[SpiffeId],
        request: &Request,
    ) -> Result<Answered, TunnelError> {
        let (mut tried, mut last) = (Vec::new(), None);
        while tried.len() < ATTEMPTS {
            let chosen = match self.choose(name, expected, &tried) {
                Some(chosen) => chosen,
                // What has failed says more than that there is no other.
                None => match last {
                    Some(error) => return Err(error),
                    None => self.await_arrival(name, expected).await?,
                },
            };
            let (connection, holder) = chosen;
            tried.push(connection.serial);
            let queue = connection.handle.open_slots() == 0;
            let from = connection.from.clone();
            match attempt_on(&connection.handle, queue, request.clone(), &from).await {
                Ok((stream, response)) => {
                    return Ok(Answered { stream, response, peer: (*holder).clone(), from });
                }
                Err(Failed::Unprocessed(error) | Failed::Lost(error)) => last = Some(error),
                Err(Failed::Final(error)) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| TunnelError::NotRegistered { name: name.clone() }))
    }

    /// The newest connection that was not tried; one with room rather than one without.
    fn choose(
        &self,
        name: &ReverseName,
        expected: &[SpiffeId],
        tried: &[u64],
    ) -> Option<(Arc<Registered>, Arc<SpiffeId>)> {
        let table = self.shared.names.lock();
        let entry = table.get(name).filter(|entry| expected.contains(&entry.holder))?;
        let usable = |it: &&Arc<Registered>| it.handle.is_open() && !tried.contains(&it.serial);
        let newest = || entry.connections.iter().rev().filter(usable);
        let chosen = newest().find(|it| it.handle.open_slots() > 0).or_else(|| newest().next())?;
        Some((Arc::clone(chosen), Arc::clone(&entry.holder)))
    }

    async fn await_arrival(
        &self,
        name: &ReverseName,
        expected: &[SpiffeId],
    ) -> Result<(Arc<Registered>, Arc<SpiffeId>), TunnelError> {
        let arrival = async {
            loop {
                let mut arrived = std::pin::pin!(self.shared.arrived.notified());
                arrived.as_mut().enable();
                if let Some(found) = self.choose(name, expected, &[]) {
                    return found;
                }
                arrived.await;
            }
        };
        timeout(PATIENCE, arrival).await.map_err(|_| TunnelError::NotRegistered { name: name.clone() })
    }
}

impl Registration {
    /// The names that it holds.
    pub(super) fn names(&self) -> &[ReverseName] {
        &self.names
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut table = self.shared.names.lock();
        for name in &self.names {
            if let Some(entry) = table.get_mut(name) {
                entry.connections.retain(|it| it.serial != self.serial);
                if entry.connections.is_empty() {
                    table.remove(name);
                }
            }
        }
    }
}

/// Connections on which one tunnel is tried.
const ATTEMPTS: usize = 4;
/// How long a tunnel waits for a node that is not there: longer than the pause between two of its attempts to come back.
const PATIENCE: Duration = Duration::from_secs(10);
