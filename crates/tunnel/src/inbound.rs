//! The destination's side: takes mTLS connections, and for each CONNECT asks the policy, dials and relays.
//!
//! Run by the node, one for each listener (port 15008). The order for a stream is: is it a CONNECT, what is
//! asked for, may this caller, does the destination answer; 200 only then. What a caller says about itself in
//! fields (`forwarded`, `baggage`) decides nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hbone_conn::{
    Config, ConnectionError, ErrorCode, Handle, Incoming, Plain, Side, Tls, TlsError, establish,
};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::doorway::{Doorway, Place};
use crate::drain::Drain;
use crate::escape::Escaped;
use crate::expiry;
use crate::front::{FrontError, preamble};
use crate::hush::Hush;
use crate::identity::{SpiffeId, leaf_identity};
use crate::inbound_config::{InboundConfig, InboundLimits, Prepared, Snapshot};
use crate::judge::Who;
use crate::listener::Listener;
use crate::network::{Network, canonical};
use crate::pool::{Pool, PoolConfig};
use crate::proxy_header::HeaderFault;
use crate::reverse::gateway::Dialled;
use crate::serve::Caller;
use crate::share::{Held, Holder, Seat, Shares};
use crate::sockets;
use crate::tls::{H2R, IdentityError, validity};
use crate::verify::PeerFault;

/// The inbound side of one listener. Clones are the same.
#[derive(Clone, Debug)]
pub struct Inbound {
    snapshot: Arc<watch::Sender<Arc<Snapshot>>>,
    limits: InboundLimits,
    doorway: Doorway,
    connections: Arc<Semaphore>,
    tunnels: Arc<Semaphore>,
    /// What each caller holds of the two.
    held: [Shares; 2],
    hush: Arc<Hush>,
}

impl Inbound {
    /// A listener's side.
    ///
    /// # Errors
    /// When the identity cannot be used for TLS.
    pub fn new(config: InboundConfig, limits: InboundLimits) -> Result<Self, IdentityError> {
        let (snapshot, _) = watch::channel(Snapshot::new(config)?);
        let permits = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Ok(Self {
            snapshot: Arc::new(snapshot),
            limits,
            doorway: Doorway::new(limits.unauthenticated.min(sockets::descriptors() / 4)),
            connections: permits(limits.connections),
            tunnels: permits(limits.tunnels),
            held: Default::default(),
            hush: Arc::default(),
        })
    }

    /// New handshakes and new tunnels follow this configuration at once. Tunnels that stand are asked about
    /// again: those that its policy does not allow are reset.
    ///
    /// # Errors
    /// When the identity cannot be used for TLS; the old configuration stays.
    pub fn replace(&self, config: InboundConfig) -> Result<(), IdentityError> {
        self.adopt(Prepared::new(config)?);
        Ok(())
    }

    /// The same, with what cannot fail any more: for several sides that change together or not at all.
    pub fn adopt(&self, prepared: Prepared) {
        self.snapshot.send_replace(prepared.0);
    }

    /// Takes connections until the drain starts, then says GOAWAY on all and waits until they have ended,
    /// which the drain's deadline enforces.
    pub async fn serve(&self, listener: Listener, drain: Drain) {
        self.serve_through(listener, Pool::new(PoolConfig::default()), drain).await;
    }

    /// The same, with connections of that pool to the nodes through which routes lead.
    pub async fn serve_through(&self, mut listener: Listener, pool: Pool, drain: Drain) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                (tcp, from, seat) = listener.accept(|| self.doorway.turn_out()) => {
                    let place = self.doorway.enter();
                    let (inbound, pool, drain) = (self.clone(), pool.clone(), drain.clone());
                    connections.spawn(async move {
                        inbound.connection((tcp, from), place, pool, drain).await;
                        drop(seat);
                    });
                }
                Some(_) = connections.join_next() => {}
                more = self.hush.summary() => self.tell_more(more),
                _ = drain.started() => break,
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
        if let Some(more) = self.hush.take() {
            self.tell_more(more);
        }
    }

    async fn connection(
        self,
        (tcp, from): (TcpStream, SocketAddr),
        mut place: Place,
        pool: Pool,
        drain: Drain,
    ) {
        let snapshot = Arc::clone(&self.snapshot.borrow());
        sockets::expect_answers(&tcp, &snapshot.config.connection);
        if snapshot.config.trusted.is_some() {
            drop(place);
            return self.in_the_clear((tcp, from), &snapshot.config, pool, &drain).await;
        }
        let limit = snapshot.config.handshake_timeout;
        let shaking = async {
            let mut tcp = tcp;
            let from = introduced(&mut tcp, from, &snapshot.config.proxies).await?;
            Ok((shake_hands(tcp, Arc::clone(&snapshot.tls)).await?, from))
        };
        let shaken = tokio::select! {
            shaken = timeout(limit, shaking) => shaken.unwrap_or(Err(Unwelcome::Timeout(limit))),
            () = place.lost() => Err(Unwelcome::Crowded),
            _ = drain.started() => return,
        };
        drop(place);
        let admitted = shaken.and_then(|(shaken, from)| {
            let holder = Holder::Identity(Arc::clone(&shaken.source));
            let slots = self.admit(&snapshot.config, &holder)?;
            Ok((shaken, from, slots))
        });
        let (Shaken { tls, source, not_after }, from, slots) = match admitted {
            Ok(admitted) => admitted,
            Err(reason) => return self.turn_away(&snapshot.config.name, from, &reason),
        };
        if let (Some(H2R), Some(reception)) = (tls.alpn(), &snapshot.config.reverse) {
            let dialled = Dialled { tls, source, from, not_after };
            reception.hold(dialled, &snapshot.config, &drain).await;
        } else {
            tracing::debug!(target: TARGET, source = %source, client = %from, "a node has connected");
            let connection = snapshot.config.connection.clone();
            let name = tls.server_name().map(str::to_owned);
            let server_streams = snapshot.config.reverse.is_some();
            let connection = Config { server_streams, ..connection };
            let (handle, incoming, driver) = establish(Side::Server, tls, connection);
            let who = Who::new(Some(Arc::clone(&source)), from).naming(name.as_deref());
            let met = Met { who, not_after };
            let own = handle.clone();
            let attending = self.attend((handle, incoming, tokio::spawn(driver)), met, pool, &drain);
            match &snapshot.config.reverse {
                None => drop((own, attending.await)),
                Some(reception) => tokio::select! {
                    _ = attending => {}
                    () = reception.share(own, &source, from, snapshot.config.identity.id()) => {}
                },
            }
        }
        drop(slots);
    }

    /// A connection without TLS: its caller is nobody, and comes from a declared network.
    async fn in_the_clear(
        &self,
        (tcp, from): (TcpStream, SocketAddr),
        config: &InboundConfig,
        pool: Pool,
        drain: &Drain,
    ) {
        let admitted = if config.takes(from.ip()) {
            self.admit(config, &Holder::of(None, from.ip()))
        } else {
            Err(Unwelcome::Stranger)
        };
        let slots = match admitted {
            Ok(slots) => slots,
            Err(reason) => {
                sockets::reset(tcp);
                return self.turn_away(&config.name, from, &reason);
            }
        };
        let (handle, incoming, driver) = establish(Side::Server, Plain::new(tcp), config.connection.clone());
        let met = Met { who: Who::new(None, from), not_after: config.identity.not_after() };
        self.attend((handle, incoming, tokio::spawn(driver)), met, pool, drain).await;
        drop(slots);
    }

    /// Serves a connection to its end, and says why it ended unless it was cut.
    pub(crate) async fn attend(
        &self,
        (handle, incoming, mut driver): (Handle, Incoming, JoinHandle<ConnectionError>),
        met: Met,
        pool: Pool,
        drain: &Drain,
    ) -> Option<ConnectionError> {
        let Met { who, not_after } = met;
        let from = who.from;
        let own_end = self.snapshot.borrow().config.identity.not_after();
        let say_goodbye = async {
            handle.drain(drain.started().await);
            // A second, shorter deadline must reach the connection too.
            drain.expired().await;
            handle.drain(Duration::ZERO);
            std::future::pending::<()>().await;
        };
        let expire = async {
            expiry::passed(not_after.min(own_end)).await;
            if !drain.is_draining() {
                tracing::debug!(target: TARGET, client = %from, "a certificate has ended: no new tunnels");
                handle.drain(expiry::GRACE);
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.streams(incoming, &who, &pool, drain) => {}
            () = say_goodbye => {}
            () = expire => {}
        }
        // Its socket must be gone before its slot is free; a peer that keeps it open does not hold up a drain.
        drop(handle);
        let overdue = async {
            drain.expired().await;
            sleep(FAREWELL).await;
        };
        tokio::select! {
            ended = &mut driver => ended.ok(),
            () = overdue => {
                driver.abort();
                None
            }
        }
    }

    /// A place among the connections, within the caller's share.
    fn admit(
        &self,
        config: &InboundConfig,
        holder: &Holder,
    ) -> Result<(Held, OwnedSemaphorePermit), Unwelcome> {
        let share = config.connections_per_identity.unwrap_or_else(|| half(self.limits.connections));
        let held = self.held[0].take(holder, share);
        let held = held.ok_or_else(|| Unwelcome::Greedy(holder.clone(), share))?;
        let slot = Arc::clone(&self.connections).try_acquire_owned().map_err(|_| Unwelcome::Full)?;
        Ok((held, slot))
    }

    fn turn_away(&self, listener: &str, from: SocketAddr, reason: &Unwelcome) {
        let cause = reason.to_string();
        let cause = Escaped::sentence(cause.as_bytes());
        if reason.is_news() && self.hush.may_tell() {
            tracing::warn!(target: TARGET, listener, client = %from, %cause, "no connection");
        } else {
            tracing::debug!(target: TARGET, listener, client = %from, %cause, "no connection");
        }
    }

    fn tell_more(&self, more: u64) {
        let listener = self.snapshot.borrow().config.name.clone();
        tracing::warn!(target: TARGET, %listener, more, "no connection for more callers");
    }

    /// Serves the streams of a connection until it has ended and all of them are done.
    async fn streams(&self, mut incoming: Incoming, who: &Who, pool: &Pool, drain: &Drain) {
        let mut tunnels = JoinSet::new();
        loop {
            tokio::select! {
                next = incoming.accept() => {
                    let Some((request, mut stream)) = next else { break };
                    // Its network may have been taken out since it has connected.
                    if !self.snapshot.borrow().config.takes(who.from.ip()) {
                        tracing::debug!(target: TARGET, client = %who.from, "its network is trusted no more");
                        stream.reset(ErrorCode::REFUSED_STREAM);
                        continue;
                    }
                    let Some(seat) = self.seat_for(who) else {
                        tracing::debug!(target: TARGET, client = %who.from, "all tunnels are in use");
                        stream.reset(ErrorCode::REFUSED_STREAM);
                        continue;
                    };
                    let caller = Box::new(Caller {
                        snapshots: self.snapshot.subscribe(),
                        who: who.clone(),
                        drain: drain.clone(),
                        pool: pool.clone(),
                        request,
                        stream,
                        seat,
                    });
                    tunnels.spawn(caller.serve());
                }
                Some(_) = tunnels.join_next() => {}
            }
        }
        while tunnels.join_next().await.is_some() {}
    }

    /// A place among the tunnels, within the caller's share.
    fn seat_for(&self, who: &Who) -> Option<Seat> {
        let share = self.snapshot.borrow().config.tunnels_per_identity;
        let share = share.unwrap_or_else(|| half(self.limits.tunnels));
        let held = self.held[1].take(&Holder::of(who.source.as_ref(), who.from.ip()), share)?;
        Some(Seat::new(held, share, Arc::clone(&self.tunnels).try_acquire_owned().ok()?))
    }
}

/// A caller's share where none is set.
fn half(limit: usize) -> usize {
    (limit / 2).max(1)
}

/// Who is at the other end of a connection that is served.
pub(crate) struct Met {
    pub(crate) who: Who,
    /// The last second in which its certificate is valid; without one ours.
    pub(crate) not_after: SystemTime,
}

/// A caller whose handshake is done.
struct Shaken {
    tls: Tls<TcpStream>,
    source: Arc<SpiffeId>,
    /// The last second in which its certificate is valid.
    not_after: SystemTime,
}

/// Who calls: where proxies stand in front, by the header that each connection of theirs begins with.
async fn introduced(
    tcp: &mut TcpStream,
    from: SocketAddr,
    proxies: &[Network],
) -> Result<SocketAddr, Unwelcome> {
    if proxies.is_empty() {
        return Ok(from);
    }
    if !proxies.iter().any(|network| network.contains(canonical(from.ip()))) {
        return Err(Unwelcome::Unannounced(FrontError::Header(HeaderFault::Stranger)));
    }
    let client = preamble::hear(tcp).await.map_err(Unwelcome::Unannounced)?;
    Ok(client.unwrap_or(from))
}

async fn shake_hands(tcp: TcpStream, config: Arc<ServerConfig>) -> Result<Shaken, Unwelcome> {
    let tls = Tls::accept(tcp, config).await.map_err(Unwelcome::Tls)?;
    let leaf = tls.peer_certificates().and_then(|chain| chain.first());
    // The verifier has seen to it that there is one.
    let source = leaf.and_then(|leaf| leaf_identity(leaf).ok()).ok_or(Unwelcome::Nameless)?;
    let (_, not_after) = leaf.and_then(|leaf| validity(leaf)).ok_or(Unwelcome::Nameless)?;
    Ok(Shaken { tls, source: Arc::new(source), not_after })
}

/// Why a connection was not taken.
#[derive(Debug)]
enum Unwelcome {
    /// It needs a header of the PROXY protocol and has none that counts.
    Unannounced(FrontError),
    Tls(TlsError),
    Timeout(Duration),
    Nameless,
    Crowded,
    Full,
    /// Not of a declared network.
    Stranger,
    /// That caller has its share of the connections, which is so large.
    Greedy(Holder, usize),
}

impl Unwelcome {
    /// Whether somebody should look at it. Strangers that knock and run are of every day, and must not be able
    /// to fill a log.
    const fn is_news(&self) -> bool {
        match self {
            Self::Unannounced(_)
            | Self::Tls(TlsError::Tls(_) | TlsError::Plaintext | TlsError::WrongAlpn)
            | Self::Nameless
            | Self::Stranger
            | Self::Full
            | Self::Greedy(..) => true,
            Self::Tls(TlsError::Io(_) | TlsError::NoAlpn | TlsError::ClosedDuringHandshake)
            | Self::Timeout(_)
            | Self::Crowded => false,
        }
    }
}

impl std::fmt::Display for Unwelcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unannounced(error) => error.fmt(f),
            Self::Tls(TlsError::Tls(error)) => match PeerFault::of(error) {
                Some(fault) => write!(f, "the caller is not trusted: {fault}"),
                None => write!(f, "the TLS handshake failed: {error}; check who calls this port"),
            },
            Self::Tls(TlsError::Plaintext) => f.write_str(
                "the caller does not speak TLS, so it is no HBONE node; check who calls this port",
            ),
            Self::Tls(error) => {
                write!(f, "the TLS handshake failed: {error}; check who calls this port")
            }
            Self::Timeout(limit) => write!(f, "no TLS handshake within {limit:?}; check who calls this port"),
            Self::Nameless => {
                f.write_str("the caller has no identity; give it a certificate with a spiffe:// URI")
            }
            Self::Crowded => {
                f.write_str("too many callers are waiting for their handshake; this was the oldest")
            }
            Self::Stranger => f.write_str(
                "`trusted` has no network with the caller's address; add one if its link is trusted",
            ),
            Self::Full => {
                f.write_str("all connections of this listener are in use; raise the limit or find the leak")
            }
            Self::Greedy(holder, share) => write!(
                f,
                "{holder} has all {share} connections that one caller may have; \
                 raise the limit, or check what it does"
            ),
        }
    }
}

const TARGET: &str = "hbone::inbound";
/// For the last frames of a connection after the deadline of a drain.
const FAREWELL: Duration = Duration::from_secs(2);
