//! The two owned halves of a stream, for two tasks. The same operations as `Stream`, each on its side.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hbone_frame::{ErrorCode, StreamId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::backlog::Backlog;
use super::stream_ref::StreamRef;
use crate::proto::{Response, StreamError, StreamStats};

/// The receiving half of a [`Stream`](super::Stream).
#[derive(Debug)]
pub struct ReadHalf(StreamRef);

impl ReadHalf {
    pub(super) const fn new(stream: StreamRef) -> Self {
        Self(stream)
    }

    /// The stream's identifier on the wire.
    pub fn id(&self) -> StreamId {
        self.0.id()
    }

    /// As [`Stream::stats`](super::Stream::stats).
    pub fn stats(&self) -> StreamStats {
        self.0.stats()
    }

    /// As [`Stream::response`](super::Stream::response).
    ///
    /// # Errors
    /// Why the stream failed before its response.
    pub async fn response(&mut self) -> Result<Response, StreamError> {
        poll_fn(|cx| self.0.poll_response(cx)).await
    }

    /// The next octets as they came, without a copy; `None` after END_STREAM.
    ///
    /// # Errors
    /// Why the stream has failed.
    pub async fn read_chunk(&mut self) -> Result<Option<Bytes>, StreamError> {
        poll_fn(|cx| self.0.poll_chunk(cx)).await
    }

    /// As [`Stream::poll_read_chunks`](super::Stream::poll_read_chunks).
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

    /// Resets the stream in both directions with `code`.
    pub fn reset(&mut self, code: ErrorCode) {
        self.0.reset(code);
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buffer)
    }
}

/// The sending half of a [`Stream`](super::Stream).
#[derive(Debug)]
pub struct WriteHalf(StreamRef);

impl WriteHalf {
    pub(super) const fn new(stream: StreamRef) -> Self {
        Self(stream)
    }

    /// The stream's identifier on the wire.
    pub fn id(&self) -> StreamId {
        self.0.id()
    }

    /// As [`Stream::set_urgency`](super::Stream::set_urgency).
    pub fn set_urgency(&mut self, urgency: u8) {
        self.0.set_urgency(urgency);
    }

    /// As [`Stream::stats`](super::Stream::stats).
    pub fn stats(&self) -> StreamStats {
        self.0.stats()
    }

    /// As [`Stream::respond`](super::Stream::respond).
    ///
    /// # Errors
    /// Why the stream has failed.
    pub fn respond(&mut self, response: Response) -> Result<(), StreamError> {
        self.0.respond(response, false)
    }

    /// As [`Stream::respond_and_finish`](super::Stream::respond_and_finish).
    ///
    /// # Errors
    /// Why the stream has failed.
    pub fn respond_and_finish(&mut self, response: Response) -> Result<(), StreamError> {
        self.0.respond(response, true)
    }

    /// As [`Stream::write_chunk`](super::Stream::write_chunk).
    ///
    /// # Errors
    /// Why the stream has failed; [`StreamError::Finished`] after [`WriteHalf::finish`].
    pub async fn write_chunk(&mut self, data: Bytes) -> Result<(), StreamError> {
        let mut data = data;
        poll_fn(|cx| self.0.poll_write_chunk(cx, &mut data)).await
    }

    /// As [`Stream::poll_write_ready`](super::Stream::poll_write_ready).
    ///
    /// # Errors
    /// As [`WriteHalf::write_chunk`].
    pub fn poll_write_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, StreamError>> {
        self.0.poll_write_ready(cx)
    }

    /// As [`Stream::send_chunk`](super::Stream::send_chunk).
    ///
    /// # Errors
    /// As [`WriteHalf::write_chunk`].
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

    /// As [`Stream::flushed`](super::Stream::flushed).
    ///
    /// # Errors
    /// Why the stream has failed, or the connection before it took everything.
    pub async fn flushed(&mut self) -> Result<(), StreamError> {
        poll_fn(|cx| self.0.poll_flushed(cx)).await
    }

    /// As [`WriteHalf::flushed`], to be polled.
    ///
    /// # Errors
    /// As [`WriteHalf::flushed`].
    pub fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.0.poll_flushed(cx)
    }

    /// What waits to be sent, for one who watches while another writes.
    pub fn backlog(&self) -> Backlog {
        self.0.backlog()
    }

    /// Resets the stream in both directions with `code`.
    pub fn reset(&mut self, code: ErrorCode) {
        self.0.reset(code);
    }

    /// As [`Stream::reset_by_peer`](super::Stream::reset_by_peer).
    pub async fn reset_by_peer(&mut self) -> StreamError {
        poll_fn(|cx| self.0.poll_failed(cx)).await
    }
}

impl AsyncWrite for WriteHalf {
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
