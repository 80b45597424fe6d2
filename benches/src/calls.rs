//! A transport that counts the calls to the one below: with a socket below, each is one system call.
//!
//! Counted are reads and writes that brought something to an end: octets moved, or the end, or an error. One that
//! finds nothing is not counted: tokio asks the kernel only after the kernel has said that there is something.
//! Waiting (epoll) and waking (futex) are not counted either.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A transport and the count of its calls.
#[derive(Debug)]
pub struct Counted<T> {
    io: T,
    calls: Arc<AtomicU64>,
}

impl<T> Counted<T> {
    /// Adds to `calls`.
    pub const fn new(io: T, calls: Arc<AtomicU64>) -> Self {
        Self { io, calls }
    }

    fn count<R>(&self, outcome: Poll<R>) -> Poll<R> {
        if outcome.is_ready() {
            self.calls.fetch_add(1, Relaxed);
        }
        outcome
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Counted<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.count(outcome)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, octets);
        self.count(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.count(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// A socket has nothing to flush.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_shutdown(cx);
        self.count(outcome)
    }
}
