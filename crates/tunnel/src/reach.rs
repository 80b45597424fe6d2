//! A connection to the next node of any kind: dialled, secured as its kind wants it, its driver not running yet.
//!
//! Called by the pool. What is known of the far end by certificate comes along; a node without TLS is nobody. Opens
//! no streams.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use hbone_conn::{ConnectionError, Handle, Plain, Request, Response, Side, Stream, Tls, Wire, establish};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::authority::{Authority, Host};
use crate::connect::{ConnectConfig, Secured, Settings, dial_error, secure, secure_over, tls_error};
use crate::dial::{Means, dial};
use crate::error::TunnelError;
use crate::hop::{Hop, InsideNode, PlainNode, UnixPlace, WebNode};
use crate::identity::SpiffeId;
use crate::reason::Reason;
use crate::route::Peer;
use crate::sockets;
use crate::tls::{H2, Identity, provider, validity};
use crate::watched::{Verdict, Watched};

/// The driver of a connection, whatever is below it.
pub(crate) type Running = Pin<Box<dyn Future<Output = ConnectionError> + Send>>;

/// A connection whose driver is not running yet.
pub(crate) struct Reached {
    pub(crate) handle: Handle,
    pub(crate) driver: Running,
    /// Who is there, if it has said so.
    pub(crate) peer: Option<SpiffeId>,
    /// The last second in which the certificates are valid, if there are any.
    pub(crate) not_after: Option<SystemTime>,
    /// To be awaited once the driver runs.
    pub(crate) settings: Settings,
}

/// Walks the steps up to HTTP/2.
pub(crate) async fn reach(
    identity: &Identity,
    hop: &Hop,
    config: &ConnectConfig,
    gateways: &dyn Gateways,
) -> Result<Reached, TunnelError> {
    match hop {
        Hop::Node(peer) => {
            let secured = secure(identity, peer, config, |_| ()).await?;
            let settings = secured.settings(&peer.address, config.handshake_timeout);
            let Secured { handle, driver, peer, not_after, .. } = secured;
            let driver: Running = Box::pin(driver);
            Ok(Reached { handle, driver, peer: Some(peer), not_after: Some(not_after), settings })
        }
        Hop::Web(web) => of_the_web(web, config).await,
        Hop::Plain(plain) => in_the_clear(plain, config).await,
        Hop::Inside(inside) => within(identity, inside, config, gateways).await,
    }
}

/// Who opens tunnels in which connections are made: the pool, which shares the connections below those too.
pub(crate) trait Gateways: Sync {
    /// A tunnel through a node, whatever it answered.
    fn tunnel<'a>(
        &'a self,
        gateway: &'a Peer,
        request: &'a Request,
    ) -> Pin<Box<dyn Future<Output = Result<Through, TunnelError>> + Send + 'a>>;
}

/// A tunnel in which a connection is made.
pub(crate) struct Through {
    pub(crate) stream: Stream,
    pub(crate) response: Response,
    /// Its place on the connection below, held as long as the connection in it.
    pub(crate) place: Box<dyn Send>,
}

/// A connection inside a tunnel.
async fn within(
    identity: &Identity,
    inside: &InsideNode,
    config: &ConnectConfig,
    gateways: &dyn Gateways,
) -> Result<Reached, TunnelError> {
    let InsideNode { gateway, node } = inside;
    let request = Request::connect(&node.address.to_string());
    // Whoever waits for the connection has a limit of its own; this one is for the dial, which outlives them.
    let after = config.dial_timeout + 2 * config.handshake_timeout;
    let late = || TunnelError::SetupTimeout { peer: gateway.address.clone(), after };
    let opened = timeout(after, gateways.tunnel(gateway, &request)).await;
    let Through { stream, response, place } = opened.map_err(|_| late())??;
    if response.status() != 200 {
        let (status, reason) = (response.status(), Reason::of(&response));
        let (peer, destination) = (gateway.address.clone(), node.address.clone());
        return Err(TunnelError::Rejected { peer, destination, status, reason });
    }
    let secured = secure_over(stream, identity, node, config).await?;
    let settings = secured.settings(&node.address, config.handshake_timeout);
    let Secured { handle, driver, peer, not_after, .. } = secured;
    let driver: Running = Box::pin(async move {
        let ended = driver.await;
        drop(place);
        ended
    });
    Ok(Reached { handle, driver, peer: Some(peer), not_after: Some(not_after), settings })
}

async fn of_the_web(web: &WebNode, config: &ConnectConfig) -> Result<Reached, TunnelError> {
    let at = &web.address;
    let tcp = tcp(at, config).await?;
    let name = match &web.name {
        Host::Address(ip) => ServerName::IpAddress((*ip).into()),
        // Whatever is no name for TLS is in no certificate.
        Host::Name(name) => ServerName::try_from(name.as_str().to_owned())
            .map_err(|_| TunnelError::NotTls { peer: at.clone() })?,
    };
    let shaking = Tls::connect(tcp, client_config(web)?, name);
    let tls = timeout(config.handshake_timeout, shaking)
        .await
        .map_err(|_| TunnelError::HandshakeTimeout { peer: at.clone(), after: config.handshake_timeout })?
        .map_err(|error| tls_error(error, at))?;
    let leaf = tls.peer_certificates().and_then(|chain| chain.first());
    let not_after = leaf.and_then(|leaf| validity(leaf)).map(|(_, not_after)| not_after);
    let (wire, verdict) = Watched::new(tls);
    Ok(Reached { not_after, ..over(wire, verdict, at, config) })
}

async fn in_the_clear(plain: &PlainNode, config: &ConnectConfig) -> Result<Reached, TunnelError> {
    let at = &plain.address;
    match &plain.unix {
        None => Ok(over(Plain::new(tcp(at, config).await?), Verdict::default(), at, config)),
        Some(place) => {
            let unix = dial_unix(place)
                .await
                .map_err(|error| TunnelError::UnixSocket { place: place.to_string(), cause: error.kind() })?;
            Ok(over(Plain::new(unix), Verdict::default(), at, config))
        }
    }
}

async fn tcp(at: &Authority, config: &ConnectConfig) -> Result<TcpStream, TunnelError> {
    let limit = config.dial_timeout;
    let means = Means { resolver: &*config.resolver, asker: "", limit, guarded: false };
    let dialled = dial(at, means, |_| Ok::<(), Infallible>(())).await;
    let (tcp, _) = dialled.map_err(|error| dial_error(error, at, limit))?;
    sockets::expect_answers(&tcp, &config.connection);
    Ok(tcp)
}

/// A unix socket answers at once or not at all: one whose backlog is full is an error.
async fn dial_unix(place: &UnixPlace) -> std::io::Result<UnixStream> {
    match place {
        UnixPlace::Path(path) => UnixStream::connect(path).await,
        UnixPlace::Abstract(name) => UnixStream::connect(format!("\0{name}")).await,
    }
}

fn over<W: Wire + Send + 'static>(
    wire: W,
    verdict: Verdict,
    at: &Authority,
    config: &ConnectConfig,
) -> Reached {
    // The far node opens no streams towards us: `Incoming` goes at once.
    let (handle, _, driver) = establish(Side::Client, wire, config.connection.clone());
    let settings = Settings::new(&handle, verdict, at, config.handshake_timeout);
    Reached { handle, driver: Box::pin(driver), peer: None, not_after: None, settings }
}

fn client_config(web: &WebNode) -> Result<Arc<ClientConfig>, TunnelError> {
    let unusable = |_| TunnelError::NotTls { peer: web.address.clone() };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_root_certificates(web.roots.store())
        .with_no_client_auth();
    config.alpn_protocols = vec![H2.to_vec()];
    config.resumption = Resumption::disabled();
    // The records are the connection's own.
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use socket2::{Domain, SockAddr, Socket, Type};

    use super::*;

    #[tokio::test]
    async fn t25_a_unix_socket_that_nobody_accepts_from_is_an_error_and_holds_up_no_thread() {
        let name = format!("hbone-full-{}", std::process::id());
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(format!("\0{name}")).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let place = UnixPlace::Abstract(name);
        let mut kept = Vec::new();
        let error = loop {
            match dial_unix(&place).await {
                Ok(unix) => kept.push(unix),
                Err(error) => break error,
            }
            assert!(kept.len() < 16, "a backlog without end");
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let nobody = UnixPlace::Abstract("hbone-nobody-listens-there".into());
        assert_eq!(dial_unix(&nobody).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
}
