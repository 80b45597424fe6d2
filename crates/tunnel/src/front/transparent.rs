//! Connections that the system's packet filter brings here without their clients knowing: REDIRECT changes where they
//! go and remembers it (SO_ORIGINAL_DST), TPROXY leaves it as it is (the socket's own address).
//!
//! Called by the outbound side through `Front`. Loops are refused: what was meant for a listener of this node, and
//! this node's own way to a peer, which the rules must leave out. Changes no rules.

use std::io;
use std::net::SocketAddr;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::client::Client;
use super::error::FrontError;
use crate::authority::Authority;
use crate::sockets;
use crate::way::Way;

/// Where a connection was going before it was redirected.
///
/// # Errors
/// [`FrontError::NotCaptured`] when nobody redirected it.
pub(super) fn redirected(client: &Client) -> Result<Authority, FrontError> {
    meant(client, |tcp, is_v4| {
        let socket = SockRef::from(tcp);
        let original = if is_v4 { socket.original_dst_v4() } else { socket.original_dst_v6() };
        original?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    })
}

/// Where a connection is going that was not redirected.
///
/// # Errors
/// [`FrontError::NotCaptured`] for a unix socket.
pub(super) fn transparent(client: &Client) -> Result<Authority, FrontError> {
    meant(client, |tcp, _| tcp.local_addr())
}

/// Refuses what would come back here again.
///
/// # Errors
/// [`FrontError::OwnListener`] and [`FrontError::OwnTraffic`].
pub(crate) fn check_loop(destination: &Authority, way: &Way, own_ports: &[u16]) -> Result<(), FrontError> {
    if way.address() == Some(destination) {
        return Err(FrontError::OwnTraffic);
    }
    let here = destination.address().is_some_and(|address| sockets::is_this_host(address.ip()));
    if here && own_ports.contains(&destination.port()) {
        return Err(FrontError::OwnListener);
    }
    Ok(())
}

/// The destination in its one form: an IPv4 connection that a socket of IPv6 took is one of IPv4.
fn meant(
    client: &Client,
    ask: impl FnOnce(&TcpStream, bool) -> io::Result<SocketAddr>,
) -> Result<Authority, FrontError> {
    let Client::Tcp(tcp) = client else { return Err(FrontError::NotCaptured) };
    let is_v4 = tcp.local_addr()?.ip().to_canonical().is_ipv4();
    let address = ask(tcp, is_v4).map_err(|_| FrontError::NotCaptured)?;
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    address.try_into().map_err(|_| FrontError::NotCaptured)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Peer;
    use tokio::net::{TcpListener, UnixStream};

    #[test]
    fn t32_the_own_listeners_and_the_own_way_to_a_peer_are_refused() {
        let at = |text: &str| text.parse::<Authority>().unwrap();
        let expected = vec!["spiffe://td/ns/a/sa/bob".parse().unwrap()];
        let way = Way::Node(Peer { address: at("192.0.2.7:15008"), others: Vec::new(), expected });
        let check = |destination: &str| check_loop(&at(destination), &way, &[15001]);
        assert_eq!(check("127.0.0.1:15001"), Err(FrontError::OwnListener));
        assert_eq!(check("[::1]:15001"), Err(FrontError::OwnListener));
        assert_eq!(check("192.0.2.7:15008"), Err(FrontError::OwnTraffic));
        assert_eq!(check("192.0.2.7:15001"), Ok(()));
        assert_eq!(check("127.0.0.1:80"), Ok(()));
    }

    #[tokio::test]
    async fn t32_a_connection_that_nobody_redirected_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let _caller = TcpStream::connect(address).await.unwrap();
        let client = Client::Tcp(listener.accept().await.unwrap().0);
        // Where connections are tracked, the system knows that it was meant for the listener itself.
        match redirected(&client) {
            Err(FrontError::NotCaptured) => {}
            other => assert_eq!(other.unwrap().address(), Some(address)),
        }
        assert_eq!(transparent(&client).unwrap().address(), Some(address));
        let (unix, _other) = UnixStream::pair().unwrap();
        let client = Client::Unix(unix);
        assert_eq!(transparent(&client), Err(FrontError::NotCaptured));
    }
}
