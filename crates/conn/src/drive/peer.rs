//! What a wire knows of the other end. Plain data, asked for once for each connection.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use tokio::net::TcpStream;

/// The other end of a connection, as far as its [`Wire`](super::Wire) can tell.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Peer {
    /// The peer's address; `None` where the transport has none.
    pub remote: Option<SocketAddr>,
    /// This end's address.
    pub local: Option<SocketAddr>,
    /// The peer's own certificate, in DER, which the handshake has accepted. `None` without TLS and where it showed
    /// none. The chain above it, which may be large, is not kept: ask the wire for it before the connection begins.
    pub certificate: Option<Bytes>,
    /// The protocol agreed on by ALPN (RFC 7301).
    pub alpn: Option<Bytes>,
    /// On a server: the name that the client asked for (SNI, RFC 6066 3).
    pub server_name: Option<String>,
}

impl Peer {
    /// The addresses of a transport, if it is a TCP socket.
    pub fn of_socket<T: Any>(io: &T) -> Self {
        let Some(socket) = (io as &dyn Any).downcast_ref::<TcpStream>() else { return Self::default() };
        Self { remote: socket.peer_addr().ok(), local: socket.local_addr().ok(), ..Self::default() }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("remote", &self.remote)
            .field("local", &self.local)
            .field("certificate", &self.certificate.as_ref().map(Bytes::len))
            .field("alpn", &self.alpn)
            .field("server_name", &self.server_name)
            .finish()
    }
}
