//! A stream as the application sees it: octets both ways, half-close, reset. Reset is never end-of-file.
//!
//! [`StreamRef`] holds the operations for [`Stream`] and its halves. Every operation is one visit under the
//! connection's lock; the driver is woken only when it sleeps and there is something to send.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hbone_frame::{ErrorCode, StreamId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;

use super::halves::{ReadHalf, WriteHalf};
use super::shared::Shared;
use crate::proto::{Read, Response, StreamError, StreamKey};

/// Pieces that one `poll_read` takes under one lock.
const PIECES: usize = 16;

/// One owner of a stream.
pub(super) struct StreamRef {
    shared: Arc<Shared>,
    key: StreamKey,
}

impl StreamRef {
    /// The owner of a stream that `State::adopt` or `State::share` has counted.
    pub(super) const fn new(shared: Arc<Shared>, key: StreamKey) -> Self {
        Self { shared, key }
    }

    /// A second owner.
    pub(super) fn share(&self) -> Self {
        self.shared.with(|state, _| state.share(self.key));
        Self { shared: Arc::clone(&self.shared), key: self.key }
    }

    pub(super) fn id(&self) -> StreamId {
        self.key.id()
    }

    pub(super) fn poll_response(&self, cx: &mut Context<'_>) -> Poll<Result<Response, StreamError>> {
        self.shared.with(|state, effects| match state.take_response(self.key) {
            Ok(Some(response)) => Poll::Ready(Ok(response)),
            Ok(None) => {
                state.await_readable(self.key, cx, effects);
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        })
    }

    pub(super) fn respond(&self, response: Response, end: bool) -> Result<(), StreamError> {
        self.shared.with(|state, _| {
            state.queued(self.key);
            state.conn.respond(self.key, response, end)
        })
    }

    /// Takes pieces until `take` wants no more. `Ok(false)` is the end of the stream.
    fn poll_pieces(
        &self,
        cx: &mut Context<'_>,
        max: usize,
        mut take: impl FnMut(Bytes) -> bool,
    ) -> Poll<Result<bool, StreamError>> {
        let budget = ready!(coop::poll_proceed(cx));
        let result = self.shared.with(|state, effects| {
            let mut taken = 0;
            while taken < max {
                match state.conn.read(self.key, max - taken) {
                    Ok(Read::Data(data)) => {
                        taken += data.len();
                        if !take(data) {
                            break;
                        }
                    }
                    _ if taken > 0 => break,
                    Ok(Read::Pending) => {
                        state.await_readable(self.key, cx, effects);
                        return Poll::Pending;
                    }
                    Ok(Read::End) => return Poll::Ready(Ok(false)),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            Poll::Ready(Ok(true))
        });
        if result.is_ready() {
            budget.made_progress();
        }
        result
    }

    pub(super) fn poll_chunk(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamError>> {
        let mut chunk = None;
        let more = ready!(self.poll_pieces(cx, usize::MAX, |data| {
            chunk = Some(data);
            false
        }));
        Poll::Ready(more.map(|_| chunk))
    }

    pub(super) fn poll_chunks(
        &self,
        cx: &mut Context<'_>,
        out: &mut Vec<Bytes>,
        max: usize,
    ) -> Poll<Result<bool, StreamError>> {
        self.poll_pieces(cx, max, |data| {
            out.push(data);
            true
        })
    }

    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Copied after the lock is released.
        let mut pieces: [Bytes; PIECES] = std::array::from_fn(|_| Bytes::new());
        let mut count = 0;
        let result = self.poll_pieces(cx, buffer.remaining(), |data| {
            pieces[count] = data;
            count += 1;
            count < PIECES
        });
        for piece in &pieces[..count] {
            buffer.put_slice(piece);
        }
        result.map(|more| Ok(more.map(|_| ())?))
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<Result<usize, StreamError>> {
        let budget = ready!(coop::poll_proceed(cx));
        let result = self.shared.with(|state, effects| match state.conn.capacity(self.key) {
            Ok(0) => {
                state.await_writable(self.key, cx, effects);
                Poll::Pending
            }
            capacity => Poll::Ready(capacity),
        });
        if result.is_ready() {
            budget.made_progress();
        }
        result
    }

    pub(super) fn send_chunk(&self, data: Bytes) -> Result<(), StreamError> {
        self.shared.with(|state, _| {
            state.queued(self.key);
            state.conn.write(self.key, data)
        })
    }

    pub(super) fn poll_write_chunk(
        &self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
    ) -> Poll<Result<(), StreamError>> {
        let budget = ready!(coop::poll_proceed(cx));
        let result = self.shared.with(|state, effects| match state.conn.capacity(self.key) {
            Ok(0) => {
                state.await_writable(self.key, cx, effects);
                Poll::Pending
            }
            Ok(_) => {
                state.queued(self.key);
                Poll::Ready(state.conn.write(self.key, std::mem::take(data)))
            }
            Err(error) => Poll::Ready(Err(error)),
        });
        if result.is_ready() {
            budget.made_progress();
        }
        result
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let budget = ready!(coop::poll_proceed(cx));
        let result = self.shared.with(|state, effects| {
            let mut capacity = match state.conn.capacity(self.key) {
                Ok(0) => {
                    state.await_writable(self.key, cx, effects);
                    return Poll::Pending;
                }
                Ok(capacity) => capacity,
                Err(error) => return Poll::Ready(Err(error)),
            };
            state.queued(self.key);
            let mut written = 0;
            for slice in slices {
                let piece = &slice[..slice.len().min(capacity)];
                match state.conn.write_slice(self.key, piece) {
                    Ok(taken) => {
                        written += taken;
                        capacity -= taken.min(capacity);
                        if taken < slice.len() {
                            break;
                        }
                    }
                    Err(_) if written > 0 => break,
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            Poll::Ready(Ok(written))
        });
        if result.is_ready() {
            budget.made_progress();
        }
        result.map_err(io::Error::from)
    }

    pub(super) fn finish(&self) -> Result<(), StreamError> {
        self.shared.with(|state, _| {
            state.queued(self.key);
            state.conn.finish(self.key)
        })
    }

    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let budget = ready!(coop::poll_proceed(cx));
        let result = self.shared.with(|state, effects| state.poll_flushed(self.key, cx, effects));
        if result.is_ready() {
            budget.made_progress();
        }
        result
    }

    pub(super) fn reset(&self, code: ErrorCode) {
        self.shared.with(|state, _| state.conn.reset(self.key, code));
    }

    pub(super) fn poll_failed(&self, cx: &mut Context<'_>) -> Poll<StreamError> {
        self.shared.with(|state, effects| match state.conn.stream_error(self.key) {
            Some(error) => Poll::Ready(error),
            None => {
                state.await_writable(self.key, cx, effects);
                Poll::Pending
            }
        })
    }
}

impl Drop for StreamRef {
    fn drop(&mut self) {
        self.shared.with(|state, effects| state.disown(self.key, effects));
    }
}

impl fmt::Debug for StreamRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.id(), f)
    }
}

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
