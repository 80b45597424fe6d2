//! The kinds of listeners, and which keys each of them takes beside `name`, `kind` and `bind`.
//!
//! One table, asked by listeners.rs. Knows keys by name, not what stands in them.

use std::fmt;
use std::str::FromStr;

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Local connections, all to one destination.
    Tcp,
    /// A SOCKS5 proxy.
    Socks5,
    /// An HTTP/1.1 proxy that knows CONNECT.
    HttpProxy,
    /// Ends TLS, all to one destination.
    Tls,
    /// Requests of HTTP, by host and path.
    Http,
    /// The same inside TLS.
    Https,
    /// Carries TLS connections to where the name in their ClientHello says.
    Sni,
    /// Connections that REDIRECT brings.
    Redirect,
    /// Connections that TPROXY brings.
    Tproxy,
    /// Serves peers.
    Hbone,
    /// Serves callers without TLS.
    H2c,
}

impl Kind {
    /// All of them, in the order in which people are told.
    pub(super) const ALL: &'static [Self] = &[
        Self::Tcp,
        Self::Socks5,
        Self::HttpProxy,
        Self::Redirect,
        Self::Tproxy,
        Self::Tls,
        Self::Http,
        Self::Https,
        Self::Sni,
        Self::Hbone,
        Self::H2c,
    ];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Socks5 => "socks5",
            Self::HttpProxy => "http-proxy",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Https => "https",
            Self::Sni => "sni",
            Self::Redirect => "redirect",
            Self::Tproxy => "tproxy",
            Self::Hbone => "hbone",
            Self::H2c => "h2c",
        }
    }

    /// What it is for, in a few words.
    pub(super) const fn purpose(self) -> &'static str {
        match self {
            Self::Tcp => "captures local connections",
            Self::Socks5 => "a SOCKS5 proxy",
            Self::HttpProxy => "a proxy for HTTP CONNECT",
            Self::Tls => "ends TLS",
            Self::Http => "routes requests by host and path",
            Self::Https => "the same inside TLS",
            Self::Sni => "carries TLS by the name in its ClientHello",
            Self::Redirect => "what REDIRECT captures",
            Self::Tproxy => "what TPROXY captures",
            Self::Hbone => "serves peers",
            Self::H2c => "serves callers of trusted networks without TLS",
        }
    }

    /// The keys that it takes.
    pub(super) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Tcp => &["destination", "peer", "allow_remote", "allow_from", "proxy_protocol_from"],
            Self::Socks5 | Self::HttpProxy => {
                &["peer", "allow_remote", "allow_from", "user", "password_file", "proxy_protocol_from"]
            }
            Self::Tls => {
                &["certificates", "destination", "peer", "allow_remote", "allow_from", "proxy_protocol_from"]
            }
            Self::Http => &["routes", "peer", "allow_remote", "allow_from", "proxy_protocol_from"],
            Self::Https => {
                &["routes", "certificates", "peer", "allow_remote", "allow_from", "proxy_protocol_from"]
            }
            Self::Sni => &["names", "peer", "allow_remote", "allow_from", "proxy_protocol_from"],
            Self::Redirect | Self::Tproxy => &["peer", "allow_remote"],
            Self::Hbone => &[
                "istio_status",
                "proxy_protocol_from",
                "proxy_protocol",
                "trust_forwarded",
                "services",
                "reverse",
                "jwt",
                "other_requests",
            ],
            Self::H2c => &[
                "trusted",
                "istio_status",
                "proxy_protocol",
                "trust_forwarded",
                "services",
                "jwt",
                "other_requests",
            ],
        }
    }
}

impl FromStr for Kind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|kind| kind.name() == text).ok_or("there is no such kind")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What to write for `kind`, for people.
pub(super) fn wanted() -> String {
    let each = Kind::ALL.iter().map(|kind| format!("\"{kind}\" ({})", kind.purpose()));
    each.collect::<Vec<_>>().join(" or ")
}

/// The kinds that take a key, for people.
pub(super) fn takers(key: &str) -> String {
    let takers = Kind::ALL.iter().filter(|kind| kind.keys().contains(&key));
    takers.map(|kind| format!("\"{kind}\"")).collect::<Vec<_>>().join(", ")
}
