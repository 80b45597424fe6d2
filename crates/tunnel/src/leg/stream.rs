//! A stream of HTTP/2 as a leg: one that ends before both directions are done is reset with CONNECT_ERROR, since peers
//! may take CANCEL and NO_ERROR for a clean end.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use hbone_conn::{ErrorCode, Stream, StreamError};

use super::Leg;
use crate::outcome::Break;

impl Leg for Stream {
    fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<Break> {
        // Nothing is remembered between polls: the stream keeps the waker.
        pin!(self.reset_by_peer()).poll(cx).map(Break::Stream)
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Break>> {
        self.poll_flushed(cx).map_err(Break::Stream)
    }

    fn reset(&mut self) {
        Self::reset(self, ErrorCode::CONNECT_ERROR);
    }

    fn release(&mut self) {}

    fn broken(&self, error: io::Error) -> Break {
        let kind = error.kind();
        let inner = error.into_inner().and_then(|inner| inner.downcast::<StreamError>().ok());
        inner.map_or(Break::Tcp(kind), |error| Break::Stream(*error))
    }
}
