//! The listeners of one address on several runtimes: which of them takes a connection.
//!
//! Made by the node, served by both sides. The system deals connections out by chance; one that meets a runtime that
//! has more than others is handed over to the one that has least, so that a few busy connections do not share a core
//! while others idle. Counts connections, not what they carry.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::sockets;

/// A listener of one runtime, and its place among those of the same address.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    table: Arc<[Place]>,
    number: usize,
    dealt: mpsc::Receiver<Dealt>,
}

/// A connection on its way to another runtime, counted there from the start.
type Dealt = (std::net::TcpStream, SocketAddr, Seat);

/// One runtime as the others see it.
#[derive(Debug)]
struct Place {
    connections: AtomicUsize,
    hand: mpsc::Sender<Dealt>,
}

/// A connection that is counted, until this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    table: Arc<[Place]>,
    number: usize,
}

impl Listener {
    /// A listener that shares its address with none.
    pub fn alone(tcp: TcpListener) -> Self {
        let (hand, dealt) = mpsc::channel(1);
        Self { tcp, table: Arc::new([Place { connections: AtomicUsize::new(0), hand }]), number: 0, dealt }
    }

    /// Listeners of one address, each of its runtime.
    pub fn together(listeners: Vec<TcpListener>) -> Vec<Self> {
        let (places, dealt): (Vec<_>, Vec<_>) = (0..listeners.len())
            .map(|_| {
                let (hand, dealt) = mpsc::channel(ON_THE_WAY);
                (Place { connections: AtomicUsize::new(0), hand }, dealt)
            })
            .unzip();
        let table: Arc<[Place]> = places.into();
        let seated = listeners.into_iter().zip(dealt).enumerate();
        seated.map(|(number, (tcp, dealt))| Self { tcp, table: Arc::clone(&table), number, dealt }).collect()
    }

    /// The next connection for this runtime, see [`sockets::accept`]. It goes elsewhere when this one has more
    /// than another. May be cancelled.
    pub(crate) async fn accept(&mut self, relieve: impl Fn() -> bool) -> (TcpStream, SocketAddr, Seat) {
        loop {
            let Self { tcp, table, number, dealt } = self;
            tokio::select! {
                (tcp, from) = sockets::accept(tcp, &relieve) => {
                    if let Some(tcp) = deal(table, *number, tcp, from) {
                        return (tcp, from, Seat::take(table, *number));
                    }
                }
                Some((tcp, from, seat)) = dealt.recv() => {
                    if let Ok(tcp) = TcpStream::from_std(tcp) {
                        return (tcp, from, seat);
                    }
                }
            }
        }
    }
}

impl Seat {
    fn take(table: &Arc<[Place]>, number: usize) -> Self {
        table[number].connections.fetch_add(1, Ordering::Relaxed);
        Self { table: Arc::clone(table), number }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.table[self.number].connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Hands a connection over to who has least, if that is due; else it comes back.
fn deal(table: &Arc<[Place]>, number: usize, tcp: TcpStream, from: SocketAddr) -> Option<TcpStream> {
    let load = |place: &Place| place.connections.load(Ordering::Relaxed);
    let Some((to, least)) = table.iter().enumerate().min_by_key(|(_, place)| load(place)) else {
        return Some(tcp);
    };
    if load(&table[number]) <= load(least) {
        return Some(tcp);
    }
    // Nobody there any more, or he is behind: better here.
    let Ok(hand) = least.hand.try_reserve() else { return Some(tcp) };
    if let Ok(tcp) = tcp.into_std() {
        hand.send((tcp, from, Seat::take(table, to)));
    }
    None
}

/// Connections that a runtime has been handed and has not taken. Few: no other limit knows of them.
const ON_THE_WAY: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    async fn bound() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn who_has_least_gets_the_next_and_what_is_handed_over_is_whole() {
        let ((first, address), (second, _)) = (bound().await, bound().await);
        let mut both = Listener::together(vec![first, second]);
        let (mut idle, mut busy) = (both.pop().unwrap(), both.pop().unwrap());
        let (mut kept, mut handed) = (Vec::new(), Vec::new());
        // All come to the first; it keeps every other one.
        for _ in 0..8 {
            let client = TcpStream::connect(address).await.unwrap();
            tokio::select! {
                taken = busy.accept(|| false) => kept.push((client, taken)),
                taken = idle.accept(|| false) => handed.push((client, taken)),
            }
        }
        assert_eq!((kept.len(), handed.len()), (4, 4));
        for (client, (tcp, from, _)) in &handed {
            assert_eq!(client.local_addr().unwrap(), *from);
            assert_eq!(tcp.peer_addr().unwrap(), *from);
        }
        // Those that have gone count no more.
        kept.clear();
        for _ in 0..4 {
            let client = TcpStream::connect(address).await.unwrap();
            kept.push((client, busy.accept(|| false).await));
        }
        assert_eq!(busy.table[0].connections.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn few_wait_for_a_runtime_that_is_behind_and_those_that_go_with_it_count_no_more() {
        let ((first, address), (second, _)) = (bound().await, bound().await);
        let mut both = Listener::together(vec![first, second]);
        let (behind, mut busy) = (both.pop().unwrap(), both.pop().unwrap());
        let table = Arc::clone(&busy.table);
        let load = |number: usize| table[number].connections.load(Ordering::Relaxed);
        let (mut clients, mut kept) = (Vec::new(), Vec::new());
        while clients.len() < 4 * ON_THE_WAY {
            let there = load(1);
            clients.push(TcpStream::connect(address).await.unwrap());
            let handed = async {
                while load(1) == there {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                taken = busy.accept(|| false) => kept.push(taken),
                () = handed => {}
            }
        }
        assert_eq!([load(0), load(1)], [3 * ON_THE_WAY, ON_THE_WAY]);
        drop(behind);
        assert_eq!([load(0), load(1)], [kept.len(), 0]);
    }

    #[tokio::test]
    async fn a_runtime_that_has_gone_is_handed_nothing() {
        let ((first, address), (second, _)) = (bound().await, bound().await);
        let mut both = Listener::together(vec![first, second]);
        both.pop();
        let mut kept = Vec::new();
        for _ in 0..3 {
            let client = TcpStream::connect(address).await.unwrap();
            kept.push((client, both[0].accept(|| false).await));
        }
        assert_eq!(kept.len(), 3);
    }
}
