//! A way by POST: through which proxy, with what credential, to whom.

use std::fmt;

use crate::authority::{Authority, Host};
use crate::hop::Hop;
use crate::identity::SpiffeId;
use crate::post::TokenSource;

/// A POST at a proxy; inside its stream TLS with one of the expected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Post {
    /// The proxy.
    pub hop: Hop,
    /// `:authority` of the request; the proxy's own name.
    pub authority: Host,
    /// The identities of which the far end of the inner TLS must have one; an empty list trusts nobody.
    pub expected: Vec<SpiffeId>,
    /// `x-service`, where the proxy wants one.
    pub service: Option<String>,
    /// What is shown to the proxy.
    pub token: Option<TokenSource>,
}

impl Post {
    /// The proxy's name as `:authority` has it: without the port that `https` implies.
    pub(crate) fn named(&self) -> String {
        match (self.hop.address().port(), &self.authority) {
            (443, Host::Address(std::net::IpAddr::V6(ip))) => format!("[{ip}]"),
            (443, host) => host.to_string(),
            (port, Host::Address(ip)) => std::net::SocketAddr::new(*ip, port).to_string(),
            (port, Host::Name(name)) => format!("{name}:{port}"),
        }
    }

    /// Where its connections go, if that is an address of TCP.
    pub(crate) const fn tcp(&self) -> Option<&Authority> {
        match &self.hop {
            Hop::Plain(plain) if plain.unix.is_some() => None,
            Hop::Node(_) | Hop::Web(_) | Hop::Plain(_) => Some(self.hop.address()),
            Hop::Inside(inside) => Some(&inside.gateway.address),
        }
    }

    /// Where errors say that it broke.
    pub(crate) const fn address(&self) -> &Authority {
        self.hop.address()
    }
}

impl fmt::Display for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected: Vec<_> = self.expected.iter().map(ToString::to_string).collect();
        write!(f, "POST at {}, inside it {}", self.hop, expected.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hop::PlainNode;

    #[test]
    fn the_port_that_https_implies_is_not_named() {
        for (address, named) in [
            ("gate.example:443", "gate.example"),
            ("gate.example:8443", "gate.example:8443"),
            ("[::1]:443", "[::1]"),
            ("[::1]:8443", "[::1]:8443"),
            ("192.0.2.1:443", "192.0.2.1"),
        ] {
            let address: Authority = address.parse().unwrap();
            let authority = address.host().clone();
            let hop = Hop::Plain(PlainNode { address, unix: None });
            let post = Post { hop, authority, expected: Vec::new(), service: None, token: None };
            assert_eq!(post.named(), named);
        }
    }
}
