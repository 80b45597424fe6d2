//! The threads that carry tunnels: one for each core, each with a runtime of its own.
//!
//! Made by node.rs. The system deals new connections out to the threads; what a thread has taken it carries to the
//! end (but for those that a full one hands over at once, see `Listener`), so relay and driver of a tunnel never wake
//! each other across cores, which costs more than most of what they do. Decides nothing about tunnels.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The threads; they end when this is dropped, and what runs on them is dropped there.
#[derive(Debug)]
pub(crate) struct Shards {
    shards: Vec<Handle>,
    _alive: Vec<oneshot::Sender<()>>,
}

impl Shards {
    /// As many as there are cores that this process may use.
    ///
    /// # Errors
    /// When a thread or a runtime is not to be had.
    pub(crate) fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let mut shards = Self { shards: Vec::new(), _alive: Vec::new() };
        for number in 0..cores {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (alive, ended) = oneshot::channel::<()>();
            shards.shards.push(runtime.handle().clone());
            shards._alive.push(alive);
            thread::Builder::new().name(format!("tunnels-{number}")).spawn(move || {
                // Nothing is ever sent: the end of the sender is the message.
                let _ = runtime.block_on(ended);
                // Not held up by a resolver that does not answer.
                runtime.shutdown_timeout(PATIENCE);
            })?;
        }
        Ok(shards)
    }

    /// The runtimes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Handle> {
        self.shards.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.len()
    }

    /// A listener of each runtime, of the first `most` only and of one at least, on the same address; and the address.
    /// A transparent one takes connections that go elsewhere, as TPROXY brings them.
    ///
    /// # Errors
    /// When the address cannot be bound: also where another process shares its own listeners so.
    pub(crate) fn bind(
        &self,
        address: SocketAddr,
        most: usize,
        transparent: bool,
    ) -> io::Result<(Vec<TcpListener>, SocketAddr)> {
        // The first is bound for itself alone and shares only then: so it meets no other process at its port.
        let first = socket(address, transparent)?;
        first.bind(address)?;
        let address = first.local_addr()?;
        let mut sockets = vec![first];
        let number = self.shards.len().min(most);
        if number > 1 {
            sockets[0].set_reuseport(true)?;
        }
        while sockets.len() < number {
            let next = socket(address, transparent)?;
            next.set_reuseport(true)?;
            next.bind(address)?;
            sockets.push(next);
        }
        let listeners = sockets.into_iter().zip(&self.shards).map(|(socket, shard)| {
            // A socket belongs to the runtime in which it begins to listen.
            let _here = shard.enter();
            socket.listen(BACKLOG)
        });
        Ok((listeners.collect::<io::Result<_>>()?, address))
    }
}

fn socket(address: SocketAddr, transparent: bool) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A port is not blocked by old connections of a listener that is gone.
    socket.set_reuseaddr(true)?;
    if transparent {
        // One bit of the kernel for both families (ip(7), IP_TRANSPARENT).
        SockRef::from(&socket).set_ip_transparent_v4(true)?;
    }
    Ok(socket)
}

const BACKLOG: u32 = 1024;
const PATIENCE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn each_runtime_has_a_listener_and_nobody_else_gets_the_port() {
        let shards = Shards::start().unwrap();
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let (listeners, address) = shards.bind(any, usize::MAX, false).unwrap();
        assert_eq!(listeners.len(), shards.len());
        assert!(listeners.iter().all(|listener| listener.local_addr().unwrap() == address));
        // Another node, which would share its port too.
        let error = Shards::start().unwrap().bind(address, usize::MAX, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!([0, 1].map(|most| shards.bind(any, most, false).unwrap().0.len()), [1, 1]);
    }

    #[tokio::test]
    async fn what_runs_on_a_thread_goes_with_it() {
        let shards = Shards::start().unwrap();
        let (kept, gone) = oneshot::channel::<()>();
        shards.iter().next().unwrap().spawn(async move {
            let _kept = kept;
            std::future::pending::<()>().await;
        });
        drop(shards);
        assert!(gone.await.is_err());
    }
}
