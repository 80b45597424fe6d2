//! TLS between the two ends of a tunnel inside a stream, of which whoever is in the middle sees ciphertext.
//!
//! Called by the caller's side and by the inbound side. Both ends show an identity. The protocol inside is raw; what
//! is agreed on by ALPN is the destination, where both ends offer it: a middle that changes `x-tun` on its way makes
//! the handshake fail. Sets no limit of time.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hbone_conn::{ErrorCode, Stream, StreamError};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CommonState, ServerConfig};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::authority::Authority;
use crate::identity::{SpiffeId, leaf_identity};
use crate::tls::Identity;
use crate::verify::{PeerFault, alert_advice};

/// Why there is no TLS inside a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum InnerFault {
    /// The stream failed.
    Stream(StreamError),
    /// The handshake took longer.
    Timeout(Duration),
    /// It ended before the handshake did.
    Ended,
    /// The far end's certificate is not to be trusted.
    Certificate(PeerFault),
    /// The far end does not trust ours, or was told of another destination.
    Alert(AlertDescription),
    /// Any other failure of TLS.
    Tls(rustls::Error),
    /// Our own identity cannot be used.
    Identity,
}

/// Shakes hands as the caller; gives back who is at the far end.
pub(crate) async fn connect(
    stream: Stream,
    identity: &Identity,
    expected: &[SpiffeId],
    destination: &Authority,
) -> Result<(TlsStream<Stream>, SpiffeId), InnerFault> {
    let config = identity.client_config(expected).map_err(|_| InnerFault::Identity)?;
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols = bound_to(destination);
    // Nobody is asked by name, and no name is sent.
    let nobody = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
    let shaking = TlsConnector::from(Arc::new(config)).connect(nobody, stream).into_fallible();
    let tls = match shaking.await {
        Ok(tls) => tls,
        Err((error, stream)) => return Err(InnerFault::told(error, stream).await),
    };
    let peer = identity_of(tls.get_ref().1)?;
    Ok((TlsStream::Client(tls), peer))
}

/// Shakes hands as the one who was asked for `destination`; gives back who calls.
pub(crate) async fn accept(
    stream: Stream,
    config: &ServerConfig,
    destination: &Authority,
) -> Result<(TlsStream<Stream>, SpiffeId), InnerFault> {
    let mut config = config.clone();
    config.alpn_protocols = bound_to(destination);
    let shaking = TlsAcceptor::from(Arc::new(config)).accept(stream).into_fallible();
    let tls = match shaking.await {
        Ok(tls) => tls,
        Err((error, stream)) => return Err(InnerFault::told(error, stream).await),
    };
    let peer = identity_of(tls.get_ref().1)?;
    Ok((TlsStream::Server(tls), peer))
}

/// What both ends offer by ALPN. Names that it has no room for are not bound.
fn bound_to(destination: &Authority) -> Vec<Vec<u8>> {
    let protocol = format!("x-tun/{destination}").into_bytes();
    if protocol.len() <= usize::from(u8::MAX) { vec![protocol] } else { Vec::new() }
}

/// The verifier has seen to it that there is one.
fn identity_of(state: &CommonState) -> Result<SpiffeId, InnerFault> {
    let leaf: Option<&CertificateDer<'_>> = state.peer_certificates().and_then(|chain| chain.first());
    leaf.and_then(|leaf| leaf_identity(leaf).ok())
        .ok_or(InnerFault::Tls(rustls::Error::NoCertificatesPresented))
}

impl InnerFault {
    fn of(error: io::Error) -> Self {
        let ended = error.kind() == io::ErrorKind::UnexpectedEof;
        let Some(inner) = error.into_inner() else { return Self::Ended };
        match inner.downcast::<StreamError>() {
            Ok(error) => Self::Stream(*error),
            Err(inner) => match inner.downcast::<rustls::Error>() {
                Ok(error) => match (PeerFault::of(&error), *error) {
                    (Some(fault), _) => Self::Certificate(fault),
                    (None, rustls::Error::AlertReceived(alert)) => Self::Alert(alert),
                    (None, error) => Self::Tls(error),
                },
                Err(_) if ended => Self::Ended,
                Err(other) => Self::Tls(rustls::Error::General(other.to_string())),
            },
        }
    }

    /// The fault, once the alert that tells of it has left: a reset would overtake it.
    async fn told(error: io::Error, mut stream: Stream) -> Self {
        let leaving = async {
            stream.finish()?;
            stream.flushed().await
        };
        // A stream that has failed takes no alert.
        let _ = timeout(FAREWELL, leaving).await;
        stream.reset(ErrorCode::CONNECT_ERROR);
        Self::of(error)
    }

    /// Whether one of the two ends does not trust the other.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Certificate(_) | Self::Alert(_))
    }
}

impl fmt::Display for InnerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => {
                write!(f, "the stream failed before TLS inside it stood: {error}; see the logs behind it")
            }
            Self::Timeout(limit) => {
                write!(
                    f,
                    "no TLS inside the stream within {limit:?}; check that the far end speaks the POST mode"
                )
            }
            Self::Ended => f.write_str(
                "the stream ended before TLS inside it stood; check that the far end speaks the POST mode",
            ),
            Self::Certificate(fault) => write!(f, "the far end inside the stream is not trusted: {fault}"),
            Self::Alert(AlertDescription::NoApplicationProtocol) => f.write_str(
                "the far end was told of another destination; check what the proxy does with x-tun",
            ),
            Self::Alert(alert) => match alert_advice(*alert) {
                Some(advice) => write!(f, "the far end inside the stream does not trust us: {advice}"),
                None => write!(f, "the far end inside the stream ended with alert {alert:?}; see its log"),
            },
            Self::Tls(rustls::Error::NoApplicationProtocol) => f.write_str(
                "the caller asks for another destination than x-tun says; check what the proxy does with it",
            ),
            Self::Tls(error) => {
                write!(
                    f,
                    "TLS inside the stream failed: {error}; check that the far end speaks the POST mode"
                )
            }
            Self::Identity => f.write_str("our own identity cannot be used for TLS; renew it"),
        }
    }
}

impl std::error::Error for InnerFault {}

/// For an alert to leave.
const FAREWELL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_bound_where_alpn_has_room_for_it() {
        let at: Authority = "10.0.0.1:80".parse().unwrap();
        assert_eq!(bound_to(&at), [b"x-tun/10.0.0.1:80"]);
        let label = "a".repeat(61);
        let long: Authority = format!("{label}.{label}.{label}.{label}:65535").parse().unwrap();
        assert!(bound_to(&long).is_empty(), "{}", long.to_string().len());
    }
}
