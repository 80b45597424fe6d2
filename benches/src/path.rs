//! What lies between two ends, the same for all contenders: memory, a TCP connection on loopback, TLS over it, or
//! one with delay. Nagle's algorithm is off at both ends; no other option is set.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};

use crate::calls::Counted;
use crate::delay;

/// Octets that the path in memory holds in each direction.
pub const IN_MEMORY: usize = 256 * 1024;

/// What lies between two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Memory.
    Duplex,
    /// A TCP connection on loopback.
    Tcp,
    /// TLS over a TCP connection on loopback.
    Tls,
    /// A TCP connection on loopback with that delay for a round trip.
    Delayed(Duration),
}

/// One end of a path, before there is a runtime.
#[derive(Debug)]
pub struct End {
    kind: Kind,
    tls: bool,
    /// Where the calls are counted.
    calls: Option<Arc<AtomicU64>>,
}

#[derive(Debug)]
enum Kind {
    Memory(DuplexStream),
    Dial(SocketAddr),
    Listen(std::net::TcpListener),
}

/// One end of a path, connected.
#[derive(Debug)]
pub enum Link {
    /// In memory.
    Duplex(DuplexStream),
    /// A socket.
    Tcp(TcpStream),
    /// A socket whose calls are counted.
    Counted(Counted<TcpStream>),
    /// A socket for TLS to shake hands on.
    ForTls(TcpStream),
}

impl Path {
    /// The two ends of a new path, the client's and the server's; calls to TCP sockets are counted if there is
    /// something to count them in.
    pub fn ends(self, calls: Option<&Arc<AtomicU64>>) -> (End, End) {
        let end = |kind| End { kind, tls: self == Self::Tls, calls: calls.map(Arc::clone) };
        if self == Self::Duplex {
            let (near, far) = tokio::io::duplex(IN_MEMORY);
            return (end(Kind::Memory(near)), end(Kind::Memory(far)));
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("non-blocking");
        let mut address = listener.local_addr().expect("an address");
        if let Self::Delayed(round_trip) = self {
            address = delay::relay_to(address, round_trip / 2);
        }
        (end(Kind::Dial(address)), end(Kind::Listen(listener)))
    }

    /// The short name.
    pub fn name(self) -> String {
        match self {
            Self::Duplex => "duplex".to_owned(),
            Self::Tcp => "tcp".to_owned(),
            Self::Tls => "tls".to_owned(),
            Self::Delayed(round_trip) => format!("{}ms", round_trip.as_millis()),
        }
    }
}

impl End {
    /// Connects.
    pub async fn link(self) -> Link {
        let socket = match self.kind {
            Kind::Memory(io) => return Link::Duplex(io),
            Kind::Dial(address) => TcpStream::connect(address).await.expect("a connection"),
            Kind::Listen(listener) => {
                let listener = TcpListener::from_std(listener).expect("a listener");
                listener.accept().await.expect("a connection").0
            }
        };
        socket.set_nodelay(true).expect("nodelay");
        match self.calls {
            _ if self.tls => Link::ForTls(socket),
            Some(calls) => Link::Counted(Counted::new(socket, calls)),
            None => Link::Tcp(socket),
        }
    }
}
