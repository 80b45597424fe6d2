//! A leg as hyper takes it: counted, and ended as a reset unless it is finished.
//!
//! Used on both sides of an exchange. Knows nothing of HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{sleep, timeout};

use crate::leg::AnyLeg;

/// The leg.
pub(super) struct Wire {
    /// None once it has been taken out.
    leg: Option<AnyLeg>,
    pub(super) read: u64,
    pub(super) written: u64,
    moved: Arc<AtomicU64>,
}

impl Wire {
    pub(super) fn new(leg: AnyLeg) -> Self {
        Self { leg: Some(leg), read: 0, written: 0, moved: Arc::default() }
    }

    /// Looks at it from outside, whoever has it.
    pub(super) fn silence(&self) -> Silence {
        Silence(Arc::clone(&self.moved))
    }

    /// The leg, for another protocol.
    pub(super) fn into_leg(mut self) -> Option<AnyLeg> {
        self.leg.take()
    }

    /// Ends it in peace: says the end, and waits for that of the peer a while. Octets that nobody reads would make a
    /// reset of the end, for a peer that is still speaking.
    pub(super) async fn finish(mut self) {
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
    }

    fn leg(&mut self) -> io::Result<Pin<&mut AnyLeg>> {
        self.leg.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// The watch over octets that move.
pub(super) struct Silence(Arc<AtomicU64>);

impl Silence {
    /// Ready once no octet has moved for so long, told within as long again; never without a limit.
    pub(super) async fn lasts(&self, limit: Option<Duration>) -> Duration {
        let Some(limit) = limit else { return std::future::pending().await };
        let mut before = self.0.load(Ordering::Relaxed);
        loop {
            sleep(limit).await;
            let now = self.0.load(Ordering::Relaxed);
            if now == before {
                return limit;
            }
            before = now;
        }
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
        self.read += (buffer.filled().len() - before) as u64;
        self.moved.store(self.read + self.written, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.leg()?.poll_write(cx, data))?;
        self.written += written as u64;
        self.moved.store(self.read + self.written, Ordering::Relaxed);
        Poll::Ready(Ok(written))
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
