//! The one grammar of a destination: `host:port` or `[v6]:port`, nothing else.
//!
//! Called wherever a destination enters: `:authority` of a CONNECT, routes and peers of a configuration.
//! Printing what was parsed gives back the same octets, so two parsers can never disagree about a
//! destination. Addresses and names are different values: an address never parses as a name. Resolves nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

/// A destination: a host and a port from 1 to 65535.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Authority {
    host: Host,
    port: NonZeroU16,
}

impl Authority {
    /// A destination of a host and a port.
    pub const fn new(host: Host, port: NonZeroU16) -> Self {
        Self { host, port }
    }

    /// Parses octets that a peer sent as `:authority`.
    ///
    /// # Errors
    /// The rule that is broken; octets beyond ASCII are [`AuthorityError::Character`].
    pub fn from_octets(octets: &[u8]) -> Result<Self, AuthorityError> {
        str::from_utf8(octets).map_err(|_| AuthorityError::Character)?.parse()
    }

    /// The host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port, 1 to 65535.
    pub const fn port(&self) -> u16 {
        self.port.get()
    }

    /// The socket address, when the host is an address.
    pub const fn address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Address(ip) => Some(SocketAddr::new(ip, self.port.get())),
            Host::Name(_) => None,
        }
    }
}

impl FromStr for Authority {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, AuthorityError> {
        if text.len() > MAX_NAME + ":65535".len() {
            return Err(AuthorityError::TooLong);
        }
        if text.contains('@') {
            return Err(AuthorityError::UserInfo);
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (inside, after) = rest.split_once(']').ok_or(AuthorityError::Brackets)?;
            let port = after.strip_prefix(':').ok_or(AuthorityError::NoPort)?;
            let host = Host::Address(IpAddr::V6(parse_v6(inside)?));
            return Ok(Self { host, port: parse_port(port)? });
        }
        let (host, port) = text.rsplit_once(':').ok_or(AuthorityError::NoPort)?;
        if host.contains(':') {
            return Err(AuthorityError::Brackets);
        }
        let port = parse_port(port)?;
        Ok(Self { host: host.parse()?, port })
    }
}

impl TryFrom<SocketAddr> for Authority {
    type Error = AuthorityError;

    fn try_from(address: SocketAddr) -> Result<Self, AuthorityError> {
        let port = NonZeroU16::new(address.port()).ok_or(AuthorityError::Port)?;
        Ok(Self { host: Host::Address(address.ip()), port })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            host @ (Host::Address(_) | Host::Name(_)) => write!(f, "{host}:{}", self.port),
        }
    }
}

/// A host: an address or a name, never both.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// An IPv4 or IPv6 address, without a zone.
    Address(IpAddr),
    /// A name that is to be resolved.
    Name(HostName),
}

/// Parses a host without port; an IPv6 address stands without brackets here.
impl FromStr for Host {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, AuthorityError> {
        if text.contains(':') {
            return Ok(Self::Address(IpAddr::V6(parse_v6(text)?)));
        }
        // `Ipv4Addr` takes four decimal octets without leading zeros and nothing else.
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(IpAddr::V4(ip)));
        }
        Ok(Self::Name(text.parse()?))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(ip) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// A host name: lower-case labels of letters, digits, `-` and `_`, at most 253 octets, no trailing dot, and
/// nothing that a resolver could take for an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Box<str>);

impl HostName {
    /// The name as it was written.
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, AuthorityError> {
        if text.is_empty() {
            return Err(AuthorityError::NoHost);
        }
        if text.len() > MAX_NAME {
            return Err(AuthorityError::TooLong);
        }
        if text.ends_with('.') {
            return Err(AuthorityError::TrailingDot);
        }
        if text.bytes().any(|c| c.is_ascii_uppercase()) {
            return Err(AuthorityError::UpperCase);
        }
        text.split('.').try_for_each(check_label)?;
        let last = text.rsplit('.').next().unwrap_or(text);
        if looks_numeric(last) {
            return Err(AuthorityError::NumericName);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The rule of the grammar that a text breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthorityError {
    /// No host before the port.
    NoHost,
    /// No port: there is no default.
    NoPort,
    /// The port is not 1 to 65535 in plain decimal digits without leading zeros.
    Port,
    /// Something before an `@`.
    UserInfo,
    /// An IPv6 address without its brackets, or brackets that do not match.
    Brackets,
    /// Not an IPv6 address, or not in its canonical form (RFC 5952).
    Ipv6,
    /// An IPv6 address with a zone (`%eth0`).
    Zone,
    /// A letter in upper case.
    UpperCase,
    /// A character that no host has, such as `%`, `/`, a space, or one outside ASCII.
    Character,
    /// A label is empty, over 63 octets, or starts or ends with `-`.
    Label,
    /// The name ends in a dot.
    TrailingDot,
    /// Digits that some resolvers read as an address (`127.1`, `0x7f.1`, `2130706433`).
    NumericName,
    /// Over 253 octets.
    TooLong,
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHost => "the host is missing: write host:port",
            Self::NoPort => "the port is missing: write host:port",
            Self::Port => "the port must be 1 to 65535 in plain digits",
            Self::UserInfo => "a user name has no place here: write host:port",
            Self::Brackets => "an IPv6 address needs brackets: write [address]:port",
            Self::Ipv6 => "not an IPv6 address in its canonical form (RFC 5952)",
            Self::Zone => "an address with a zone is not accepted",
            Self::UpperCase => "host names are written in lower case",
            Self::Character => "a character that no host name has",
            Self::Label => "a label of the host name is empty, too long, or starts or ends with a hyphen",
            Self::TrailingDot => "the host name must not end in a dot",
            Self::NumericName => "digits that could be read as an address: write all four octets in decimal",
            Self::TooLong => "the host name is longer than 253 octets",
        })
    }
}

impl std::error::Error for AuthorityError {}

fn parse_port(text: &str) -> Result<NonZeroU16, AuthorityError> {
    // `str::parse` would take `+80` and `080`.
    if text.is_empty() {
        return Err(AuthorityError::NoPort);
    }
    if text.starts_with('0') || !text.bytes().all(|c| c.is_ascii_digit()) {
        return Err(AuthorityError::Port);
    }
    text.parse().map_err(|_| AuthorityError::Port)
}

fn parse_v6(text: &str) -> Result<Ipv6Addr, AuthorityError> {
    if text.contains('%') {
        return Err(AuthorityError::Zone);
    }
    let ip: Ipv6Addr = text.parse().map_err(|_| AuthorityError::Ipv6)?;
    // One spelling only: what we print is what we took.
    if ip.to_string() == text { Ok(ip) } else { Err(AuthorityError::Ipv6) }
}

fn check_label(label: &str) -> Result<(), AuthorityError> {
    let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
    if !label.bytes().all(legal) {
        return Err(AuthorityError::Character);
    }
    if label.is_empty() || label.len() > MAX_LABEL || label.starts_with('-') || label.ends_with('-') {
        return Err(AuthorityError::Label);
    }
    Ok(())
}

/// Whether a resolver may read a name that ends in this label as an IPv4 address (as `inet_aton` does).
fn looks_numeric(label: &str) -> bool {
    let hex = label.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()));
    hex || label.bytes().all(|c| c.is_ascii_digit())
}

const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> AuthorityError {
        text.parse::<Authority>().expect_err(text)
    }

    #[test]
    fn t03_every_ambiguous_authority_is_refused_by_its_rule() {
        let cases = [
            ("", AuthorityError::NoPort),
            ("host", AuthorityError::NoPort),
            ("host:", AuthorityError::NoPort),
            (":80", AuthorityError::NoHost),
            ("user@host:80", AuthorityError::UserInfo),
            ("user:pw@host:80", AuthorityError::UserInfo),
            ("127.1:80", AuthorityError::NumericName),
            ("0x7f.1:80", AuthorityError::NumericName),
            ("0x7f000001:80", AuthorityError::NumericName),
            ("2130706433:80", AuthorityError::NumericName),
            ("0177.0.0.1:80", AuthorityError::NumericName),
            ("127.0.0.1.:80", AuthorityError::TrailingDot),
            ("1.2.3.4.5:80", AuthorityError::NumericName),
            ("256.1.1.1:80", AuthorityError::NumericName),
            ("a%2eb:80", AuthorityError::Character),
            ("host.:80", AuthorityError::TrailingDot),
            ("a..b:80", AuthorityError::Label),
            ("-a:80", AuthorityError::Label),
            ("Host:80", AuthorityError::UpperCase),
            ("host:+80", AuthorityError::Port),
            ("host:080", AuthorityError::Port),
            ("host:0", AuthorityError::Port),
            ("host:65536", AuthorityError::Port),
            ("host: 80", AuthorityError::Port),
            ("host:80 ", AuthorityError::Port),
            ("host :80", AuthorityError::Character),
            ("host/x:80", AuthorityError::Character),
            ("host:80:80", AuthorityError::Brackets),
            ("::1:80", AuthorityError::Brackets),
            ("[::1]", AuthorityError::NoPort),
            ("[::1]80", AuthorityError::NoPort),
            ("[::1:80", AuthorityError::Brackets),
            ("[fe80::1%eth0]:80", AuthorityError::Zone),
            ("[fe80::1%25eth0]:80", AuthorityError::Zone),
            ("[0:0:0:0:0:0:0:1]:80", AuthorityError::Ipv6),
            ("[::A]:80", AuthorityError::Ipv6),
            ("[127.0.0.1]:80", AuthorityError::Ipv6),
            ("[host]:80", AuthorityError::Ipv6),
            ("höst:80", AuthorityError::Character),
            ("host\u{202e}:80", AuthorityError::Character),
            ("host\n:80", AuthorityError::Character),
        ];
        for (text, rule) in cases {
            assert_eq!(refused(text), rule, "{text:?}");
        }
        assert_eq!(refused(&format!("{}:80", "a".repeat(64))), AuthorityError::Label);
        assert_eq!(refused(&format!("{}a:80", "a.".repeat(200))), AuthorityError::TooLong);
        assert_eq!(Authority::from_octets(b"h\xffst:80"), Err(AuthorityError::Character));
    }

    #[test]
    fn t03_the_plain_forms_parse_and_print_back() {
        for text in [
            "10.0.0.1:15008",
            "localhost:1",
            "a_b.svc.cluster.local:65535",
            "[::1]:80",
            "[2001:db8::1]:443",
            "[::ffff:10.0.0.1]:443",
            "0xg.x1:80",
        ] {
            assert_eq!(text.parse::<Authority>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn t04_an_address_is_never_a_name() {
        for text in ["127.0.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1"] {
            assert!(matches!(text.parse(), Ok(Host::Address(_))), "{text}");
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
        assert!(matches!("1.2.3.example".parse(), Ok(Host::Name(_))));
    }

    proptest! {
        #[test]
        fn t03_parse_then_print_is_the_identity(text in "[\\[\\]0-9a-fA-Fx:.%@+_-]{0,24}") {
            if let Ok(authority) = text.parse::<Authority>() {
                prop_assert_eq!(authority.to_string(), text);
            }
        }

        #[test]
        fn t03_every_address_prints_and_parses_back(octets: [u8; 16], v4: [u8; 4], port in 1..=u16::MAX) {
            for ip in [IpAddr::from(octets), IpAddr::from(v4)] {
                let authority = Authority::try_from(SocketAddr::new(ip, port)).unwrap();
                prop_assert_eq!(authority.to_string().parse::<Authority>(), Ok(authority));
            }
        }
    }
}
