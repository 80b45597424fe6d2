//! Our own records over a socket: large reads opened in place, flights sealed into one buffer that is used again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};

use super::super::wire::{Fill, Wire};
use super::incoming::Incoming;
use super::layer::{End, Layer};
use super::record::{ADDED, CONTENT};
use crate::proto::Transmit;

/// Octets of data sealed before they are written.
const FLIGHT: usize = 256 * 1024;

/// A transport with a connection's records on it.
pub(super) struct Own<T> {
    io: T,
    layer: Box<Layer>,
    incoming: Incoming,
    /// Sealed, of which `sent` octets were written.
    outgoing: Vec<u8>,
    sent: usize,
    unflushed: bool,
    /// Sealed octets that the transport has taken.
    written: u64,
}

impl<T> Own<T> {
    /// `rest` has come behind the handshake.
    pub(super) fn new(io: T, layer: Layer, rest: &[u8]) -> Self {
        Self {
            io,
            layer: Box::new(layer),
            incoming: Incoming::new(rest),
            outgoing: Vec::new(),
            sent: 0,
            unflushed: false,
            written: 0,
        }
    }

    pub(super) const fn io(&self) -> &T {
        &self.io
    }
}

impl<T: AsyncWrite + Unpin> Own<T> {
    /// Writes everything that is sealed.
    fn poll_write_sealed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.outgoing.len() {
            let taken = ready!(Pin::new(&mut self.io).poll_write(cx, &self.outgoing[self.sent..]))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += taken;
            self.written += taken as u64;
            self.unflushed = true;
        }
        self.outgoing.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Seals what is owed and a part of `out`, into the empty buffer.
    fn seal(&mut self, out: &mut Transmit) -> io::Result<()> {
        self.layer.answer(&mut self.outgoing)?;
        if out.is_empty() {
            return Ok(());
        }
        if self.layer.is_silenced() {
            // The alert that silenced us leaves first.
            return if self.outgoing.is_empty() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) };
        }
        let size = out.len().min(FLIGHT);
        // A KeyUpdate may come before them.
        self.outgoing.reserve(size + (size.div_ceil(CONTENT) + 2) * ADDED);
        let taken = self.layer.seal(out.pieces(), size, &mut self.outgoing)?;
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
            ready!(self.poll_write_sealed(cx))?;
            self.seal(out)?;
            if self.outgoing.is_empty() {
                break;
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
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
        self.written
    }

    fn release_buffers(&mut self) {
        self.incoming.release();
        if self.outgoing.is_empty() {
            self.outgoing = Vec::new();
        }
    }
}
