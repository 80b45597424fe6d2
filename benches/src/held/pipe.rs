//! A transport within the process whose memory is there from the beginning: it costs neither end anything.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets that a direction holds.
const ROOM: usize = 64 * 1024;

/// One direction.
#[derive(Debug)]
struct Pipe {
    octets: VecDeque<u8>,
    shut: bool,
    /// The end that waits: the reader of an empty pipe, or the writer of a full one.
    waiting: Option<Waker>,
}

/// One end of both directions.
#[derive(Debug)]
pub(super) struct PipeEnd {
    incoming: Arc<Mutex<Pipe>>,
    outgoing: Arc<Mutex<Pipe>>,
}

/// Two ends of a transport.
pub(super) fn pipe() -> (PipeEnd, PipeEnd) {
    let direction = || {
        let octets = VecDeque::with_capacity(ROOM);
        Arc::new(Mutex::new(Pipe { octets, shut: false, waiting: None }))
    };
    let (there, back) = (direction(), direction());
    (
        PipeEnd { incoming: Arc::clone(&back), outgoing: Arc::clone(&there) },
        PipeEnd { incoming: there, outgoing: back },
    )
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().expect("an end panicked")
}

impl AsyncRead for PipeEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.incoming);
        if pipe.octets.is_empty() && !pipe.shut {
            pipe.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (first, second) = pipe.octets.as_slices();
        let from = if first.is_empty() { second } else { first };
        let taken = from.len().min(buffer.remaining());
        buffer.put_slice(&from[..taken]);
        pipe.octets.drain(..taken);
        if let Some(writer) = pipe.waiting.take() {
            writer.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PipeEnd {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.outgoing);
        let room = ROOM - pipe.octets.len();
        if room == 0 {
            pipe.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = room.min(data.len());
        pipe.octets.extend(&data[..taken]);
        if let Some(reader) = pipe.waiting.take() {
            reader.wake();
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.outgoing);
        pipe.shut = true;
        if let Some(reader) = pipe.waiting.take() {
            reader.wake();
        }
        Poll::Ready(Ok(()))
    }
}
