//! The header of the PROXY protocol, versions 1 and 2: who really called, said in front of the connection's own octets
//! (the specification of HAProxy, 2.1 and 2.2). Pure: octets in, addresses out, and back.
//!
//! Read by the fronts of listeners that declare it, written by the inbound side towards destinations. Believes nobody:
//! whose header counts is decided elsewhere.

use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::identity::SpiffeId;

/// Which form is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// A line of text: addresses and ports only.
    One,
    /// Binary: with the caller's identity as TLV 0xD0.
    Two,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// The connection does not begin with one.
    Missing,
    /// It breaks its grammar.
    Syntax,
    /// It is longer than 107 octets (version 1) or 1024 behind its head (version 2).
    TooLong,
    /// It did not come in time.
    Late,
    /// Whoever calls is none of the proxies that are named.
    Stranger,
}

/// The head of version 2: how many octets follow it.
///
/// # Errors
/// [`HeaderFault`] of a head that is none, or announces too much.
pub(crate) fn follows(head: &[u8; HEAD]) -> Result<usize, HeaderFault> {
    if head[..12] != SIGNATURE {
        return Err(HeaderFault::Missing);
    }
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if length > MOST { Err(HeaderFault::TooLong) } else { Ok(length) }
}

/// Who called, by a whole header of version 2; none when the proxy speaks for itself or of no address of TCP.
///
/// # Errors
/// [`HeaderFault::Syntax`].
pub(crate) fn read_two(head: &[u8; HEAD], rest: &[u8]) -> Result<Option<SocketAddr>, HeaderFault> {
    match head[12] {
        LOCAL => return Ok(None),
        PROXY => {}
        _ => return Err(HeaderFault::Syntax),
    }
    let port = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    let found = match head[13] {
        TCP4 => {
            let octets = rest.get(..4).and_then(|octets| <[u8; 4]>::try_from(octets).ok());
            // The destination's address and both ports must be there too.
            (rest.len() >= 12).then_some(()).and(octets.map(Ipv4Addr::from).map(IpAddr::V4)).zip(port(8))
        }
        TCP6 => {
            let octets = rest.get(..16).and_then(|octets| <[u8; 16]>::try_from(octets).ok());
            (rest.len() >= 36).then_some(()).and(octets.map(Ipv6Addr::from).map(IpAddr::V6)).zip(port(32))
        }
        // Datagrams, unix sockets, unspecified: addresses that say nothing here.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => return Ok(None),
        _ => return Err(HeaderFault::Syntax),
    };
    let (ip, port) = found.ok_or(HeaderFault::Syntax)?;
    Ok(Some(SocketAddr::new(ip.to_canonical(), port)))
}

/// Who called, by a whole line of version 1 without its end; none when the proxy does not know.
///
/// # Errors
/// [`HeaderFault::Syntax`].
pub(crate) fn read_one(line: &[u8]) -> Result<Option<SocketAddr>, HeaderFault> {
    let text = str::from_utf8(line).map_err(|_| HeaderFault::Syntax)?;
    let parts: Vec<_> = text.split(' ').collect();
    let (family, source, destination, ports) = match parts.as_slice() {
        ["PROXY", "UNKNOWN", ..] => return Ok(None),
        ["PROXY", family, source, destination, from, to] => (*family, *source, *destination, [*from, *to]),
        _ => return Err(HeaderFault::Syntax),
    };
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse().ok().map(IpAddr::V4),
            "TCP6" => text.parse().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let port = |text: &str| {
        let plain =
            text.bytes().all(|octet| octet.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse::<u16>().ok().filter(|_| plain)
    };
    let whole = address(destination).is_some() && port(ports[1]).is_some();
    match (address(source), port(ports[0])) {
        (Some(ip), Some(port)) if whole => Ok(Some(SocketAddr::new(ip.to_canonical(), port))),
        _ => Err(HeaderFault::Syntax),
    }
}

/// A header that says who called whom, and who that is.
pub(crate) fn write(
    version: ProxyVersion,
    source: SocketAddr,
    destination: SocketAddr,
    identity: Option<&SpiffeId>,
) -> Vec<u8> {
    let (ips, ports) = ([source.ip(), destination.ip()], [source.port(), destination.port()]);
    let ips = ips.map(|ip| ip.to_canonical());
    let v4 = match ips {
        [IpAddr::V4(source), IpAddr::V4(destination)] => Some([source, destination]),
        _ => None,
    };
    let v6 = ips.map(|ip| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    });
    let mut out = Vec::with_capacity(64);
    if version == ProxyVersion::One {
        let [from, to] = ports;
        // Writing to a Vec does not fail.
        let _ = match v4 {
            Some([source, destination]) => write!(out, "PROXY TCP4 {source} {destination} {from} {to}\r\n"),
            None => write!(out, "PROXY TCP6 {} {} {from} {to}\r\n", v6[0], v6[1]),
        };
        return out;
    }
    out.extend_from_slice(&SIGNATURE);
    out.extend_from_slice(&[PROXY, if v4.is_some() { TCP4 } else { TCP6 }, 0, 0]);
    match v4 {
        Some(ips) => ips.iter().for_each(|ip| out.extend_from_slice(&ip.octets())),
        None => v6.iter().for_each(|ip| out.extend_from_slice(&ip.octets())),
    }
    ports.iter().for_each(|port| out.extend_from_slice(&port.to_be_bytes()));
    if let Some(identity) = identity {
        // At most 2048 octets, as an identity is.
        let octets = identity.as_str().as_bytes();
        out.push(IDENTITY);
        out.extend_from_slice(&u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(octets);
    }
    let length = u16::try_from(out.len() - HEAD).unwrap_or(u16::MAX).to_be_bytes();
    out[14..16].copy_from_slice(&length);
    out
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it does not begin with a header of the PROXY protocol; let the proxy send one",
            Self::Syntax => "its header of the PROXY protocol is malformed; check the proxy",
            Self::TooLong => "its header of the PROXY protocol is too long; check the proxy",
            Self::Stranger => "it comes from none of the proxies that this listener names",
            Self::Late => "its header of the PROXY protocol did not come within 5 s; check the proxy",
        })
    }
}

impl std::error::Error for HeaderFault {}

/// The head of version 2.
pub(crate) const HEAD: usize = 16;
/// The longest line of version 1, with its end.
pub(crate) const LINE: usize = 107;
/// What both begin with is told apart by the first octet.
pub(crate) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Octets behind the head of version 2 that are taken.
const MOST: usize = 1024;
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const IDENTITY: u8 = 0xd0;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn read(octets: &[u8]) -> Result<Option<SocketAddr>, HeaderFault> {
        let head: &[u8; HEAD] = octets[..HEAD].try_into().unwrap();
        assert_eq!(follows(head)?, octets.len() - HEAD);
        read_two(head, &octets[HEAD..])
    }

    #[test]
    fn what_is_written_is_read_back_in_both_versions() {
        let id: SpiffeId = "spiffe://td/ns/a/sa/alice".parse().unwrap();
        for (source, destination) in [
            ("192.0.2.7:4711", "10.0.0.1:80"),
            ("[2001:db8::7]:4711", "[2001:db8::1]:80"),
            ("192.0.2.7:4711", "[2001:db8::1]:80"),
        ] {
            let (source, destination) = (at(source), at(destination));
            let one = write(ProxyVersion::One, source, destination, Some(&id));
            assert!(one.len() <= LINE && one.ends_with(b"\r\n"));
            assert_eq!(read_one(&one[..one.len() - 2]), Ok(Some(source)));
            for id in [None, Some(&id)] {
                assert_eq!(read(&write(ProxyVersion::Two, source, destination, id)), Ok(Some(source)));
            }
        }
        let two = write(ProxyVersion::Two, at("192.0.2.7:4711"), at("10.0.0.1:80"), Some(&id));
        let wanted = [
            &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x28\xc0\0\x02\x07\x0a\0\0\x01\x12\x67\0\x50\xd0\0\x19"[..],
            b"spiffe://td/ns/a/sa/alice",
        ];
        assert_eq!(two, wanted.concat());
    }

    #[test]
    fn t22_a_header_that_breaks_its_grammar_says_nothing() {
        for line in [
            "PROXY",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3",
            "PROXY TCP4 ::1 ::1 1 2",
            "PROXY TCP6 1.2.3.4 5.6.7.8 1 2",
            "PROXY TCP4 1.2.3.04 5.6.7.8 1 2",
            "PROXY TCP4 1.2.3.4 5.6.7.8 01 2",
            "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536",
            "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2",
            "proxy TCP4 1.2.3.4 5.6.7.8 1 2",
            "PROXY UDP4 1.2.3.4 5.6.7.8 1 2",
        ] {
            assert_eq!(read_one(line.as_bytes()), Err(HeaderFault::Syntax), "{line}");
        }
        assert_eq!(read_one(b"PROXY UNKNOWN"), Ok(None));
        assert_eq!(read_one(b"PROXY UNKNOWN ffff::1 ffff::2 1 2"), Ok(None));
        let good = write(ProxyVersion::Two, at("192.0.2.7:1"), at("10.0.0.1:2"), None);
        let with = |place: usize, octet: u8| {
            let mut octets = good.clone();
            octets[place] = octet;
            octets
        };
        assert_eq!(read(&with(12, 0x20)), Ok(None), "the proxy itself");
        assert_eq!(read(&with(12, 0x22)), Err(HeaderFault::Syntax));
        assert_eq!(read(&with(12, 0x11)), Err(HeaderFault::Syntax));
        assert_eq!(read(&with(13, 0x21)), Err(HeaderFault::Syntax), "too short for IPv6");
        assert_eq!(read(&with(13, 0x41)), Err(HeaderFault::Syntax));
        for place in 0..12 {
            assert_eq!(read(&with(place, b'x')), Err(HeaderFault::Missing));
        }
        assert_eq!(read(&with(14, 0x04)), Err(HeaderFault::TooLong));
        for cut in HEAD..good.len() {
            let head: &[u8; HEAD] = good[..HEAD].try_into().unwrap();
            assert_eq!(read_two(head, &good[HEAD..cut]), Err(HeaderFault::Syntax));
        }
    }
}
