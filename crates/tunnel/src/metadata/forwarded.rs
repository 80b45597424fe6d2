//! `forwarded` (RFC 7239): who the client of a tunnel or of a request is, in the words of the node that took it.
//!
//! Written by the outbound side and by all that hands requests on. A hint for telemetry; a destination is told of it
//! only where that is configured.

use std::net::SocketAddr;

/// What is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forwarded<'a> {
    pub(crate) client: Option<SocketAddr>,
    /// The name that it asked for, with its port if it named one.
    pub(crate) host: Option<&'a str>,
    /// `http` or `https`.
    pub(crate) proto: Option<&'a str>,
}

/// The field's value for a client of which nothing else is known.
pub(crate) fn write(client: SocketAddr) -> String {
    Forwarded { client: Some(client), ..Forwarded::default() }.write()
}

impl Forwarded<'_> {
    /// The field's value: `for="10.0.0.9:1"`, `for="[::1]:1";host=a.example;proto=https`. An address with a port is
    /// always quoted (RFC 7239 6).
    pub(crate) fn write(self) -> String {
        let client = self.client.map(|at| SocketAddr::new(at.ip().to_canonical(), at.port()));
        let host = self
            .host
            .map(|host| if host.contains(':') { format!("host=\"{host}\"") } else { format!("host={host}") });
        let parts = [
            client.map(|client| format!("for=\"{client}\"")),
            host,
            self.proto.map(|proto| format!("proto={proto}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(";")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_quoted_and_those_of_ipv6_in_brackets() {
        for (client, host, expected) in [
            ("10.0.0.9:1", None, "for=\"10.0.0.9:1\""),
            ("[fd00::1]:65535", None, "for=\"[fd00::1]:65535\""),
            ("[::ffff:10.0.0.9]:1", None, "for=\"10.0.0.9:1\""),
            ("10.0.0.9:1", Some("a.example"), "for=\"10.0.0.9:1\";host=a.example"),
            ("[::1]:1", Some("a.example:8080"), "for=\"[::1]:1\";host=\"a.example:8080\""),
        ] {
            let client = client.parse().unwrap();
            assert_eq!(Forwarded { client: Some(client), host, proto: None }.write(), expected);
            assert!(host.is_some() || write(client) == expected);
        }
        let nobody = Forwarded { client: None, host: Some("a.example"), proto: Some("https") };
        assert_eq!(nobody.write(), "host=a.example;proto=https");
    }
}
