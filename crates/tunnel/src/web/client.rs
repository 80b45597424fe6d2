//! One connection of a client of a web front, to its end.
//!
//! Run by the outbound side in the connection's task. Requests come one after the other; one that turns into another
//! protocol is the last. During a drain the request at hand is the last too.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

use super::answer::Content;
use super::exchange::{Far, Shared, exchange};
use super::table::WebFront;
use crate::authority::HostName;
use crate::drain::Drain;
use crate::front::Origin;
use crate::join::{End, join};
use crate::open::Opener;
use crate::outcome::{Break, RelayLimits};
use crate::wire::{Watch, Wire};

/// What a connection is served with.
pub(crate) struct Connection {
    pub(crate) front: WebFront,
    /// The listener's name in records.
    pub(crate) listener: Arc<str>,
    pub(crate) from: Origin,
    /// The name for which TLS was asked.
    pub(crate) sni: Option<HostName>,
    pub(crate) opener: Opener,
    /// What is told of this workload, to the far node and to the workload.
    pub(crate) baggage: Option<String>,
    pub(crate) limits: RelayLimits,
    pub(crate) drain: Drain,
}

impl Connection {
    pub(super) const fn address(&self) -> Option<SocketAddr> {
        self.from.address()
    }
}

/// Serves requests until the client or the drain ends it; says whether it ended in peace.
pub(crate) async fn serve(near: End, connection: Connection) -> bool {
    let drain = connection.drain.clone();
    let wire = Wire::new(near.into_leg());
    let shared = Arc::new(Shared::new(connection, wire.moves()));
    let service = {
        let shared = Arc::clone(&shared);
        service_fn(move |request: hyper::Request<Incoming>| {
            let shared = Arc::clone(&shared);
            Box::pin(async move { Ok(exchange(&shared, request).await) }) as Answering
        })
    };
    let mut watch = wire.watch(shared.connection.limits);
    let mut http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MOST_OF_A_HEAD)
        .serve_connection(TokioIo::new(wire), service);
    let mut draining = false;
    let ended = loop {
        tokio::select! {
            biased;
            end = poll_fn(|cx| http.poll_without_shutdown(cx)) => {
                break end;
            }
            // A client that takes nothing, whatever waits for it here: a reset. While it takes all there is, hyper's
            // time for the next head counts, or the watch over the far end.
            _ = poll_fn(|cx| watch.poll_stuck(cx)) => return false,
            _ = drain.started(), if !draining => {
                draining = true;
                Pin::new(&mut http).graceful_shutdown();
            }
            // Dropped: a reset.
            () = drain.expired() => return false,
        }
    };
    let parts = http.into_parts();
    let (wire, read) = (parts.io.into_inner(), parts.read_buf);
    let turned = shared.turned.lock().take();
    if let Some(far) = turned {
        let near = ended.is_ok().then_some((wire, read, watch));
        return turned_over(near, far, &shared.connection.limits, &drain).await;
    }
    // A head that never came is no loss, and one that was refused has been answered. Anything else may be a response
    // that is not whole.
    let harmless = |error: &hyper::Error| {
        error.is_timeout() || (error.is_parse() && shared.requests.load(Ordering::Relaxed) == 0)
    };
    let whole = ended.as_ref().err().is_none_or(harmless);
    whole && wire.finish().await
}

/// From here on it is no HTTP. Without one of its ends, what the other has is a cut.
pub(super) async fn turned_over(
    near: Option<(Wire, Bytes, Watch)>,
    far: oneshot::Receiver<Far>,
    limits: &RelayLimits,
    drain: &Drain,
) -> bool {
    match (near, far.await) {
        (Some(near), Ok(far)) => turn(near, far, limits, drain).await,
        (None, Ok(far)) => {
            far.cut(Break::Http);
            false
        }
        (_, Err(_)) => false,
    }
}

async fn turn(
    (mut near, read, mut watch): (Wire, Bytes, Watch),
    mut far: Far,
    limits: &RelayLimits,
    drain: &Drain,
) -> bool {
    let early = std::mem::take(&mut far.read);
    let greeted = tokio::select! {
        biased;
        written = near.write_all(&early) => written.map_err(|_| Break::Http),
        broken = poll_fn(|cx| watch.poll_stuck(cx)) => Err(broken),
        () = drain.expired() => Err(Break::Drained),
    };
    if let Err(broken) = greeted {
        far.cut(broken);
        return false;
    }
    let Far { wire, mut record, lease, mut live, .. } = far;
    let (Some(near), Some(far)) = (near.into_leg(), wire.into_leg()) else { return false };
    let stop = pin!(async {
        drain.expired().await;
        Break::Drained
    });
    record.stands(200);
    let relayed = join(End::Other(near), End::Other(far), read, *limits, stop).await;
    drop(lease);
    if relayed.broken.is_none() {
        live.finished();
    }
    record.ended(&relayed);
    relayed.broken.is_none()
}

/// One answer in the making.
type Answering = Pin<Box<dyn Future<Output = Result<Response<Content>, Infallible>> + Send>>;

/// For the head of a request, and between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const MOST_OF_A_HEAD: usize = 64 * 1024;
