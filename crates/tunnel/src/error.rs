//! Why a tunnel could not be made, as data: a variant per cause, one line with the next step for people.
//!
//! Built by whoever finds the fault; printed once, by the one who ends the tunnel. Holds no sockets and
//! formats nothing before it is printed.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hbone_conn::{ConnectionError, OpenError, StreamError};
use rustls::AlertDescription;

use crate::authority::Authority;
use crate::front::FrontError;
use crate::post::{InnerFault, TokenFault};
use crate::reason::Reason;
use crate::reverse::ReverseName;
use crate::tls::IdentityError;
use crate::verify::{PeerFault, alert_advice};

/// Why a tunnel through a far node could not be made.
#[derive(Clone, Debug, PartialEq)]
pub enum TunnelError {
    /// Our own certificate or key is unusable.
    Identity(IdentityError),
    /// The far node's name does not resolve.
    Unresolvable {
        /// The far node.
        peer: Authority,
    },
    /// No TCP connection to the far node.
    Dial {
        /// The far node.
        peer: Authority,
        /// The address that was tried last.
        address: SocketAddr,
        /// What the system said.
        cause: io::ErrorKind,
    },
    /// The far node did not answer the TCP handshake, or resolving took too long.
    DialTimeout {
        /// The far node.
        peer: Authority,
        /// The limit.
        after: Duration,
    },
    /// No connection to a unix socket.
    UnixSocket {
        /// Where it should be.
        place: String,
        /// What the system said.
        cause: io::ErrorKind,
    },
    /// The far node does not speak TLS.
    NotTls {
        /// The far node.
        peer: Authority,
    },
    /// The far node speaks TLS, but not HTTP/2 (ALPN).
    NotHttp2 {
        /// The far node.
        peer: Authority,
    },
    /// The far node closed the connection during the handshake.
    HandshakeClosed {
        /// The far node.
        peer: Authority,
    },
    /// The TLS handshake or the first SETTINGS took too long.
    HandshakeTimeout {
        /// The far node.
        peer: Authority,
        /// The limit.
        after: Duration,
    },
    /// The far node's certificate is not to be trusted.
    PeerCertificate {
        /// The far node.
        peer: Authority,
        /// What is wrong.
        fault: PeerFault,
    },
    /// The far node does not trust our certificate.
    OwnCertificate {
        /// The far node.
        peer: Authority,
        /// What it said.
        alert: AlertDescription,
    },
    /// Any other failure of TLS.
    Tls {
        /// The far node.
        peer: Authority,
        /// What rustls said.
        error: rustls::Error,
    },
    /// The connection to the far node ended before the tunnel stood.
    Connection {
        /// The far node.
        peer: Authority,
        /// Why.
        error: ConnectionError,
    },
    /// No stream could be opened.
    Open {
        /// The far node.
        peer: Authority,
        /// Why.
        error: OpenError,
    },
    /// The stream failed before it was answered.
    Stream {
        /// The far node.
        peer: Authority,
        /// Why.
        error: StreamError,
    },
    /// The far node answered with another status than 200.
    Rejected {
        /// The far node.
        peer: Authority,
        /// The destination that was asked for.
        destination: Authority,
        /// The status, 100 to 999.
        status: u16,
        /// What it said of the destination, if anything.
        reason: Option<Reason>,
    },
    /// All phases together took too long.
    SetupTimeout {
        /// The far node.
        peer: Authority,
        /// The limit.
        after: Duration,
    },
    /// There is no token to show.
    Token {
        /// The proxy that it is for.
        peer: Authority,
        /// Why.
        fault: TokenFault,
    },
    /// The proxy let us through, and TLS with the far end inside the stream failed.
    Inner {
        /// The proxy.
        peer: Authority,
        /// Why.
        fault: InnerFault,
    },
    /// A client of a listener said nothing that can be meant.
    Front(FrontError),
    /// The listener is not for clients of that address.
    Stranger {
        /// Where the client called from.
        address: IpAddr,
    },
    /// No route leads to the destination.
    NoRoute {
        /// The destination.
        destination: Authority,
    },
    /// No node holds the name at this gateway.
    NotRegistered {
        /// The name.
        name: ReverseName,
    },
    /// The far node takes no reverse connections.
    NoReception {
        /// The far node.
        peer: Authority,
    },
    /// The far node does not register us under the name.
    NotAdmitted {
        /// The far node.
        peer: Authority,
    },
    /// The local client went away first.
    ClientGone,
    /// As many tunnels as are allowed are open.
    TooManyTunnels {
        /// The limit.
        limit: usize,
    },
    /// The sockets of this process are used up.
    OutOfSockets,
    /// This node is shutting down.
    Draining,
}

/// Kinds of causes, with the exit code of a command that failed of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Something happened at run time; exit code 1.
    Runtime,
    /// The command line, the configuration or the certificates are wrong; exit code 2.
    Usage,
    /// One of the two ends does not trust the other, or a policy says no; exit code 3.
    Refused,
    /// The far node or the destination cannot be reached; exit code 4.
    Unreachable,
}

impl Class {
    /// The exit code: 1 to 4.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Runtime => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Unreachable => 4,
        }
    }
}

impl TunnelError {
    /// The kind of the cause.
    pub const fn class(&self) -> Class {
        match self {
            Self::Identity(_) => Class::Usage,
            Self::PeerCertificate { .. }
            | Self::OwnCertificate { .. }
            | Self::Stranger { .. }
            | Self::NotAdmitted { .. } => Class::Refused,
            Self::Token { .. } => Class::Usage,
            Self::Inner { fault, .. } if fault.is_refusal() => Class::Refused,
            Self::Rejected { status: 401 | 403 | 407, .. } => Class::Refused,
            Self::Rejected { status: 429 | 502..=504 | 508, .. }
            | Self::Unresolvable { .. }
            | Self::Dial { .. }
            | Self::DialTimeout { .. }
            | Self::UnixSocket { .. }
            | Self::NotTls { .. }
            | Self::NotHttp2 { .. }
            | Self::NotRegistered { .. }
            | Self::NoReception { .. }
            | Self::HandshakeClosed { .. }
            | Self::HandshakeTimeout { .. }
            | Self::SetupTimeout { .. } => Class::Unreachable,
            Self::NoRoute { .. } => Class::Usage,
            Self::Tls { .. }
            | Self::Connection { .. }
            | Self::Open { .. }
            | Self::Stream { .. }
            | Self::Rejected { .. }
            | Self::Inner { .. }
            | Self::Front(_)
            | Self::ClientGone
            | Self::TooManyTunnels { .. }
            | Self::OutOfSockets
            | Self::Draining => Class::Runtime,
        }
    }
}

impl fmt::Display for TunnelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(error) => write!(f, "our own identity is unusable: {error}"),
            Self::Unresolvable { peer } => {
                write!(f, "{} does not resolve; check its spelling and the name service", peer.host())
            }
            Self::Dial { peer, address, cause } => write_dial(f, peer, *address, *cause),
            Self::DialTimeout { peer, after } => write!(
                f,
                "{peer} did not answer within {after:?}; check the address, and firewalls between the nodes"
            ),
            Self::UnixSocket { place, cause } => {
                write!(f, "cannot connect to {place}: {cause}; start the far node, or check the path")
            }
            Self::NotTls { peer } => {
                write!(f, "{peer} does not speak TLS, so it is no HBONE node; check the port (usually 15008)")
            }
            Self::NotHttp2 { peer } => write!(
                f,
                "{peer} speaks TLS but not HTTP/2, so it is no HBONE node; check the port (usually 15008)"
            ),
            Self::HandshakeClosed { peer } => {
                write!(f, "{peer} closed the connection during the handshake; see its log for the reason")
            }
            Self::HandshakeTimeout { peer, after } => write!(
                f,
                "{peer} took the connection but did not finish the handshake within {after:?}; \
                 check that an HBONE node listens there, and its load"
            ),
            Self::PeerCertificate { peer, fault } => write!(f, "{peer} is not trusted: {fault}"),
            Self::OwnCertificate { peer, alert } => match alert_advice(*alert) {
                Some(advice) => write!(f, "{peer} does not trust us: {advice}"),
                None => write!(f, "{peer} ended the handshake with alert {alert:?}; see its log"),
            },
            Self::Tls { peer, error } => write!(
                f,
                "TLS with {peer} failed: {error}; check that an HBONE node listens there, and see its log"
            ),
            Self::Connection { peer, error } => {
                write!(
                    f,
                    "the connection to {peer} ended before the tunnel stood: {error}; try again, or see its log"
                )
            }
            Self::Open { peer, error } => {
                write!(f, "{peer} takes no tunnel: {error}; try again, or see its log for the reason")
            }
            Self::Stream { peer, error } => {
                write!(f, "{peer} dropped the tunnel before answering: {error}; see its log")
            }
            Self::Rejected { peer, destination, status, reason: None } => {
                write_rejected(f, peer, destination, *status)
            }
            Self::Rejected { peer, destination, status, reason: Some(reason) } => {
                write!(f, "{peer} answered {status} for {destination}: {reason}")
            }
            Self::SetupTimeout { peer, after } => {
                write!(f, "the tunnel through {peer} did not stand within {after:?}; check both nodes' load")
            }
            Self::Token { peer, fault } => write!(f, "no token for {peer}: {fault}"),
            Self::Inner { peer, fault } => write!(f, "through {peer}: {fault}"),
            Self::Front(error) => error.fmt(f),
            Self::Stranger { address } => {
                write!(f, "`allow_from` has no network with {address}; add one if its clients may call here")
            }
            Self::NoRoute { destination } => {
                write!(
                    f,
                    "no route leads to {destination}; add one that names it, and the peer to go through"
                )
            }
            Self::NotRegistered { name } => write!(
                f,
                "no node is registered as {name}; check that it runs, and that its identity may hold the name"
            ),
            Self::NoReception { peer } => {
                write!(
                    f,
                    "{peer} takes no reverse tunnels; check its listener (`reverse = true`) and its version"
                )
            }
            Self::NotAdmitted { peer } => {
                write!(f, "{peer} does not let us hold the name; see its log for the reason")
            }
            Self::ClientGone => {
                f.write_str("the local client went away before the tunnel stood; check its time limit")
            }
            Self::TooManyTunnels { limit } => {
                write!(f, "all {limit} tunnels of this listener are in use; raise the limit or find the leak")
            }
            Self::OutOfSockets => f.write_str("no more sockets; raise the limit of open files"),
            Self::Draining => f.write_str("this node is shutting down; try again once it is up"),
        }
    }
}

impl std::error::Error for TunnelError {}

impl From<IdentityError> for TunnelError {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}

impl From<FrontError> for TunnelError {
    fn from(error: FrontError) -> Self {
        Self::Front(error)
    }
}

fn write_dial(
    f: &mut fmt::Formatter<'_>,
    peer: &Authority,
    address: SocketAddr,
    cause: io::ErrorKind,
) -> fmt::Result {
    write!(f, "cannot connect to {peer}")?;
    if peer.address() != Some(address) {
        write!(f, " ({address})")?;
    }
    let advice = if cause == io::ErrorKind::ConnectionRefused {
        "nothing listens there; start the far node, or check the port"
    } else if cause == io::ErrorKind::PermissionDenied {
        "a local firewall forbids it"
    } else {
        "check the address and the route to it"
    };
    write!(f, ": {cause}; {advice}")
}

fn write_rejected(
    f: &mut fmt::Formatter<'_>,
    peer: &Authority,
    destination: &Authority,
    status: u16,
) -> fmt::Result {
    let advice = match status {
        400 => "it does not accept this as a destination; check the route",
        401 | 403 => "its policy does not allow our identity there; allow it in the policy of the far node",
        404 => "it knows no such destination; check the route",
        429 => "it has too many tunnels; try again later, or raise the limits of the far node",
        503 => "it cannot reach the destination; check that the service runs where the far node can see it",
        508 => "the tunnel went in a circle of gateways; check the routes of all of them",
        502 | 504 => "it cannot reach the destination in time; check the service behind the far node",
        _ => "see its log for the reason",
    };
    write!(f, "{peer} answered {status} for {destination}: {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Authority {
        text.parse().unwrap()
    }

    #[test]
    fn every_text_is_one_line_that_names_the_peer_and_the_next_step() {
        let peer = at("node:15008");
        let (address, after) = ("10.0.0.1:15008".parse().unwrap(), Duration::from_secs(10));
        let destination = at("10.0.0.9:80");
        let mut errors = vec![
            TunnelError::Unresolvable { peer: peer.clone() },
            TunnelError::Dial { peer: peer.clone(), address, cause: io::ErrorKind::ConnectionRefused },
            TunnelError::DialTimeout { peer: peer.clone(), after },
            TunnelError::NotTls { peer: peer.clone() },
            TunnelError::NotHttp2 { peer: peer.clone() },
            TunnelError::HandshakeTimeout { peer: peer.clone(), after },
            TunnelError::PeerCertificate { peer: peer.clone(), fault: PeerFault::UnknownAuthority },
            TunnelError::OwnCertificate { peer: peer.clone(), alert: AlertDescription::UnknownCA },
        ];
        let tls = rustls::Error::General("odd".into());
        errors.push(TunnelError::Tls { peer: peer.clone(), error: tls });
        errors.push(TunnelError::Connection { peer: peer.clone(), error: ConnectionError::Eof });
        errors.push(TunnelError::Open { peer: peer.clone(), error: OpenError::Draining });
        errors.push(TunnelError::HandshakeClosed { peer: peer.clone() });
        errors.push(TunnelError::SetupTimeout { peer: peer.clone(), after });
        errors.push(TunnelError::NoReception { peer: peer.clone() });
        errors.push(TunnelError::NotAdmitted { peer: peer.clone() });
        errors.push(TunnelError::NotRegistered { name: "node".parse().unwrap() });
        errors.push(TunnelError::Stream { peer: peer.clone(), error: StreamError::Goaway });
        errors.push(TunnelError::Token { peer: peer.clone(), fault: TokenFault::Empty });
        let inner = [InnerFault::Ended, InnerFault::Stream(StreamError::Goaway), InnerFault::Identity];
        for fault in inner.into_iter().chain([InnerFault::Alert(AlertDescription::NoApplicationProtocol)]) {
            errors.push(TunnelError::Inner { peer: peer.clone(), fault });
        }
        for status in [400, 401, 403, 404, 429, 500, 502, 503, 504, 508] {
            let (peer, destination) = (peer.clone(), destination.clone());
            errors.push(TunnelError::Rejected { peer, destination, status, reason: None });
        }
        for reason in [Reason::Unresolvable, Reason::Refused, Reason::Unroutable, Reason::Timeout] {
            let (peer, destination, reason) = (peer.clone(), destination.clone(), Some(reason));
            errors.push(TunnelError::Rejected { peer, destination, status: 503, reason });
        }
        for error in errors {
            let text = error.to_string();
            assert!(text.contains("node") && !text.contains('\n') && !text.contains("  "), "{text}");
            let (_, next) = text.rsplit_once(';').or_else(|| text.rsplit_once(':')).unwrap();
            let verbs = ["check", "see", "try", "start", "compare", "allow", "raise", "renew"];
            assert!(verbs.iter().any(|verb| next.contains(verb)), "no next step: {text}");
        }
    }

    #[test]
    fn classes_have_the_exit_codes_of_the_command_line() {
        let (peer, destination) = (at("node:15008"), at("10.0.0.9:80"));
        let rejected = |status| TunnelError::Rejected {
            peer: peer.clone(),
            destination: destination.clone(),
            status,
            reason: None,
        };
        assert_eq!(rejected(403).class().exit_code(), 3);
        assert_eq!(rejected(503).class().exit_code(), 4);
        assert_eq!(rejected(429).class().exit_code(), 4);
        assert_eq!(rejected(400).class().exit_code(), 1);
        assert_eq!(TunnelError::Identity(IdentityError::NoRoots).class().exit_code(), 2);
        assert_eq!(TunnelError::NotTls { peer: peer.clone() }.class().exit_code(), 4);
    }
}
