//! One direction of a relay: from TCP to the stream, FIN as END_STREAM.
//!
//! Polled by the relay. It also listens for resets of the stream, at every moment and to the end of the other
//! direction: that may be stuck in a write to TCP. Holds no buffer between polls.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use hbone_conn::{Stream, StreamError};
use tokio::net::TcpStream;

use crate::counter::Counter;
use crate::intake::Intake;
use crate::outcome::Break;

/// The direction.
#[derive(Debug)]
pub(crate) struct Upward {
    pub(crate) counter: Counter,
    intake: Intake,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// TCP may bring more.
    Open,
    /// END_STREAM is queued. What only waits for the peer's windows is not sent: the tunnel must not count as ended
    /// before.
    Flushing,
    Finished,
}

impl Upward {
    pub(crate) fn new() -> Self {
        Self { counter: Counter::default(), intake: Intake::new(), stage: Stage::Open }
    }

    /// Moves what there is. Ready with `Err` when the tunnel is broken; pending until then, also when this direction
    /// has finished.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        tcp: &TcpStream,
        stream: &mut Stream,
        now: impl Fn() -> u64,
    ) -> Poll<Break> {
        loop {
            let step = match self.stage {
                Stage::Open => self.poll_open(cx, tcp, stream, &now),
                Stage::Flushing => match ready!(stream.poll_flushed(cx)) {
                    Ok(()) => {
                        self.stage = Stage::Finished;
                        self.counter.finish(now());
                        Poll::Ready(Ok(()))
                    }
                    Err(error) => Poll::Ready(Err(Break::Stream(error))),
                },
                Stage::Finished => poll_failed(cx, stream).map(|error| Err(Break::Stream(error))),
            };
            if let Err(broken) = ready!(step) {
                return Poll::Ready(broken);
            }
        }
    }

    /// One read and one chunk.
    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
        tcp: &TcpStream,
        stream: &mut Stream,
        now: impl Fn() -> u64,
    ) -> Poll<Result<(), Break>> {
        match tcp.poll_read_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(Break::Tcp(error.kind()))),
            Poll::Pending => return poll_failed(cx, stream).map(|error| Err(Break::Stream(error))),
        }
        let room = ready!(stream.poll_write_ready(cx)).map_err(Break::Stream)?;
        match self.intake.read(tcp, room) {
            Ok(chunk) if chunk.is_empty() => {
                stream.finish().map_err(Break::Stream)?;
                self.stage = Stage::Flushing;
            }
            Ok(chunk) => {
                self.counter.moved(chunk.len(), now());
                stream.send_chunk(chunk).map_err(Break::Stream)?;
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Poll::Ready(Err(Break::Tcp(error.kind()))),
        }
        Poll::Ready(Ok(()))
    }
}

/// Whether a call is to be tried again, when the socket says so.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn poll_failed(cx: &mut Context<'_>, stream: &mut Stream) -> Poll<StreamError> {
    // Nothing is remembered between polls: the stream keeps the waker.
    pin!(stream.reset_by_peer()).poll(cx)
}
