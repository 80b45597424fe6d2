//! A unix socket as a leg. It has no RST: a peer that has sent octets which nobody read sees ECONNRESET, another one
//! an end-of-file. Who must tell a cut from an end takes a TCP listener.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

use super::Leg;
use crate::outcome::Break;

/// The leg.
pub(crate) struct UnixLeg(UnixStream);

impl UnixLeg {
    pub(crate) const fn new(unix: UnixStream) -> Self {
        Self(unix)
    }
}

impl AsyncRead for UnixLeg {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for UnixLeg {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Leg for UnixLeg {
    fn poll_failure(&mut self, _: &mut Context<'_>) -> Poll<Break> {
        // A peer that has gone shows when its socket is read or written; there is nothing else to hear.
        Poll::Pending
    }

    fn reset(&mut self) {}

    fn release(&mut self) {}
}
