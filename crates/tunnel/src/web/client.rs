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

use super::answer::Content;
use super::exchange::{Far, Shared, exchange};
use super::table::WebFront;
use super::wire::Wire;
use crate::authority::HostName;
use crate::drain::Drain;
use crate::front::Origin;
use crate::join::{End, join};
use crate::open::Opener;
use crate::outcome::{Break, RelayLimits};

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
    let shared = Arc::new(Shared::new(connection));
    let service = {
        let shared = Arc::clone(&shared);
        service_fn(move |request: hyper::Request<Incoming>| {
            let shared = Arc::clone(&shared);
            Box::pin(async move { Ok(exchange(&shared, request).await) }) as Answering
        })
    };
    let wire = TokioIo::new(Wire::new(near.into_leg()));
    let mut http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MOST_OF_A_HEAD)
        .serve_connection(wire, service);
    let mut draining = false;
    let ended = loop {
        tokio::select! {
            end = poll_fn(|cx| http.poll_without_shutdown(cx)) => {
                break end;
            }
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
    if let Some(far) = turned
        && let Ok(far) = far.await
    {
        return turn(wire, read, far, &shared.connection.limits, &drain).await;
    }
    // A head that never came is no loss, and one that was refused has been answered. Anything else may be a response
    // that is not whole.
    let harmless = |error: &hyper::Error| {
        error.is_timeout() || (error.is_parse() && shared.requests.load(Ordering::Relaxed) == 0)
    };
    let whole = ended.as_ref().err().is_none_or(harmless);
    if whole {
        wire.finish().await;
    }
    whole
}

/// From here on it is no HTTP.
async fn turn(near: Wire, read: Bytes, far: Far, limits: &RelayLimits, drain: &Drain) -> bool {
    let Far { wire, read: early, mut record, lease, mut live } = far;
    let mut near = near;
    let greeted = tokio::select! {
        written = near.write_all(&early) => written.is_ok(),
        () = drain.expired() => false,
    };
    let (Some(near), Some(far), true) = (near.into_leg(), wire.into_leg(), greeted) else { return false };
    let stop = pin!(async {
        drain.expired().await;
        Break::Drained
    });
    record.status(200);
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
