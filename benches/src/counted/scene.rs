//! What is counted, for whom, and the runtime on which it happens. Speaks no HTTP/2.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::{Builder, Runtime};

use super::{ours, stock};
use crate::payload::Payload;

/// Octets of a DATA frame at both ends.
pub(super) const FRAME: u32 = 16 * 1024;
/// Octets that an application hands over at a time: four frames.
const CHUNK: usize = 64 * 1024;
/// Octets of a message that comes back.
pub(super) const MESSAGE: usize = 64;
/// Whom a CONNECT asks for to have its octets back.
pub(super) const ECHO: &str = "echo:1";
/// Octets that the pipe holds in either direction.
const PIPE: usize = 64 * 1024;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// DATA frames of 16 KiB on one stream, sent and received.
    Frames,
    /// Streams that are opened by CONNECT, answered with 200, and ended by both ends, so many at a time.
    Streams(usize),
    /// Messages of 64 octets on one stream that come back, one at a time.
    RoundTrips,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// This engine and its driver, as they come but for the size of frames and the clock.
    Ours,
    /// Stock `h2` as it comes.
    Stock,
    /// Stock `h2` with windows of 4 MiB and 16 MiB.
    StockWindows,
    /// Nobody: the pipe itself, which carries octets and has no streams.
    Pipe,
}

/// A connection at rest, over which work can be done.
pub struct Scene {
    runtime: Runtime,
    client: Client,
    payload: Payload,
}

enum Client {
    Ours(ours::Client),
    Stock(stock::Client),
    Pipe(DuplexStream),
}

impl Work {
    /// A name for a command line.
    pub fn name(self) -> String {
        match self {
            Self::Frames => "frame".to_owned(),
            Self::RoundTrips => "round-trip".to_owned(),
            Self::Streams(together) => format!("stream-{together}"),
        }
    }

    /// The work in words.
    pub fn title(self) -> String {
        match self {
            Self::Frames => "DATA frame of 16 KiB, sent and received".to_owned(),
            Self::RoundTrips => "round trip of 64 octets".to_owned(),
            Self::Streams(1) => "stream opened, answered and closed, one at a time".to_owned(),
            Self::Streams(together) => format!("stream opened, answered and closed, {together} at a time"),
        }
    }
}

impl Who {
    /// The name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Stock => "h2",
            Self::StockWindows => "h2-windows",
            Self::Pipe => "pipe",
        }
    }
}

impl Scene {
    /// Connects both ends by a pipe of 64 KiB.
    pub fn new(who: Who) -> Self {
        Self::over(who, PIPE)
    }

    /// Connects both ends by a pipe that holds so many octets in either direction.
    pub fn over(who: Who, pipe: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let (near, far) = tokio::io::duplex(pipe);
        let client = runtime.block_on(Self::connect(who, near, far));
        Self { runtime, client, payload: Payload::new(CHUNK, 0) }
    }

    async fn connect(who: Who, near: DuplexStream, far: DuplexStream) -> Client {
        match who {
            Who::Ours => Client::Ours(ours::connect(near, far).await),
            Who::Stock => Client::Stock(stock::connect(near, far, false).await),
            Who::StockWindows => Client::Stock(stock::connect(near, far, true).await),
            Who::Pipe => {
                tokio::spawn(swallow(far));
                Client::Pipe(near)
            }
        }
    }

    /// Does the work `times` times, rounded up to whole chunks and groups, and waits for both ends to be done.
    pub fn run(&mut self, work: Work, times: usize) {
        let Self { runtime, client, payload } = self;
        runtime.block_on(async {
            match (work, client) {
                (Work::Frames, Client::Ours(client)) => client.carry(chunks(payload, times)).await,
                (Work::Frames, Client::Stock(client)) => client.carry(chunks(payload, times)).await,
                (Work::Frames, Client::Pipe(pipe)) => {
                    for chunk in chunks(payload, times) {
                        pipe.write_all(&chunk).await.expect("the pipe");
                    }
                }
                (Work::RoundTrips, Client::Ours(client)) => client.exchange(times).await,
                (Work::RoundTrips, Client::Stock(client)) => client.exchange(times).await,
                (Work::Streams(together), Client::Ours(client)) => {
                    for _ in 0..times.div_ceil(together) {
                        client.come_and_go(together).await;
                    }
                }
                (Work::Streams(together), Client::Stock(client)) => {
                    for _ in 0..times.div_ceil(together) {
                        client.come_and_go(together).await;
                    }
                }
                (Work::Streams(_) | Work::RoundTrips, Client::Pipe(_)) => {}
            }
        });
    }
}

async fn swallow(mut pipe: DuplexStream) {
    let mut buffer = vec![0; CHUNK];
    while pipe.read(&mut buffer).await.is_ok_and(|octets| octets > 0) {}
}

fn chunks(payload: &mut Payload, frames: usize) -> impl Iterator<Item = Bytes> {
    let chunks = (frames * FRAME as usize).div_ceil(CHUNK);
    (0..chunks).map(|_| payload.piece())
}
