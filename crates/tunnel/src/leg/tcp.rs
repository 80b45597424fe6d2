//! A TCP socket as a leg: guarded, so that it ends with RST unless it is released.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Leg;
use crate::outcome::Break;
use crate::sockets;

/// The leg.
pub(crate) struct TcpLeg {
    tcp: Arc<TcpStream>,
    failure: Pin<Box<dyn Future<Output = io::Error> + Send>>,
}

impl TcpLeg {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        sockets::guard(&tcp);
        let tcp = Arc::new(tcp);
        let watched = Arc::clone(&tcp);
        Self { tcp, failure: Box::pin(async move { sockets::failure(&watched).await }) }
    }
}

impl AsyncRead for TcpLeg {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.tcp.poll_read_ready(cx))?;
            match self.tcp.try_read(buffer.initialize_unfilled()) {
                Ok(taken) => {
                    buffer.advance(taken);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for TcpLeg {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp.poll_write_ready(cx))?;
            match self.tcp.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.tcp).shutdown(Shutdown::Write))
    }
}

impl Leg for TcpLeg {
    fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<Break> {
        self.failure.as_mut().poll(cx).map(|error| Break::Tcp(error.kind()))
    }

    fn reset(&mut self) {
        // Guarded: it ends with RST when it is dropped, which its owner does now.
    }

    fn release(&mut self) {
        sockets::unguard(&*self.tcp);
    }
}
