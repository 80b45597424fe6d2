//! Our own records over a socket: large reads opened in place, flights sealed into one buffer that is used again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::super::wire::{Fill, Wire};
use super::incoming::Incoming;
use super::layer::{End, Layer};
use super::outgoing::Outgoing;
use crate::proto::Transmit;

/// Octets of data sealed before they are written.
const FLIGHT: usize = 256 * 1024;

/// A transport with a connection's records on it.
pub(super) struct Own<T> {
    io: T,
    layer: Box<Layer>,
    incoming: Incoming,
    /// Sealed.
    outgoing: Outgoing,
}

impl<T> Own<T> {
    /// `rest` has come behind the handshake.
    pub(super) fn new(io: T, layer: Layer, rest: &[u8]) -> Self {
        Self { io, layer: Box::new(layer), incoming: Incoming::new(rest), outgoing: Outgoing::default() }
    }

    pub(super) const fn io(&self) -> &T {
        &self.io
    }
}

impl<T: AsyncWrite + Unpin> Own<T> {
    /// Seals what is owed and a part of `out`, into the empty buffer.
    fn seal(&mut self, out: &mut Transmit) -> io::Result<()> {
        self.layer.answer(self.outgoing.octets())?;
        if out.is_empty() {
            return Ok(());
        }
        if self.layer.is_silenced() {
            // The alert that silenced us leaves first.
            return if self.outgoing.is_empty() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) };
        }
        let size = out.len().min(FLIGHT);
        let outgoing = self.outgoing.octets();
        outgoing.reserve(self.layer.sealed_size(size));
        let taken = self.layer.seal(out.pieces(), size, outgoing)?;
        out.advance(taken);
        Ok(())
    }

    /// Our close_notify, once, however often it is asked for.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.layer.close();
        self.poll_all(cx, &mut Transmit::new())
    }

    fn poll_all(&mut self, cx: &mut Context<'_>, out: &mut Transmit) -> Poll<io::Result<()>> {
        loop {
            ready!(self.outgoing.poll_write(cx, &mut self.io))?;
            self.seal(out)?;
            if self.outgoing.is_empty() {
                return self.outgoing.poll_flush(cx, &mut self.io);
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Wire for Own<T> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Fill>> {
        loop {
            if let Some(data) = self.incoming.open(&mut self.layer) {
                return Poll::Ready(Ok(Fill::Data(data)));
            }
            match self.layer.end() {
                Some(End::Closed) => return Poll::Ready(Ok(Fill::Eof)),
                Some(End::Failed(fault)) => return Poll::Ready(Err(fault.clone().into())),
                None => {}
            }
            if ready!(self.incoming.poll_read(&mut self.io, cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, out: &mut Transmit) -> Poll<io::Result<()>> {
        self.poll_all(cx, out)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_close(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn written(&self) -> u64 {
        self.outgoing.written()
    }

    fn release_buffers(&mut self) {
        self.incoming.release();
        self.outgoing.release();
    }
}
