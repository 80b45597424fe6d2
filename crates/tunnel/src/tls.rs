//! A node's own certificate, key and roots, and the TLS configurations made of them.
//!
//! Built by the configuration, used by the pool and the inbound side. TLS 1.3 only, ALPN `h2`
//! (`h2r` for reverse connections, which alone may send SNI), both sides authenticated. No 0-RTT and no resumption: a resumed session would skip the checks of expiry and
//! roots, and connections here live long. An [`Identity`] never changes: a renewed one is another value.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::identity::{LeafError, SpiffeId, leaf_identity};
use crate::verify::{CallerIsKnown, PeerIsExpected};

/// Who a node is: its certificate chain with the key, and the roots of its trust domain.
pub struct Identity {
    id: SpiffeId,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
    not_before: SystemTime,
    not_after: SystemTime,
    serial: u64,
}

impl Identity {
    /// An identity from certificates in DER; the leaf comes first. The roots vouch for the trust domain of the
    /// leaf and for no other.
    ///
    /// # Errors
    /// What is missing or does not fit together.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        let leaf = chain.first().ok_or(IdentityError::NoCertificate)?;
        let id = leaf_identity(leaf).map_err(IdentityError::Leaf)?;
        let (not_before, not_after) = validity(leaf).ok_or(IdentityError::Leaf(LeafError::NotX509))?;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider()).map_err(|error| {
            let mismatch = matches!(error, rustls::Error::InconsistentKeys(_));
            if mismatch { IdentityError::KeyMismatch } else { IdentityError::Key }
        })?;
        if roots.is_empty() {
            return Err(IdentityError::NoRoots);
        }
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root).map_err(|_| IdentityError::Root)?;
        }
        let serial = NEXT_SERIAL.fetch_add(1, Ordering::Relaxed);
        Ok(Self { id, chain, key, roots: Arc::new(store), not_before, not_after, serial })
    }

    /// An identity from PEM texts: the chain with the leaf first, the key (PKCS #8, PKCS #1 or SEC 1), and the
    /// roots.
    ///
    /// # Errors
    /// What is missing, malformed or does not fit together.
    pub fn from_pem(chain: &[u8], key: &[u8], roots: &[u8]) -> Result<Self, IdentityError> {
        let list = |text: &[u8]| -> Result<Vec<CertificateDer<'static>>, pem::Error> {
            CertificateDer::pem_slice_iter(text).collect()
        };
        let chain = list(chain).map_err(|_| IdentityError::NoCertificate)?;
        let roots = list(roots).map_err(|_| IdentityError::Root)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::Key)?;
        Self::new(chain, key, roots)
    }

    /// The identity in the leaf.
    pub const fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The first second in which the leaf is valid.
    pub const fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// The last second in which the leaf is valid.
    pub const fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// A number that no other identity of this process has: a renewed certificate is another identity.
    pub(crate) const fn serial(&self) -> u64 {
        self.serial
    }

    /// The configuration for dialling a node that must be one of `expected`.
    ///
    /// # Errors
    /// [`IdentityError::Key`] when the key cannot sign.
    pub fn client_config(&self, expected: &[SpiffeId]) -> Result<Arc<ClientConfig>, IdentityError> {
        self.client_config_for(expected, Alpn::Tunnels, false)
    }

    /// The same for another protocol, with or without SNI.
    pub(crate) fn client_config_for(
        &self,
        expected: &[SpiffeId],
        alpn: Alpn,
        sni: bool,
    ) -> Result<Arc<ClientConfig>, IdentityError> {
        let provider = provider();
        let roots = Arc::clone(&self.roots);
        let verifier =
            PeerIsExpected::new(self.id.trust_domain(), roots, expected.to_vec(), Arc::clone(&provider));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|_| IdentityError::Key)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|_| IdentityError::Key)?;
        config.alpn_protocols = alpn.offers();
        config.enable_sni = sni;
        config.resumption = Resumption::disabled();
        // The records are the connection's own.
        config.enable_secret_extraction = true;
        Ok(Arc::new(config))
    }

    /// The configuration for being dialled by nodes of the same trust domain.
    ///
    /// # Errors
    /// [`IdentityError::Key`] when the key cannot sign, [`IdentityError::Root`] when the roots are unusable.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, IdentityError> {
        self.server_config_for(Alpn::Tunnels)
    }

    /// The same for other protocols.
    pub(crate) fn server_config_for(&self, alpn: Alpn) -> Result<Arc<ServerConfig>, IdentityError> {
        let provider = provider();
        let roots = Arc::clone(&self.roots);
        let verifier = CallerIsKnown::new(self.id.trust_domain(), roots, Arc::clone(&provider))
            .map_err(|_: VerifierBuilderError| IdentityError::Root)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|_| IdentityError::Key)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|_| IdentityError::Key)?;
        config.alpn_protocols = alpn.offers();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("id", &self.id)
            .field("key", &"<secret>")
            .field("roots", &self.roots.len())
            .finish_non_exhaustive()
    }
}

/// Why certificates and key make no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdentityError {
    /// No certificate, or no well-formed PEM.
    NoCertificate,
    /// The leaf has no usable identity.
    Leaf(LeafError),
    /// No private key, or one of a kind that cannot sign.
    Key,
    /// The private key is not the leaf's.
    KeyMismatch,
    /// No root certificate.
    NoRoots,
    /// A root that is no certificate of an authority.
    Root,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => {
                f.write_str("no certificate found: a PEM file with the leaf first is expected")
            }
            Self::Leaf(error) => write!(f, "{error}"),
            Self::Key => {
                f.write_str("no usable private key found: PKCS #8, PKCS #1 or SEC 1 in PEM is expected")
            }
            Self::KeyMismatch => f.write_str("the private key does not belong to the certificate"),
            Self::NoRoots => f.write_str("no root certificate found: without one nobody can be trusted"),
            Self::Root => f.write_str("a root certificate is malformed"),
        }
    }
}

impl std::error::Error for IdentityError {}

/// The cryptography that is spoken: two AEADs, the three usual groups and the post-quantum hybrid.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    let groups: [&'static dyn SupportedKxGroup; 4] =
        [kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    Arc::new(CryptoProvider {
        cipher_suites: vec![cipher_suite::TLS13_AES_256_GCM_SHA384, cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: groups.to_vec(),
        ..aws_lc_rs::default_provider()
    })
}

/// The first and the last second in which a certificate is valid.
pub(crate) fn validity(leaf: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let at = |seconds: i64| {
        let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    };
    let validity = certificate.validity();
    Some((at(validity.not_before.timestamp())?, at(validity.not_after.timestamp())?))
}

/// What is spoken inside TLS (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    /// HTTP/2: who dials opens the streams.
    Tunnels,
    /// HTTP/2 the other way round: who dials is the server.
    Reverse,
    /// Either, as the caller wants it.
    Both,
}

impl Alpn {
    fn offers(self) -> Vec<Vec<u8>> {
        let offers: &[&[u8]] = match self {
            Self::Tunnels => &[H2],
            Self::Reverse => &[H2R],
            Self::Both => &[H2, H2R],
        };
        offers.iter().map(|it| it.to_vec()).collect()
    }
}

pub(crate) const H2: &[u8] = b"h2";
/// The protocol of reverse connections.
pub(crate) const H2R: &[u8] = b"h2r";

static NEXT_SERIAL: AtomicU64 = AtomicU64::new(1);

#[cfg(test)]
mod tests;
