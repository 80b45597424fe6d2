//! Why a client of a listener was not understood, as data.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why nothing was opened for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrontError {
    /// It went away, or its connection failed.
    Gone(io::ErrorKind),
    /// It did not say what it wants within the time.
    Timeout(Duration),
}

impl fmt::Display for FrontError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(kind) => write!(f, "the client went away before it said where to go: {kind}"),
            Self::Timeout(after) => {
                write!(f, "the client did not say within {after:?} where to go; check what calls this port")
            }
        }
    }
}

impl std::error::Error for FrontError {}
