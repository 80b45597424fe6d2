//! Why a tunnel never stood, in few words: a class for each cause, for counters.
//!
//! Asked by the records. A class is a word of this file and never one of a peer, so there are no more counters than
//! classes. Decides nothing.

use std::fmt::Display;

use crate::error::TunnelError;
use crate::onward::HopFault;
use crate::outcome::Break;
use crate::reject::Rejection;

/// A cause that people read as a sentence and counters as a class.
pub(crate) trait Refused: Display {
    /// The class in one word: lower case and underscores.
    fn word(&self) -> &'static str;
}

impl Refused for TunnelError {
    fn word(&self) -> &'static str {
        match self {
            Self::Identity(_) => "identity",
            Self::Unresolvable { .. } => "unresolvable",
            Self::Dial { .. } | Self::UnixSocket { .. } => "unreachable",
            Self::DialTimeout { .. } | Self::HandshakeTimeout { .. } | Self::SetupTimeout { .. } => "timeout",
            Self::NotTls { .. }
            | Self::NotHttp2 { .. }
            | Self::HandshakeClosed { .. }
            | Self::Tls { .. }
            | Self::Inner { .. } => "handshake",
            Self::PeerCertificate { .. } | Self::OwnCertificate { .. } => "untrusted",
            Self::Connection { .. } | Self::Open { .. } | Self::Stream { .. } => "connection",
            Self::Rejected { status: 401 | 403 | 407, .. } => "denied",
            Self::Rejected { .. } => "rejected",
            Self::NoRoute { .. } => "no_route",
            Self::NotRegistered { .. } | Self::NoReception { .. } | Self::NotAdmitted { .. } => "reverse",
            Self::Token { .. } => "token",
            Self::Front(_) | Self::ClientGone => "client",
            Self::Stranger { .. } => "stranger",
            Self::TooManyTunnels { .. } => "too_many",
            Self::OutOfSockets => "sockets",
            Self::Draining => "drained",
        }
    }
}

impl Refused for Rejection {
    fn word(&self) -> &'static str {
        match self {
            Self::NotTunnel
            | Self::Authority(_)
            | Self::Repeated { .. }
            | Self::Hops(HopFault::Malformed) => "malformed",
            Self::Hops(HopFault::TooMany { .. }) => "circle",
            Self::Token(_) => "token",
            Self::Inner(_) | Self::Insecure { .. } => "handshake",
            Self::Denied(_) | Self::NotServed => "denied",
            Self::Unresolvable { .. } => "unresolvable",
            Self::Unreachable { .. } => "unreachable",
            Self::DialTimeout { .. } => "timeout",
            Self::Greedy { .. } => "too_many",
            Self::OutOfSockets => "sockets",
            Self::Onward(error) => Refused::word(error),
        }
    }
}

/// Of a tunnel that was given up before it stood.
impl Refused for Break {
    fn word(&self) -> &'static str {
        match self {
            Self::Drained => "drained",
            Self::Tcp(_) | Self::Stream(_) | Self::Inner(_) | Self::Idle(_) | Self::Revoked | Self::Http => {
                "client"
            }
        }
    }
}
