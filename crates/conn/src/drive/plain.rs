//! A wire in the clear: any tokio transport as it is, with large reads and gathered writes.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use super::buffer::{Pool, ReadSize, poll_cold};
use super::peer::Peer;
use super::wire::{Fill, Wire};
use crate::proto::Transmit;

/// Pieces gathered into one write.
pub(super) const GATHER: usize = 128;
/// Pieces of a flight that is called short.
const FEW: usize = 4;
/// Octets gathered by copying, for transports that take one piece at a time.
const COPY: usize = 32 * 1024;

/// A transport without encryption, or one that encrypts by itself.
///
/// Gathered writes are used where the transport has them; elsewhere small pieces are joined by a copy.
pub struct Plain<T> {
    io: T,
    size: ReadSize,
    pool: Pool,
    joined: Vec<u8>,
    unflushed: bool,
}

impl<T> Plain<T> {
    /// Wraps a transport as it is.
    pub fn new(io: T) -> Self {
        Self { io, size: ReadSize::new(), pool: Pool::default(), joined: Vec::new(), unflushed: false }
    }

    /// The transport below.
    pub const fn io(&self) -> &T {
        &self.io
    }
}

impl Plain<TcpStream> {
    /// Wraps a TCP connection and turns Nagle's algorithm off: the driver gathers better than the kernel.
    ///
    /// # Errors
    /// When the socket option cannot be set.
    pub fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::new(stream))
    }
}

impl<T: AsyncRead + Unpin> Plain<T> {
    /// The first read after a silence.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Fill>> {
        let Self { io, size, pool, .. } = self;
        let taken = ready!(poll_cold(io, cx, |octets| {
            if !octets.is_empty() {
                pool.prepare(size.get());
                pool.current().extend_from_slice(octets);
            }
        }))?;
        Poll::Ready(Ok(if taken == 0 { Fill::Eof } else { Fill::Data(pool.take()) }))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Wire for Plain<T> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Fill>> {
        if self.pool.is_cold() {
            return self.poll_first(cx);
        }
        let room = self.pool.prepare(self.size.get());
        let taken = ready!(pin!(self.io.read_buf(&mut self.pool.target(room))).poll(cx))?;
        if taken == 0 {
            return Poll::Ready(Ok(Fill::Eof));
        }
        self.size.learn(room, taken);
        Poll::Ready(Ok(Fill::Data(self.pool.take())))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, out: &mut Transmit) -> Poll<io::Result<()>> {
        while !out.is_empty() {
            let written = ready!(poll_write(&mut self.io, cx, out, &mut self.joined))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            out.advance(written);
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn is_unflushed(&self) -> bool {
        self.unflushed
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn peer(&self) -> Peer {
        Peer::of_socket(&self.io)
    }

    fn release_buffers(&mut self) {
        self.pool.release();
        self.joined = Vec::new();
    }
}

impl<T> fmt::Debug for Plain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain").field("read_size", &self.size.get()).finish_non_exhaustive()
    }
}

/// One write of as much of `out` as the transport takes at once.
fn poll_write<T: AsyncWrite + Unpin>(
    io: &mut T,
    cx: &mut Context<'_>,
    out: &Transmit,
    joined: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    // A place for each of many pieces costs more than a short flight itself.
    if out.segments() <= FEW {
        poll_write_of(io, cx, out, joined, &mut [IoSlice::new(&[]); FEW])
    } else {
        poll_write_of(io, cx, out, joined, &mut [IoSlice::new(&[]); GATHER])
    }
}

fn poll_write_of<'a, T: AsyncWrite + Unpin>(
    io: &mut T,
    cx: &mut Context<'_>,
    out: &'a Transmit,
    joined: &mut Vec<u8>,
    slices: &mut [IoSlice<'a>],
) -> Poll<io::Result<usize>> {
    let count = out.io_slices(slices);
    let slices = &slices[..count];
    if count > 1 && io.is_write_vectored() {
        return Pin::new(io).poll_write_vectored(cx, slices);
    }
    match slices {
        [] => Poll::Ready(Ok(0)),
        [first, rest @ ..] if rest.is_empty() || first.len() >= COPY / 2 => {
            Pin::new(io).poll_write(cx, first)
        }
        _ => {
            joined.clear();
            for slice in slices {
                let room = COPY - joined.len();
                joined.extend_from_slice(&slice[..slice.len().min(room)]);
                if joined.len() == COPY {
                    break;
                }
            }
            Pin::new(io).poll_write(cx, joined)
        }
    }
}
