//! One stream of a caller: judged, dialled, answered and relayed.
//!
//! Called by the inbound side, in a task for each stream. While the destination is dialled, a reset of the
//! caller ends the dial at once; a change of policy is heard for as long as the tunnel stands.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use hbone_conn::{Request, Stream};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::authority::Authority;
use crate::dial::{DialError, Means, dial};
use crate::drain::{Drain, Live};
use crate::enter::{Entered, Near, Refused, enter};
use crate::front::Origin;
use crate::identity::SpiffeId;
use crate::inbound_config::{InboundConfig, Snapshot};
use crate::join::{End, join};
use crate::judge::Who;
use crate::metadata::Told;
use crate::observe::{Record, Side};
use crate::onward;
use crate::open::{Opener, Passage};
use crate::outcome::{Break, RelayLimits};
use crate::pool::{Lease, Pool};
use crate::post::asking::X_TUN;
use crate::proxy_header::{self, ProxyVersion};
use crate::reject::Rejection;
use crate::share::{Holder, Seat};
use crate::sockets;
use crate::way::Way;

/// A stream, who opened it, and what it is served with.
pub(crate) struct Caller {
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Whoever its connection is.
    pub(crate) who: Who,
    pub(crate) drain: Drain,
    /// To the nodes through which routes lead.
    pub(crate) pool: Pool,
    pub(crate) request: Request,
    pub(crate) stream: Stream,
    /// What the tunnel holds for as long as it lives.
    pub(crate) seat: Seat,
}

/// A tunnel that stands.
struct Standing {
    near: End,
    far: End,
    limits: RelayLimits,
    watch: Watch,
    record: Record,
    live: Live,
    /// On the connection to the next node.
    _lease: Option<Box<Lease>>,
    _seat: Seat,
}

/// What may end a tunnel that stands.
struct Watch {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    who: Who,
    drain: Drain,
    authority: Authority,
    /// That was dialled; of a destination that is reached through another node nobody here knows it.
    address: Option<IpAddr>,
}

/// The far end of a tunnel, before the caller is answered.
struct Found {
    end: End,
    authority: Authority,
    address: Option<IpAddr>,
    peer: Option<SpiffeId>,
    lease: Option<Box<Lease>>,
}

/// Why a stream was not served.
enum Failed {
    /// It is answered with a status.
    Rejected(Rejection),
    /// It went away first.
    Gone(Break),
    /// The time for finishing is over.
    Drained,
    /// It asked for no tunnel, and was answered with that status.
    Served(Option<u16>),
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Rejected(why) => Self::Rejected(why),
            Refused::Served(status) => Self::Served(status),
        }
    }
}

impl Caller {
    /// Serves the stream to its end. Boxed while it runs: a task keeps a second place for what it is given.
    pub(crate) async fn serve(self: Box<Self>) {
        // Boxed too: a tunnel is smaller without the ways to it.
        let Some(mut standing) = Box::pin(self.begin()).await else { return };
        let stop = pin!(standing.watch.stop());
        let relayed = join(standing.near, standing.far, Bytes::new(), standing.limits, stop).await;
        if relayed.broken.is_none() {
            standing.live.finished();
        }
        standing.record.ended(&relayed);
    }

    /// Judges, dials and answers; a failure is recorded.
    async fn begin(self: Box<Self>) -> Option<Box<Standing>> {
        let Self { mut snapshots, who, drain, pool, request, stream, mut seat } = *self;
        let mut live = drain.enter();
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let config = &snapshot.config;
        let asked = asked(&request);
        let mut record = Record::start(Side::Inbound, &config.name, Origin::Address(who.from), asked);
        let entered = tokio::select! {
            entered = enter(&request, stream, who, &snapshot) => entered.map_err(Failed::from),
            () = drain.expired() => Err(Failed::Drained),
        };
        let Entered { mut near, who, authority, inside } = match entered {
            Ok(entered) => entered,
            Err(failed) => return failed.record(record, config),
        };
        if let Some(source) = &who.source {
            record.source(source);
        }
        let told = Words { request: &request, inside };
        record.told(told.by_caller().and_then(Told::of));
        if let Some(source) = who.source.as_ref().filter(|_| inside)
            && let Err(share) = seat.pass_on(Holder::Identity(Arc::clone(source)))
        {
            return refused(near, Rejection::Greedy { share }, record, config);
        }
        let Some(authority) = config.serves.destination(authority) else {
            return refused(near, Rejection::NotServed, record, config);
        };
        record.destination(authority.to_string().as_bytes());
        let found = tokio::select! {
            found = reach(&who, authority, told, config, pool) => found.map_err(Failed::Rejected),
            broken = near.failure() => Err(Failed::Gone(broken)),
            () = drain.expired() => Err(Failed::Drained),
        };
        let Found { end: far, authority, address, peer, lease } = match found {
            Ok(found) => found,
            Err(Failed::Rejected(why)) => return refused(near, why, record, config),
            Err(failed) => return failed.record(record, config),
        };
        let near = match near.granted(config.baggage.as_deref()) {
            Ok(near) => near,
            Err(error) => {
                far.reset();
                return Failed::Gone(Break::Stream(error)).record(record, config);
            }
        };
        live.stands();
        record.stands(200);
        if let Some(peer) = &peer {
            record.peer(peer);
        }
        let limits = config.relay;
        let watch = Watch { snapshots, who, drain, authority, address };
        let (_lease, _seat) = (lease, seat);
        Some(Box::new(Standing { near, far, limits, watch, record, live, _lease, _seat }))
    }
}

/// What a request asks for, before anybody has looked at it.
fn asked(request: &Request) -> &[u8] {
    let inside = if request.method() == b"POST" { request.field(X_TUN) } else { None };
    inside.or(request.authority()).unwrap_or_default()
}

/// Tells a caller that there is no tunnel, and writes it down.
fn refused<T>(near: Near, why: Rejection, record: Record, config: &InboundConfig) -> Option<T> {
    near.refused(&why, config.istio_status);
    Failed::Rejected(why).record(record, config)
}

/// The fields of a request, and whether they are those of the caller.
#[derive(Clone, Copy)]
struct Words<'a> {
    request: &'a Request,
    /// The caller is inside the stream, and the request is of whoever brought it.
    inside: bool,
}

impl<'a> Words<'a> {
    fn by_caller(self) -> Option<&'a Request> {
        (!self.inside).then_some(self.request)
    }
}

impl Failed {
    /// It has been seen to; what is left is to write it down.
    fn record<T>(self, mut record: Record, config: &InboundConfig) -> Option<T> {
        match self {
            Self::Rejected(rejection) => {
                record.status(rejection.status(config.istio_status));
                record.failed(&rejection);
            }
            Self::Gone(broken) => record.failed(&broken),
            Self::Drained => record.failed(&Break::Drained),
            Self::Served(status) => tracing::debug!(target: "hbone::requests", status, "handed over"),
        }
        None
    }
}

/// Finds the way to what is asked for, if the caller may have it: through another node, or from here.
async fn reach(
    who: &Who,
    authority: Authority,
    words: Words<'_>,
    config: &InboundConfig,
    pool: Pool,
) -> Result<Found, Rejection> {
    // A name that nobody may reach is not even resolved.
    let way = config.routes.find(&authority);
    who.admit(config, &authority, None, way.is_some()).map_err(Rejection::Denied)?;
    match way {
        Some(way) => {
            let known = who.source.is_some() && !words.inside;
            onward(way, authority, (words.request, known), config, pool).await
        }
        None => {
            let mut found = here(who, authority, config).await?;
            if let (Some(version), End::Tcp(tcp)) = (config.proxy_protocol, &mut found.end) {
                let client = words.by_caller().and_then(|request| client(request, config));
                let client = client.unwrap_or(who.from);
                introduce(tcp, version, client, who.source.as_deref()).await?;
            }
            secured(found, config).await
        }
    }
}

/// Adds TLS where an egress rule wants it. The PROXY protocol stands before it.
async fn secured(found: Found, config: &InboundConfig) -> Result<Found, Rejection> {
    let Some(rule) = config.egress.find(&found.authority, found.address) else { return Ok(found) };
    let End::Tcp(tcp) = found.end else { return Ok(found) };
    let end = rule.secure(tcp, &found.authority, config.handshake_timeout).await;
    let end = end.map_err(|fault| Rejection::Insecure { destination: found.authority.clone(), fault })?;
    Ok(Found { end, ..found })
}

/// Asks the next node.
async fn onward(
    way: &Way,
    authority: Authority,
    (request, known): (&Request, bool),
    config: &InboundConfig,
    pool: Pool,
) -> Result<Found, Rejection> {
    let told = onward::told(request, known, config.tracing, config.max_hops).map_err(Rejection::Hops)?;
    let (identity, after) = (Arc::clone(&config.identity), config.onward_timeout);
    let opener = Opener { pool, identity, after };
    let Passage { end, peer, lease, .. } =
        opener.open(way, &authority, &told).await.map_err(Rejection::Onward)?;
    let address = authority.address().map(|address| address.ip());
    Ok(Found { end, authority, address, peer, lease: lease.map(Box::new) })
}

/// Dials.
async fn here(who: &Who, authority: Authority, config: &InboundConfig) -> Result<Found, Rejection> {
    let permit = |ip: IpAddr| who.admit(config, &authority, Some(ip), false);
    let asker = who.source.as_ref().map_or("", |source| source.as_str());
    let (resolver, limit) = (&*config.resolver, config.dial_timeout);
    let dialled = dial(&authority, Means { resolver, asker, limit, guarded: true }, permit).await;
    let (tcp, address) = dialled.map_err(|error| match error {
        DialError::Unresolvable => Rejection::Unresolvable { destination: authority.clone() },
        DialError::Refused(denial) => Rejection::Denied(denial),
        DialError::Failed { address, error } => Rejection::Unreachable { address, cause: error.kind() },
        DialError::Timeout => {
            Rejection::DialTimeout { destination: authority.clone(), after: config.dial_timeout }
        }
        DialError::OutOfSockets => Rejection::OutOfSockets,
    })?;
    if is_itself(&tcp).unwrap_or(true) {
        // Dialling a free local port may connect a socket to itself.
        return Err(Rejection::Unreachable { address, cause: io::ErrorKind::ConnectionRefused });
    }
    sockets::limit_unacknowledged(&tcp, config.unacknowledged);
    Ok(Found { end: End::Tcp(tcp), authority, address: Some(address.ip()), peer: None, lease: None })
}

/// Whom a caller names as its client, where that is believed (RFC 7239 4).
fn client(request: &Request, config: &InboundConfig) -> Option<SocketAddr> {
    let said = str::from_utf8(request.field("forwarded").filter(|_| config.trust_forwarded)?).ok()?;
    let mut parts = said.split([',', ';']).map(str::trim);
    parts.find_map(|part| part.strip_prefix("for="))?.trim_matches('"').parse().ok()
}

/// Tells the destination who calls, before anything else.
async fn introduce(
    tcp: &mut TcpStream,
    version: ProxyVersion,
    client: SocketAddr,
    source: Option<&SpiffeId>,
) -> Result<(), Rejection> {
    let address = tcp.peer_addr().map_err(|error| unreachable(client, &error))?;
    let header = proxy_header::write(version, client, address, source);
    // A fresh socket has room for it.
    tcp.write_all(&header).await.map_err(|error| unreachable(address, &error))
}

fn unreachable(address: SocketAddr, error: &io::Error) -> Rejection {
    Rejection::Unreachable { address, cause: error.kind() }
}

impl Watch {
    /// Resolves when the tunnel must not go on.
    async fn stop(&mut self) -> Break {
        let Self { snapshots, who, drain, authority, address } = self;
        let revoked = async {
            while snapshots.changed().await.is_ok() {
                let snapshot = Arc::clone(&snapshots.borrow_and_update());
                let config = &snapshot.config;
                let stays = config.takes(who.from.ip())
                    && who.judge(config, authority, *address, address.is_none()).is_ok();
                if !stays {
                    return;
                }
            }
            // The listener's side is gone, and with it all changes.
            std::future::pending().await
        };
        tokio::select! {
            () = revoked => Break::Revoked,
            () = drain.expired() => Break::Drained,
        }
    }
}

fn is_itself(tcp: &TcpStream) -> io::Result<bool> {
    Ok(tcp.local_addr()? == tcp.peer_addr()?)
}
