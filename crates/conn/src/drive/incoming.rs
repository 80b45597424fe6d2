//! Streams that the peer opens, in the order of their opening.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::shared::Shared;
use super::stream::Stream;
use super::stream_ref::StreamRef;
use crate::proto::Request;

/// The streams that the peer opens. Once it is dropped, further ones are refused with REFUSED_STREAM.
///
/// A server gets those of its client. A client gets those of its server where both ends have agreed to that
/// ([`Config::server_streams`](crate::Config::server_streams)): then a node that can only dial out still serves.
///
/// ```
/// use hbone_conn::{Config, Plain, Request, Response, Side, StreamError, establish};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (near, far) = tokio::io::duplex(65_536);
/// let agreed = Config { server_streams: true, ..Config::default() };
///
/// // Who has dialled takes streams.
/// let (_handle, mut incoming, driver) = establish(Side::Client, Plain::new(near), agreed.clone());
/// tokio::spawn(driver);
/// tokio::spawn(async move {
///     while let Some((request, mut stream)) = incoming.accept().await {
///         assert_eq!(request.authority(), Some(&b"10.0.0.1:80"[..]));
///         stream.respond(Response::new(200))?;
///         stream.write_chunk("hello".into()).await?;
///         stream.finish()?;
///         while stream.read_chunk().await?.is_some() {}
///     }
///     Ok::<(), StreamError>(())
/// });
///
/// // Who was dialled opens them. This waits until the client has agreed.
/// let (handle, _incoming, driver) = establish(Side::Server, Plain::new(far), agreed);
/// tokio::spawn(driver);
/// let mut stream = handle.open(Request::connect("10.0.0.1:80")).await?;
/// assert_eq!(stream.response().await?.status(), 200);
/// assert_eq!(stream.read_chunk().await?.as_deref(), Some(&b"hello"[..]));
/// assert_eq!(stream.read_chunk().await?, None);
/// stream.finish()?;
/// # Ok(())
/// # }
/// ```
pub struct Incoming {
    shared: Arc<Shared>,
}

impl Incoming {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The next stream and its request; `None` when the connection has ended.
    pub async fn accept(&mut self) -> Option<(Request, Stream)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// As [`Incoming::accept`], to be polled. Streams that failed while they waited are passed over.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Request, Stream)>> {
        let accepted = self.shared.with(|state, effects| {
            while let Some((key, request)) = state.next_incoming() {
                if state.conn.stream_error(key).is_some() {
                    state.conn.release(key);
                    continue;
                }
                state.adopt(key);
                return Poll::Ready(Some((key, request)));
            }
            if state.closed.is_some() {
                return Poll::Ready(None);
            }
            let mut acceptor = state.acceptor.take();
            effects.register(&mut acceptor, cx);
            state.acceptor = acceptor;
            Poll::Pending
        });
        accepted.map(|accepted| {
            let (key, request) = accepted?;
            Some((request, Stream::new(StreamRef::new(Arc::clone(&self.shared), key))))
        })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.shared.with(|state, effects| {
            state.accepting = false;
            effects.retire(state.acceptor.take());
            while let Some((key, _)) = state.next_incoming() {
                state.refuse(key);
            }
            state.leave();
        });
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.shared.look(|state| state.incoming());
        f.debug_struct("Incoming").field("waiting", &waiting).finish()
    }
}
