//! TLS that is ended here, over another leg: towards a client or a destination that speaks TLS, or end to end inside a
//! stream. Only close_notify is an end; a leg below that ends without one was cut (RFC 8446 6.1).

use std::task::{Context, Poll};

use tokio_rustls::TlsStream;

use super::Leg;
use crate::outcome::Break;

impl<L: Leg> Leg for TlsStream<L> {
    fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<Break> {
        self.get_mut().0.poll_failure(cx)
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Break>> {
        self.get_mut().0.poll_left(cx)
    }

    fn reset(&mut self) {
        self.get_mut().0.reset();
    }

    fn release(&mut self) {
        self.get_mut().0.release();
    }
}
