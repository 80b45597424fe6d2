//! The certificates of a gateway towards its clients: which one a name gets, and the handshake with it.
//!
//! Built by the configuration, used by the fronts that end TLS. TLS 1.3 only. A client that names nothing, or nothing
//! that there is a certificate for, gets an alert. Clients are not authenticated here.

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{Acceptor, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{AlertDescription, ServerConfig};
use tokio_rustls::{LazyConfigAcceptor, TlsStream};

use crate::authority::{Authority, Host, HostName};
use crate::leg::Leg;
use crate::matcher::Target;
use crate::tls::{IdentityError, provider};

/// Certificates with their keys, by name; the first that fits is shown.
#[derive(Clone)]
pub struct Certificates(Arc<Shelf>);

struct Shelf {
    entries: Vec<Entry>,
    tls: Arc<ServerConfig>,
}

/// A certificate with its key, and the names that it is shown to.
#[derive(Debug)]
pub struct ServedCertificate {
    /// Names and `*.name`; their ports mean nothing.
    pub names: Vec<Target>,
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

#[derive(Clone, Debug)]
struct Entry {
    names: Vec<Target>,
    key: Arc<CertifiedKey>,
}

/// Why a client got no TLS.
#[derive(Clone, Debug, PartialEq)]
pub enum ShakeError {
    /// It went away.
    Gone(io::ErrorKind),
    /// It names no server, or none by a host name.
    NoName,
    /// There is no certificate for the name.
    Unknown(HostName),
    /// Anything else that TLS says.
    Tls(rustls::Error),
}

impl Certificates {
    /// A shelf of certificates, for connections that speak one of `protocols` (ALPN) inside TLS; none is named if that
    /// is empty.
    ///
    /// # Errors
    /// [`IdentityError::Key`] and [`IdentityError::KeyMismatch`].
    pub fn new(served: Vec<ServedCertificate>, protocols: &[&[u8]]) -> Result<Self, IdentityError> {
        let provider = provider();
        let entries =
            served.into_iter().map(|it| Entry::new(it, &provider)).collect::<Result<Vec<_>, _>>()?;
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|_| IdentityError::Key)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(entries.clone())));
        tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self(Arc::new(Shelf { entries, tls: Arc::new(tls) })))
    }

    /// Shakes hands: TLS over the leg, and the name that the client asked for.
    ///
    /// # Errors
    /// What is wrong, with the leg: an alert has been written to it, but for a client that has gone.
    pub(crate) async fn accept<L: Leg + 'static>(
        &self,
        leg: L,
    ) -> Result<(TlsStream<L>, HostName), (ShakeError, Option<L>)> {
        let mut lazy = pin!(LazyConfigAcceptor::new(Acceptor::default(), leg));
        let mut start = match lazy.as_mut().await {
            Ok(start) => start,
            Err(error) => return Err((ShakeError::of(error), lazy.take_io())),
        };
        let name = match self.named(start.client_hello().server_name()) {
            Ok(name) => name,
            Err(error) => {
                // RFC 8446 6.2: whether it arrives is not known.
                let alert = if error == ShakeError::NoName { MISSING_EXTENSION } else { UNRECOGNIZED_NAME };
                let _ = tokio::io::AsyncWriteExt::write_all(&mut start.io, alert).await;
                return Err((error, Some(start.io)));
            }
        };
        match start.into_stream(Arc::clone(&self.0.tls)).into_fallible().await {
            Ok(tls) => Ok((TlsStream::Server(tls), name)),
            Err((error, leg)) => Err((ShakeError::of(error), Some(leg))),
        }
    }

    /// A name that there is a certificate for.
    fn named(&self, name: Option<&str>) -> Result<HostName, ShakeError> {
        let name: HostName =
            name.and_then(|name| name.to_ascii_lowercase().parse().ok()).ok_or(ShakeError::NoName)?;
        match find(&self.0.entries, &name) {
            Some(_) => Ok(name),
            None => Err(ShakeError::Unknown(name)),
        }
    }
}

impl Entry {
    fn new(served: ServedCertificate, provider: &CryptoProvider) -> Result<Self, IdentityError> {
        let ServedCertificate { names, chain, key } = served;
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| {
            let mismatch = matches!(error, rustls::Error::InconsistentKeys(_));
            if mismatch { IdentityError::KeyMismatch } else { IdentityError::Key }
        })?;
        Ok(Self { names, key: Arc::new(key) })
    }
}

fn find<'a>(entries: &'a [Entry], name: &HostName) -> Option<&'a Entry> {
    let host = Authority::new(Host::Name(name.clone()), ANY_PORT);
    entries.iter().find(|entry| entry.names.iter().any(|target| target.matches(&host)))
}

#[derive(Debug)]
struct Resolver(Vec<Entry>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase().parse().ok()?;
        find(&self.0, &name).map(|entry| Arc::clone(&entry.key))
    }
}

impl ShakeError {
    fn of(error: io::Error) -> Self {
        let kind = error.kind();
        let inner = error.into_inner().and_then(|inner| inner.downcast::<rustls::Error>().ok());
        inner.map_or(Self::Gone(kind), |error| Self::Tls(*error))
    }
}

impl fmt::Display for ShakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(kind) => write!(f, "it went away: {kind}"),
            Self::NoName => f.write_str("it names no server (no SNI), so there is no certificate to show"),
            Self::Unknown(name) => {
                write!(
                    f,
                    "there is no certificate for {name}; add one to `certificates` if it is served here"
                )
            }
            Self::Tls(rustls::Error::AlertReceived(AlertDescription::UnknownCA)) => {
                f.write_str("it does not know the authority of our certificate; give it the roots")
            }
            Self::Tls(rustls::Error::AlertReceived(alert)) => {
                write!(f, "it refused our certificate with alert {alert:?}; check the certificate")
            }
            Self::Tls(error) => write!(f, "{error}; check what calls this port"),
        }
    }
}

impl fmt::Display for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.entries.iter().flat_map(|entry| &entry.names).map(ToString::to_string);
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificates({self})")
    }
}

const ANY_PORT: std::num::NonZeroU16 = std::num::NonZeroU16::MIN;
const MISSING_EXTENSION: &[u8] = b"\x15\x03\x03\x00\x02\x02\x6d";
const UNRECOGNIZED_NAME: &[u8] = b"\x15\x03\x03\x00\x02\x02\x70";
