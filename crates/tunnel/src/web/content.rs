//! The content of a message that tells once it has been taken to its end. Without that word it was cut.
//!
//! Wrapped around requests and responses by exchange.rs, polled by hyper. hyper ends a connection in peace whatever
//! became of the contents, so it is not asked.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::oneshot;

use super::exchange::Fate;

/// The content.
pub(super) struct Watched {
    content: Incoming,
    /// None once it has been told.
    end: Option<oneshot::Sender<Fate>>,
}

impl Watched {
    pub(super) fn new(content: Incoming, end: oneshot::Sender<Fate>) -> Self {
        let mut watched = Self { content, end: Some(end) };
        watched.look();
        watched
    }

    fn look(&mut self) {
        // Not polled any more, where its length says that this is all.
        if self.content.is_end_stream() {
            self.ended();
        }
    }

    fn ended(&mut self) {
        if let Some(end) = self.end.take() {
            // Who has stopped waiting has broken off for another cause.
            let _ = end.send(Fate::Whole);
        }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.content).poll_frame(cx));
        match &frame {
            None => self.ended(),
            // Trailers are the last.
            Some(Ok(frame)) if frame.is_trailers() => self.ended(),
            Some(Ok(_)) => self.look(),
            // From here on nobody can tell an end.
            Some(Err(_)) => drop(self.end.take()),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
