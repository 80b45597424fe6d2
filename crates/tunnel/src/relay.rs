//! A TCP connection and a stream of HTTP/2, tied together: octets both ways, FIN as FIN, RST as RST.
//!
//! Called by the outbound and the inbound side once a tunnel stands. A FIN becomes END_STREAM and the other
//! way round, each direction for itself. Every other end of either leg, silence over the limit, and every
//! order to stop reset *both* legs: TCP with a real RST, the stream with CONNECT_ERROR (a peer may take
//! CANCEL or NO_ERROR for a clean end). So does a relay that is dropped or panics, and the end of the process.
//! Never turns the loss of octets into an end-of-file.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hbone_conn::{ErrorCode, Stream, StreamError};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::downward::Downward;
use crate::outcome::{Break, RelayLimits, Relayed};
use crate::silence::Silence;
use crate::sockets;
use crate::upward::Upward;

/// Relays until both directions have ended, the stream's last octet has left, or the tunnel is broken; `stop`
/// breaks it.
pub fn relay(
    tcp: TcpStream,
    stream: Stream,
    limits: RelayLimits,
    stop: impl Future<Output = Break>,
) -> impl Future<Output = Relayed> {
    relay_after(Bytes::new(), tcp, stream, limits, stop)
}

/// The same, with octets that were read from the TCP connection before.
///
/// Not `async` itself: such a function keeps a second place for what it is given, for as long as a tunnel lives.
pub(crate) fn relay_after(
    early: Bytes,
    tcp: TcpStream,
    stream: Stream,
    limits: RelayLimits,
    stop: impl Future<Output = Break>,
) -> impl Future<Output = Relayed> {
    sockets::guard(&tcp);
    let mut flow = Flow {
        far: Far { stream, whole: false },
        up: Upward::new(),
        down: Downward::default(),
        start: Instant::now(),
    };
    let mut silence = Silence::new(limits);
    let mut refused = flow.send(early).err().map(Break::Stream);
    async move {
        let broken = {
            let (mut failure, mut timer, mut stop) =
                (pin!(sockets::failure(&tcp)), pin!(sleep(Duration::ZERO)), pin!(stop));
            poll_fn(|cx| {
                if let Some(broken) = refused.take() {
                    return Poll::Ready(Some(broken));
                }
                if let Poll::Ready(both) = flow.poll_both(cx, &tcp) {
                    return Poll::Ready(both.err());
                }
                if let Poll::Ready(error) = failure.as_mut().poll(cx) {
                    return Poll::Ready(Some(Break::Tcp(error.kind())));
                }
                if let Poll::Ready(broken) = flow.poll_silence(cx, &mut silence, timer.as_mut()) {
                    return Poll::Ready(Some(broken));
                }
                stop.as_mut().poll(cx).map(Some)
            })
            .await
        };
        let (up, down) = (flow.up.counter.ended(), flow.down.counter.ended());
        if broken.is_none() {
            flow.far.let_go();
            sockets::release(tcp);
        }
        Relayed { up, down, broken }
    }
}

/// The stream's leg: reset when it goes before the tunnel has ended whole, whatever makes it go.
struct Far {
    stream: Stream,
    whole: bool,
}

impl Far {
    /// The tunnel has ended whole.
    const fn let_go(&mut self) {
        self.whole = true;
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        if !self.whole {
            self.stream.reset(ErrorCode::CONNECT_ERROR);
        }
    }
}

/// Both directions. They run in one task, so nothing of it is shared.
struct Flow {
    far: Far,
    up: Upward,
    down: Downward,
    start: Instant,
}

impl Flow {
    /// Octets that go before those of TCP.
    fn send(&mut self, early: Bytes) -> Result<(), StreamError> {
        if early.is_empty() {
            return Ok(());
        }
        self.up.counter.moved(early.len(), 0);
        self.far.stream.send_chunk(early)
    }

    /// Ready once both directions have ended, or one is broken.
    fn poll_both(&mut self, cx: &mut Context<'_>, tcp: &TcpStream) -> Poll<Result<(), Break>> {
        let Self { far: Far { stream, .. }, up, down, start } = self;
        let now = || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Poll::Ready(broken) = up.poll(cx, tcp, stream, now) {
            return Poll::Ready(Err(broken));
        }
        match down.poll(cx, tcp, stream, now) {
            Poll::Ready(Ok(())) if !up.counter.finished => Poll::Pending,
            ended @ (Poll::Ready(_) | Poll::Pending) => ended,
        }
    }

    fn poll_silence(
        &mut self,
        cx: &mut Context<'_>,
        silence: &mut Silence,
        timer: Pin<&mut Sleep>,
    ) -> Poll<Break> {
        let Self { far: Far { stream, .. }, up, down, start } = self;
        let changed = up.counter.take_change() | down.counter.take_change();
        let half_closed = up.counter.finished || down.counter.finished;
        silence.poll(cx, timer, *start, changed, half_closed, || {
            let waiting = u64::try_from(stream.stats().queued).unwrap_or(u64::MAX);
            [up.counter.look(waiting), down.counter.look(0)]
        })
    }
}
