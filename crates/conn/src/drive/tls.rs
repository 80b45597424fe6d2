//! A wire inside TLS: rustls between the socket and the driver, with large reads and gathered writes.
//!
//! Reads take up to 256 KiB from the socket, whatever the size of the records; opened records are joined in a
//! buffer that is used again. Writes seal up to [`SEALED`] octets and give them to the socket at once. The end
//! of the transport without `close_notify` is an error: it may be an attacker's (RFC 8446 6.1). The handshake
//! is in `tls_handshake`.

use std::fmt;
use std::io::{self, BufRead, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::buffer::{Pool, ReadSize, poll_cold};
use super::peer::Peer;
use super::plain::GATHER;
use super::wire::{Fill, Wire};
use crate::proto::Transmit;

/// Octets sealed before they are written: a flight of 256 KiB with its heads and what sealing adds.
pub(super) const SEALED: usize = 272 * 1024;
/// The most that an unfinished record may add to what a read brings.
const RECORD: usize = 18 * 1024;

/// A transport inside TLS, after its handshake.
pub struct Tls<T> {
    pub(super) io: T,
    pub(super) session: rustls::Connection,
    pub(super) sealed: Sealed,
    size: ReadSize,
    opened: Pool,
    /// Told after what was opened before it.
    failure: Option<io::Error>,
    peer_closed: bool,
    unflushed: bool,
    /// Sealed octets that the transport has taken.
    written: u64,
    /// Nothing was read since the handshake.
    fresh: bool,
}

/// Octets from the socket that TLS has not taken yet.
#[derive(Default)]
pub(super) struct Sealed {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<T> Tls<T> {
    pub(super) fn new(io: T, session: rustls::Connection) -> Self {
        Self {
            io,
            session,
            sealed: Sealed::default(),
            size: ReadSize::new(),
            opened: Pool::default(),
            failure: None,
            peer_closed: false,
            unflushed: false,
            written: 0,
            fresh: true,
        }
    }

    /// The peer's certificates, its own first; `None` when it showed none.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.session.peer_certificates()
    }

    /// The protocol agreed on by ALPN; always present after the handshake.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
    }

    /// The version of TLS.
    pub fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.session.protocol_version()
    }

    /// The cipher suite.
    pub fn cipher_suite(&self) -> Option<CipherSuite> {
        self.session.negotiated_cipher_suite().map(|suite| suite.suite())
    }

    /// On the server's side: the name that the client asked for (SNI).
    pub fn server_name(&self) -> Option<&str> {
        match &self.session {
            rustls::Connection::Server(session) => session.server_name(),
            rustls::Connection::Client(_) => None,
        }
    }

    /// The transport below.
    pub const fn io(&self) -> &T {
        &self.io
    }

    /// Opens all records that have arrived.
    fn open(&mut self) {
        let waiting = self.sealed.len();
        if std::mem::take(&mut self.fresh) {
            // Octets may have been opened together with the end of the handshake. They are handed out before more
            // is opened: making room would put them aside.
            self.take_opened();
        }
        if waiting == 0 || !self.opened.current().is_empty() {
            return;
        }
        self.opened.reserve(if waiting < RECORD / 4 { waiting } else { waiting + RECORD });
        while !self.peer_closed && self.failure.is_none() && !self.sealed.is_empty() {
            match self.sealed.feed(&mut self.session) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => self.failure = Some(error),
            }
            match self.session.process_new_packets() {
                Ok(state) => self.peer_closed = state.peer_has_closed(),
                Err(error) => self.failure = Some(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
            self.take_opened();
        }
    }

    fn take_opened(&mut self) {
        let mut reader = self.session.reader();
        // `WouldBlock` when there is no more; an empty piece after `close_notify`.
        while let Ok(piece) = reader.fill_buf()
            && !piece.is_empty()
        {
            let taken = piece.len();
            self.opened.current().extend_from_slice(piece);
            reader.consume(taken);
        }
    }
}

impl<T: AsyncRead + Unpin> Tls<T> {
    /// Reads sealed octets; 0 is the end of the transport.
    pub(super) fn poll_sealed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.sealed.buffer.is_empty() {
            let sealed = &mut self.sealed;
            return poll_cold(&mut self.io, cx, |octets| sealed.hold(octets));
        }
        let target = self.sealed.target(self.size.get());
        let offered = target.len();
        let mut target = ReadBuf::new(target);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut target))?;
        let taken = target.filled().len();
        self.sealed.end += taken;
        self.size.learn(offered, taken);
        Poll::Ready(Ok(taken))
    }
}

impl<T: AsyncWrite + Unpin> Tls<T> {
    /// Writes everything that is sealed, and flushes.
    pub(super) fn poll_write_sealed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Socket { io: &mut self.io, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(taken) => {
                    self.unflushed = true;
                    self.written += taken as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Seals as much of `out` as the session takes at once.
    fn seal(&mut self, out: &mut Transmit) -> io::Result<()> {
        while !out.is_empty() {
            let mut slices = [IoSlice::new(&[]); GATHER];
            let count = out.io_slices(&mut slices);
            let taken = self.session.writer().write_vectored(&slices[..count])?;
            if taken == 0 {
                break;
            }
            out.advance(taken);
        }
        Ok(())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Wire for Tls<T> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Fill>> {
        loop {
            self.open();
            if !self.opened.current().is_empty() {
                return Poll::Ready(Ok(Fill::Data(self.opened.take())));
            }
            if let Some(error) = self.failure.take() {
                return Poll::Ready(Err(error));
            }
            if self.peer_closed {
                return Poll::Ready(Ok(Fill::Eof));
            }
            if ready!(self.poll_sealed(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, out: &mut Transmit) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_write_sealed(cx))?;
            if out.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let left = out.len();
            self.seal(out)?;
            if out.len() == left {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Sent once, however often it is asked for.
        self.session.send_close_notify();
        ready!(self.poll_write_sealed(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn written(&self) -> u64 {
        self.written
    }

    fn peer(&self) -> Peer {
        let leaf = self.peer_certificates().and_then(<[_]>::first);
        Peer {
            certificate: leaf.map(|certificate| Bytes::copy_from_slice(certificate)),
            alpn: self.alpn().map(Bytes::copy_from_slice),
            server_name: self.server_name().map(str::to_owned),
            ..Peer::of_socket(&self.io)
        }
    }

    fn release_buffers(&mut self) {
        self.opened.release();
        self.sealed.release();
    }
}

impl<T> fmt::Debug for Tls<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("version", &self.protocol_version())
            .field("suite", &self.cipher_suite())
            .finish_non_exhaustive()
    }
}

impl Sealed {
    pub(super) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) const fn len(&self) -> usize {
        self.end - self.start
    }

    /// The octets that TLS has not taken.
    pub(super) fn filled(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Gives octets to TLS; returns how many it took.
    pub(super) fn feed(&mut self, session: &mut rustls::Connection) -> io::Result<usize> {
        let taken = session.read_tls(&mut self.filled())?;
        self.start += taken;
        Ok(taken)
    }

    /// The octets of a first read.
    fn hold(&mut self, octets: &[u8]) {
        self.buffer = octets.to_vec();
        (self.start, self.end) = (0, octets.len());
    }

    /// Room for a read of `size` octets. Called when everything was taken.
    fn target(&mut self, size: usize) -> &mut [u8] {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
        let needed = self.end + size;
        if self.buffer.len() < needed {
            // Zeroed once per growth, not per read.
            self.buffer.resize(needed, 0);
        }
        &mut self.buffer[self.end..needed]
    }

    fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

/// A socket as rustls wants to write to it.
struct Socket<'a, 'b, T> {
    io: &'a mut T,
    cx: &'a mut Context<'b>,
}

impl<T: AsyncWrite + Unpin> Write for Socket<'_, '_, T> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.io).poll_write(self.cx, data))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.io).poll_write_vectored(self.cx, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn blocking<R>(result: Poll<io::Result<R>>) -> io::Result<R> {
    match result {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
