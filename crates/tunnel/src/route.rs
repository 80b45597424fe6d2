//! Where a tunnel goes: the destination to ask for and the node that is asked.
//!
//! Built by the configuration, used by the outbound side. Holds no sockets and resolves nothing.

use std::fmt;

use crate::authority::Authority;
use crate::identity::SpiffeId;

/// The far node of a connection: where it is dialled and who may answer there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Address and port of the node, usually port 15008, and what it is called in errors.
    pub address: Authority,
    /// Further addresses of the same node, or of others with the same identities: dialled too when those before fail
    /// or are silent for a moment.
    pub others: Vec<Authority>,
    /// The identities of which its certificate must carry one; an empty list trusts nobody.
    pub expected: Vec<SpiffeId>,
}

impl Peer {
    /// All its addresses, in the order in which they are dialled.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &Authority> {
        std::iter::once(&self.address).chain(&self.others)
    }
}

/// The way of the connections of one listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The destination that the far node shall dial (`:authority` of the CONNECT).
    pub destination: Authority,
    /// The node that is asked.
    pub via: Peer,
}

impl Route {
    /// A route.
    ///
    /// # Errors
    /// When nobody is expected at the far node.
    pub fn new(destination: Authority, via: Authority, expected: Vec<SpiffeId>) -> Result<Self, RouteError> {
        if expected.is_empty() {
            return Err(RouteError::NobodyExpected);
        }
        Ok(Self { destination, via: Peer { address: via, others: Vec::new(), expected } })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} via {}", self.destination, self.via.address)
    }
}

/// Why a route is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteError {
    /// No identity is expected of the far node: no handshake could ever succeed.
    NobodyExpected,
}

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NobodyExpected => "name at least one identity that the far node may have",
        })
    }
}

impl std::error::Error for RouteError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_names_who_is_expected() {
        let at = |text: &str| text.parse::<Authority>().unwrap();
        let route = Route::new(at("10.0.0.1:80"), at("node:15008"), Vec::new());
        assert_eq!(route, Err(RouteError::NobodyExpected));
        let bob = "spiffe://td/ns/a/sa/bob".parse().unwrap();
        let route = Route::new(at("10.0.0.1:80"), at("node:15008"), vec![bob]).unwrap();
        assert_eq!(route.to_string(), "10.0.0.1:80 via node:15008");
    }
}
