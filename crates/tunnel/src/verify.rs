//! Whether a peer's certificate is to be trusted: chain, purpose, time, and exactly one identity.
//!
//! Called by rustls during the handshake, on both sides. The host name plays no part. A verifier never
//! relaxes what webpki refuses; it only asks for more. Knows nothing of sockets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    RootCertStore, SignatureScheme,
};

use crate::identity::{LeafError, SpiffeId, leaf_identity};

/// What is wrong with the certificate that a peer presented.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerFault {
    /// The leaf has no usable identity.
    Leaf(LeafError),
    /// The identity is of another trust domain than the roots.
    TrustDomain {
        /// The identity that was presented.
        presented: SpiffeId,
        /// The trust domain of the roots.
        ours: String,
    },
    /// The chain does not end at one of our roots.
    UnknownAuthority,
    /// The certificate has expired.
    Expired {
        /// How long ago.
        ago: Duration,
    },
    /// The certificate is not valid yet: one of the two clocks is wrong.
    NotYetValid {
        /// When it will be.
        ahead: Duration,
    },
    /// The identity is valid, but it is not one that is expected there.
    Unexpected {
        /// The identity that was presented.
        presented: SpiffeId,
        /// The identities of which one was expected.
        expected: Vec<SpiffeId>,
    },
    /// The certificate is not for this purpose (extended key usage).
    Purpose,
    /// More than 5 certificates, or more than 64 KiB of them.
    TooLarge,
    /// Any other fault that webpki found.
    Invalid(CertificateError),
}

impl PeerFault {
    /// The fault behind an error of rustls, if it is about the peer's certificate.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum may grow; the rest is told as it is")]
    pub fn of(error: &Error) -> Option<Self> {
        let Error::InvalidCertificate(error) = error else { return None };
        Some(match error {
            CertificateError::Other(OtherError(inner)) => {
                inner.downcast_ref::<Self>().cloned().unwrap_or_else(|| Self::Invalid(error.clone()))
            }
            CertificateError::UnknownIssuer => Self::UnknownAuthority,
            CertificateError::ExpiredContext { time, not_after } => {
                Self::Expired { ago: Duration::from_secs(time.as_secs().saturating_sub(not_after.as_secs())) }
            }
            CertificateError::NotValidYetContext { time, not_before } => Self::NotYetValid {
                ahead: Duration::from_secs(not_before.as_secs().saturating_sub(time.as_secs())),
            },
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::Purpose
            }
            other => Self::Invalid(other.clone()),
        })
    }

    fn into_error(self) -> Error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(self))))
    }
}

impl fmt::Display for PeerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(error) => write!(f, "{error}; issue one with exactly one spiffe:// URI"),
            Self::TrustDomain { presented, ours } => write!(
                f,
                "it is {presented}, but the trust domain here is {ours}; issue both certificates in one trust domain"
            ),
            Self::UnknownAuthority => f.write_str(
                "its certificate is signed by an authority that is not among our roots; \
                 compare the root certificates of both nodes",
            ),
            Self::Expired { ago } => {
                write!(f, "its certificate expired {} ago; renew it, or check the clocks", Span(*ago))
            }
            Self::NotYetValid { ahead } => {
                write!(f, "its certificate becomes valid in {} only; check the clocks", Span(*ahead))
            }
            Self::Unexpected { presented, expected } => {
                write!(f, "it is {presented}, but expected is ")?;
                for (at, id) in expected.iter().take(SHOWN).enumerate() {
                    write!(f, "{}{id}", if at == 0 { "" } else { " or " })?;
                }
                if expected.len() > SHOWN {
                    write!(f, " or {} others", expected.len() - SHOWN)?;
                }
                f.write_str("; check the address, or the identity that is configured for it")
            }
            Self::Purpose => f.write_str(
                "its certificate is not meant for this side; issue it for both serverAuth and clientAuth",
            ),
            Self::TooLarge => f.write_str("its certificate chain is over 5 certificates or 64 KiB"),
            Self::Invalid(error) => write!(f, "its certificate is invalid: {error}"),
        }
    }
}

impl std::error::Error for PeerFault {}

/// What the peer's alert says about *our* certificate, with the next step.
#[expect(clippy::wildcard_enum_match_arm, reason = "other alerts say nothing about certificates")]
pub(crate) fn alert_advice(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::UnknownCA => {
            "it does not know the authority of our certificate; compare the root certificates of both nodes"
        }
        AlertDescription::CertificateExpired => {
            "it says that our certificate is expired or not yet valid; renew it, or check the clocks"
        }
        AlertDescription::CertificateRequired => "it asks for a certificate and got none",
        AlertDescription::UnsupportedCertificate => {
            "it says that our certificate is not for clients; issue it for clientAuth too"
        }
        AlertDescription::CertificateUnknown | AlertDescription::AccessDenied => {
            "it does not accept our identity; check that both nodes are of one trust domain, and its log"
        }
        AlertDescription::BadCertificate | AlertDescription::CertificateRevoked => {
            "it refuses our certificate; see its log for the reason"
        }
        AlertDescription::NoApplicationProtocol => "it does not speak HTTP/2 there; check address and port",
        AlertDescription::ProtocolVersion => "it does not speak TLS 1.3; check address and port",
        _ => return None,
    })
}

/// The part that both sides share: size, identity, trust domain.
#[derive(Debug)]
struct Inspector {
    trust_domain: String,
}

impl Inspector {
    fn inspect(&self, leaf: &[u8], intermediates: &[CertificateDer<'_>]) -> Result<SpiffeId, PeerFault> {
        let octets: usize = leaf.len() + intermediates.iter().map(|der| der.len()).sum::<usize>();
        if intermediates.len() >= MAX_CHAIN || octets > MAX_CHAIN_OCTETS {
            return Err(PeerFault::TooLarge);
        }
        let presented = leaf_identity(leaf).map_err(PeerFault::Leaf)?;
        if presented.trust_domain() != self.trust_domain {
            return Err(PeerFault::TrustDomain { presented, ours: self.trust_domain.clone() });
        }
        Ok(presented)
    }
}

/// Verifies the certificate of the node that we dialled.
#[derive(Debug)]
pub(crate) struct PeerIsExpected {
    inspector: Inspector,
    roots: Arc<RootCertStore>,
    expected: Vec<SpiffeId>,
    provider: Arc<CryptoProvider>,
}

impl PeerIsExpected {
    pub(crate) fn new(
        trust_domain: &str,
        roots: Arc<RootCertStore>,
        expected: Vec<SpiffeId>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { inspector: Inspector { trust_domain: trust_domain.to_owned() }, roots, expected, provider }
    }
}

impl ServerCertVerifier for PeerIsExpected {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let presented = self.inspector.inspect(end_entity, intermediates).map_err(PeerFault::into_error)?;
        let leaf = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&leaf, &self.roots, intermediates, now, algorithms)
            .map_err(name_namesake)?;
        if !self.expected.contains(&presented) {
            return Err(PeerFault::Unexpected { presented, expected: self.expected.clone() }.into_error());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies the certificate of a node that dialled us; without one there is no handshake.
#[derive(Debug)]
pub(crate) struct CallerIsKnown {
    inspector: Inspector,
    chain: Arc<dyn ClientCertVerifier>,
}

impl CallerIsKnown {
    /// # Errors
    /// When webpki does not accept the roots.
    pub(crate) fn new(
        trust_domain: &str,
        roots: Arc<RootCertStore>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::server::VerifierBuilderError> {
        // The names of our roots are nobody's business before the handshake is done.
        let chain = WebPkiClientVerifier::builder_with_provider(roots, provider)
            .clear_root_hint_subjects()
            .build()?;
        Ok(Self { inspector: Inspector { trust_domain: trust_domain.to_owned() }, chain })
    }
}

impl ClientCertVerifier for CallerIsKnown {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.inspector.inspect(end_entity, intermediates).map_err(PeerFault::into_error)?;
        self.chain.verify_client_cert(end_entity, intermediates, now).map_err(name_namesake)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// A chain that fails at a signature ends at a root of the right name and another key: another authority.
fn name_namesake(error: Error) -> Error {
    if error == Error::InvalidCertificate(CertificateError::BadSignature) {
        return Error::InvalidCertificate(CertificateError::UnknownIssuer);
    }
    error
}

fn tls12() -> Error {
    Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered)
}

/// A span of time for people.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7200 => write!(f, "{} min", seconds / 60),
            seconds @ 7200..172_800 => write!(f, "{} h", seconds / 3600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

const MAX_CHAIN: usize = 5;
const MAX_CHAIN_OCTETS: usize = 64 * 1024;
const SHOWN: usize = 3;
