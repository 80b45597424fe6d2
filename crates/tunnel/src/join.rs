//! Ties the two ends of a tunnel together, whatever they are: the fast way for TCP and a stream, the general one for
//! all others.
//!
//! Called by both sides once a tunnel stands. *Near* is who asked, *far* leads to the destination.

use std::future::{Future, poll_fn};
use std::pin::Pin;

use bytes::Bytes;
use hbone_conn::Stream;
use tokio::net::TcpStream;

use crate::leg::{AnyLeg, TcpLeg};
use crate::outcome::{Break, RelayLimits, Relayed};
use crate::relay::{relay, relay_after};
use crate::sockets;
use crate::splice::splice;

/// One end.
pub(crate) enum End {
    /// A TCP socket.
    Tcp(TcpStream),
    /// A stream.
    Stream(Stream),
    /// Anything else.
    Other(AnyLeg),
}

impl End {
    /// Ends it as a reset.
    pub(crate) fn reset(self) {
        match self {
            Self::Tcp(tcp) => sockets::reset(tcp),
            Self::Stream(stream) => AnyLeg::from(Box::new(stream)).reset(),
            Self::Other(mut leg) => leg.reset(),
        }
    }

    /// Ready once it has failed, also while nobody reads or writes.
    pub(crate) async fn failure(&mut self) -> Break {
        match self {
            Self::Tcp(tcp) => Break::Tcp(sockets::failure(tcp).await.kind()),
            Self::Stream(stream) => Break::Stream(stream.reset_by_peer().await),
            Self::Other(leg) => poll_fn(|cx| leg.poll_failure(cx)).await,
        }
    }

    pub(crate) fn into_leg(self) -> AnyLeg {
        match self {
            Self::Tcp(tcp) => Box::new(TcpLeg::new(tcp)),
            Self::Stream(stream) => Box::new(stream),
            Self::Other(leg) => leg,
        }
    }
}

/// Relays until both directions have ended or the tunnel is broken; `stop` breaks it. `early` was read from `near`
/// before the tunnel stood. Boxed here: the ends are not kept in the caller's task as well.
pub(crate) fn join<'a>(
    near: End,
    far: End,
    early: Bytes,
    limits: RelayLimits,
    stop: impl Future<Output = Break> + Send + 'a,
) -> Pin<Box<dyn Future<Output = Relayed> + Send + 'a>> {
    match (near, far) {
        (End::Tcp(tcp), End::Stream(stream)) => Box::pin(relay_after(early, tcp, stream, limits, stop)),
        (End::Stream(stream), End::Tcp(tcp)) if early.is_empty() => {
            let relayed = Box::pin(relay(tcp, stream, limits, stop));
            Box::pin(async move { relayed.await.turned() })
        }
        (near, far) => Box::pin(splice(near.into_leg(), far.into_leg(), early, limits, stop)),
    }
}

#[cfg(test)]
mod tests;
