//! One request: its route, its tunnel, its answer.
//!
//! Called by client.rs for each request of a connection. The tunnel has a task of its own, as octets of a response may
//! still be on their way when the next request waits. One record for each tunnel.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::answer::{self, Content};
use super::client::Connection;
use super::fields::{self, Known};
use super::table::WebRoute;
use super::wire::{Silence, Wire};
use crate::drain::{Drain, Live};
use crate::error::TunnelError;
use crate::metadata::{BAGGAGE, FORWARDED, forwarded};
use crate::observe::{Record, Side};
use crate::open::Passage;
use crate::outcome::{Break, Direction, Relayed};
use crate::pool::Lease;

/// What the requests of a connection share.
pub(super) struct Shared {
    pub(super) connection: Connection,
    /// Requests so far.
    pub(super) requests: AtomicUsize,
    /// The far end of the request that turned into another protocol.
    pub(super) turned: Mutex<Option<oneshot::Receiver<Far>>>,
}

/// The far end of a tunnel that carries no HTTP any more.
pub(super) struct Far {
    pub(super) wire: Wire,
    /// Read behind the last message.
    pub(super) read: Bytes,
    pub(super) record: Record,
    pub(super) lease: Option<Lease>,
    pub(super) live: Live,
}

impl Shared {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, requests: AtomicUsize::new(0), turned: Mutex::new(None) }
    }
}

/// Answers a request.
pub(super) async fn exchange(shared: &Shared, request: Request<Incoming>) -> Response<Content> {
    let connection = &shared.connection;
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let (mut parts, content) = request.into_parts();
    let (route, host) = match connection.front.find(&parts, connection.sni.as_ref()) {
        Ok(found) => found,
        Err(reason) => {
            tracing::debug!(target: TARGET, listener = %connection.listener, client = %connection.from, ?reason, "no route");
            return answer::lost(reason);
        }
    };
    let upgrade = fields::wanted_upgrade(&parts.headers).is_some();
    let scheme = if connection.sni.is_some() { "https" } else { "http" };
    let baggage = connection.baggage.as_deref();
    let known = Known { from: connection.address(), scheme, host: &host, baggage };
    fields::of_request(&mut parts.headers, known);
    // RFC 9112 3.2.1: the workload is asked for a path.
    parts.uri =
        Uri::from(parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let (mut sender, far) = match open(connection, route).await {
        Ok(opened) => opened,
        Err(error) => return answer::closed(&error),
    };
    let asking = sender.send_request(Request::from_parts(parts, content));
    let answered = match connection.limits.idle {
        Some(limit) => timeout(limit, asking).await,
        None => Ok(asking.await),
    };
    match answered {
        Ok(Ok(response)) => pass_on(shared, response, far, upgrade),
        Ok(Err(_)) => answer::broken(),
        Err(_) => answer::too_late(),
    }
}

/// Makes the workload's response the client's.
fn pass_on(
    shared: &Shared,
    response: Response<Incoming>,
    mut far: oneshot::Receiver<Far>,
    upgrade: bool,
) -> Response<Content> {
    let (mut parts, content) = response.into_parts();
    let turns = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    if turns && !upgrade {
        // Nobody has asked for it.
        return answer::broken();
    }
    fields::of_response(&mut parts.headers, turns);
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    if turns {
        *shared.turned.lock() = Some(far);
        return Response::from_parts(parts, answer::nothing());
    }
    far.close();
    if let Ok(far) = far.try_recv() {
        tokio::spawn(far.finish());
    }
    Response::from_parts(parts, Either::Left(content))
}

/// Opens a tunnel to the workload, with HTTP/1.1 on it and a task that drives it.
async fn open(
    connection: &Connection,
    route: &WebRoute,
) -> Result<(http1::SendRequest<Incoming>, oneshot::Receiver<Far>), TunnelError> {
    let destination = route.destination.to_string();
    let (listener, from) = (&connection.listener, connection.from);
    let mut record = Record::start(Side::Outbound, listener, from, destination.as_bytes());
    record.source(connection.opener.identity.id());
    let mut live = connection.drain.enter();
    let opened = connection.opener.open(&route.way, &route.destination, &told(connection)).await;
    let Passage { end, status, peer, lease } = match opened {
        Ok(passage) => passage,
        Err(error) => {
            if let TunnelError::Rejected { status, .. } = &error {
                record.status(*status);
            }
            record.failed(&error);
            return Err(error);
        }
    };
    record.status(status);
    if let Some(peer) = &peer {
        record.peer(peer);
    }
    live.stands();
    let wire = Wire::new(end.into_leg());
    let silence = (wire.silence(), connection.limits.idle);
    let handshake = http1::handshake(TokioIo::new(wire)).await;
    let Ok((sender, http)) = handshake else { return Err(TunnelError::ClientGone) };
    let (give, far) = oneshot::channel();
    let drain = connection.drain.clone();
    tokio::spawn(drive(http, give, (record, lease, live), silence, drain));
    Ok((sender, far))
}

fn told(connection: &Connection) -> Vec<(&'static str, String)> {
    let mut told = Vec::new();
    if let Some(address) = connection.address() {
        told.push((FORWARDED, forwarded::write(address)));
    }
    if let Some(baggage) = &connection.baggage {
        told.push((BAGGAGE, baggage.clone()));
    }
    told
}

/// Carries one exchange, and ends the tunnel, unless the client's side takes it for another protocol.
async fn drive(
    mut http: http1::Connection<TokioIo<Wire>, Incoming>,
    give: oneshot::Sender<Far>,
    (record, lease, live): (Record, Option<Lease>, Live),
    (silence, limit): (Silence, Option<Duration>),
    drain: Drain,
) {
    let ended = tokio::select! {
        ended = poll_fn(|cx| http.poll_without_shutdown(cx)) => ended.map_err(|_| Break::Http),
        () = drain.expired() => Err(Break::Drained),
        limit = silence.lasts(limit) => Err(Break::Idle(limit)),
    };
    let parts = http.into_parts();
    let (wire, read) = (parts.io.into_inner(), parts.read_buf);
    match ended {
        Ok(()) => {
            let far = Far { wire, read, record, lease, live };
            if let Err(far) = give.send(far) {
                far.finish().await;
            }
        }
        Err(broken) => record.ended(&relayed(&wire, Some(broken))),
    }
}

impl Far {
    /// Ends the tunnel in peace.
    async fn finish(mut self) {
        let relayed = relayed(&self.wire, None);
        self.wire.finish().await;
        self.live.finished();
        self.record.ended(&relayed);
    }
}

fn relayed(wire: &Wire, broken: Option<Break>) -> Relayed {
    let finished = broken.is_none();
    let (up, down) =
        (Direction { octets: wire.written, finished }, Direction { octets: wire.read, finished });
    Relayed { up, down, broken }
}

const TARGET: &str = "hbone::web";
