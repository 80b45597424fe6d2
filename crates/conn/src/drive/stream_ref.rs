//! One owner of a stream: the operations that `Stream` and its halves share.
//!
//! Every operation is one visit under the connection's lock; the driver is woken only when it sleeps and there is
//! something to send. Gives no futures out: it is polled by its owners.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use hbone_frame::{ErrorCode, StreamId};
use tokio::io::ReadBuf;
use tokio::task::coop;

use super::backlog::Backlog;
use super::peer::Peer;
use super::shared::Shared;
use crate::proto::{Read, Response, StreamError, StreamKey, StreamStats};

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

    pub(super) fn backlog(&self) -> Backlog {
        Backlog::new(Arc::clone(&self.shared), self.key)
    }

    pub(super) fn id(&self) -> StreamId {
        self.key.id()
    }

    pub(super) fn set_urgency(&self, urgency: u8) {
        self.shared.with(|state, _| state.conn.set_urgency(self.key, urgency));
    }

    /// `None` takes the deadline away.
    pub(super) fn set_deadline(&self, deadline: Option<Instant>) -> Result<(), StreamError> {
        self.shared.with(|state, _| state.conn.set_deadline(self.key, deadline))
    }

    pub(super) fn peer(&self) -> Arc<Peer> {
        self.shared.peer()
    }

    pub(super) fn stats(&self) -> StreamStats {
        self.shared.look(|state| state.conn.stream_stats(self.key)).unwrap_or_default()
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
