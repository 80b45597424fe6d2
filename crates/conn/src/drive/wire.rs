//! The seam between the driver and whatever carries its octets. Knows nothing of HTTP/2 but `Transmit`.

use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::peer::Peer;
use crate::proto::Transmit;

/// What a read brought.
#[derive(Debug)]
pub enum Fill {
    /// Octets, at least one.
    Data(Bytes),
    /// The peer ended its direction cleanly. With TLS that is only after `close_notify`; a transport that ends
    /// without it is an error of kind `UnexpectedEof`.
    Eof,
}

/// A transport of octets in both directions, polled by one task: the driver's.
pub trait Wire: Send + Unpin + 'static {
    /// Reads once, at most a few hundred KiB.
    ///
    /// # Errors
    /// The transport's own; after an error or [`Fill::Eof`] it is not called again.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Fill>>;

    /// Writes all of `out` and flushes, or returns `Pending` with the unwritten rest left in `out`.
    /// Called with an empty `out` too: a layer such as TLS may have octets of its own to send.
    ///
    /// # Errors
    /// The transport's own, and `WriteZero`.
    fn poll_flush(&mut self, cx: &mut Context<'_>, out: &mut Transmit) -> Poll<io::Result<()>>;

    /// Whether `poll_flush` has something to do although nothing is given to it. Not asked by those who cannot know.
    fn is_unflushed(&self) -> bool {
        true
    }

    /// Ends our direction, after everything was flushed.
    ///
    /// # Errors
    /// The transport's own.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Octets that the transport has taken so far, in any unit that grows with them. A layer that takes `out` before
    /// its transport does, such as TLS, tells by it that the last flight still moves.
    fn written(&self) -> u64 {
        0
    }

    /// Who is at the other end. Asked for once, when the connection is made.
    fn peer(&self) -> Peer {
        Peer::default()
    }

    /// The connection has been silent for a while: buffers may go.
    fn release_buffers(&mut self) {}
}
