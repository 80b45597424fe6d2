//! Octets on their way to the transport: one buffer, filled, written however the transport takes it, and used again.
//! Used by `own` and by `handshake`; knows nothing of records.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// A buffer, of which `sent` octets were written.
#[derive(Default)]
pub(super) struct Outgoing {
    octets: Vec<u8>,
    sent: usize,
    unflushed: bool,
    written: u64,
}

impl Outgoing {
    pub(super) const fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Where more is appended.
    pub(super) const fn octets(&mut self) -> &mut Vec<u8> {
        &mut self.octets
    }

    /// Octets that the transport has taken, in all.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Writes everything; the buffer is empty then.
    pub(super) fn poll_write<T>(&mut self, cx: &mut Context<'_>, io: &mut T) -> Poll<io::Result<()>>
    where
        T: AsyncWrite + Unpin,
    {
        while self.sent < self.octets.len() {
            let taken = ready!(Pin::new(&mut *io).poll_write(cx, &self.octets[self.sent..]))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += taken;
            self.written += taken as u64;
            self.unflushed = true;
        }
        self.octets.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Writes everything, and flushes what was written.
    pub(super) fn poll_flush<T>(&mut self, cx: &mut Context<'_>, io: &mut T) -> Poll<io::Result<()>>
    where
        T: AsyncWrite + Unpin,
    {
        ready!(self.poll_write(cx, io))?;
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Lets the memory go, if nothing is in it.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            self.octets = Vec::new();
        }
    }
}
