//! A relay between two TCP sockets that hands octets on later. It limits no bandwidth, only what it holds.
//!
//! One task a direction reads as soon as it may and notes when each piece is due; another writes what is due. The
//! end of a direction is delayed like its octets. Knows nothing of what it carries.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};

/// Octets that a direction holds at most: 1.25 GiB/s at 50 ms.
const HELD: usize = 64 * 1024 * 1024;
/// Octets of one read.
const READ: usize = 256 * 1024;

/// A piece on its way, and what it takes of the room. Empty at the end.
struct Piece {
    due: Instant,
    octets: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Relays one connection to `target` in a thread of its own, with that delay in each direction; the address to
/// connect to.
pub fn relay_to(target: SocketAddr, delay: Duration) -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("non-blocking");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(relay(listener, target, delay));
    });
    address
}

async fn relay(listener: std::net::TcpListener, target: SocketAddr, delay: Duration) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let (near, _) = listener.accept().await.expect("a connection");
    let far = TcpStream::connect(target).await.expect("a connection");
    for socket in [&near, &far] {
        socket.set_nodelay(true).expect("nodelay");
    }
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::join!(carry(near_in, far_out, delay, HELD), carry(far_in, near_out, delay, HELD));
}

/// One direction, until its end or until the other side takes no more. At most `held` octets, and a read, wait.
async fn carry<R, W>(from: R, to: W, delay: Duration, held: usize)
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin,
{
    let (sender, receiver) = mpsc::unbounded_channel();
    let reading = tokio::spawn(read(from, sender, delay, Arc::new(Semaphore::new(held))));
    write(to, receiver).await;
    reading.abort();
}

async fn read<R: AsyncRead + Unpin>(
    mut from: R,
    sender: mpsc::UnboundedSender<Piece>,
    delay: Duration,
    room: Arc<Semaphore>,
) {
    let mut buffer = vec![0; READ];
    loop {
        // A connection that breaks ends here; its ends see it.
        let taken = from.read(&mut buffer).await.unwrap_or(0);
        let due = Instant::now() + delay;
        let octets = Bytes::copy_from_slice(&buffer[..taken]);
        let wanted = u32::try_from(taken).expect("a read is small");
        let room = Arc::clone(&room).acquire_many_owned(wanted).await.ok();
        if sender.send(Piece { due, octets, _room: room }).is_err() || taken == 0 {
            return;
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(mut to: W, mut receiver: mpsc::UnboundedReceiver<Piece>) {
    while let Some(piece) = receiver.recv().await {
        sleep_until(piece.due).await;
        let last = piece.octets.is_empty();
        if to.write_all(&piece.octets).await.is_err() || last {
            break;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::{READ, carry};

    const DELAY: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn octets_arrive_in_order_complete_and_late_and_so_does_the_end() {
        let (mut near, from) = duplex(1000);
        let (to, mut far) = duplex(1000);
        tokio::spawn(carry(from, to, DELAY, 1 << 20));
        let start = Instant::now();
        let sent: Vec<u8> = (0..100_000_u32).map(|i| ((i * 7) >> 3) as u8).collect();
        let copy = sent.clone();
        tokio::spawn(async move {
            near.write_all(&copy).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            near.shutdown().await.unwrap();
        });
        let mut first = [0];
        far.read_exact(&mut first).await.unwrap();
        assert_eq!(start.elapsed().as_millis(), 50);
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        assert_eq!([&first[..], &rest].concat(), sent);
        assert_eq!(start.elapsed().as_millis(), 70);
    }

    #[tokio::test(start_paused = true)]
    async fn what_it_holds_is_bounded_and_nothing_is_lost_by_it() {
        let (mut near, from) = duplex(1 << 20);
        let (to, mut far) = duplex(1 << 20);
        tokio::spawn(carry(from, to, DELAY, READ));
        let writer = tokio::spawn(async move {
            near.write_all(&vec![7; 4 * READ]).await.unwrap();
            near.shutdown().await.unwrap();
        });
        let start = Instant::now();
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        writer.await.unwrap();
        assert_eq!(all.len(), 4 * READ);
        // One read's worth at a time: the second is read, and due, early; what follows waits for room.
        assert!(start.elapsed() >= 2 * DELAY, "{:?}", start.elapsed());
    }
}
