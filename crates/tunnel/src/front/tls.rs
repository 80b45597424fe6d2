//! TLS that is ended here, for one destination behind it.
//!
//! Called by `Front::hear`. The name only chooses the certificate; where to is the configuration's.

use super::client::Client;
use super::error::FrontError;
use super::reply;
use crate::authority::Authority;
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

impl TlsFront {
    /// Shakes hands; a client for whom that fails has been told so, and is gone.
    pub(super) async fn hear(&self, client: Client) -> Result<End, FrontError> {
        match client {
            Client::Tcp(tcp) => self.shake(TcpLeg::new(tcp)).await,
            Client::Unix(unix) => self.shake(UnixLeg::new(unix)).await,
        }
    }

    async fn shake<L: Leg + 'static>(&self, leg: L) -> Result<End, FrontError> {
        match self.certificates.accept(leg).await {
            Ok((tls, _)) => Ok(End::Other(Box::new(tls))),
            Err((ShakeError::Gone(kind), _)) => Err(FrontError::Gone(kind)),
            Err((error, leg)) => {
                if let Some(leg) = leg {
                    reply::let_go(End::Other(Box::new(leg)), &[]).await;
                }
                Err(FrontError::Shake(error))
            }
        }
    }
}
