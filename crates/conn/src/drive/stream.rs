//! A stream as the application sees it: octets both ways, half-close, reset. Reset is never end-of-file.
//!
//! What it does, [`StreamRef`] does; what can be split, `halves` takes.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone_frame::{ErrorCode, StreamId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clock;
use super::halves::{ReadHalf, WriteHalf};
use super::peer::Peer;
use super::stream_ref::StreamRef;
use crate::proto::{Response, StreamError, StreamStats};

/// A stream of an HTTP/2 connection: octets both ways.
///
/// As [`AsyncRead`] it reads 0 octets only after the peer's END_STREAM; a reset, or the loss of the connection,
/// is an [`io::Error`] whose source is the [`StreamError`]. As [`AsyncWrite`] its shutdown is
/// [`Stream::finish`]; a flush has nothing to do, since the driver sends what is queued as soon as it can.
///
/// Dropped before both directions are finished, it is reset with CANCEL.
#[derive(Debug)]
pub struct Stream(StreamRef);

impl Stream {
    pub(super) const fn new(stream: StreamRef) -> Self {
        Self(stream)
    }

    /// The stream's identifier on the wire.
    pub fn id(&self) -> StreamId {
        self.0.id()
    }

    /// Who is at the other end of its connection: addresses, certificate, ALPN.
    pub fn peer(&self) -> Arc<Peer> {
        self.0.peer()
    }

    /// How the stream stands: octets unread and queued, windows.
    pub fn stats(&self) -> StreamStats {
        self.0.stats()
    }

    /// How urgently what this end writes leaves beside the connection's other streams: 0 to 7, the lowest first, 3 for
    /// those of which nobody has said anything (RFC 9218 4.1). Larger values are taken as 7. A hint: of five turns the
    /// most urgent streams have four, and no stream starves. A client tells its server the same for what comes back
    /// with a request field `priority: u=…`, which a server of this crate obeys, as it does PRIORITY_UPDATE.
    pub fn set_urgency(&mut self, urgency: u8) {
        self.0.set_urgency(urgency);
    }

    /// Both directions have to be complete within that time from now, or the stream is reset with CANCEL and fails
    /// with [`StreamError::Deadline`], never with an end. What the peer has finished before stays readable. A later
    /// call moves the deadline. Split, both halves keep it; let go of, too, while it still finishes.
    ///
    /// # Errors
    /// Why the stream has failed; [`StreamError::Finished`] when it is complete.
    pub fn set_deadline(&mut self, within: Duration) -> Result<(), StreamError> {
        self.0.set_deadline(clock::now().checked_add(within))
    }

    /// Takes the deadline away.
    ///
    /// # Errors
    /// As [`Stream::set_deadline`].
    pub fn clear_deadline(&mut self) -> Result<(), StreamError> {
        self.0.set_deadline(None)
    }

    /// The deadline of [`Handle::open_within`](super::Handle::open_within).
    pub(super) fn done_by(&self, deadline: Instant) {
        // A stream that has failed meanwhile tells so itself.
        let _ = self.0.set_deadline(Some(deadline));
    }

    /// Waits for the final response to a stream that this end opened. Informational ones are skipped.
    ///
    /// # Errors
    /// Why the stream failed before its response; [`StreamError::Finished`] when the response was taken before.
    pub async fn response(&mut self) -> Result<Response, StreamError> {
        poll_fn(|cx| self.0.poll_response(cx)).await
    }

    /// Answers a stream that the peer opened; octets may follow.
    ///
    /// # Errors
    /// Why the stream has failed; [`StreamError::Finished`] when it was answered before.
    pub fn respond(&mut self, response: Response) -> Result<(), StreamError> {
        self.0.respond(response, false)
    }

    /// Answers a stream that the peer opened and ends our direction with it.
    ///
    /// # Errors
    /// As [`Stream::respond`].
    pub fn respond_and_finish(&mut self, response: Response) -> Result<(), StreamError> {
        self.0.respond(response, true)
    }

    /// The next octets as they came, without a copy; `None` after END_STREAM.
    ///
    /// # Errors
    /// Why the stream has failed.
    pub async fn read_chunk(&mut self) -> Result<Option<Bytes>, StreamError> {
        poll_fn(|cx| self.0.poll_chunk(cx)).await
    }

    /// Appends what has arrived to `out`, at most about `max` octets, under one lock. `Ok(false)` is
    /// END_STREAM.
    ///
    /// # Errors
    /// Why the stream has failed.
    pub fn poll_read_chunks(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<Bytes>,
        max: usize,
    ) -> Poll<Result<bool, StreamError>> {
        self.0.poll_chunks(cx, out, max)
    }

    /// Waits for room in the stream's queue, then queues all of `data` without a copy.
    ///
    /// # Errors
    /// Why the stream has failed; [`StreamError::Finished`] after [`Stream::finish`].
    pub async fn write_chunk(&mut self, data: Bytes) -> Result<(), StreamError> {
        let mut data = data;
        poll_fn(|cx| self.0.poll_write_chunk(cx, &mut data)).await
    }

    /// Waits for room in the stream's queue; its size in octets, at least 1.
    ///
    /// # Errors
    /// As [`Stream::write_chunk`].
    pub fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, StreamError>> {
        self.0.poll_write_ready(cx)
    }

    /// Queues all of `data`, also beyond the room that [`Stream::poll_write_ready`] told.
    ///
    /// # Errors
    /// As [`Stream::write_chunk`].
    pub fn send_chunk(&mut self, data: Bytes) -> Result<(), StreamError> {
        self.0.send_chunk(data)
    }

    /// Ends our direction (END_STREAM) after what is queued; the peer's stays open.
    ///
    /// # Errors
    /// Why the stream has failed.
    pub fn finish(&mut self) -> Result<(), StreamError> {
        self.0.finish()
    }

    /// Waits until the transport has taken everything that was queued, and END_STREAM after
    /// [`Stream::finish`]: dropped now, the stream loses nothing of it to this end. Whether the peer has read
    /// it only the peer can say.
    ///
    /// # Errors
    /// Why the stream has failed, or the connection before it took everything.
    pub async fn flushed(&mut self) -> Result<(), StreamError> {
        poll_fn(|cx| self.0.poll_flushed(cx)).await
    }

    /// As [`Stream::flushed`], to be polled.
    ///
    /// # Errors
    /// As [`Stream::flushed`].
    pub fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.0.poll_flushed(cx)
    }

    /// Resets the stream in both directions with `code`; what is queued is dropped.
    pub fn reset(&mut self, code: ErrorCode) {
        self.0.reset(code);
    }

    /// Resolves when the stream fails, also while nothing is read or written. A stream that ends in peace never
    /// resolves it.
    pub async fn reset_by_peer(&mut self) -> StreamError {
        poll_fn(|cx| self.0.poll_failed(cx)).await
    }

    /// Two halves for two tasks. The stream is let go of when both are dropped.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        let other = self.0.share();
        (ReadHalf::new(self.0), WriteHalf::new(other))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(self.0.finish()?))
    }
}
