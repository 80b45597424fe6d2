//! What a chunk that waits for its reader keeps of the heap, counted by the allocator: tunnels of one thread share
//! buffers, so one that is stalled must not hold those in which the octets of the others came.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::ErrorKind;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

#[path = "../src/intake.rs"]
mod intake;
#[path = "../src/legs.rs"]
#[expect(dead_code, reason = "only reads are looked at here")]
mod legs;

use intake::Intake;

/// Counts for each thread by itself: the module's own tests run beside this one.
struct Counting;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

fn count(octets: i64) {
    LIVE.set(LIVE.get() + octets);
}

// SAFETY: every call is passed on as it came; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are those that the system allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A tunnel's client and its socket here.
struct Leg {
    client: TcpStream,
    socket: TcpStream,
    intake: Intake,
}

impl Leg {
    async fn new(listener: &TcpListener) -> Self {
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        Self { client, socket, intake: Intake::new() }
    }

    /// Carries so many octets; the chunks in which they came.
    async fn carry(&mut self, octets: usize) -> Vec<Bytes> {
        let Self { client, socket, intake } = self;
        let sent = vec![7; octets];
        let (mut came, mut chunks) = (0, Vec::new());
        let take = async {
            while came < octets {
                match intake.read(socket, usize::MAX) {
                    Ok(chunk) => {
                        came += chunk.len();
                        chunks.push(chunk);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => socket.readable().await.unwrap(),
                    Err(error) => panic!("{error}"),
                }
            }
        };
        tokio::join!(async { client.write_all(&sent).await.unwrap() }, take);
        chunks
    }
}

#[tokio::test]
async fn chunks_of_stalled_tunnels_pin_at_most_four_times_their_octets_beside_a_fast_one() {
    const STALLED: usize = 40;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut fast = Leg::new(&listener).await;
    // The buffers that the thread keeps are there.
    drop(fast.carry(4 << 20).await);
    for size in [100, 16 * 1024, 20_000, 64 * 1024, 100_000] {
        let mut legs = Vec::with_capacity(STALLED);
        for _ in 0..STALLED {
            legs.push(Leg::new(&listener).await);
        }
        let mut stalled = Vec::with_capacity(STALLED);
        let before = LIVE.get();
        for leg in &mut legs {
            stalled.push(leg.carry(size).await);
            drop(fast.carry(1 << 20).await);
        }
        let (pinned, held) = (LIVE.get() - before, (size * STALLED) as i64);
        // Lists, and that the thread has other buffers than before.
        let slack = 700 * STALLED as i64 + (1 << 21);
        assert!(pinned <= 4 * held + slack, "{pinned} octets for {held} in pieces of {size}");
        drop(stalled);
    }
}
