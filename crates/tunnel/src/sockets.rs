//! What every TCP socket of a tunnel gets, an accept that survives the loss of descriptors, and the real RST.
//!
//! Called by everything here that holds a socket. A leg of a tunnel is guarded from its first moment: however it
//! goes (a task that panics, a process that is killed), its peer gets a RST, unless the tunnel ended whole and
//! said so. Of HTTP/2 it knows the times after which a peer
//! is dead.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hbone_conn::Config;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

/// Sets the options that a tunnel wants: no delay of small writes, and a dead peer is noticed
/// within two minutes of silence.
pub(crate) fn tune(tcp: &TcpStream) {
    // A socket that takes no options works without them; if it is dead, its first use will tell.
    let _ = tcp.set_nodelay(true);
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL).with_retries(3);
    let _ = SockRef::from(tcp).set_tcp_keepalive(&keepalive);
}

/// From now on the socket ends with a RST, whoever closes it: also the kernel, for a process that has died. A
/// listener hands it on to what it accepts.
pub(crate) fn guard<S: AsFd>(socket: &S) {
    // Fails only on a socket that is gone already.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// Lets a guarded socket go in peace, once both of its directions have ended with a FIN: the kernel delivers
/// what it still holds.
pub(crate) fn release(tcp: TcpStream) {
    unguard(&tcp);
    drop(tcp);
}

/// From now on the socket ends with a FIN.
pub(crate) fn unguard<S: AsFd>(socket: &S) {
    let _ = SockRef::from(socket).set_linger(None);
}

/// Closes a socket with RST: its peer must not take the end for a clean one. What was not sent is dropped.
pub(crate) fn reset(tcp: TcpStream) {
    guard(&tcp);
    drop(tcp);
}

/// The longest that sent octets may stay unacknowledged; `None` leaves it to the system.
pub(crate) fn limit_unacknowledged(tcp: &TcpStream, limit: Option<Duration>) {
    if limit.is_some() {
        let _ = SockRef::from(tcp).set_tcp_user_timeout(limit);
    }
}

/// A connection of HTTP/2: octets that its peer does not acknowledge end it when a PING without an answer would have.
/// The system knows of them earlier than a PING that waits behind them, and would itself try on for a quarter of an
/// hour. A node always reads, so a window that is shut for so long is a node that has died or was stopped.
pub(crate) fn expect_answers(tcp: &TcpStream, connection: &Config) {
    let limit = connection.keepalive_interval.map(|interval| interval + connection.keepalive_timeout);
    limit_unacknowledged(tcp, limit);
}

/// From now on every connection that this process makes has this mark (SO_MARK), by which rules of a packet filter
/// know it: it must not be captured again. 0 is none. Of the process, as the rules are of the host.
///
/// # Errors
/// Without CAP_NET_ADMIN, or CAP_NET_RAW from Linux 5.17 on; nothing is marked then.
pub fn mark_connections(mark: u32) -> io::Result<()> {
    if mark != 0 {
        SockRef::from(&TcpSocket::new_v4()?).set_mark(mark)?;
    }
    MARK.store(mark, Ordering::Relaxed);
    Ok(())
}

/// A socket for a connection to that address.
pub(crate) fn outgoing(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    let mark = MARK.load(Ordering::Relaxed);
    if mark != 0 {
        // Never without it: what was captured would come back here.
        SockRef::from(&socket).set_mark(mark)?;
    }
    Ok(socket)
}

/// Connects a socket that is guarded before its peer can know of it.
pub(crate) async fn connect_guarded(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = outgoing(address)?;
    guard(&socket);
    socket.connect(address).await
}

/// Waits until the socket has failed, also while nobody reads or writes. Never resolves for a socket in order.
pub(crate) async fn failure(tcp: &TcpStream) -> io::Error {
    // Not `async_io`, whose future is twice as large: every tunnel holds one.
    loop {
        if let Err(error) = tcp.ready(Interest::ERROR).await {
            return error;
        }
        let taken = tcp.try_io(Interest::ERROR, || match tcp.take_error() {
            Ok(Some(error)) => Ok(error),
            Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
            Err(error) => Err(error),
        });
        match taken {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(error) | Err(error) => return error,
        }
    }
}

/// The next connection. Errors of single connections are passed over. When descriptors or memory are used up,
/// `relieve` may give some back and says whether it did; else this pauses and tries again, so that live tunnels
/// go on and nothing spins.
pub(crate) async fn accept(listener: &TcpListener, relieve: impl Fn() -> bool) -> (TcpStream, SocketAddr) {
    let mut pauses = Pauses::default();
    loop {
        match listener.accept().await {
            Ok((tcp, from)) => {
                tune(&tcp);
                return (tcp, from);
            }
            Err(error) => pauses.after(&error, &relieve).await,
        }
    }
}

/// The next connection of a unix socket, and the process that made it, where the system tells.
pub(crate) async fn accept_unix(listener: &UnixListener) -> (UnixStream, Option<i32>) {
    let mut pauses = Pauses::default();
    loop {
        match listener.accept().await {
            Ok((unix, _)) => {
                let pid = unix.peer_cred().ok().and_then(|who| who.pid());
                return (unix, pid);
            }
            Err(error) => pauses.after(&error, || false).await,
        }
    }
}

/// What to do after an accept that failed.
#[derive(Default)]
struct Pauses {
    told: bool,
}

impl Pauses {
    async fn after(&mut self, error: &io::Error, relieve: impl Fn() -> bool) {
        if is_of_one_connection(error) {
            return;
        }
        if !self.told {
            tracing::warn!(%error, "cannot accept connections; raise the limit of open files");
            self.told = true;
        }
        // What was given back is free once its owner has heard of it.
        let pause = if relieve() { RELIEF } else { PAUSE };
        tokio::time::sleep(pause).await;
    }
}

/// Whether an error is about sockets in general (descriptors, memory) and not about one peer.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}

/// Whether an address is one of this host: only those can be bound. When in doubt, it is. Sends nothing.
pub(crate) fn is_this_host(address: IpAddr) -> bool {
    match UdpSocket::bind((address, 0)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

/// Files that this process may open at a time.
pub(crate) fn descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
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

/// The mark of this process's connections.
static MARK: AtomicU32 = AtomicU32::new(0);

const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);
const RELIEF: Duration = Duration::from_millis(1);
// Numbers of Linux.
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOBUFS: i32 = 105;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn f02_octets_that_a_node_does_not_acknowledge_end_the_connection_when_a_ping_would() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut connection = Config { keepalive_interval: None, ..Config::default() };
        expect_answers(&tcp, &connection);
        assert_eq!(SockRef::from(&tcp).tcp_user_timeout().unwrap(), None);
        connection.keepalive_interval = Some(Duration::from_secs(10));
        connection.keepalive_timeout = Duration::from_secs(20);
        expect_answers(&tcp, &connection);
        assert_eq!(SockRef::from(&tcp).tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
    }

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

    #[test]
    fn t32_every_address_of_an_interface_is_known_not_only_its_first() {
        let script = "ip addr add 10.9.0.1/24 dev lo && ip addr add 10.9.0.2/24 dev lo && \
                      ip link set lo up && echo ready && exec \"$0\" \"$@\"";
        let child = std::process::Command::new("unshare")
            .args(["-rn", "sh", "-c", script])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "sockets::tests::inside_a_network_of_its_own", "--ignored"])
            .output();
        match child {
            Ok(output) if output.stdout.starts_with(b"ready") => {
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
            }
            other => eprintln!("skipped: no network namespace: {other:?}"),
        }
    }

    #[test]
    #[ignore = "run by the test above in a network namespace"]
    fn inside_a_network_of_its_own() {
        for address in ["10.9.0.1", "10.9.0.2", "127.0.0.1"] {
            assert!(is_this_host(address.parse().unwrap()), "{address}");
        }
        for address in ["10.9.1.1", "192.0.2.1"] {
            assert!(!is_this_host(address.parse().unwrap()), "{address}");
        }
        // What cannot be asked about is taken for ours: there is no IPv6 address of that scope to bind.
        assert!(is_this_host("fe80::1".parse().unwrap()));
    }
}
