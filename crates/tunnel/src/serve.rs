//! One stream of a caller: judged, dialled, answered and relayed.
//!
//! Called by the inbound side, in a task for each stream. While the destination is dialled, a reset of the
//! caller ends the dial at once; a change of policy is heard for as long as the tunnel stands.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use hbone_conn::{Request, Response, Stream, StreamError};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::authority::Authority;
use crate::dial::{DialError, Means, dial};
use crate::drain::{Drain, Live};
use crate::identity::SpiffeId;
use crate::inbound_config::{InboundConfig, Snapshot};
use crate::join::{End, join};
use crate::observe::{Record, Side};
use crate::outcome::{Break, RelayLimits};
use crate::policy::{Access, Decision, Denial};
use crate::reason::Reason;
use crate::reject::Rejection;
use crate::sockets;

/// A stream, who opened it, and what it is served with.
pub(crate) struct Caller<P> {
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) source: Arc<SpiffeId>,
    pub(crate) from: SocketAddr,
    pub(crate) drain: Drain,
    pub(crate) request: Request,
    pub(crate) stream: Stream,
    /// What the tunnel holds for as long as it lives.
    pub(crate) place: P,
}

/// A tunnel that stands.
struct Standing<P> {
    far: End,
    stream: Stream,
    limits: RelayLimits,
    watch: Watch,
    record: Record,
    live: Live,
    _place: P,
}

/// What may end a tunnel that stands.
struct Watch {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    source: Arc<SpiffeId>,
    drain: Drain,
    authority: Authority,
    address: SocketAddr,
}

/// Why a stream was not served.
enum Failed {
    /// It is answered with a status.
    Rejected(Rejection),
    /// It went away first.
    Gone(StreamError),
    /// The time for finishing is over.
    Drained,
}

impl<P> Caller<P> {
    /// Serves the stream to its end. Boxed while it runs: a task keeps a second place for what it is given.
    pub(crate) async fn serve(self: Box<Self>) {
        // Boxed too: a tunnel is smaller without the ways to it.
        let Some(mut standing) = Box::pin(self.begin()).await else { return };
        let stop = pin!(standing.watch.stop());
        let near = End::Stream(standing.stream);
        let relayed = join(near, standing.far, Bytes::new(), standing.limits, stop).await;
        if relayed.broken.is_none() {
            standing.live.finished();
        }
        standing.record.ended(&relayed);
    }

    /// Judges, dials and answers; a failure is recorded.
    async fn begin(self: Box<Self>) -> Option<Box<Standing<P>>> {
        let Self { mut snapshots, source, from, drain, request, mut stream, place } = *self;
        let mut live = drain.enter();
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let config = &snapshot.config;
        let asked = request.authority().unwrap_or_default();
        let mut record = Record::start(Side::Inbound, &config.name, from, asked);
        record.source(&source);
        let dialled = tokio::select! {
            dialled = reach(&source, &request, config) => dialled.map_err(Failed::Rejected),
            error = stream.reset_by_peer() => Err(Failed::Gone(error)),
            () = drain.expired() => Err(Failed::Drained),
        };
        let (tcp, authority, address) = match dialled {
            Ok(dialled) => dialled,
            Err(Failed::Rejected(rejection)) => {
                let status = rejection.status(config.istio_status);
                record.status(status);
                let mut response = Response::new(status);
                if let Some(reason) = rejection.reason() {
                    response.push(Reason::FIELD, &reason.value());
                }
                // A caller that is gone by now needs no answer.
                let _ = stream.respond_and_finish(response);
                record.failed(&rejection);
                return None;
            }
            Err(Failed::Gone(error)) => {
                record.failed(&error);
                return None;
            }
            Err(Failed::Drained) => {
                record.failed(&Break::Drained);
                return None;
            }
        };
        let mut response = Response::new(200);
        if let Some(baggage) = &config.baggage {
            response.push("baggage", baggage);
        }
        if let Err(error) = stream.respond(response) {
            sockets::reset(tcp);
            record.failed(&error);
            return None;
        }
        live.stands();
        record.status(200);
        sockets::limit_unacknowledged(&tcp, config.unacknowledged);
        let limits = config.relay;
        let watch = Watch { snapshots, source, drain, authority, address };
        Some(Box::new(Standing { far: End::Tcp(tcp), stream, limits, watch, record, live, _place: place }))
    }
}

/// Dials what is asked for, if the caller may have it.
async fn reach(
    source: &SpiffeId,
    request: &Request,
    config: &InboundConfig,
) -> Result<(TcpStream, Authority, SocketAddr), Rejection> {
    if !request.is_connect() {
        return Err(Rejection::NotConnect);
    }
    let authority = request.authority().unwrap_or_default();
    let authority = Authority::from_octets(authority).map_err(Rejection::Authority)?;
    // A name that nobody may reach is not even resolved.
    judge(source, config, &authority, None).map_err(Rejection::Denied)?;
    let permit = |ip: IpAddr| judge(source, config, &authority, Some(ip));
    let (resolver, asker, limit) = (&*config.resolver, source.as_str(), config.dial_timeout);
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
    Ok((tcp, authority, address))
}

impl Watch {
    /// Resolves when the tunnel must not go on.
    async fn stop(&mut self) -> Break {
        let Self { snapshots, source, drain, authority, address } = self;
        let revoked = async {
            while snapshots.changed().await.is_ok() {
                let snapshot = Arc::clone(&snapshots.borrow_and_update());
                if judge(source, &snapshot.config, authority, Some(address.ip())).is_err() {
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

/// What the policy of a snapshot says.
fn judge(
    source: &SpiffeId,
    config: &InboundConfig,
    authority: &Authority,
    address: Option<IpAddr>,
) -> Result<(), Denial> {
    let known = address.or_else(|| authority.address().map(|address| address.ip()));
    let own_listener =
        config.own_ports.contains(&authority.port()) && known.is_some_and(sockets::is_this_host);
    let access = Access { source: Some(source), authority, address, own_listener };
    match config.policy.decide(&access) {
        Decision::Allow { .. } => Ok(()),
        Decision::Deny(denial) => Err(denial),
    }
}

fn is_itself(tcp: &TcpStream) -> io::Result<bool> {
    Ok(tcp.local_addr()? == tcp.peer_addr()?)
}
