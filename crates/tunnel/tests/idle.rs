//! What an idle tunnel holds of the heap, at both nodes together: counted by the allocator, so it must not grow
//! unnoticed. Both nodes, their client and the service live in this process; what a connection without a tunnel costs
//! is taken off.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[path = "tunnels/captured.rs"]
#[expect(dead_code, reason = "the other tests read the log, this one counts")]
mod captured;
#[path = "tunnels/common.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod common;

use common::{Pair, echo};

/// Counts for all threads.
struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call is passed on as it came; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Octets that an idle tunnel may cost at both nodes together; less in a build with optimisation.
const TUNNEL: i64 = 4 * 1024 + 512;
const TUNNELS: usize = 90;

/// Opens connections, each of which has echoed an octet, and tells what they hold once it has been quiet.
async fn held(to: std::net::SocketAddr) -> (i64, Vec<TcpStream>) {
    let before = LIVE.load(Ordering::Relaxed);
    let mut clients = Vec::with_capacity(TUNNELS);
    for _ in 0..TUNNELS {
        let mut client = TcpStream::connect(to).await.unwrap();
        client.write_all(b"x").await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        clients.push(client);
    }
    // Connections give their buffers back after a second without input.
    tokio::time::sleep(Duration::from_secs(2)).await;
    (LIVE.load(Ordering::Relaxed) - before, clients)
}

#[tokio::test(start_paused = true)]
async fn an_idle_tunnel_holds_no_buffer_and_at_most_4_kib_and_a_half_at_both_nodes_together() {
    let service = echo().await;
    let pair = Pair::to(service).await;
    // What is there once: the connection between the nodes, buffers of the thread, tables.
    drop(held(pair.entry).await);
    drop(held(service).await);
    let (direct, connections) = held(service).await;
    drop(connections);
    let (tunnelled, tunnels) = held(pair.entry).await;
    let each = (tunnelled - direct) / TUNNELS as i64;
    println!("{each} octets");
    assert!((1..=TUNNEL).contains(&each), "{each} octets for each of {} tunnels", tunnels.len());
}
