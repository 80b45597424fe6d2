//! Two plain TCP relays: what two further hops cost without a tunnel. Each is a process of its own, this program called
//! again, on tokio's multi-thread runtime as a node.

use std::io;
use std::net::SocketAddr;
use std::process::Command;

use tokio::net::{TcpListener, TcpStream};

use super::chain::{Chain, free_port};

/// The first argument that makes this program a relay.
pub(crate) const RELAY: &str = "--as-relay";

/// Octets of a buffer; a connection has one for each direction.
const BUFFER: usize = 64 << 10;

/// Starts both.
pub(super) async fn start(mut chain: Chain) -> io::Result<Chain> {
    let (entry, middle) = (free_port()?, free_port()?);
    for (name, from, to) in [("local", entry, middle), ("remote", middle, chain.server())] {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(RELAY).arg(from.to_string()).arg(to.to_string());
        chain.start(command, name)?;
    }
    chain.ready(entry).await
}

/// Is a relay, if the arguments say so; runs until it is ended.
///
/// # Errors
/// The arguments are no addresses, or the first cannot be listened on.
pub(crate) fn relay(arguments: &[String]) -> Option<io::Result<()>> {
    let [first, from, to] = arguments else { return None };
    (first == RELAY).then(|| {
        let address = |text: &str| text.parse().map_err(io::Error::other);
        let (from, to) = (address(from)?, address(to)?);
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(from, to))
    })
}

async fn serve(from: SocketAddr, to: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(from).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        // A connection's fault is its own end.
        tokio::spawn(async move { join(socket, to).await });
    }
}

async fn join(mut near: TcpStream, to: SocketAddr) -> io::Result<()> {
    near.set_nodelay(true)?;
    let mut far = TcpStream::connect(to).await?;
    far.set_nodelay(true)?;
    tokio::io::copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER, BUFFER).await.map(drop)
}
