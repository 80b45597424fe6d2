//! Why a CONNECT is turned down, and the status that says so.
//!
//! Called by the inbound side. The caller learns the status, and of a destination that it may reach in one word what
//! failed: more would tell strangers about the network; it stands in this node's log. Sends nothing itself.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::authority::{Authority, AuthorityError};
use crate::denial::Denial;
use crate::egress::EgressFault;
use crate::error::TunnelError;
use crate::onward::HopFault;
use crate::post::{InnerFault, TokenRefusal};
use crate::reason::Reason;

/// Why a CONNECT is turned down.
#[derive(Clone, Debug, PartialEq)]
pub enum Rejection {
    /// The request is neither a CONNECT of RFC 9113 8.5 nor a POST that names a destination, and nobody here serves
    /// others.
    NotTunnel,
    /// The token is not to be believed.
    Token(TokenRefusal),
    /// TLS inside the stream failed, behind the 200.
    Inner(InnerFault),
    /// `:authority` is no destination.
    Authority(AuthorityError),
    /// A field by which somebody may decide stands there twice: one node would read the first, another the last.
    Repeated {
        /// Its name.
        field: &'static str,
    },
    /// The policy says no.
    Denied(Denial),
    /// Nothing is given away under that port.
    NotServed,
    /// The name does not resolve.
    Unresolvable {
        /// The destination.
        destination: Authority,
    },
    /// No TCP connection to the destination.
    Unreachable {
        /// The address that was tried last.
        address: SocketAddr,
        /// What the system said.
        cause: io::ErrorKind,
    },
    /// Resolving and dialling took too long.
    DialTimeout {
        /// The destination.
        destination: Authority,
        /// The limit.
        after: Duration,
    },
    /// The destination answers, and there is no TLS with it as an egress rule wants.
    Insecure {
        /// The destination.
        destination: Authority,
        /// Why.
        fault: EgressFault,
    },
    /// The caller inside a stream has its share of the tunnels.
    Greedy {
        /// Tunnels that one caller may have.
        share: usize,
    },
    /// The sockets of this node are used up.
    OutOfSockets,
    /// It has gone through too many gateways, or says nothing that can be meant of them.
    Hops(HopFault),
    /// The next node, through which a route leads, did not make a tunnel of it.
    Onward(TunnelError),
}

impl Rejection {
    /// The status of the response: 400, 403 (401 towards Istio, which expects that number), 405 (400), 503, or 508 in a circle of
    /// gateways. A refusal of the next node is one of this node; whatever else kept it from a tunnel is a 503.
    pub const fn status(&self, istio: bool) -> u16 {
        match self {
            Self::Token(_) => 401,
            Self::NotTunnel if !istio => 405,
            Self::NotTunnel | Self::Authority(_) | Self::Repeated { .. } | Self::Inner(_) => 400,
            Self::Hops(HopFault::Malformed) => 400,
            Self::Denied(_)
            | Self::NotServed
            | Self::Onward(TunnelError::Rejected { status: 401 | 403, .. }) => {
                if istio {
                    401
                } else {
                    403
                }
            }
            Self::Hops(HopFault::TooMany { .. })
            | Self::Onward(TunnelError::Rejected { status: 508, .. }) => 508,
            Self::Unresolvable { .. }
            | Self::Unreachable { .. }
            | Self::DialTimeout { .. }
            | Self::Insecure { .. }
            | Self::Greedy { .. }
            | Self::OutOfSockets
            | Self::Onward(_) => 503,
        }
    }
}

impl Rejection {
    /// What an allowed caller may hear of it, beside the status.
    pub(crate) fn reason(&self) -> Option<Reason> {
        match self {
            Self::Unresolvable { .. } => Some(Reason::Unresolvable),
            Self::Unreachable { cause: io::ErrorKind::ConnectionRefused, .. } => Some(Reason::Refused),
            Self::Unreachable { .. } => Some(Reason::Unroutable),
            Self::DialTimeout { .. } => Some(Reason::Timeout),
            Self::Onward(TunnelError::Rejected { reason, .. }) => *reason,
            Self::Hops(_) | Self::Onward(_) => None,
            Self::NotTunnel
            | Self::NotServed
            | Self::Repeated { .. }
            | Self::Token(_)
            | Self::Inner(_)
            | Self::Authority(_)
            | Self::Denied(_)
            | Self::Insecure { .. }
            | Self::Greedy { .. }
            | Self::OutOfSockets => None,
        }
    }

    /// What a caller that does not come for a tunnel may read. Tells nothing but what this port is.
    pub(crate) const fn advice(&self) -> &'static str {
        if matches!(self, Self::NotTunnel) {
            "This port takes HBONE tunnels: HTTP/2 CONNECT, or POST with x-tun.\n"
        } else {
            "This request cannot be served.\n"
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTunnel => f.write_str("the request asks for no tunnel; the caller is no HBONE node"),
            Self::Token(refusal) => write!(f, "{refusal}"),
            Self::Inner(fault) => write!(f, "{fault}"),
            Self::Authority(error) => write!(f, "the destination is malformed: {error}"),
            Self::Repeated { field } => {
                write!(
                    f,
                    "`{field}` stands there twice, so nobody can tell what is meant; ask the caller for one"
                )
            }
            Self::Denied(denial) => write!(f, "{denial}"),
            Self::NotServed => f.write_str("no service is given away under that port; add one for it"),
            Self::Unresolvable { destination } => {
                write!(f, "{} does not resolve; check the name service of this node", destination.host())
            }
            Self::Unreachable { address, cause } => {
                write!(f, "cannot connect to {address}: {cause}; check that the service runs")
            }
            Self::DialTimeout { destination, after } => {
                write!(f, "{destination} did not answer within {after:?}; check address and firewalls")
            }
            Self::Insecure { destination, fault } => write!(f, "no TLS with {destination}: {fault}"),
            Self::Greedy { share } => write!(
                f,
                "it has all {share} tunnels that one caller may have; raise the limit, or check what it does"
            ),
            Self::OutOfSockets => f.write_str("no more sockets; raise the limit of open files"),
            Self::Hops(fault) => fault.fmt(f),
            Self::Onward(error) => write!(f, "it goes on through another node, and there: {error}"),
        }
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_follow_the_wire_and_istio_has_its_own_number() {
        let denied = Rejection::Denied(Denial::NoIdentity);
        assert_eq!((denied.status(false), denied.status(true)), (403, 401));
        assert_eq!(Rejection::NotTunnel.status(false), 405);
        assert_eq!(Rejection::NotTunnel.status(true), 400);
        assert_eq!(Rejection::Authority(AuthorityError::NoPort).status(true), 400);
        let address = "10.0.0.1:80".parse().unwrap();
        let refused = Rejection::Unreachable { address, cause: io::ErrorKind::ConnectionRefused };
        assert_eq!(refused.status(false), 503);
        let onward = |status| {
            let (peer, destination) = ("node:15008".parse().unwrap(), "10.0.0.1:80".parse().unwrap());
            Rejection::Onward(TunnelError::Rejected { peer, destination, status, reason: None })
        };
        let told = [400, 401, 403, 429, 500, 503, 508].map(|status| onward(status).status(false));
        assert_eq!(told, [503, 403, 403, 503, 503, 503, 508]);
        assert_eq!(onward(403).status(true), 401);
        assert_eq!(Rejection::Onward(TunnelError::OutOfSockets).status(false), 503);
        assert_eq!(Rejection::Hops(HopFault::Malformed).status(false), 400);
        assert_eq!(Rejection::Hops(HopFault::TooMany { limit: 8 }).status(false), 508);
    }
}
