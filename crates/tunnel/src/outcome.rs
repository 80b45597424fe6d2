//! What a relay is told and what it tells: limits, why a tunnel was broken, what went through.
//!
//! Shared by the relay and its parts, by both sides and by their records. Decides nothing.

use std::io;
use std::time::Duration;

use hbone_conn::StreamError;

/// How long a tunnel may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayLimits {
    /// Without an octet in either direction; `None` for ever.
    pub idle: Option<Duration>,
    /// The same once one direction has ended and nothing waits in the other; `None` for ever. While octets wait, the
    /// longer of the two limits holds: credit for them comes in batches, and a slow reader takes long for one.
    pub half_closed_idle: Option<Duration>,
    /// Octets, at least 1, that have to leave in a minute for a direction to count as moving while more of them
    /// wait for its reader: windows that are opened octet by octet prolong nothing.
    pub min_progress: u64,
}

impl Default for RelayLimits {
    /// One hour; five minutes once one direction has ended; 1024 octets in a minute.
    fn default() -> Self {
        Self {
            idle: Some(Duration::from_secs(3600)),
            half_closed_idle: Some(Duration::from_secs(300)),
            min_progress: 1024,
        }
    }
}

impl RelayLimits {
    /// Whether any silence is too long for a tunnel, of which one direction has ended or not.
    pub(crate) const fn any(&self, half_closed: bool) -> bool {
        if half_closed { self.half_closed_idle.is_some() } else { self.idle.is_some() }
    }

    /// The limit of a tunnel of which one direction has ended, and in which octets wait.
    pub(crate) fn limit(&self, half_closed: bool, backlogged: bool) -> Option<Duration> {
        match (half_closed, backlogged) {
            (false, _) => self.idle,
            (true, false) => self.half_closed_idle,
            (true, true) => Some(self.idle?.max(self.half_closed_idle?)),
        }
    }
}

/// Why a tunnel was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
    /// The TCP connection failed.
    Tcp(io::ErrorKind),
    /// The stream failed.
    Stream(StreamError),
    /// TLS inside the stream failed, or was cut.
    Inner(io::ErrorKind),
    /// No octet moved for that long.
    Idle(Duration),
    /// The policy does not allow it any longer.
    Revoked,
    /// One side broke off within a message of HTTP, or broke its rules.
    Http,
    /// The node shuts down, and the time for finishing is over.
    Drained,
}

impl std::fmt::Display for Break {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(io::ErrorKind::UnexpectedEof) => {
                f.write_str("TLS ended without close_notify: what came may have been cut")
            }
            Self::Tcp(kind) => write!(f, "the TCP connection failed: {kind}"),
            Self::Stream(error) => write!(f, "the far leg failed: {error}"),
            Self::Inner(kind) => write!(f, "TLS inside the stream failed: {kind}"),
            Self::Idle(limit) => write!(f, "no octet moved for {limit:?}"),
            Self::Http => f.write_str("the client or the service broke off within a message, or broke HTTP"),
            Self::Revoked => f.write_str("the policy does not allow it any longer"),
            Self::Drained => f.write_str("the node shut down before it had finished"),
        }
    }
}

/// What went through a tunnel and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// From who asked towards the destination; of [`relay`](crate::relay) from the TCP connection to the stream.
    pub up: Direction,
    /// The other way.
    pub down: Direction,
    /// Why it was broken; `None` when both directions ended with a FIN.
    pub broken: Option<Break>,
}

impl Relayed {
    /// Seen from the other end.
    pub(crate) fn turned(self) -> Self {
        Self { up: self.down, down: self.up, broken: self.broken }
    }
}

/// One direction of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Octets handed on.
    pub octets: u64,
    /// It ended with a FIN; else with a reset.
    pub finished: bool,
}
