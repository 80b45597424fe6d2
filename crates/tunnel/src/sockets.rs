//! What every TCP socket of a tunnel gets, an accept that survives the loss of descriptors, and the real RST.
//!
//! Called by everything here that holds a socket. Knows nothing of HTTP/2.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};

/// Sets the options that a tunnel wants: no delay of small writes, and a dead peer is noticed.
pub(crate) fn tune(tcp: &TcpStream) {
    // A socket that takes no options works without them; if it is dead, its first use will tell.
    let _ = tcp.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
    let _ = SockRef::from(tcp).set_tcp_keepalive(&keepalive);
}

/// Closes a socket with RST: its peer must not take the end for a clean one. What was not sent is dropped.
pub(crate) fn reset(tcp: TcpStream) {
    // Fails only on a socket that is gone already.
    let _ = SockRef::from(&tcp).set_linger(Some(Duration::ZERO));
    drop(tcp);
}

/// Waits until the socket has failed, also while nobody reads or writes. Never resolves for a socket in order.
pub(crate) async fn failure(tcp: &TcpStream) -> io::Error {
    let taken = tcp.async_io(Interest::ERROR, || match tcp.take_error() {
        Ok(Some(error)) => Ok(error),
        Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Err(error),
    });
    taken.await.unwrap_or_else(|error| error)
}

/// The next connection. Errors of single connections are passed over; when descriptors or memory are used up
/// it pauses and tries again, so that live tunnels go on and nothing spins.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut told = false;
    loop {
        match listener.accept().await {
            Ok((tcp, from)) => {
                tune(&tcp);
                return (tcp, from);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if !told {
                    tracing::warn!(%error, "cannot accept connections; raise the limit of open files");
                    told = true;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether an error is about sockets in general (descriptors, memory) and not about one peer.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}

/// Whether an address is one of this host, as the routing table sees it. Sends nothing.
pub(crate) fn is_this_host(address: IpAddr) -> bool {
    let any = match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let local = || -> io::Result<IpAddr> {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    address.is_loopback() || address.is_unspecified() || local().is_ok_and(|local| local == address)
}

/// Accept reports errors of the connection that it would have taken (accept(2), "Error handling").
fn is_of_one_connection(error: &io::Error) -> bool {
    !is_exhaustion(error)
        && matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::Interrupted
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
                | io::ErrorKind::NetworkDown
        )
}

const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);
// Numbers of Linux.
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOBUFS: i32 = 105;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t30_exhaustion_is_told_from_the_fault_of_one_connection() {
        for code in [ENOMEM, ENFILE, EMFILE, ENOBUFS] {
            let error = io::Error::from_raw_os_error(code);
            assert!(is_exhaustion(&error) && !is_of_one_connection(&error), "{error}");
        }
        assert!(is_of_one_connection(&io::ErrorKind::ConnectionAborted.into()));
    }

    #[test]
    fn t32_addresses_of_this_host_are_known() {
        for address in ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0"] {
            assert!(is_this_host(address.parse().unwrap()), "{address}");
        }
        assert!(!is_this_host("192.0.2.1".parse().unwrap()));
    }
}
