//! `forwarded` (RFC 7239): who the client of a tunnel is, in the words of the node that took it.
//!
//! Written by the outbound side. A hint for telemetry; a destination is told of it only where that is configured.

use std::net::SocketAddr;

/// The field's value for a client, and for the name that it asked for, if it asked for one: `for="10.0.0.9:1"`,
/// `for="[::1]:1";host=a.example`. An address with a port is always quoted (RFC 7239 6).
pub(crate) fn write(client: SocketAddr, host: Option<&str>) -> String {
    let client = SocketAddr::new(client.ip().to_canonical(), client.port());
    match host {
        Some(host) if host.contains(':') => format!("for=\"{client}\";host=\"{host}\""),
        Some(host) => format!("for=\"{client}\";host={host}"),
        None => format!("for=\"{client}\""),
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
            assert_eq!(write(client.parse().unwrap(), host), expected);
        }
    }
}
