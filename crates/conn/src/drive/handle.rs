//! The application's grip on a connection: open streams, ask, drain, close. Moves no octets itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hbone_frame::ErrorCode;
use tokio::sync::oneshot;

use super::clock;
use super::opening::Opening;
use super::peer::Peer;
use super::shared::{Shared, State};
use super::stream::Stream;
use crate::proto::{ConnectionError, OpenError, Request, Stats};

/// A handle to a connection. Clones are equal.
///
/// When the last handle, [`Incoming`](super::Incoming) and all streams are gone, the connection drains by
/// itself.
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Opens a stream; waits, in the order of asking, while as many are open as the peer allows. Does not wait
    /// for the response. A server opens CONNECTs where both ends have announced it
    /// ([`Config::server_streams`](crate::Config::server_streams)), and waits for the client's word.
    ///
    /// # Errors
    /// Every [`OpenError`] but [`OpenError::Blocked`].
    pub async fn open(&self, request: Request) -> Result<Stream, OpenError> {
        Opening::new(&self.shared, request).await
    }

    /// As [`Handle::open`], with a deadline for everything: a stream that is not open within that time is not opened
    /// any more, and one that is not complete within it is reset ([`Stream::set_deadline`]).
    ///
    /// # Errors
    /// As [`Handle::open`], and [`OpenError::Deadline`].
    pub async fn open_within(&self, request: Request, within: Duration) -> Result<Stream, OpenError> {
        let Some(deadline) = clock::now().checked_add(within) else { return self.open(request).await };
        let opening = tokio::time::timeout_at(deadline.into(), self.open(request));
        let stream = opening.await.map_err(|_| OpenError::Deadline)??;
        stream.done_by(deadline);
        Ok(stream)
    }

    /// Opens a stream now or not at all.
    ///
    /// # Errors
    /// [`OpenError::Blocked`] also while others wait in [`Handle::open`].
    pub fn try_open(&self, request: Request) -> Result<Stream, OpenError> {
        Opening::new(&self.shared, request).try_now()
    }

    /// Waits for the peer's SETTINGS: the peer speaks HTTP/2, and its limits are known.
    ///
    /// # Errors
    /// Why the connection ended before.
    pub async fn ready(&self) -> Result<(), ConnectionError> {
        self.wait(|state| match (&state.closed, state.established) {
            (Some(error), _) => Some(Err(error.clone())),
            (None, established) => established.then_some(Ok(())),
        })
        .await
    }

    /// Measures a round trip by PING. An answer to a later PING serves too. A peer that is not silent and yet
    /// answers none is waited for until the connection ends: whoever cannot wait puts a limit on it.
    ///
    /// # Errors
    /// Why the connection ended before the answer.
    pub async fn ping(&self) -> Result<Duration, ConnectionError> {
        let answer = self.shared.with(|state, effects| {
            if let Some(error) = &state.closed {
                return Err(error.clone());
            }
            let (sender, answer) = oneshot::channel();
            state.forget_pings(effects);
            // With too many on the way already, the answer to the last of them serves.
            let id = state.conn.ping().unwrap_or(state.last_ping);
            state.last_ping = id;
            state.pings.push((id, sender));
            Ok(answer)
        })?;
        match answer.await {
            Ok(rtt) => Ok(rtt),
            Err(_) => Err(self.closed().await),
        }
    }

    /// Takes no new streams and ends the connection when the open ones are done, at the latest after
    /// `deadline`.
    pub fn drain(&self, deadline: Duration) {
        self.shared.with(|state, effects| {
            state.conn.drain(clock::now(), Some(deadline));
            state.call_next_opener(effects);
            effects.changed();
        });
    }

    /// Ends the connection now with GOAWAY and `code`; its streams fail.
    pub fn close(&self, code: ErrorCode) {
        self.shared.with(|state, effects| {
            state.conn.close(code);
            state.call_next_opener(effects);
            effects.changed();
        });
    }

    /// Waits until the connection has ended.
    pub async fn closed(&self) -> ConnectionError {
        self.wait(|state| state.closed.clone()).await
    }

    /// Whether new streams may be opened: false once either end drains, or the connection has ended.
    pub fn is_open(&self) -> bool {
        self.shared.look(|state| !state.conn.is_draining())
    }

    /// Waits until no new streams may be opened: either end was told to drain, or the connection has ended. One that
    /// drains because of its age is noticed when it has ended.
    pub async fn draining(&self) {
        self.wait(|state| state.conn.is_draining().then_some(())).await;
    }

    /// Streams that could be opened now without waiting.
    pub fn open_slots(&self) -> usize {
        self.shared.look(|state| state.conn.open_slots())
    }

    /// Streams that are open, whoever opened them.
    pub fn active_streams(&self) -> usize {
        self.shared.look(|state| state.conn.active_streams())
    }

    /// Who is at the other end: addresses, certificate, ALPN. The same for all streams, kept once.
    pub fn peer(&self) -> Arc<Peer> {
        self.shared.peer()
    }

    /// Counters and measures of the connection.
    pub fn stats(&self) -> Stats {
        self.shared.look(|state| state.conn.stats())
    }

    /// How often the peer broke which rule, by [`Violation::label`](crate::Violation::label). Empty for an honest one.
    pub fn violations(&self) -> Vec<(&'static str, u64)> {
        self.shared.look(|state| state.conn.violations().to_vec())
    }

    async fn wait<R>(&self, done: impl Fn(&State) -> Option<R>) -> R {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(result) = self.shared.look(&done) {
                return result;
            }
            changed.await;
        }
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        self.shared.with(|state, _| state.owners += 1);
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.with(|state, _| state.leave());
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.look(|state| {
            f.debug_struct("Handle")
                .field("streams", &state.conn.active_streams())
                .field("draining", &state.conn.is_draining())
                .field("closed", &state.closed)
                .finish()
        })
    }
}
