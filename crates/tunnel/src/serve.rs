//! One stream of a caller: judged, dialled, answered and relayed.
//!
//! Called by the inbound side, in a task for each stream. While the destination is dialled, a reset of the
//! caller ends the dial at once; a change of policy is heard for as long as the tunnel stands.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;

use hbone_conn::{Request, Response, Stream, StreamError};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::authority::Authority;
use crate::dial::{DialError, Means, dial};
use crate::drain::Drain;
use crate::identity::SpiffeId;
use crate::inbound_config::{InboundConfig, Snapshot};
use crate::observe::{Record, Side};
use crate::outcome::Break;
use crate::policy::{Access, Decision, Denial};
use crate::reject::Rejection;
use crate::relay::relay;
use crate::sockets;

/// Who opened a stream, and what it is served with.
pub(crate) struct Caller {
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) source: Arc<SpiffeId>,
    pub(crate) from: SocketAddr,
    pub(crate) drain: Drain,
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

impl Caller {
    /// `_place` is what the tunnel holds for as long as it lives.
    pub(crate) async fn serve<P>(mut self: Box<Self>, request: Request, mut stream: Stream, _place: P) {
        let mut live = self.drain.enter();
        let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
        let config = &snapshot.config;
        let asked = request.authority().unwrap_or_default();
        let mut record = Record::start(Side::Inbound, &config.name, self.from, asked);
        record.source(&self.source);
        // Boxed: a tunnel is smaller without the ways to it.
        let dialling = Box::pin(async {
            tokio::select! {
                dialled = self.dial(&request, config) => dialled.map_err(Failed::Rejected),
                error = stream.reset_by_peer() => Err(Failed::Gone(error)),
                () = self.drain.expired() => Err(Failed::Drained),
            }
        });
        let dialled = dialling.await;
        drop(request);
        let (tcp, authority, address) = match dialled {
            Ok(dialled) => dialled,
            Err(Failed::Rejected(rejection)) => {
                let status = rejection.status(config.istio_status);
                record.status(status);
                // A caller that is gone by now needs no answer.
                let _ = stream.respond_and_finish(Response::new(status));
                return record.failed(&rejection);
            }
            Err(Failed::Gone(error)) => return record.failed(&error),
            Err(Failed::Drained) => return record.failed(&Break::Drained),
        };
        let mut response = Response::new(200);
        if let Some(baggage) = &config.baggage {
            response.push("baggage", baggage);
        }
        if let Err(error) = stream.respond(response) {
            sockets::reset(tcp);
            return record.failed(&error);
        }
        live.stands();
        record.status(200);
        sockets::limit_unacknowledged(&tcp, config.unacknowledged);
        let limits = config.relay;
        let stop = pin!(self.stop(&authority, address));
        let relayed = relay(tcp, stream, limits, stop).await;
        if relayed.broken.is_none() {
            live.finished();
        }
        record.ended(&relayed);
    }

    async fn dial(
        &self,
        request: &Request,
        config: &InboundConfig,
    ) -> Result<(TcpStream, Authority, SocketAddr), Rejection> {
        if !request.is_connect() {
            return Err(Rejection::NotConnect);
        }
        let authority = request.authority().unwrap_or_default();
        let authority = Authority::from_octets(authority).map_err(Rejection::Authority)?;
        // A name that nobody may reach is not even resolved.
        self.judge(config, &authority, None).map_err(Rejection::Denied)?;
        let permit = |ip: IpAddr| self.judge(config, &authority, Some(ip));
        let (resolver, asker, limit) = (&*config.resolver, self.source.as_str(), config.dial_timeout);
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

    fn judge(
        &self,
        config: &InboundConfig,
        authority: &Authority,
        address: Option<IpAddr>,
    ) -> Result<(), Denial> {
        let known = address.or_else(|| authority.address().map(|address| address.ip()));
        let own_listener =
            config.own_ports.contains(&authority.port()) && known.is_some_and(sockets::is_this_host);
        let access = Access { source: Some(&self.source), authority, address, own_listener };
        match config.policy.decide(&access) {
            Decision::Allow { .. } => Ok(()),
            Decision::Deny(denial) => Err(denial),
        }
    }

    /// Resolves when the tunnel must not go on.
    async fn stop(&mut self, authority: &Authority, address: SocketAddr) -> Break {
        let mut snapshots = self.snapshots.clone();
        let revoked = async {
            while snapshots.changed().await.is_ok() {
                let snapshot = Arc::clone(&snapshots.borrow_and_update());
                if self.judge(&snapshot.config, authority, Some(address.ip())).is_err() {
                    return;
                }
            }
            // The listener's side is gone, and with it all changes.
            std::future::pending().await
        };
        tokio::select! {
            () = revoked => Break::Revoked,
            () = self.drain.expired() => Break::Drained,
        }
    }
}

fn is_itself(tcp: &TcpStream) -> io::Result<bool> {
    Ok(tcp.local_addr()? == tcp.peer_addr()?)
}
