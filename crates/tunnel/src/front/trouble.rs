//! What a client of a proxy is told about a tunnel that does not stand: one table for SOCKS5 and HTTP.
//!
//! Asked by reply.rs. A client is a local one: it may hear more than a stranger on the wire.

use std::io;

use crate::error::{Class, TunnelError};
use crate::reason::Reason;

/// Kinds of causes that the two protocols tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A policy, or one of the two ends does not trust the other.
    Denied,
    /// No way there.
    NoNetwork,
    /// The way ends before it.
    NoHost,
    /// Nothing listens there.
    Refused,
    Timeout,
    /// Anything else.
    Other,
}

impl Trouble {
    pub(super) fn of(error: &TunnelError) -> Self {
        if let TunnelError::Rejected { status, reason, .. } = error {
            return Self::rejected(*status, *reason);
        }
        if let TunnelError::Dial { cause: io::ErrorKind::ConnectionRefused, .. } = error {
            return Self::Refused;
        }
        if matches!(error, TunnelError::NoRoute { .. }) {
            return Self::NoNetwork;
        }
        let late = matches!(
            error,
            TunnelError::DialTimeout { .. }
                | TunnelError::HandshakeTimeout { .. }
                | TunnelError::SetupTimeout { .. }
        );
        if late {
            return Self::Timeout;
        }
        match error.class() {
            Class::Refused => Self::Denied,
            Class::Unreachable => Self::NoHost,
            Class::Runtime | Class::Usage => Self::Other,
        }
    }

    const fn rejected(status: u16, reason: Option<Reason>) -> Self {
        match (status, reason) {
            (401 | 403 | 407, _) => Self::Denied,
            (_, Some(Reason::Refused)) => Self::Refused,
            (_, Some(Reason::Unroutable)) => Self::NoNetwork,
            (_, Some(Reason::Timeout)) | (504, None) => Self::Timeout,
            (_, Some(Reason::Unresolvable)) | (502 | 503, None) => Self::NoHost,
            (_, None) => Self::Other,
        }
    }

    /// The code of a reply (RFC 1928 6).
    pub(super) const fn socks(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Denied => 2,
            Self::NoNetwork => 3,
            Self::NoHost => 4,
            Self::Refused => 5,
            Self::Timeout => 6,
        }
    }

    /// The status of an answer and its words.
    pub(super) const fn http(self) -> (u16, &'static str) {
        match self {
            Self::Denied => (403, "Forbidden"),
            Self::Timeout => (504, "Gateway Timeout"),
            Self::NoNetwork | Self::NoHost | Self::Refused | Self::Other => (502, "Bad Gateway"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::verify::PeerFault;

    #[test]
    fn t31_every_cause_has_its_code_and_its_status() {
        let peer: crate::Authority = "node:15008".parse().unwrap();
        let (address, after) = ("10.0.0.1:15008".parse().unwrap(), Duration::from_secs(10));
        let rejected = |status, reason| TunnelError::Rejected {
            peer: peer.clone(),
            destination: peer.clone(),
            status,
            reason,
        };
        let dial = |cause| TunnelError::Dial { peer: peer.clone(), address, cause };
        let table = [
            (rejected(403, None), 2, 403),
            (rejected(401, None), 2, 403),
            (rejected(403, Some(Reason::Refused)), 2, 403),
            (rejected(503, Some(Reason::Refused)), 5, 502),
            (rejected(503, Some(Reason::Unroutable)), 3, 502),
            (rejected(503, Some(Reason::Unresolvable)), 4, 502),
            (rejected(503, Some(Reason::Timeout)), 6, 504),
            (rejected(503, None), 4, 502),
            (rejected(504, None), 6, 504),
            (rejected(400, None), 1, 502),
            (rejected(429, None), 1, 502),
            (dial(io::ErrorKind::ConnectionRefused), 5, 502),
            (dial(io::ErrorKind::HostUnreachable), 4, 502),
            (TunnelError::DialTimeout { peer: peer.clone(), after }, 6, 504),
            (TunnelError::HandshakeTimeout { peer: peer.clone(), after }, 6, 504),
            (TunnelError::SetupTimeout { peer: peer.clone(), after }, 6, 504),
            (TunnelError::Unresolvable { peer: peer.clone() }, 4, 502),
            (TunnelError::NoRoute { destination: peer.clone() }, 3, 502),
            (TunnelError::PeerCertificate { peer, fault: PeerFault::UnknownAuthority }, 2, 403),
            (TunnelError::Draining, 1, 502),
        ];
        for (error, code, status) in table {
            let trouble = Trouble::of(&error);
            assert_eq!((trouble.socks(), trouble.http().0), (code, status), "{error}");
        }
    }
}
