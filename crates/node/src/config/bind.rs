//! Where a listener listens: an address, a unix socket in the file system, or an abstract one.
//!
//! Parsed by listeners.rs, bound by the node. Touches no socket.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// The place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bind {
    /// An address of TCP; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// A path: `unix:/run/web.sock`.
    Unix(PathBuf),
    /// A name that has no file: `unix:@web` (unix(7), "Abstract sockets").
    Abstract(String),
}

impl Bind {
    /// The address of TCP.
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) | Self::Abstract(_) => None,
        }
    }

    /// Whether only this host reaches it.
    pub fn is_local(&self) -> bool {
        self.address().is_none_or(|address| address.ip().is_loopback())
    }
}

impl From<SocketAddr> for Bind {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(path) = text.strip_prefix("unix:") else {
            return text.parse().map(Self::Tcp).map_err(|_| "invalid socket address syntax".to_owned());
        };
        // sun_path has 108 octets, of which a path has a NUL at its end and a name at its start.
        if path.len() > 107 {
            return Err(format!("a unix socket's path has at most 107 octets, this one {}", path.len()));
        }
        match path.strip_prefix('@') {
            Some("") => Err("an abstract socket needs a name behind the @".to_owned()),
            Some(name) => Ok(Self::Abstract(name.to_owned())),
            None if path.starts_with('/') => Ok(Self::Unix(path.into())),
            None => Err("a unix socket needs an absolute path, or @ and a name".to_owned()),
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_printed_as_it_was() {
        for text in ["127.0.0.1:80", "[::1]:0", "unix:/run/web.sock", "unix:@web"] {
            assert_eq!(text.parse::<Bind>().unwrap().to_string(), text);
        }
        for text in ["localhost:80", "unix:web.sock", "unix:@", "unix:", "127.0.0.1"] {
            assert!(text.parse::<Bind>().is_err(), "{text}");
        }
        let long = format!("unix:/{}", "a".repeat(107));
        assert!(long.parse::<Bind>().unwrap_err().contains("107"));
        assert!("unix:@web".parse::<Bind>().unwrap().is_local());
        assert!(!"0.0.0.0:80".parse::<Bind>().unwrap().is_local());
    }
}
