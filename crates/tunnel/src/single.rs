//! One connection for one tunnel: for a command that needs no pool.
//!
//! Called by the node's `dial`. Retries nothing.

use std::time::Duration;

use hbone_conn::{ConnectionError, Request, Stream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::ask::ask;
use crate::authority::Authority;
use crate::connect::{ConnectConfig, Secured, secure};
use crate::error::TunnelError;
use crate::identity::SpiffeId;
use crate::route::Peer;
use crate::tls::Identity;

/// A tunnel that stands, alone on its connection.
#[derive(Debug)]
pub struct Single {
    /// The tunnel; its response was taken.
    pub stream: Stream,
    /// Who answered.
    pub peer: SpiffeId,
    /// The connection's end: it says goodbye once the stream is dropped. A process that exits before may take
    /// the stream's last octets with it.
    pub connection: JoinHandle<ConnectionError>,
}

/// Connects to a far node and opens one tunnel through it: the name, TCP, TLS with both certificates, SETTINGS,
/// CONNECT, 200. Each step has its limit in `config`; `after` is for all of them together.
///
/// # Errors
/// What stopped it; [`TunnelError::Rejected`] for every status but 200.
pub async fn connect(
    identity: &Identity,
    peer: &Peer,
    destination: &Authority,
    baggage: Option<&str>,
    config: &ConnectConfig,
    after: Duration,
) -> Result<Single, TunnelError> {
    let mut request = Request::connect(&destination.to_string());
    if let Some(baggage) = baggage {
        request.push("baggage", baggage);
    }
    let at = &peer.address;
    let opening = async {
        let secured = secure(identity, peer, config, |_| ()).await?;
        let settings = secured.settings(at, config.handshake_timeout);
        let Secured { handle, driver, peer, .. } = secured;
        let connection = tokio::spawn(driver);
        settings.arrive().await?;
        let stream = ask(&handle, request, at, destination).await?;
        Ok(Single { stream, peer, connection })
    };
    timeout(after, opening)
        .await
        .unwrap_or_else(|_| Err(TunnelError::SetupTimeout { peer: at.clone(), after }))
}
