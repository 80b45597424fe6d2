//! The parts of a rule: which callers and which destinations it is for, and how they are written down.
//!
//! Called by the policy and by whoever reads a configuration. Compares exactly; never resolves a name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::authority::{Authority, AuthorityError, Host, HostName};
use crate::identity::{SCHEME, SpiffeError, SpiffeId, TrustDomain, check_segment};
use crate::network::{Network, canonical, embedded};

/// Callers that a rule is for. Every one of them has an identity.
///
/// Written `*`, `spiffe://td`, `spiffe://td/ns/shop`, `spiffe://td/ns/shop/sa/cart` or `spiffe://td/ns/shop/sa/web-*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Every caller with an identity.
    Any,
    /// Every identity of a trust domain.
    TrustDomain(TrustDomain),
    /// Every identity of a namespace.
    Namespace(TrustDomain, String),
    /// The identities of a namespace whose service account begins so.
    Prefix(TrustDomain, String, String),
    /// One identity.
    Identity(SpiffeId),
}

impl Source {
    /// Whether the caller is one of these.
    pub fn matches(&self, caller: &SpiffeId) -> bool {
        match self {
            Self::Any => true,
            Self::TrustDomain(domain) => caller.trust_domain() == domain.as_str(),
            Self::Namespace(domain, namespace) => {
                caller.trust_domain() == domain.as_str() && caller.namespace() == namespace
            }
            Self::Prefix(domain, namespace, start) => {
                caller.trust_domain() == domain.as_str()
                    && caller.namespace() == namespace
                    && caller.service_account().starts_with(start.as_str())
            }
            Self::Identity(id) => caller == id,
        }
    }

    /// The trust domain that it names.
    pub fn trust_domain(&self) -> Option<&str> {
        match self {
            Self::Any => None,
            Self::TrustDomain(domain) | Self::Namespace(domain, _) | Self::Prefix(domain, ..) => {
                Some(domain.as_str())
            }
            Self::Identity(id) => Some(id.trust_domain()),
        }
    }
}

impl FromStr for Source {
    type Err = SpiffeError;

    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeError::Scheme)?;
        let Some((domain, path)) = rest.split_once('/') else { return Ok(Self::TrustDomain(rest.parse()?)) };
        match path.strip_prefix("ns/") {
            Some(namespace) if !namespace.contains('/') => {
                check_segment(namespace)?;
                Ok(Self::Namespace(domain.parse()?, namespace.to_owned()))
            }
            Some(path) if path.ends_with('*') => {
                let (namespace, start) = path.split_once("/sa/").ok_or(SpiffeError::Path)?;
                let start = start.strip_suffix('*').unwrap_or_default();
                check_segment(namespace)?;
                if !start.is_empty() {
                    check_segment(start)?;
                }
                Ok(Self::Prefix(domain.parse()?, namespace.to_owned(), start.to_owned()))
            }
            _ => Ok(Self::Identity(text.parse()?)),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::TrustDomain(domain) => write!(f, "{SCHEME}{domain}"),
            Self::Namespace(domain, namespace) => write!(f, "{SCHEME}{domain}/ns/{namespace}"),
            Self::Prefix(domain, namespace, start) => {
                write!(f, "{SCHEME}{domain}/ns/{namespace}/sa/{start}*")
            }
            Self::Identity(id) => id.fmt(f),
        }
    }
}

/// Names that callers give in their ClientHello (SNI).
///
/// Written `name`, or `*.name` for every name below one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerName {
    name: HostName,
    below: bool,
}

impl ServerName {
    /// Whether the name, in lower case, is one of these.
    pub(crate) fn matches(&self, given: &str) -> bool {
        if self.below { is_below(given, &self.name) } else { given == self.name.as_str() }
    }
}

impl FromStr for ServerName {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, AuthorityError> {
        let rest = text.strip_prefix("*.");
        Ok(Self { name: rest.unwrap_or(text).parse()?, below: rest.is_some() })
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.name)
    }
}

fn is_below(name: &str, above: &HostName) -> bool {
    let label = name.strip_suffix(above.as_str()).and_then(|rest| rest.strip_suffix('.'));
    label.is_some_and(|label| !label.is_empty())
}

/// Destinations that a rule is for: hosts and ports.
///
/// Written `HOST`, `HOST:PORT` or `HOST:LOW-HIGH`, where `HOST` is `*`, an address (`[::1]`), a network
/// (`10.0.0.0/8`, `[fd00::/8]`), a name (`db.example`) or every name below one (`*.example`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    hosts: Hosts,
    ports: Ports,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Hosts {
    Any,
    Network(Network),
    Name(HostName),
    Below(HostName),
}

/// First and last port; every port is 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ports {
    low: u16,
    high: u16,
}

impl Target {
    /// Whether a destination, as it is written, is one of these: for routes. A network holds addresses only; no
    /// name is resolved.
    pub fn matches(&self, destination: &Authority) -> bool {
        self.ports.contain(destination.port())
            && match &self.hosts {
                Hosts::Network(network) => {
                    destination.address().is_some_and(|address| network.contains(canonical(address.ip())))
                }
                hosts @ (Hosts::Any | Hosts::Name(_) | Hosts::Below(_)) => {
                    hosts.match_name(destination.host())
                }
            }
    }

    /// Whether an allow rule with this target matches. While the address is not known, a network may match.
    pub(crate) fn allows(&self, authority: &Authority, address: Option<IpAddr>) -> bool {
        self.ports.contain(authority.port())
            && match &self.hosts {
                Hosts::Network(network) => address.is_none_or(|ip| network.contains(ip)),
                hosts @ (Hosts::Any | Hosts::Name(_) | Hosts::Below(_)) => hosts.match_name(authority.host()),
            }
    }

    /// Whether a deny rule with this target matches; it also matches an address that leads to one it names.
    pub(crate) fn denies(&self, authority: &Authority, address: Option<IpAddr>) -> bool {
        self.ports.contain(authority.port())
            && match &self.hosts {
                Hosts::Network(network) => address.is_some_and(|ip| {
                    network.contains(ip) || embedded(ip).any(|v4| network.contains(IpAddr::V4(v4)))
                }),
                hosts @ (Hosts::Any | Hosts::Name(_) | Hosts::Below(_)) => hosts.match_name(authority.host()),
            }
    }

    /// The network, when the hosts are given as one.
    pub(crate) const fn network(&self) -> Option<Network> {
        match &self.hosts {
            Hosts::Network(network) => Some(*network),
            Hosts::Any | Hosts::Name(_) | Hosts::Below(_) => None,
        }
    }

    /// Whether it names its hosts, and is neither a network nor every host.
    pub const fn is_of_names(&self) -> bool {
        matches!(&self.hosts, Hosts::Name(_) | Hosts::Below(_))
    }

    /// Whether it is exactly this name.
    pub(crate) fn is_name(&self, name: &str) -> bool {
        matches!(&self.hosts, Hosts::Name(own) if own.as_str() == name)
    }

    /// Whether it is one address with exactly this port.
    pub(crate) fn is_endpoint(&self, port: u16) -> bool {
        self.network().is_some_and(|network| network.is_host())
            && self.ports.low == port
            && self.ports.high == port
    }
}

impl Hosts {
    fn match_name(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Name(own), Host::Name(name)) => own == name,
            (Self::Below(own), Host::Name(name)) => is_below(name.as_str(), own),
            (Self::Network(_) | Self::Name(_) | Self::Below(_), _) => false,
        }
    }
}

impl Ports {
    const ALL: Self = Self { low: 1, high: u16::MAX };

    const fn contain(self, port: u16) -> bool {
        self.low <= port && port <= self.high
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (hosts, ports) = if let Some(rest) = text.strip_prefix('[') {
            let (inside, after) = rest.split_once(']').ok_or(TargetError::Host)?;
            let network: Network = inside.parse().map_err(|_| TargetError::Host)?;
            if !inside.contains(':') {
                return Err(TargetError::Host);
            }
            let ports = match after.strip_prefix(':') {
                Some(ports) => Some(ports),
                None if after.is_empty() => None,
                None => return Err(TargetError::Ports),
            };
            (Hosts::Network(network), ports)
        } else {
            match text.split_once(':') {
                Some((host, ports)) => (host.parse()?, Some(ports)),
                None => (text.parse()?, None),
            }
        };
        Ok(Self { hosts, ports: ports.map_or(Ok(Ports::ALL), str::parse)? })
    }
}

impl FromStr for Hosts {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Ok(network) = text.parse::<Network>() {
            return Ok(Self::Network(network));
        }
        let name = |text: &str| text.parse::<HostName>().map_err(|_| TargetError::Host);
        match text.strip_prefix("*.") {
            Some(rest) => Ok(Self::Below(name(rest)?)),
            None => Ok(Self::Name(name(text)?)),
        }
    }
}

impl FromStr for Ports {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let port = |text: &str| {
            let plain = !text.starts_with('0') && text.bytes().all(|c| c.is_ascii_digit());
            if plain { text.parse::<u16>().map_err(|_| TargetError::Ports) } else { Err(TargetError::Ports) }
        };
        let (low, high) = match text.split_once('-') {
            Some((low, high)) => (port(low)?, port(high)?),
            None => (port(text)?, port(text)?),
        };
        if low > high { Err(TargetError::Ports) } else { Ok(Self { low, high }) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::Any => f.write_str("*")?,
            Hosts::Network(network) if network.to_string().contains(':') => write!(f, "[{network}]")?,
            Hosts::Network(network) => network.fmt(f)?,
            Hosts::Name(name) => name.fmt(f)?,
            Hosts::Below(name) => write!(f, "*.{name}")?,
        }
        match self.ports {
            Ports::ALL => Ok(()),
            Ports { low, high } if low == high => write!(f, ":{low}"),
            Ports { low, high } => write!(f, ":{low}-{high}"),
        }
    }
}

/// Why a text is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetError {
    /// The host is no `*`, address, network, name or `*.name`; IPv6 stands in brackets.
    Host,
    /// The ports are no number from 1 to 65535 and no rising range `low-high`.
    Ports,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "the host must be *, an address, a network, a name or *.name (IPv6 in brackets)",
            Self::Ports => "the port must be 1 to 65535, or a range low-high",
        })
    }
}

impl std::error::Error for TargetError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_parse_print_and_match() {
        let caller: SpiffeId = "spiffe://td/ns/shop/sa/cart".parse().unwrap();
        for (text, matching) in [
            ("*", true),
            ("spiffe://td", true),
            ("spiffe://td/ns/shop", true),
            ("spiffe://td/ns/shop/sa/cart", true),
            ("spiffe://other", false),
            ("spiffe://td/ns/sho", false),
            ("spiffe://td/ns/shop/sa/car", false),
            ("spiffe://td/ns/shop/sa/car*", true),
            ("spiffe://td/ns/shop/sa/*", true),
            ("spiffe://td/ns/shop/sa/web-*", false),
            ("spiffe://td/ns/sho/sa/car*", false),
            ("spiffe://t/ns/shop/sa/car*", false),
        ] {
            let source: Source = text.parse().expect(text);
            assert_eq!(source.to_string(), text);
            assert_eq!(source.matches(&caller), matching, "{text}");
        }
        for text in [
            "",
            "td",
            "spiffe://",
            "spiffe://td/",
            "spiffe://td/ns/",
            "spiffe://td/x",
            "spiffe://TD",
            "spiffe://td/ns/shop*",
            "spiffe://td/ns/sh*/sa/cart",
            "spiffe://td/ns/shop/sa/c*t*",
            "spiffe://td/*",
            "spiffe://t*",
        ] {
            assert!(text.parse::<Source>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn targets_parse_and_print() {
        for text in [
            "*",
            "*:443",
            "10.0.0.0/8",
            "10.0.0.0/8:5432",
            "127.0.0.1:8000-8010",
            "[::1]",
            "[fd00::/8]:443",
            "db.example",
            "*.example:1-2",
        ] {
            assert_eq!(text.parse::<Target>().expect(text).to_string(), text);
        }
        for text in [
            "",
            ":80",
            "*:",
            "*:0",
            "*:080",
            "*:70000",
            "*:9-1",
            "*:1-",
            "::1",
            "[127.0.0.1]",
            "[::1",
            "[::1]80",
            "127.1",
            "*.",
            "*a.example",
            "Host",
            "10.0.0.1/8",
            "a:b",
            "host.",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn t07_a_name_below_another_ends_at_a_dot() {
        let allows = |target: &str, authority: &str| {
            let authority = authority.parse().unwrap();
            target.parse::<Target>().unwrap().allows(&authority, None)
        };
        assert!(allows("*.example", "a.example:1") && allows("*.example", "b.a.example:1"));
        assert!(!allows("*.example", "example:1") && !allows("*.example", "aexample:1"));
        assert!(!allows("*.example", "a.example.evil:1") && !allows("db.example", "x.db.example:1"));
    }

    #[test]
    fn a_target_of_a_route_matches_what_is_written_and_resolves_nothing() {
        for (target, authority, expected) in [
            ("*:443", "a.example:443", true),
            ("*:443", "10.0.0.1:80", false),
            ("10.0.0.0/8", "10.1.2.3:80", true),
            ("10.0.0.0/8", "[::ffff:10.1.2.3]:80", true),
            ("10.0.0.0/8", "a.example:80", false),
            ("*.example", "a.example:80", true),
            ("db.example:5432", "db.example:5432", true),
            ("db.example:5432", "db.example:5433", false),
        ] {
            let matches = target.parse::<Target>().unwrap().matches(&authority.parse().unwrap());
            assert_eq!(matches, expected, "{target} {authority}");
        }
    }
}
