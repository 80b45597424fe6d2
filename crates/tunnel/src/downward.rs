//! One direction of a relay: from the stream to TCP, END_STREAM as FIN.
//!
//! Polled by the relay. Takes all pieces that the stream has and writes many of them in one call. Holds pieces only
//! while TCP does not take them.

use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hbone_conn::Stream;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::counter::Counter;
use crate::legs;
use crate::outcome::Break;

/// The direction.
#[derive(Debug, Default)]
pub(crate) struct Downward {
    pub(crate) counter: Counter,
    /// Taken from the stream.
    pieces: Vec<Bytes>,
    /// Those before this one are written.
    at: usize,
    /// The stream has ended: nothing comes behind the pieces.
    ended: bool,
}

impl Downward {
    /// Moves what there is. Ready with `Err` when the tunnel is broken, with `Ok` once the FIN is sent.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        tcp: &TcpStream,
        stream: &mut Stream,
        now: impl Fn() -> u64,
    ) -> Poll<Result<(), Break>> {
        loop {
            ready!(self.poll_write(cx, tcp, &now))?;
            if self.ended {
                if !self.counter.finished {
                    let shut = SockRef::from(tcp).shutdown(Shutdown::Write);
                    shut.map_err(|error| Break::Tcp(error.kind()))?;
                    self.counter.finish(now());
                }
                return Poll::Ready(Ok(()));
            }
            let Poll::Ready(more) = stream.poll_read_chunks(cx, &mut self.pieces, BATCH) else {
                // A silent tunnel holds no list either.
                self.pieces = Vec::new();
                return Poll::Pending;
            };
            self.ended = !more.map_err(Break::Stream)?;
        }
    }

    /// Writes all pieces and leaves the list empty.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        tcp: &TcpStream,
        now: impl Fn() -> u64,
    ) -> Poll<Result<(), Break>> {
        while self.at < self.pieces.len() {
            match legs::write(tcp, &mut self.pieces, &mut self.at) {
                Ok(written) => self.counter.moved(written, now()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.counter.stuck = true;
                    ready!(tcp.poll_write_ready(cx)).map_err(|error| Break::Tcp(error.kind()))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(Break::Tcp(error.kind()))),
            }
        }
        self.counter.stuck = false;
        self.pieces.clear();
        self.at = 0;
        Poll::Ready(Ok(()))
    }
}

/// Octets taken from the stream in one go.
const BATCH: usize = 256 * 1024;
