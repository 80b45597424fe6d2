//! Any two legs, tied together: octets both ways, an end as an end, everything else as a reset of both.
//!
//! Called by `join` for pairs that are not TCP and a stream, which `relay` carries faster. Octets are read into one
//! buffer of the thread and written at once; only what a leg does not take is kept, and not more is read before it
//! has gone. A silent tunnel holds no buffer.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::ReadBuf;
use tokio::time::{Instant, sleep};

use crate::counter::Counter;
use crate::leg::AnyLeg;
use crate::outcome::{Break, RelayLimits, Relayed};
use crate::silence::Silence;

/// Relays until both directions have ended or the tunnel is broken; `stop` breaks it. `early` was read from `near`
/// before.
pub(crate) async fn splice(
    near: AnyLeg,
    far: AnyLeg,
    early: Bytes,
    limits: RelayLimits,
    stop: impl Future<Output = Break>,
) -> Relayed {
    let mut both = Both { near, far, whole: false };
    let (mut up, mut down) = (Half { rest: early, ..Half::default() }, Half::default());
    let start = Instant::now();
    let now = || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let broken = {
        let mut silence = Silence::new(limits);
        let (mut timer, mut stop) = (pin!(sleep(Duration::ZERO)), pin!(stop));
        poll_fn(|cx| {
            let Both { near, far, .. } = &mut both;
            let moved = [up.poll(cx, near, far, now), down.poll(cx, far, near, now)];
            if let Some(Poll::Ready(Err(broken))) = moved.iter().find(|it| matches!(it, Poll::Ready(Err(_))))
            {
                return Poll::Ready(Some(broken.clone()));
            }
            if moved.iter().all(Poll::is_ready) {
                return Poll::Ready(None);
            }
            for leg in [near, far] {
                if let Poll::Ready(broken) = leg.poll_failure(cx) {
                    return Poll::Ready(Some(broken));
                }
            }
            let changed = up.counter.take_change() | down.counter.take_change();
            let half_closed = up.counter.finished || down.counter.finished;
            let looks = || [up.look(), down.look()];
            if let Poll::Ready(broken) = silence.poll(cx, timer.as_mut(), start, changed, half_closed, looks)
            {
                return Poll::Ready(Some(broken));
            }
            stop.as_mut().poll(cx).map(Some)
        })
        .await
    };
    both.whole = broken.is_none();
    Relayed { up: up.counter.ended(), down: down.counter.ended(), broken }
}

/// The two legs: both are reset unless the tunnel ended whole, whatever makes them go.
struct Both {
    near: AnyLeg,
    far: AnyLeg,
    whole: bool,
}

impl Drop for Both {
    fn drop(&mut self) {
        for leg in [&mut self.near, &mut self.far] {
            if self.whole { leg.release() } else { leg.reset() }
        }
    }
}

/// One direction.
#[derive(Default)]
struct Half {
    counter: Counter,
    /// Read and not yet written.
    rest: Bytes,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// The end is to be handed on.
    Ending,
    /// It was; what waits for the peer is not sent, so the tunnel must not count as ended.
    Leaving,
    Finished,
}

impl Half {
    /// Moves what there is. Ready with `Ok` once the end has left, with `Err` when the tunnel is broken.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut AnyLeg,
        to: &mut AnyLeg,
        now: impl Fn() -> u64,
    ) -> Poll<Result<(), Break>> {
        loop {
            match self.stage {
                Stage::Open => {
                    ready!(self.poll_write(cx, to, &now))?;
                    ready!(self.poll_read(cx, from, to, &now))?;
                }
                Stage::Ending => {
                    ready!(Pin::new(&mut **to).poll_shutdown(cx)).map_err(|error| to.broken(error))?;
                    self.stage = Stage::Leaving;
                }
                Stage::Leaving => {
                    ready!(to.poll_left(cx))?;
                    self.counter.finish(now());
                    self.stage = Stage::Finished;
                }
                Stage::Finished => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Reads once, and writes as much of it as the other leg takes.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut AnyLeg,
        to: &mut AnyLeg,
        now: &impl Fn() -> u64,
    ) -> Poll<Result<(), Break>> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(PIECE, 0);
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut **from).poll_read(cx, &mut buffer)).map_err(|error| from.broken(error))?;
            let mut data = buffer.filled();
            if data.is_empty() {
                self.stage = Stage::Ending;
                return Poll::Ready(Ok(()));
            }
            while !data.is_empty() {
                match Pin::new(&mut **to).poll_write(cx, data) {
                    Poll::Ready(Ok(written)) => {
                        self.counter.moved(written, now());
                        data = &data[written..];
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(to.broken(error))),
                    Poll::Pending => {
                        self.counter.stuck = true;
                        self.rest = Bytes::copy_from_slice(data);
                        return Poll::Pending;
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Writes what was kept.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut AnyLeg,
        now: &impl Fn() -> u64,
    ) -> Poll<Result<(), Break>> {
        while !self.rest.is_empty() {
            let written = ready!(Pin::new(&mut **to).poll_write(cx, &self.rest));
            let written = written.map_err(|error| to.broken(error))?;
            self.counter.moved(written, now());
            self.rest.advance(written);
        }
        self.counter.stuck = false;
        // A leg that gathers what it is given must not wait for more.
        ready!(Pin::new(&mut **to).poll_flush(cx)).map_err(|error| to.broken(error))?;
        Poll::Ready(Ok(()))
    }

    fn look(&self) -> crate::progress::Look {
        self.counter.look(0)
    }
}

thread_local! {
    /// Belongs to the thread: the legs of a pair never read while another pair is polled.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Octets of one read.
const PIECE: usize = 64 * 1024;
