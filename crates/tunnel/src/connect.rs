//! A connection to a far node, step by step: name, TCP, TLS with both certificates, SETTINGS.
//!
//! Called by the pool for tunnels and by [`probe`] for people. Every step has its time limit and its own
//! error. Opens no streams.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hbone_conn::{
    Config, ConnectionError, Driver, Handle, Request, Side, Timeout, Tls, TlsError, Wire, establish,
};
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, ClientConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::ask::ask;
use crate::authority::Authority;
use crate::dial::{DialError, Means, addresses, any};
use crate::error::TunnelError;
use crate::identity::{SpiffeId, leaf_identity};
use crate::resolver::Resolve;
use crate::route::Peer;
use crate::sockets;
use crate::tls::{Identity, validity};
use crate::verify::PeerFault;
use crate::watched::{Verdict, Watched};

/// How far nodes are reached.
#[derive(Clone, Debug)]
pub struct ConnectConfig {
    /// For resolving and all attempts of TCP together.
    pub dial_timeout: Duration,
    /// For TLS, and again for the peer's SETTINGS.
    pub handshake_timeout: Duration,
    /// What turns names into addresses.
    pub resolver: Arc<dyn Resolve>,
    /// Settings of HTTP/2.
    pub connection: Config,
}

/// A step that has succeeded on the way to a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// TCP stands.
    Connected {
        /// The address that answered.
        address: SocketAddr,
    },
    /// TLS stands, and both certificates were accepted.
    Secured {
        /// Who answered.
        peer: SpiffeId,
        /// The cipher suite.
        cipher: Option<CipherSuite>,
    },
    /// The peer's SETTINGS have arrived.
    Settings,
    /// A PING came back.
    Ping {
        /// After that long.
        rtt: Duration,
    },
    /// The destination answered behind the far node.
    Tunnel,
}

/// A connection whose driver is not running yet.
pub(crate) struct Secured<T> {
    pub(crate) handle: Handle,
    pub(crate) driver: Driver<Watched<Tls<T>>>,
    pub(crate) peer: SpiffeId,
    /// The last second in which both certificates are valid.
    pub(crate) not_after: SystemTime,
    verdict: Verdict,
}

/// TLS that stands, and nothing said inside it.
pub(crate) struct Shaken<T> {
    pub(crate) tls: Tls<T>,
    pub(crate) peer: SpiffeId,
    /// The last second in which both certificates are valid.
    pub(crate) not_after: SystemTime,
    pub(crate) address: SocketAddr,
}

/// Walks the steps up to TLS, as the client of HTTP/2.
pub(crate) async fn secure(
    identity: &Identity,
    peer: &Peer,
    config: &ConnectConfig,
    progress: impl FnMut(Step),
) -> Result<Secured<TcpStream>, TunnelError> {
    let client = identity.client_config(&peer.expected)?;
    Ok(Secured::over(shake(identity, peer, config, client, None, progress).await?, config))
}

/// The same over what leads to a node, such as a tunnel of another one.
pub(crate) async fn secure_over<T>(
    io: T,
    identity: &Identity,
    peer: &Peer,
    config: &ConnectConfig,
) -> Result<Secured<T>, TunnelError>
where
    T: AsyncRead + AsyncWrite + Unpin,
    Tls<T>: Wire,
{
    let client = identity.client_config(&peer.expected)?;
    // An address is not sent, and identities are judged without it.
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let name = ServerName::IpAddress(nowhere.ip().into());
    let shaken = shake_over((io, nowhere), identity, peer, config, (client, name), |_| ()).await?;
    Ok(Secured::over(shaken, config))
}

/// Walks the steps up to TLS, whatever is spoken inside. `name` is asked for if `client` sends one (SNI).
pub(crate) async fn shake(
    identity: &Identity,
    peer: &Peer,
    config: &ConnectConfig,
    client: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
    mut progress: impl FnMut(Step),
) -> Result<Shaken<TcpStream>, TunnelError> {
    let (at, limit) = (&peer.address, config.dial_timeout);
    // What this node dials for itself is a share of its own. TLS tells a cut from an end: no guard.
    let means = Means { resolver: &*config.resolver, asker: "", limit, guarded: false };
    let failed = |error| dial_error(error, at, limit);
    let mut left = addresses(peer.addresses(), means).await.map_err(failed)?;
    loop {
        let dialled = any(left.clone(), means.guarded, Instant::now() + limit).await;
        let (tcp, address) = dialled.map_err(failed)?;
        sockets::expect_answers(&tcp, &config.connection);
        progress(Step::Connected { address });
        let name = name.clone().unwrap_or_else(|| ServerName::IpAddress(address.ip().into()));
        let with = (Arc::clone(&client), name);
        let shaken = shake_over((tcp, address), identity, peer, config, with, &mut progress).await;
        left.retain(|it| *it != address);
        // Who answers there is no such node: perhaps at another of its addresses.
        if shaken.is_ok() || left.is_empty() {
            return shaken;
        }
    }
}

async fn shake_over<T: AsyncRead + AsyncWrite + Unpin>(
    (io, address): (T, SocketAddr),
    identity: &Identity,
    peer: &Peer,
    config: &ConnectConfig,
    (client, name): (Arc<ClientConfig>, ServerName<'static>),
    mut progress: impl FnMut(Step),
) -> Result<Shaken<T>, TunnelError> {
    let at = &peer.address;
    let shaking = Tls::connect(io, client, name);
    let tls = timeout(config.handshake_timeout, shaking)
        .await
        .map_err(|_| TunnelError::HandshakeTimeout { peer: at.clone(), after: config.handshake_timeout })?
        .map_err(|error| tls_error(error, at))?;
    let leaf = tls.peer_certificates().and_then(|chain| chain.first());
    // The verifier has seen to it that there is one.
    let missing = || TunnelError::NotTls { peer: at.clone() };
    let who = leaf.and_then(|leaf| leaf_identity(leaf).ok()).ok_or_else(missing)?;
    let theirs = leaf.and_then(|leaf| validity(leaf)).map(|(_, not_after)| not_after);
    let not_after = identity.not_after().min(theirs.unwrap_or_else(|| identity.not_after()));
    progress(Step::Secured { peer: who.clone(), cipher: tls.cipher_suite() });
    Ok(Shaken { tls, peer: who, not_after, address })
}

impl<T> Secured<T>
where
    Tls<T>: Wire,
{
    fn over(shaken: Shaken<T>, config: &ConnectConfig) -> Self {
        let Shaken { tls, peer, not_after, .. } = shaken;
        let (wire, verdict) = Watched::new(tls);
        // The far node opens no streams towards us: `Incoming` goes at once.
        let (handle, _, driver) = establish(Side::Client, wire, config.connection.clone());
        Self { handle, driver, peer, not_after, verdict }
    }

    /// What to wait with for the peer's SETTINGS once the driver runs. A server judges our certificate after
    /// our handshake is done, so its refusal comes here.
    pub(crate) fn settings(&self, at: &Authority, limit: Duration) -> Settings {
        Settings::new(&self.handle, self.verdict.clone(), at, limit)
    }
}

/// The wait for the peer's SETTINGS.
pub(crate) struct Settings {
    handle: Handle,
    verdict: Verdict,
    at: Authority,
    limit: Duration,
}

impl Settings {
    pub(crate) fn new(handle: &Handle, verdict: Verdict, at: &Authority, limit: Duration) -> Self {
        Self { handle: handle.clone(), verdict, at: at.clone(), limit }
    }

    pub(crate) async fn arrive(self) -> Result<(), TunnelError> {
        let late = || TunnelError::HandshakeTimeout { peer: self.at.clone(), after: self.limit };
        match timeout(self.limit, self.handle.ready()).await {
            Ok(Ok(())) => Ok(()),
            Err(_) | Ok(Err(ConnectionError::Timeout(Timeout::Handshake))) => Err(late()),
            Ok(Err(error)) => Err(match self.verdict.get() {
                Some(tls) => rustls_error(tls, &self.at),
                None if matches!(error, ConnectionError::Eof | ConnectionError::Io(_)) => {
                    TunnelError::HandshakeClosed { peer: self.at.clone() }
                }
                None => TunnelError::Connection { peer: self.at.clone(), error },
            }),
        }
    }
}

/// Walks all steps towards a far node, and through it to `destination` if one is given, telling each success;
/// then lets go of the connection. For people who ask where a tunnel stops.
///
/// # Errors
/// What stopped it.
pub async fn probe(
    identity: &Identity,
    peer: &Peer,
    destination: Option<&Authority>,
    config: &ConnectConfig,
    mut progress: impl FnMut(Step),
) -> Result<(), TunnelError> {
    let secured = secure(identity, peer, config, &mut progress).await?;
    let settings = secured.settings(&peer.address, config.handshake_timeout);
    let Secured { handle, driver, .. } = secured;
    let driver = tokio::spawn(driver);
    settings.arrive().await?;
    progress(Step::Settings);
    let at = &peer.address;
    let rtt = handle.ping().await;
    progress(Step::Ping { rtt: rtt.map_err(|error| TunnelError::Connection { peer: at.clone(), error })? });
    if let Some(destination) = destination {
        let request = Request::connect(&destination.to_string());
        ask(&handle, request, at, destination).await?;
        progress(Step::Tunnel);
    }
    handle.drain(Duration::ZERO);
    // How it ends does not matter any more.
    let _ = timeout(FAREWELL, driver).await;
    Ok(())
}

pub(crate) fn dial_error(error: DialError<Infallible>, peer: &Authority, after: Duration) -> TunnelError {
    let peer = peer.clone();
    match error {
        DialError::Unresolvable => TunnelError::Unresolvable { peer },
        DialError::Refused(never) => match never {},
        DialError::Failed { address, error } => TunnelError::Dial { peer, address, cause: error.kind() },
        DialError::Timeout => TunnelError::DialTimeout { peer, after },
        DialError::OutOfSockets => TunnelError::OutOfSockets,
    }
}

pub(crate) fn tls_error(error: TlsError, peer: &Authority) -> TunnelError {
    let peer = peer.clone();
    match error {
        TlsError::Io(_) | TlsError::ClosedDuringHandshake => TunnelError::HandshakeClosed { peer },
        TlsError::NoAlpn | TlsError::WrongAlpn => TunnelError::NotHttp2 { peer },
        TlsError::Plaintext => TunnelError::NotTls { peer },
        TlsError::Tls(error) => rustls_error(error, &peer),
    }
}

fn rustls_error(error: rustls::Error, peer: &Authority) -> TunnelError {
    let peer = peer.clone();
    if let Some(fault) = PeerFault::of(&error) {
        return TunnelError::PeerCertificate { peer, fault };
    }
    if let rustls::Error::AlertReceived(alert) = error {
        return TunnelError::OwnCertificate { peer, alert };
    }
    TunnelError::Tls { peer, error }
}

const FAREWELL: Duration = Duration::from_secs(2);
