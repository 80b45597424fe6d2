//! One request: its route, its tunnel, its answer.
//!
//! Called by client.rs for each request of a connection. The tunnel has a task of its own, as octets of a response may
//! still be on their way when the next request waits. One record for each tunnel.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::answer::{self, Content};
use super::client::Connection;
use super::content::Watched;
use super::fields::{self, Known};
use super::table::WebRoute;
use crate::drain::{Drain, Live};
use crate::error::TunnelError;
use crate::metadata::{BAGGAGE, FORWARDED, forwarded};
use crate::observe::{Record, Side};
use crate::open::Passage;
use crate::outcome::{Break, Direction, Relayed};
use crate::pool::Lease;
use crate::wire::{Moves, Watch, Wire};

/// What the requests of a connection share.
pub(super) struct Shared {
    pub(super) connection: Connection,
    /// What moves on the client's side.
    near: Arc<Moves>,
    /// Requests so far.
    pub(super) requests: AtomicUsize,
    /// The far end of the request that turned into another protocol.
    pub(super) turned: Mutex<Option<oneshot::Receiver<Far>>>,
}

/// What became of a content that is not cut.
pub(super) enum Fate {
    /// It was taken to its end.
    Whole,
    /// There is none: another protocol begins, and who speaks it wants the far end.
    Turned(oneshot::Sender<Far>),
}

/// What an exchange and the task of its tunnel tell each other. Who goes without a word has broken off.
struct Asking {
    /// What becomes of the content of the request.
    asked: oneshot::Sender<Fate>,
    /// And of the response.
    answered: oneshot::Sender<Fate>,
    broken: oneshot::Receiver<Break>,
}

/// The task's end of it.
struct Hearing {
    asked: oneshot::Receiver<Fate>,
    answered: oneshot::Receiver<Fate>,
    broken: oneshot::Sender<Break>,
}

fn pair() -> (Asking, Hearing) {
    let ((asked, hears_asked), (answered, hears_answered)) = (oneshot::channel(), oneshot::channel());
    let (breaks, broken) = oneshot::channel();
    let asking = Asking { asked, answered, broken };
    (asking, Hearing { asked: hears_asked, answered: hears_answered, broken: breaks })
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
    pub(super) fn new(connection: Connection, near: Arc<Moves>) -> Self {
        Self { connection, near, requests: AtomicUsize::new(0), turned: Mutex::new(None) }
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
    let (mut sender, Asking { asked, answered, broken }) = match open(shared, route).await {
        Ok(opened) => opened,
        Err(error) => return answer::closed(&error),
    };
    let content = Watched::new(content, asked);
    if let Ok(response) = sender.send_request(Request::from_parts(parts, content)).await {
        return pass_on(shared, response, answered, upgrade);
    }
    drop((sender, answered));
    match broken.await {
        Ok(Break::Idle(_)) => answer::too_late(),
        Ok(_) | Err(_) => answer::broken(),
    }
}

/// Makes the workload's response the client's.
fn pass_on(
    shared: &Shared,
    response: Response<Incoming>,
    answered: oneshot::Sender<Fate>,
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
        let (give, far) = oneshot::channel();
        *shared.turned.lock() = Some(far);
        // A task that has gone by now gives nothing, which is a cut.
        let _ = answered.send(Fate::Turned(give));
        return Response::from_parts(parts, answer::nothing());
    }
    Response::from_parts(parts, Either::Left(Watched::new(content, answered)))
}

/// Opens a tunnel to the workload, with HTTP/1.1 on it and a task that drives it.
async fn open(
    shared: &Shared,
    route: &WebRoute,
) -> Result<(http1::SendRequest<Watched>, Asking), TunnelError> {
    let connection = &shared.connection;
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
    record.stands(status);
    if let Some(peer) = &peer {
        record.peer(peer);
    }
    live.stands();
    let wire = Wire::new(end.into_leg());
    let stop = stopped(wire.watch(connection.limits).towards(&shared.near), connection.drain.clone());
    let handshake = http1::handshake(TokioIo::new(wire)).await;
    let Ok((sender, http)) = handshake else { return Err(TunnelError::ClientGone) };
    let (asking, hearing) = pair();
    tokio::spawn(drive(http, hearing, (record, lease, live), stop));
    Ok((sender, asking))
}

/// Why it must not go on, once it must not.
async fn stopped(mut watch: Watch, drain: Drain) -> Break {
    tokio::select! {
        broken = poll_fn(|cx| watch.poll_silent(cx)) => broken,
        () = drain.expired() => Break::Drained,
    }
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

/// Carries one exchange, and ends the tunnel, unless the client's side takes it for another protocol. It ends in peace
/// only when both contents were taken to their ends.
async fn drive(
    mut http: http1::Connection<TokioIo<Wire>, Watched>,
    mut hearing: Hearing,
    (record, lease, live): (Record, Option<Lease>, Live),
    stop: impl Future<Output = Break>,
) {
    let mut stop = pin!(stop);
    let ended = tokio::select! {
        biased;
        ended = poll_fn(|cx| http.poll_without_shutdown(cx)) => ended.map_err(|_| Break::Http),
        broken = &mut stop => Err(broken),
    };
    let parts = http.into_parts();
    let far = Far { wire: parts.io.into_inner(), read: parts.read_buf, record, lease, live };
    let fate = match ended {
        // What of the request was not taken by now will never be.
        Ok(()) if hearing.asked.try_recv().is_err() => Err(Break::Http),
        // The client's side may still have to take the rest of the response.
        Ok(()) => tokio::select! {
            biased;
            fate = &mut hearing.answered => fate.map_err(|_| Break::Http),
            broken = &mut stop => Err(broken),
        },
        Err(broken) => Err(broken),
    };
    match fate {
        Ok(Fate::Whole) => far.finish().await,
        Ok(Fate::Turned(give)) => {
            if let Err(far) = give.send(far) {
                far.cut(Break::Http);
            }
        }
        Err(broken) => {
            far.cut(broken.clone());
            // Told to a request that waits for its answer.
            let _ = hearing.broken.send(broken);
        }
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

    /// Ends it as a reset.
    pub(super) fn cut(self, broken: Break) {
        self.record.ended(&relayed(&self.wire, Some(broken)));
    }
}

fn relayed(wire: &Wire, broken: Option<Break>) -> Relayed {
    let finished = broken.is_none();
    let (read, written) = wire.octets();
    let (up, down) = (Direction { octets: written, finished }, Direction { octets: read, finished });
    Relayed { up, down, broken }
}

const TARGET: &str = "hbone::web";
