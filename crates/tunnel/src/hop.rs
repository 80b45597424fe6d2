//! The next node on the way: how it is reached, and how it is known.
//!
//! Built by the configuration, used by ways and by the pool, which shares connections to the same hop. Holds no
//! sockets.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::authority::{Authority, Host};
use crate::identity::SpiffeId;
use crate::route::Peer;
use crate::tls::IdentityError;

/// The next node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Hop {
    /// mTLS: both ends show an identity.
    Node(Peer),
    /// TLS: the far end shows a certificate of its name, this one shows none.
    Web(WebNode),
    /// HTTP/2 without TLS (RFC 9113 3.3): over links that are trusted for other reasons.
    Plain(PlainNode),
    /// mTLS with a node that only another node reaches, inside a tunnel of that one.
    Inside(Box<InsideNode>),
}

/// A node that is reached inside the tunnel of another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct InsideNode {
    /// The node that is asked for the tunnel. It sees ciphertext only.
    pub gateway: Peer,
    /// What it is asked for, and who must answer there.
    pub node: Peer,
}

/// A server that is known by its name, as on the web.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WebNode {
    /// Where it is dialled.
    pub address: Authority,
    /// What its certificate must be for; a name is also sent as SNI.
    pub name: Host,
    /// Who vouches for it.
    pub roots: WebRoots,
}

/// A node without TLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlainNode {
    /// Where it is dialled, and what it is called in errors.
    pub address: Authority,
    /// A unix socket, which is dialled in place of the address.
    pub unix: Option<UnixPlace>,
}

/// Where a unix socket listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UnixPlace {
    /// A file.
    Path(PathBuf),
    /// A name of Linux that is no file.
    Abstract(String),
}

/// Certificates of authorities that vouch for servers by name. The same only as itself and its clones.
#[derive(Clone, Debug)]
pub struct WebRoots(Arc<RootCertStore>);

impl Hop {
    /// Where it is dialled.
    pub const fn address(&self) -> &Authority {
        match self {
            Self::Node(peer) => &peer.address,
            Self::Web(web) => &web.address,
            Self::Plain(plain) => &plain.address,
            Self::Inside(inside) => &inside.node.address,
        }
    }

    /// The same with the expected identities in order, each once: what two tunnels must agree on to share a connection.
    pub(crate) fn sorted(&self) -> Self {
        fn sort(peer: &mut Peer) {
            peer.expected.sort_unstable();
            peer.expected.dedup();
        }
        let mut hop = self.clone();
        match &mut hop {
            Self::Node(peer) => sort(peer),
            Self::Inside(inside) => {
                sort(&mut inside.gateway);
                sort(&mut inside.node);
            }
            Self::Web(_) | Self::Plain(_) => {}
        }
        hop
    }
}

impl WebRoots {
    /// Roots from a PEM text.
    ///
    /// # Errors
    /// [`IdentityError::NoRoots`] without a certificate, [`IdentityError::Root`] with one that is malformed.
    pub fn from_pem(text: &[u8]) -> Result<Self, IdentityError> {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(text) {
            store.add(root.map_err(|_| IdentityError::Root)?).map_err(|_| IdentityError::Root)?;
        }
        if store.is_empty() { Err(IdentityError::NoRoots) } else { Ok(Self(Arc::new(store))) }
    }

    pub(crate) fn store(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.0)
    }
}

impl PartialEq for WebRoots {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for WebRoots {}

impl Hash for WebRoots {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(peer) => {
                write!(f, "{}", peer.address)?;
                peer.others.iter().try_for_each(|other| write!(f, ", {other}"))?;
                write!(f, " as {}", either(&peer.expected))
            }
            Self::Inside(inside) => {
                let InsideNode { gateway, node } = &**inside;
                write!(f, "{} as {} inside {}", node.address, either(&node.expected), gateway.address)
            }
            Self::Web(WebNode { address, name, .. }) => write!(f, "{address} as {name}"),
            Self::Plain(plain) => plain.fmt(f),
        }
    }
}

/// Identities, for people.
pub(crate) fn either(expected: &[SpiffeId]) -> String {
    expected.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

impl fmt::Display for PlainNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unix {
            None => write!(f, "{} without TLS", self.address),
            Some(place) => write!(f, "{place}"),
        }
    }
}

impl fmt::Display for UnixPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}
