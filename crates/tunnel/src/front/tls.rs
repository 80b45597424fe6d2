//! TLS that is ended here: for one destination behind it, or for the requests inside.
//!
//! Called by `Front::hear` and by the outbound side for web fronts. The name only chooses the certificate; where to is the
//! configuration's.

use super::client::Client;
use super::error::FrontError;
use super::reply;
use crate::authority::{Authority, HostName};
use crate::certificates::{Certificates, ShakeError};
use crate::join::End;
use crate::leg::{Leg, TcpLeg, UnixLeg};

/// What is shown to clients, and where they are led.
#[derive(Clone, Debug)]
pub struct TlsFront {
    /// The certificates by name.
    pub certificates: Certificates,
    /// Where all go.
    pub destination: Authority,
}

/// Shakes hands: the client inside TLS, and the name that it asked for. One for whom that fails has been told so, and is
/// gone.
pub(crate) async fn shake(
    certificates: &Certificates,
    client: Client,
) -> Result<(End, HostName), FrontError> {
    match client {
        Client::Tcp(tcp) => over(TcpLeg::new(tcp), certificates).await,
        Client::Unix(unix) => over(UnixLeg::new(unix), certificates).await,
    }
}

async fn over<L: Leg + 'static>(leg: L, certificates: &Certificates) -> Result<(End, HostName), FrontError> {
    match certificates.accept(leg).await {
        Ok((tls, name)) => Ok((End::Other(Box::new(tls)), name)),
        Err((ShakeError::Gone(kind), _)) => Err(FrontError::Gone(kind)),
        Err((error, leg)) => {
            if let Some(leg) = leg {
                reply::let_go(End::Other(Box::new(leg)), &[]).await;
            }
            Err(FrontError::Shake(error))
        }
    }
}
