//! One connection to a peer and one tunnel in it, each step with its time limit and its own error.
//! Called by command.rs. Keeps no pool: the connection lives as long as the tunnel.

use std::net::SocketAddr;
use std::sync::Arc;

use hbone_conn::{ConnectionError, Request, Side, Stream, Tls, TlsError, establish};
use hbone_tunnel::{Authority, Class, Host, Identity, Peer, PeerFault, TunnelError, probe};
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::Limits;
use crate::exit::{Exit, Failure};
use crate::settings;

/// Where to, through whom, as whom.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) destination: Authority,
    pub(super) peer: Peer,
    pub(super) identity: Arc<Identity>,
    pub(super) baggage: Option<String>,
    pub(super) limits: Limits,
}

/// Opens the tunnel; it stands when this returns.
pub(super) async fn connect(target: &Target) -> Result<(Stream, JoinHandle<ConnectionError>), Failure> {
    let peer = || target.peer.address.clone();
    let after = target.limits.setup_timeout;
    let opened = timeout(after, open(target)).await;
    opened
        .unwrap_or_else(|_| Err(TunnelError::SetupTimeout { peer: peer(), after }))
        .map_err(|error| failure(&error))
}

async fn open(target: &Target) -> Result<(Stream, JoinHandle<ConnectionError>), TunnelError> {
    let (limits, at) = (&target.limits, &target.peer.address);
    let after = limits.dial_timeout;
    let dialled = timeout(after, tcp(at)).await;
    let (tcp, address) =
        dialled.unwrap_or_else(|_| Err(TunnelError::DialTimeout { peer: at.clone(), after }))?;
    let config = target.identity.client_config(&target.peer.expected).map_err(TunnelError::Identity)?;
    // The name is not sent and plays no part: the certificate's identity decides.
    let name = ServerName::IpAddress(address.ip().into());
    let after = limits.handshake_timeout;
    let late = || TunnelError::HandshakeTimeout { peer: at.clone(), after };
    let tls = timeout(after, Tls::connect(tcp, config, name)).await.map_err(|_| late())?;
    let tls = tls.map_err(|error| tls_error(error, at))?;
    let (handle, incoming, driver) = establish(Side::Client, tls, settings::connection(limits));
    drop(incoming);
    let connection = tokio::spawn(driver);
    match timeout(after, handle.ready()).await {
        Err(_) => return Err(late()),
        Ok(Err(_)) => return Err(judged(target).await),
        Ok(Ok(())) => {}
    }
    let mut request = Request::connect(&target.destination.to_string());
    if let Some(baggage) = &target.baggage {
        request.push("baggage", baggage.as_str());
    }
    let opened = handle.open(request).await;
    let mut stream = opened.map_err(|error| TunnelError::Open { peer: at.clone(), error })?;
    let response = stream.response().await;
    let response = response.map_err(|error| TunnelError::Stream { peer: at.clone(), error })?;
    let status = response.status();
    if status == 200 {
        return Ok((stream, connection));
    }
    Err(TunnelError::Rejected { peer: at.clone(), destination: target.destination.clone(), status })
}

/// TLS 1.3: a server judges our certificate after the handshake is done for us, and only a closer look at the
/// connection tells its verdict.
async fn judged(target: &Target) -> TunnelError {
    let config = settings::connect(&target.limits);
    let seen = probe(&target.identity, &target.peer, Some(&target.destination), &config, |_| {}).await;
    let closed = || TunnelError::HandshakeClosed { peer: target.peer.address.clone() };
    seen.err().unwrap_or_else(closed)
}

async fn tcp(peer: &Authority) -> Result<(TcpStream, SocketAddr), TunnelError> {
    let addresses: Vec<SocketAddr> = match peer.host() {
        Host::Address(ip) => vec![(*ip, peer.port()).into()],
        Host::Name(name) => {
            let found = lookup_host((name.as_str(), peer.port())).await;
            found.map(Iterator::collect).unwrap_or_default()
        }
    };
    let mut error = TunnelError::Unresolvable { peer: peer.clone() };
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok((stream, address));
            }
            Err(cause) => error = TunnelError::Dial { peer: peer.clone(), address, cause: cause.kind() },
        }
    }
    Err(error)
}

fn tls_error(error: TlsError, peer: &Authority) -> TunnelError {
    let peer = peer.clone();
    match error {
        TlsError::Io(_) | TlsError::ClosedDuringHandshake => TunnelError::HandshakeClosed { peer },
        TlsError::NoAlpn | TlsError::WrongAlpn => TunnelError::NotHttp2 { peer },
        TlsError::Plaintext => TunnelError::NotTls { peer },
        TlsError::Tls(rustls::Error::AlertReceived(alert)) => TunnelError::OwnCertificate { peer, alert },
        TlsError::Tls(error) => match PeerFault::of(&error) {
            Some(fault) => TunnelError::PeerCertificate { peer, fault },
            None => TunnelError::Tls { peer, error },
        },
    }
}

fn failure(error: &TunnelError) -> Failure {
    let exit = match error.class() {
        Class::Runtime => Exit::Failure,
        Class::Usage => Exit::Usage,
        Class::Refused => Exit::Refused,
        Class::Unreachable => Exit::Unreachable,
    };
    Failure::new(exit, error.to_string())
}
