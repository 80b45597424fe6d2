//! Networks (CIDR) and the classes of addresses that no tunnel reaches by accident.
//!
//! Called by the policy. An address may carry IPv4 addresses inside (v4-mapped, 6to4, Teredo, NAT64 and others):
//! what is protected stays protected in each of these forms. Decides nothing by itself.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: an address and the number of its leading bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// A network.
    ///
    /// # Errors
    /// A prefix over 32 (IPv4) or 128 (IPv6), or bits set behind the prefix.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, NetworkError> {
        let width = width(address);
        if prefix > width {
            return Err(NetworkError::Prefix);
        }
        if bits(address) & !mask(prefix, width) != 0 {
            return Err(NetworkError::HostBits);
        }
        Ok(Self { address, prefix })
    }

    /// The network of one address.
    pub const fn host(address: IpAddr) -> Self {
        Self { address, prefix: width(address) }
    }

    /// Whether it is one address only.
    pub const fn is_host(&self) -> bool {
        self.prefix == width(self.address)
    }

    /// Whether the address lies inside. An IPv4 network holds no IPv6 address and the other way round.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && bits(address) & mask(self.prefix, width(address)) == bits(self.address)
    }

    /// Whether every address of `other` lies inside.
    pub fn covers(&self, other: &Self) -> bool {
        other.prefix >= self.prefix && self.contains(other.address)
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// `10.0.0.0/8`, `fd00::/8`, or one address.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        // Addresses are taken out of that form before they are compared: such a network would never match, and a
        // rule that denies it would silently deny nothing.
        if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
            return Err(NetworkError::Mapped);
        }
        let Some(prefix) = prefix else { return Ok(Self::host(address)) };
        let digits =
            prefix.bytes().all(|c| c.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
        if !digits {
            return Err(NetworkError::Prefix);
        }
        Self::new(address, prefix.parse().map_err(|_| NetworkError::Prefix)?)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host() { self.address.fmt(f) } else { write!(f, "{}/{}", self.address, self.prefix) }
    }
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkError {
    /// Not an address.
    Address,
    /// The length after the slash is not a number that fits the address.
    Prefix,
    /// Bits are set behind the prefix: `10.1.0.0/8` does not say which network is meant.
    HostBits,
    /// An IPv4 address written as IPv6 (`::ffff:10.0.0.1`).
    Mapped,
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "not an IP address",
            Self::Prefix => "the prefix length does not fit the address",
            Self::HostBits => "bits are set behind the prefix: write the network's first address",
            Self::Mapped => "an IPv4 address in IPv6 form never matches: write the IPv4 address",
        })
    }
}

impl std::error::Error for NetworkError {}

/// A class of addresses that a tunnel reaches only if a rule names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// This host itself: 127.0.0.0/8, ::1.
    Loopback,
    /// The local link: 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// The metadata service of a cloud, which hands out credentials.
    Metadata,
    /// Groups of hosts, and the broadcast address.
    Multicast,
    /// "This host" and "this network": 0.0.0.0/8, ::.
    Unspecified,
    /// A listener of this node: a tunnel to it may never end.
    OwnListener,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Metadata => "metadata service",
            Self::Multicast => "multicast",
            Self::Unspecified => "unspecified",
            Self::OwnListener => "this node's own listener",
        })
    }
}

/// The protected networks that an address belongs to, each in the form in which the address was written
/// (so that 127.0.0.0/8 inside NAT64 is 64:ff9b::7f00:0/104). A rule names the address only if its network
/// lies inside all of them.
pub(crate) fn protected(address: IpAddr) -> impl Iterator<Item = (AddressClass, Network)> {
    let forms = forms(address);
    PROTECTED.into_iter().filter_map(move |(class, network)| {
        forms.iter().find_map(|form| {
            let network = form.place(network)?;
            network.contains(address).then_some((class, network))
        })
    })
}

/// The address as it is dialled: a v4-mapped address reaches its IPv4 address.
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The IPv4 addresses that an IPv6 address carries, if it is of a form that may lead there.
pub(crate) fn embedded(address: IpAddr) -> impl Iterator<Item = Ipv4Addr> {
    let bits = bits(address);
    forms(address).into_iter().filter_map(move |form| match form {
        Form::Plain => None,
        Form::Inside { at, inverted, .. } => {
            let word = low_word(bits >> (96 - u32::from(at)));
            Some(Ipv4Addr::from_bits(if inverted { !word } else { word }))
        }
    })
}

/// How the protected networks are laid over the address at hand.
enum Form {
    /// As they stand.
    Plain,
    /// An IPv4 network inside an IPv6 one, from bit `at` on; with its bits inverted, as Teredo hides it.
    Inside { prefix: Ipv6Addr, at: u8, inverted: bool },
}

impl Form {
    fn place(&self, network: Network) -> Option<Network> {
        match (self, network.address) {
            (Self::Plain, _) => Some(network),
            (Self::Inside { prefix, at, inverted }, IpAddr::V4(v4)) => {
                let word = u128::from(if *inverted { !v4.to_bits() } else { v4.to_bits() });
                let word = word & mask(network.prefix, 32);
                let bits = prefix.to_bits() | (word << (96 - u32::from(*at)));
                Some(Network { address: IpAddr::V6(Ipv6Addr::from_bits(bits)), prefix: at + network.prefix })
            }
            (Self::Inside { .. }, IpAddr::V6(_)) => None,
        }
    }
}

fn forms(address: IpAddr) -> Vec<Form> {
    let mut forms = vec![Form::Plain];
    if let IpAddr::V6(v6) = address {
        for (prefix, at, length, inverted) in CARRIERS {
            if Network::new(IpAddr::V6(prefix), length).is_ok_and(|network| network.contains(address)) {
                // NAT64's local prefix leaves the bits between to the operator: keep those of the address.
                let kept = v6.to_bits() & mask(at, 128);
                forms.push(Form::Inside { prefix: Ipv6Addr::from_bits(kept), at, inverted });
            }
        }
    }
    forms
}

/// IPv6 prefixes that carry an IPv4 address: the prefix, the bit where it starts, the prefix's length, and
/// whether its bits are inverted.
const CARRIERS: [(Ipv6Addr, u8, u8, bool); 8] = [
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 96, false), // v4-mapped, RFC 4291 2.5.5.2
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, 96, false), // v4-translated, RFC 2765 2.1
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 16, false), // 6to4, RFC 3056
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 32, false), // Teredo's server, RFC 4380 4
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 96, 32, true),  // Teredo's client, RFC 4380 4
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, 96, false), // NAT64, RFC 6052
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 96, 48, false), // NAT64 for local use, RFC 8215
    (Ipv6Addr::UNSPECIFIED, 96, 96, false),                      // v4-compatible, RFC 4291 2.5.5.1
];

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Network {
    Network { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
}

const fn v6(segments: [u16; 8], prefix: u8) -> Network {
    let [a, b, c, d, e, f, g, h] = segments;
    Network { address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), prefix }
}

const PROTECTED: [(AddressClass, Network); 18] = [
    (AddressClass::Loopback, v4(127, 0, 0, 0, 8)),
    (AddressClass::Loopback, v6([0, 0, 0, 0, 0, 0, 0, 1], 128)),
    (AddressClass::Metadata, v4(169, 254, 169, 254, 32)), // AWS, Azure, Google, OpenStack and most others
    (AddressClass::Metadata, v4(169, 254, 170, 2, 32)),   // AWS, credentials of containers
    (AddressClass::Metadata, v4(169, 254, 170, 23, 32)),  // AWS, credentials of pods
    (AddressClass::Metadata, v4(100, 100, 100, 200, 32)), // Alibaba
    (AddressClass::Metadata, v4(168, 63, 129, 16, 32)),   // Azure's wire server
    (AddressClass::Metadata, v4(192, 0, 0, 192, 32)),     // Oracle
    (AddressClass::Metadata, v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128)), // AWS
    (AddressClass::Metadata, v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128)), // AWS, credentials of pods
    (AddressClass::Metadata, v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128)), // Google
    (AddressClass::LinkLocal, v4(169, 254, 0, 0, 16)),
    (AddressClass::LinkLocal, v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10)),
    (AddressClass::Multicast, v4(224, 0, 0, 0, 4)),
    (AddressClass::Multicast, v4(255, 255, 255, 255, 32)),
    (AddressClass::Multicast, v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8)),
    (AddressClass::Unspecified, v4(0, 0, 0, 0, 8)),
    (AddressClass::Unspecified, v6([0, 0, 0, 0, 0, 0, 0, 0], 128)),
];

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The leading `prefix` bits of `width`.
fn mask(prefix: u8, width: u8) -> u128 {
    let all = if width == 32 { u128::from(u32::MAX) } else { u128::MAX };
    all.checked_shl(u32::from(width - prefix)).unwrap_or(0) & all
}

fn low_word(bits: u128) -> u32 {
    u32::try_from(bits & u128::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    fn class(text: &str) -> Option<AddressClass> {
        protected(ip(text)).next().map(|(class, _)| class)
    }

    #[test]
    fn networks_parse_print_and_contain() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "fd00::/8", "127.0.0.1", "::1"] {
            assert_eq!(text.parse::<Network>().expect(text).to_string(), text);
        }
        for (text, error) in [
            ("10.1.0.0/8", NetworkError::HostBits),
            ("10.0.0.0/33", NetworkError::Prefix),
            ("10.0.0.0/+8", NetworkError::Prefix),
            ("10.0.0.0/08", NetworkError::Prefix),
            ("10.0.0.0/", NetworkError::Prefix),
            ("::/129", NetworkError::Prefix),
            ("::ffff:10.0.0.1", NetworkError::Mapped),
            ("::ffff:10.0.0.0/104", NetworkError::Mapped),
            ("10/8", NetworkError::Address),
            ("", NetworkError::Address),
        ] {
            assert_eq!(text.parse::<Network>(), Err(error), "{text}");
        }
        let ten: Network = "10.0.0.0/8".parse().unwrap();
        assert!(
            ten.contains(ip("10.255.0.1")) && !ten.contains(ip("11.0.0.0")) && !ten.contains(ip("::a00:1"))
        );
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains(ip("255.1.2.3")));
        assert!(ten.covers(&"10.1.0.0/16".parse().unwrap()) && !ten.covers(&"0.0.0.0/0".parse().unwrap()));
    }

    #[test]
    fn t01_every_protected_class_is_known_in_every_form() {
        for (text, expected) in [
            ("127.0.0.1", AddressClass::Loopback),
            ("127.255.255.254", AddressClass::Loopback),
            ("::1", AddressClass::Loopback),
            ("::ffff:127.0.0.1", AddressClass::Loopback),
            ("::127.0.0.1", AddressClass::Loopback),
            ("2002:7f00:1::", AddressClass::Loopback),
            ("2002:7f00:1::5", AddressClass::Loopback),
            ("64:ff9b::127.0.0.1", AddressClass::Loopback),
            ("64:ff9b:1:2:3:4:7f00:1", AddressClass::Loopback),
            ("169.254.169.254", AddressClass::Metadata),
            ("::ffff:169.254.169.254", AddressClass::Metadata),
            ("64:ff9b::a9fe:a9fe", AddressClass::Metadata),
            ("2002:a9fe:a9fe::1", AddressClass::Metadata),
            ("fd00:ec2::254", AddressClass::Metadata),
            ("fd00:ec2::23", AddressClass::Metadata),
            ("fd20:ce::254", AddressClass::Metadata),
            ("169.254.170.2", AddressClass::Metadata),
            ("169.254.170.23", AddressClass::Metadata),
            ("::ffff:0:169.254.169.254", AddressClass::Metadata),
            ("::ffff:0:127.0.0.1", AddressClass::Loopback),
            ("2001:0:a9fe:a9fe::1", AddressClass::Metadata),
            ("2001:0:808:808::5601:5601", AddressClass::Metadata),
            ("2001:0:808:808:0:1:80ff:fffe", AddressClass::Loopback),
            ("169.254.1.1", AddressClass::LinkLocal),
            ("fe80::1", AddressClass::LinkLocal),
            ("febf::1", AddressClass::LinkLocal),
            ("224.0.0.1", AddressClass::Multicast),
            ("255.255.255.255", AddressClass::Multicast),
            ("ff02::1", AddressClass::Multicast),
            ("64:ff9b::e000:1", AddressClass::Multicast),
            ("0.0.0.0", AddressClass::Unspecified),
            ("0.1.2.3", AddressClass::Unspecified),
            ("::", AddressClass::Unspecified),
            ("::ffff:0.0.0.0", AddressClass::Unspecified),
        ] {
            assert_eq!(class(text), Some(expected), "{text}");
        }
        for text in [
            "10.0.0.1",
            "8.8.8.8",
            "2001:db8::1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::1",
            "fec0::1",
            "2001:0:808:808::f5ff:fffe",
            "::ffff:0:10.0.0.1",
            "fd20:ce::255",
        ] {
            assert_eq!(class(text), None, "{text}");
        }
    }

    #[test]
    fn t01_the_carried_address_is_found() {
        for (text, carried) in [
            ("2002:a00:1::7", "10.0.0.1"),
            ("64:ff9b::10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("::ffff:0:10.0.0.1", "10.0.0.1"),
            ("2001:0:808:808::f5ff:fffe", "8.8.8.8 10.0.0.1"),
            ("2001:db8::1", ""),
            ("10.0.0.1", ""),
        ] {
            let found: Vec<_> = embedded(ip(text)).map(|v4| v4.to_string()).collect();
            assert_eq!(found.join(" "), carried, "{text}");
        }
    }
}
