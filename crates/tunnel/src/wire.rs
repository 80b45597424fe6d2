//! A leg as hyper takes it: counted, and ended as a reset unless it is finished.
//!
//! Used on both sides of a web front and towards a local handler. Who has given it away can still watch what moves in
//! it. Knows nothing of HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::counter::Counter;
use crate::leg::AnyLeg;
use crate::outcome::{Break, RelayLimits};
use crate::progress::Look;
use crate::silence::Silence;

/// The leg.
pub(crate) struct Wire {
    /// None once it has been taken out.
    leg: Option<AnyLeg>,
    moves: Arc<Moves>,
}

/// What has moved.
pub(crate) struct Moves {
    start: Instant,
    both: Mutex<Both>,
}

#[derive(Default)]
struct Both {
    read: Counter,
    written: Counter,
}

impl Moves {
    /// The octets that were written, as one sees them who counts from another beginning.
    fn left(&self, start: Instant) -> Look {
        let look = self.both.lock().written.look(0);
        Look { moved: (self.start + look.moved).saturating_duration_since(start), ..look }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Wire {
    pub(crate) fn new(leg: AnyLeg) -> Self {
        let moves = Moves { start: Instant::now(), both: Mutex::default() };
        Self { leg: Some(leg), moves: Arc::new(moves) }
    }

    /// Looks at it from outside, whoever has it.
    pub(crate) fn watch(&self, limits: RelayLimits) -> Watch {
        let timer = Box::pin(sleep(Duration::ZERO));
        Watch { moves: Arc::clone(&self.moves), other: None, silence: Silence::new(limits), timer }
    }

    /// What has moved in it, for the watch over its other side.
    pub(crate) fn moves(&self) -> Arc<Moves> {
        Arc::clone(&self.moves)
    }

    /// Octets that were read and that were written.
    pub(crate) fn octets(&self) -> (u64, u64) {
        let both = self.moves.both.lock();
        (both.read.ended().octets, both.written.ended().octets)
    }

    /// The leg, for another protocol.
    pub(crate) fn into_leg(mut self) -> Option<AnyLeg> {
        self.leg.take()
    }

    /// Ends it in peace: says the end, and waits for that of the peer a while. Octets that nobody reads would make a
    /// reset of the end, for a peer that is still speaking.
    /// Whether it was one.
    pub(crate) async fn finish(mut self) -> bool {
        let ending = async {
            self.shutdown().await?;
            let (mut left, mut scratch) = (MOST, [0; 2048]);
            while left > 0 && self.read(&mut scratch).await? > 0 {
                left -= 1;
            }
            io::Result::Ok(())
        };
        let ended = timeout(PATIENCE, ending).await;
        if let Some(mut leg) = self.leg.take() {
            // One that has failed is a reset already.
            if matches!(ended, Ok(Err(_))) { leg.reset() } else { leg.release() }
        }
        !matches!(ended, Ok(Err(_)))
    }

    fn leg(&mut self) -> io::Result<Pin<&mut AnyLeg>> {
        self.leg.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// The watch over octets that move.
pub(crate) struct Watch {
    moves: Arc<Moves>,
    /// Of the wire on the other side, where what is read goes.
    other: Option<Arc<Moves>>,
    silence: Silence,
    timer: Pin<Box<Sleep>>,
}

impl Watch {
    /// Octets that were read wait on the other side until its peer takes them: then that is what moves.
    pub(crate) fn towards(self, other: &Arc<Moves>) -> Self {
        Self { other: Some(Arc::clone(other)), ..self }
    }

    /// Ready once nothing has moved for as long as the limits allow. To be polled after what moves the octets.
    pub(crate) fn poll_silent(&mut self, cx: &mut Context<'_>) -> Poll<Break> {
        let Self { moves, other, silence, timer } = self;
        let mut both = moves.both.lock();
        let changed = both.read.take_change() | both.written.take_change();
        let looks = || {
            let read = both.read.look(0);
            let down = other.as_ref().map_or(read, |other| {
                let left = other.left(moves.start);
                Look { moved: left.moved.max(read.moved), ..left }
            });
            [down, both.written.look(0)]
        };
        silence.poll(cx, timer.as_mut(), moves.start, changed, false, looks)
    }

    /// The same, but only while octets wait that the peer does not take.
    pub(crate) fn poll_stuck(&mut self, cx: &mut Context<'_>) -> Poll<Break> {
        if self.moves.both.lock().written.stuck { self.poll_silent(cx) } else { Poll::Pending }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.leg()?.poll_read(cx, buffer))?;
        let read = buffer.filled().len() - before;
        if read > 0 {
            let now = self.moves.now();
            self.moves.both.lock().read.moved(read, now);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let polled = self.leg()?.poll_write(cx, data);
        let now = self.moves.now();
        let mut both = self.moves.both.lock();
        both.written.stuck = polled.is_pending();
        if let Poll::Ready(Ok(written)) = polled {
            both.written.moved(written, now);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.leg()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.leg()?.poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(mut leg) = self.leg.take() {
            leg.reset();
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(2);
/// Reads of what is thrown away.
const MOST: usize = 512;
