//! One tunnel for what is no socket: a command's standard input and output, by whichever way leads there.
//!
//! Called by the node's `dial`. Its own end of the tunnel can be told no reset: the caller says so in its own words.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::authority::Authority;
use crate::error::TunnelError;
use crate::join::{End, join};
use crate::leg::Leg;
use crate::open::{Opener, Passage};
use crate::outcome::{Break, RelayLimits, Relayed};
use crate::pool::Pool;
use crate::tls::Identity;
use crate::way::Way;

/// Opens a tunnel within `after` and carries octets between it and `near` until both directions have ended or it is
/// broken. What was handed to a connection of the pool has left once [`Pool::close`] says so.
///
/// # Errors
/// What stopped it before it stood.
pub async fn carry<N>(
    near: N,
    way: &Way,
    destination: &Authority,
    baggage: Option<&str>,
    (identity, pool, after): (&Arc<Identity>, &Pool, Duration),
) -> Result<Relayed, TunnelError>
where
    N: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let opener = Opener { pool: pool.clone(), identity: Arc::clone(identity), after };
    let told: Vec<_> = baggage.map(|baggage| ("baggage", baggage.to_owned())).into_iter().collect();
    let Passage { end, lease, .. } = opener.open(way, destination, &told).await?;
    let limits = RelayLimits { idle: None, half_closed_idle: None, ..RelayLimits::default() };
    let near = End::Other(Box::new(Near(near)));
    let relayed = join(near, end, Bytes::new(), limits, pending::<Break>()).await;
    drop(lease);
    Ok(relayed)
}

/// The near end.
struct Near<N>(N);

impl<N: AsyncRead + Unpin> AsyncRead for Near<N> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<N: AsyncWrite + Unpin> AsyncWrite for Near<N> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl<N: AsyncRead + AsyncWrite + Send + Unpin> Leg for Near<N> {
    fn poll_failure(&mut self, _: &mut Context<'_>) -> Poll<Break> {
        Poll::Pending
    }

    fn reset(&mut self) {}

    fn release(&mut self) {}
}
