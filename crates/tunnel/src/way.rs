//! Which way a destination is reached: through which node, and how it is asked. The table of ways.
//!
//! Built by the configuration; asked by both sides for every tunnel. A pure function of the destination: holds no
//! sockets, resolves nothing, opens nothing.

use std::fmt;
use std::sync::Arc;

use crate::authority::Authority;
use crate::hop::{Hop, InsideNode, PlainNode, either};
use crate::identity::SpiffeId;
use crate::matcher::Target;
use crate::post::Post;
use crate::reverse::ReverseName;
use crate::route::Peer;

/// How a destination is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// A CONNECT at a node.
    Node(Peer),
    /// A CONNECT at a node without TLS.
    Plain(PlainNode),
    /// A POST at a proxy, and TLS inside its stream. Boxed: few ways are of this kind.
    Post(Box<Post>),
    /// A CONNECT at a node that has dialled this one.
    Reverse(ReversePeer),
    /// A CONNECT at a node that is reached inside a tunnel of another: mTLS end to end in mTLS (double HBONE).
    Double(Double),
}

/// A node that has dialled this one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReversePeer {
    /// What it is called here.
    pub name: ReverseName,
    /// The identities of which it must have one; an empty list trusts nobody.
    pub expected: Vec<SpiffeId>,
}

/// A node behind another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Double {
    /// The node that is asked for the outer tunnel.
    pub gateway: Peer,
    /// What it is asked for, as it shall dial or route it; the destination itself when there is none.
    pub address: Option<Authority>,
    /// Who must answer inside.
    pub expected: Vec<SpiffeId>,
    /// This node's network, told inside as `x-forwarded-network`; for telemetry only.
    pub network: Option<String>,
}

impl Double {
    /// The node to which tunnels for a destination go.
    pub(crate) fn hop(&self, destination: &Authority) -> Hop {
        let address = self.address.as_ref().unwrap_or(destination).clone();
        let node = Peer { address, others: Vec::new(), expected: self.expected.clone() };
        Hop::Inside(Box::new(InsideNode { gateway: self.gateway.clone(), node }))
    }
}

impl Way {
    /// Where its connections go, if that is an address of TCP.
    pub(crate) const fn address(&self) -> Option<&Authority> {
        match self {
            Self::Node(peer) => Some(&peer.address),
            Self::Plain(PlainNode { address, unix: None }) => Some(address),
            Self::Double(double) => Some(&double.gateway.address),
            Self::Plain(_) | Self::Reverse(_) => None,
            Self::Post(post) => post.tcp(),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(peer) => Hop::Node(peer.clone()).fmt(f),
            Self::Plain(plain) => plain.fmt(f),
            Self::Reverse(ReversePeer { name, expected }) => {
                write!(f, "reverse {name} as {}", either(expected))
            }
            Self::Double(Double { gateway, address, expected, .. }) => {
                let address =
                    address.as_ref().map_or_else(|| "the destination".to_owned(), ToString::to_string);
                write!(f, "{address} as {} inside {}", either(expected), Hop::Node(gateway.clone()))
            }
            Self::Post(post) => post.fmt(f),
        }
    }
}

/// Ways by destination; the first that matches wins. Clones are cheap.
#[derive(Clone, Debug, Default)]
pub struct Routes(Arc<[Rule]>);

type Rule = (Option<Target>, Option<Way>);

impl Routes {
    /// A table, in the order in which it is searched; `None` matches every destination.
    pub fn new(rules: Vec<(Option<Target>, Way)>) -> Self {
        Self(rules.into_iter().map(|(target, way)| (target, Some(way))).collect())
    }

    /// The same, where a rule may also say that no way leads to what it matches, whatever comes later.
    pub fn with_gaps(rules: Vec<(Option<Target>, Option<Way>)>) -> Self {
        Self(rules.into())
    }

    /// The same way for every destination.
    pub fn all(way: Way) -> Self {
        Self::new(vec![(None, way)])
    }

    /// The way to a destination.
    pub fn find(&self, destination: &Authority) -> Option<&Way> {
        let matches = |target: &Option<Target>| target.as_ref().is_none_or(|it| it.matches(destination));
        self.0.iter().find(|(target, _)| matches(target)).and_then(|(_, way)| way.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_way_that_matches_wins() {
        let node = |at: &str| {
            let expected = vec!["spiffe://td/ns/a/sa/bob".parse().unwrap()];
            Way::Node(Peer { address: at.parse().unwrap(), others: Vec::new(), expected })
        };
        let (one, two) = (node("one:15008"), node("two:15008"));
        let routes = Routes::new(vec![
            (Some("*.example:443".parse().unwrap()), one.clone()),
            (Some("10.0.0.0/8".parse().unwrap()), two.clone()),
        ]);
        let find = |at: &str| routes.find(&at.parse().unwrap()).cloned();
        assert_eq!(find("a.example:443"), Some(one.clone()));
        assert_eq!(find("10.1.2.3:80"), Some(two));
        assert_eq!(find("a.example:80"), None);
        let gap =
            Routes::with_gaps(vec![(Some("10.0.0.1".parse().unwrap()), None), (None, Some(one.clone()))]);
        assert_eq!(gap.find(&"10.0.0.1:80".parse().unwrap()), None);
        assert_eq!(gap.find(&"10.0.0.2:80".parse().unwrap()), Some(&one));
        assert_eq!(Routes::all(one.clone()).find(&"x:1".parse().unwrap()), Some(&one));
        assert_eq!(one.to_string(), "one:15008 as spiffe://td/ns/a/sa/bob");
    }
}
