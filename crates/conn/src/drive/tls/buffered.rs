//! rustls' own records over a socket, with large reads and gathered writes.
//!
//! Reads take up to 256 KiB from the socket, whatever the size of the records; opened records are joined in a
//! buffer that is used again. Writes seal up to [`SEALED`] octets and give them to the socket at once. The end
//! of the transport without `close_notify` is an error: it may be an attacker's (RFC 8446 6.1). The handshake is
//! here too: any version that rustls speaks.

use std::io::{self, BufRead, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::buffer::{Pool, ReadSize, poll_cold};
use super::super::plain::GATHER;
use super::super::wire::{Fill, Wire};
use super::error::TlsError;
use super::facts::Facts;
use super::record::looks_like_one;
use crate::proto::Transmit;

/// Octets sealed before they are written: a flight of 256 KiB with its heads and what sealing adds.
const SEALED: usize = 272 * 1024;
/// The most that an unfinished record may add to what a read brings.
const RECORD: usize = 18 * 1024;

/// A transport with rustls on it.
pub(super) struct Buffered<T> {
    io: T,
    session: Box<rustls::Connection>,
    sealed: Sealed,
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
struct Sealed {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<T> Buffered<T> {
    pub(super) fn new(io: T, mut session: rustls::Connection) -> Self {
        session.set_buffer_limit(Some(SEALED));
        Self {
            io,
            session: Box::new(session),
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

    /// What the handshake has agreed on.
    pub(super) fn facts(&self) -> Facts {
        let name = match &*self.session {
            rustls::Connection::Server(session) => session.server_name(),
            rustls::Connection::Client(_) => None,
        };
        Facts::new(&self.session, name)
    }

    pub(super) const fn io(&self) -> &T {
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

impl<T: AsyncRead + Unpin> Buffered<T> {
    /// Reads sealed octets; 0 is the end of the transport.
    fn poll_sealed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
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

impl<T: AsyncWrite + Unpin> Buffered<T> {
    /// Writes everything that is sealed, and flushes.
    fn poll_write_sealed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

    /// Our close_notify, once, however often it is asked for.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.send_close_notify();
        self.poll_write_sealed(cx)
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

impl<T: AsyncRead + AsyncWrite + Unpin> Buffered<T> {
    /// `first` until something has arrived.
    pub(super) fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        first: &mut bool,
    ) -> Poll<Result<(), TlsError>> {
        loop {
            ready!(self.poll_write_sealed(cx)).map_err(TlsError::Io)?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if self.sealed.is_empty() && ready!(self.poll_sealed(cx)).map_err(TlsError::Io)? == 0 {
                return Poll::Ready(Err(TlsError::ClosedDuringHandshake));
            }
            if std::mem::take(first) && !looks_like_one(self.sealed.filled()) {
                return Poll::Ready(Err(TlsError::Plaintext));
            }
            if let Err(error) = self.step() {
                // The alert goes out if the socket takes it at once.
                let _ = self.poll_write_sealed(cx);
                return Poll::Ready(Err(error));
            }
        }
    }

    /// TLS takes what has arrived, but nothing beyond the handshake's end.
    fn step(&mut self) -> Result<(), TlsError> {
        while self.session.is_handshaking() && !self.sealed.is_empty() {
            if self.sealed.feed(&mut self.session).map_err(TlsError::Io)? == 0 {
                return Err(TlsError::ClosedDuringHandshake);
            }
            self.session.process_new_packets()?;
        }
        Ok(())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Wire for Buffered<T> {
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
        ready!(self.poll_close(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn written(&self) -> u64 {
        self.written
    }

    fn release_buffers(&mut self) {
        self.opened.release();
        self.sealed.release();
    }
}

impl Sealed {
    const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    const fn len(&self) -> usize {
        self.end - self.start
    }

    /// The octets that TLS has not taken.
    fn filled(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Gives octets to TLS; returns how many it took.
    fn feed(&mut self, session: &mut rustls::Connection) -> io::Result<usize> {
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
