//! A port, or a range of them, as it is written on the command line. Decides nothing.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

/// Ports from 1 to 65535, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    low: NonZeroU16,
    high: NonZeroU16,
}

/// Why a text is no ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortsError {
    /// No port from 1 to 65535.
    Port,
    /// The first is above the last.
    Backwards,
}

impl FromStr for Ports {
    type Err = PortsError;

    fn from_str(text: &str) -> Result<Self, PortsError> {
        let port = |text: &str| text.parse().map_err(|_| PortsError::Port);
        let (low, high) = match text.split_once('-') {
            Some((low, high)) => (port(low)?, port(high)?),
            None => (port(text)?, port(text)?),
        };
        if low > high { Err(PortsError::Backwards) } else { Ok(Self { low, high }) }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low == self.high { self.low.fmt(f) } else { write!(f, "{}-{}", self.low, self.high) }
    }
}

impl fmt::Display for PortsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Port => "a port is a number from 1 to 65535, a range LOW-HIGH",
            Self::Backwards => "the first port of a range is above its last",
        })
    }
}

impl std::error::Error for PortsError {}
