//! TLS that is added on the way out: which destinations get it, and the handshake with them.
//!
//! Built by the configuration, used by the inbound side once the policy has said yes and the destination has answered.
//! TLS 1.3 only; the certificate is judged by roots that the rule names, never by those of the mesh. A destination that
//! fails is never spoken to in the clear.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, TlsStream};

use crate::authority::{Authority, Host};
use crate::hop::WebRoots;
use crate::join::End;
use crate::leg::TcpLeg;
use crate::matcher::Target;
use crate::network::canonical;
use crate::tls::{IdentityError, provider};

/// Rules by destination; the first that matches wins. Clones are cheap.
#[derive(Clone, Debug, Default)]
pub struct Egress(Arc<[EgressRule]>);

/// TLS for the destinations of a target.
#[derive(Clone, Debug)]
pub struct EgressRule {
    target: Target,
    /// What the certificate must be for; the host that was asked for when none.
    name: Option<Host>,
    tls: Arc<ClientConfig>,
}

/// Why there is no TLS with a destination.
#[derive(Clone, Debug, PartialEq)]
pub enum EgressFault {
    /// It did not answer in time.
    Timeout(Duration),
    /// It closed the connection.
    Closed(io::ErrorKind),
    /// Its host is no name that a certificate can be for.
    Name,
    /// Anything that TLS says.
    Tls(rustls::Error),
}

impl Egress {
    /// Rules, in the order in which they are asked.
    pub fn new(rules: Vec<EgressRule>) -> Self {
        Self(rules.into())
    }

    /// The rule for a destination, as it is written or as it was dialled: a network holds what a name led to.
    pub(crate) fn find(&self, destination: &Authority, address: Option<IpAddr>) -> Option<&EgressRule> {
        let address = address.map(canonical);
        self.0.iter().find(|rule| {
            rule.target.matches(destination)
                || address.is_some_and(|ip| rule.target.allows(destination, Some(ip)))
        })
    }
}

impl EgressRule {
    /// A rule. `name` is sent as SNI too, if it is one; `own` is shown to destinations that ask for a certificate.
    ///
    /// # Errors
    /// [`IdentityError::Key`] when the key cannot sign.
    pub fn new(
        target: Target,
        name: Option<Host>,
        roots: &WebRoots,
        own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> Result<Self, IdentityError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|_| IdentityError::Key)?
            .with_root_certificates(roots.store());
        let mut tls = match own {
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|_| IdentityError::Key)?
            }
            None => builder.with_no_client_auth(),
        };
        // A resumed session would skip the checks of expiry and roots.
        tls.resumption = Resumption::disabled();
        Ok(Self { target, name, tls: Arc::new(tls) })
    }

    /// Shakes hands with the destination.
    pub(crate) async fn secure(
        &self,
        tcp: TcpStream,
        destination: &Authority,
        limit: Duration,
    ) -> Result<End, EgressFault> {
        let name = match self.name.as_ref().unwrap_or_else(|| destination.host()) {
            Host::Address(ip) => ServerName::IpAddress((*ip).into()),
            Host::Name(name) => {
                ServerName::try_from(name.as_str().to_owned()).map_err(|_| EgressFault::Name)?
            }
        };
        let shaking = TlsConnector::from(Arc::clone(&self.tls)).connect(name, TcpLeg::new(tcp));
        let tls = timeout(limit, shaking).await.map_err(|_| EgressFault::Timeout(limit))?;
        Ok(End::Other(Box::new(TlsStream::Client(tls.map_err(EgressFault::of)?))))
    }
}

impl EgressFault {
    fn of(error: io::Error) -> Self {
        let kind = error.kind();
        let inner = error.into_inner().and_then(|inner| inner.downcast::<rustls::Error>().ok());
        inner.map_or(Self::Closed(kind), |error| Self::Tls(*error))
    }
}

impl fmt::Display for EgressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} with TLS as {name}", self.target),
            None => write!(f, "{} with TLS", self.target),
        }
    }
}

impl fmt::Display for EgressFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(after) => write!(f, "no handshake within {after:?}; check that it speaks TLS"),
            Self::Closed(kind) => write!(f, "it closed the connection ({kind}); check that it speaks TLS"),
            Self::Name => f.write_str("no certificate is for such a name; give `sni` in the egress rule"),
            Self::Tls(rustls::Error::InvalidMessage(_)) => {
                f.write_str("it does not speak TLS; check the port, or take the egress rule away")
            }
            Self::Tls(rustls::Error::InvalidCertificate(fault)) => {
                f.write_str(advice(fault))?;
                write!(f, " ({fault})")
            }
            Self::Tls(rustls::Error::AlertReceived(alert)) => {
                write!(f, "it said {alert:?}; check `sni`, `cert` and `key` of the egress rule, and its log")
            }
            Self::Tls(error) => write!(f, "{error}; check that it speaks TLS 1.3"),
        }
    }
}

/// What to do about a certificate.
fn advice(fault: &CertificateError) -> &'static str {
    // An authority may have the name of one in `roots` and another key.
    if matches!(fault, CertificateError::UnknownIssuer | CertificateError::BadSignature) {
        "nobody in `roots` vouches for its certificate; add its authority if it is the right server"
    } else if matches!(
        fault,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
    ) {
        "its certificate is for another name; check `sni` of the egress rule"
    } else if matches!(fault, CertificateError::Expired | CertificateError::ExpiredContext { .. }) {
        "its certificate has expired; renew it there, or correct the clock"
    } else {
        "its certificate cannot be trusted; check it there"
    }
}
