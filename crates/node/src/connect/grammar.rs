//! The grammar of ssh's `-L`, `-R` and `-D` (ssh(1)): what stands behind them, as types. Pure.
//!
//! An IPv6 address stands in brackets. `localhost` and nothing are loopback; `*` and an empty bind address are all
//! addresses. Where ssh takes a path, a unix socket is meant; `@name` is an abstract one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use hbone_tunnel::{Authority, AuthorityError};

use crate::config::Bind;

/// `[bind:]port`, or a unix socket: where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door(pub Bind);

/// `[bind:]port:host:hostport`: where to listen, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Where to listen.
    pub bind: Bind,
    /// Where to.
    pub destination: Authority,
}

/// What is wrong with a forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrammarError {
    /// Not as many parts as there must be.
    Parts,
    /// A bracket without its other.
    Brackets,
    /// The port to listen on is none from 0 to 65535.
    Port,
    /// The address to listen on is none.
    Bind(String),
    /// The destination is none.
    Destination(AuthorityError),
}

impl FromStr for Door {
    type Err = GrammarError;

    fn from_str(text: &str) -> Result<Self, GrammarError> {
        door(&parts(text)?).map(Self)
    }
}

impl FromStr for Forward {
    type Err = GrammarError;

    fn from_str(text: &str) -> Result<Self, GrammarError> {
        let parts = parts(text)?;
        let at = parts.len().checked_sub(2).filter(|at| (1..=2).contains(at)).ok_or(GrammarError::Parts)?;
        let (listen, to) = parts.split_at(at);
        let destination = to.join(":").parse().map_err(GrammarError::Destination)?;
        Ok(Self { bind: door(listen)?, destination })
    }
}

/// The parts between colons that stand outside of brackets.
fn parts(text: &str) -> Result<Vec<&str>, GrammarError> {
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, octet) in text.bytes().enumerate() {
        match octet {
            b'[' if !inside => inside = true,
            b']' if inside => inside = false,
            b'[' | b']' => return Err(GrammarError::Brackets),
            b':' if !inside => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err(GrammarError::Brackets);
    }
    parts.push(&text[start..]);
    Ok(parts)
}

fn door(parts: &[&str]) -> Result<Bind, GrammarError> {
    let (host, port) = match parts {
        [path] if path.starts_with(['/', '@']) => {
            return format!("unix:{path}").parse().map_err(GrammarError::Bind);
        }
        [port] => ("localhost", port),
        [host, port] => (*host, port),
        _ => return Err(GrammarError::Parts),
    };
    let digits = !port.is_empty() && port.bytes().all(|octet| octet.is_ascii_digit());
    let port: u16 = port.parse().ok().filter(|_| digits).ok_or(GrammarError::Port)?;
    let ip = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        // One socket of both families.
        "" | "*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        host => {
            let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            plain.parse().map_err(|_| GrammarError::Bind(format!("`{host}` is no address")))?
        }
    };
    Ok(Bind::Tcp(SocketAddr::new(ip, port)))
}

impl fmt::Display for GrammarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parts => f.write_str("write [bind:]port:host:hostport, or [bind:]port for a proxy"),
            Self::Brackets => f.write_str("a bracket has no other: write [address] for IPv6"),
            Self::Port => f.write_str("the port to listen on is a number from 0 to 65535"),
            Self::Bind(reason) => write!(f, "cannot listen there: {reason}"),
            Self::Destination(error) => write!(f, "the destination is malformed: {error}"),
        }
    }
}

impl std::error::Error for GrammarError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_ssh_is_read() {
        let cases = [
            ("8080:web.example:80", "127.0.0.1:8080", "web.example:80"),
            ("127.0.0.2:8080:10.0.0.7:80", "127.0.0.2:8080", "10.0.0.7:80"),
            ("localhost:0:localhost:22", "127.0.0.1:0", "localhost:22"),
            ("[::1]:8080:[2001:db8::7]:80", "[::1]:8080", "[2001:db8::7]:80"),
            ("*:8080:a:1", "[::]:8080", "a:1"),
            (":8080:a:1", "[::]:8080", "a:1"),
            ("/run/web.sock:a:1", "unix:/run/web.sock", "a:1"),
            ("@web:a:1", "unix:@web", "a:1"),
        ];
        for (text, bind, destination) in cases {
            let forward: Forward = text.parse().unwrap();
            let read = (forward.bind.to_string(), forward.destination.to_string());
            assert_eq!(read, (bind.into(), destination.into()), "{text}");
        }
        for (text, bind) in [("1080", "127.0.0.1:1080"), ("[::1]:1080", "[::1]:1080"), ("*:0", "[::]:0")] {
            assert_eq!(text.parse::<Door>().unwrap().0.to_string(), bind);
        }
    }

    #[test]
    fn what_ssh_would_not_take_is_refused() {
        use GrammarError as E;
        let bad = |text: &str| text.parse::<Forward>().unwrap_err();
        assert_eq!(
            [bad("80"), bad("a:80"), bad("1:2:3:4:5"), bad("")],
            [E::Parts, E::Parts, E::Parts, E::Parts]
        );
        assert_eq!([bad("[::1:80:a:1"), bad("::1]:80:a:1")], [E::Brackets, E::Brackets]);
        assert_eq!([bad("+80:a:1"), bad("65536:a:1"), bad("x:a:1")], [E::Port, E::Port, E::Port]);
        assert!(matches!(bad("elsewhere:80:a:1"), E::Bind(_)));
        assert_eq!(bad("80:a:0"), E::Destination(AuthorityError::Port));
        assert_eq!(bad("80:A:1"), E::Destination(AuthorityError::UpperCase));
        assert!("1:2:3".parse::<Door>().is_err() && "".parse::<Door>().is_err());
    }
}
