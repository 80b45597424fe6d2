//! SPIFFE identities: the strict grammar and their extraction from a leaf certificate.
//!
//! Called by the TLS verifiers, by policies and by the configuration. An identity is compared octet by octet;
//! nothing here normalises, and nothing here decides whether a certificate chain holds.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The name of a trust domain: lower-case letters, digits, `-`, `_` and single dots, at most 255 octets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(Box<str>);

impl TrustDomain {
    /// The name as it was written.
    pub const fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = SpiffeError;

    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        check_trust_domain(text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A workload's identity: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    // Shared: every tunnel keeps the names of both ends.
    text: Arc<str>,
    // Lengths of the parts; every part lies in `text` at a place that follows from them.
    trust_domain: u16,
    namespace: u16,
}

impl SpiffeId {
    /// The identity of a service account.
    ///
    /// # Errors
    /// The rule that a part breaks.
    pub fn new(
        trust_domain: &TrustDomain,
        namespace: &str,
        service_account: &str,
    ) -> Result<Self, SpiffeError> {
        format!("{SCHEME}{trust_domain}{NS}{namespace}{SA}{service_account}").parse()
    }

    /// The whole identity as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain's name.
    pub fn trust_domain(&self) -> &str {
        self.part(SCHEME.len(), self.trust_domain)
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        self.part(self.namespace_at(), self.namespace)
    }

    /// The service account.
    pub fn service_account(&self) -> &str {
        let at = self.namespace_at() + usize::from(self.namespace) + SA.len();
        self.text.get(at..).unwrap_or_default()
    }

    /// Whether both have the same trust domain and the same namespace.
    pub fn is_neighbour(&self, other: &Self) -> bool {
        self.trust_domain() == other.trust_domain() && self.namespace() == other.namespace()
    }

    const fn namespace_at(&self) -> usize {
        SCHEME.len() + self.trust_domain as usize + NS.len()
    }

    fn part(&self, at: usize, length: u16) -> &str {
        self.text.get(at..at + usize::from(length)).unwrap_or_default()
    }
}

impl FromStr for SpiffeId {
    type Err = SpiffeError;

    fn from_str(text: &str) -> Result<Self, SpiffeError> {
        if text.len() > MAX_ID {
            return Err(SpiffeError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeError::Scheme)?;
        let (trust_domain, path) = rest.split_once('/').ok_or(SpiffeError::Path)?;
        check_trust_domain(trust_domain)?;
        let mut segments = path.split('/');
        let mut next = || segments.next().ok_or(SpiffeError::Path);
        let (ns, namespace, sa, account) = (next()?, next()?, next()?, next()?);
        if ns != "ns" || sa != "sa" || segments.next().is_some() {
            return Err(SpiffeError::Path);
        }
        check_segment(namespace)?;
        check_segment(account)?;
        let length = |part: &str| u16::try_from(part.len()).map_err(|_| SpiffeError::TooLong);
        Ok(Self { text: text.into(), trust_domain: length(trust_domain)?, namespace: length(namespace)? })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The rule of the grammar that an identity breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SpiffeError {
    /// Does not start with `spiffe://` in lower case.
    Scheme,
    /// The trust domain is empty, over 255 octets, or has other than `a-z 0-9 - _` and single inner dots.
    TrustDomain,
    /// The path is not `/ns/<namespace>/sa/<service account>`.
    Path,
    /// A part of the path is empty, `.`, `..`, or has other than letters, digits, `-`, `_` and `.`.
    Segment,
    /// Over 2048 octets.
    TooLong,
}

impl fmt::Display for SpiffeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "an identity starts with spiffe://",
            Self::TrustDomain => {
                "the trust domain has lower-case letters, digits, '-', '_' and single dots only"
            }
            Self::Path => "an identity reads spiffe://<trust domain>/ns/<namespace>/sa/<service account>",
            Self::Segment => "namespace and service account have letters, digits, '-', '_' and '.' only",
            Self::TooLong => "an identity has at most 2048 octets",
        })
    }
}

impl std::error::Error for SpiffeError {}

/// Takes the identity out of a leaf certificate (DER): exactly one URI among its alternative names, that one a
/// valid [`SpiffeId`], and all of the names readable. Proves nothing about the chain.
///
/// # Errors
/// What is wrong with the certificate.
pub fn leaf_identity(der: &[u8]) -> Result<SpiffeId, LeafError> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| LeafError::NotX509)?;
    if !rest.is_empty() {
        return Err(LeafError::NotX509);
    }
    if certificate.is_ca() {
        return Err(LeafError::Authority);
    }
    for extension in certificate.extensions() {
        if let ParsedExtension::KeyUsage(usage) = extension.parsed_extension()
            && (usage.key_cert_sign() || usage.crl_sign())
        {
            return Err(LeafError::Authority);
        }
    }
    // Also refuses the extension twice.
    let names = certificate.subject_alternative_name().map_err(|_| LeafError::NotX509)?;
    let names = names.map_or(&[][..], |extension| &extension.value.general_names[..]);
    // Others might read a second identity in what this parser cannot read.
    if names.iter().any(|name| matches!(name, GeneralName::Invalid(..))) {
        return Err(LeafError::AlternativeName);
    }
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::DNSName(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::IPAddress(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    });
    let uri = uris.next().ok_or(LeafError::NoIdentity)?;
    if uris.next().is_some() {
        return Err(LeafError::TwoIdentities);
    }
    uri.parse().map_err(LeafError::Identity)
}

/// Why a leaf certificate has no usable identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeafError {
    /// Not one X.509 certificate in DER.
    NotX509,
    /// A certificate of an authority: it may sign others and must not be a leaf.
    Authority,
    /// An alternative name cannot be read.
    AlternativeName,
    /// No URI among the alternative names.
    NoIdentity,
    /// More than one URI among the alternative names.
    TwoIdentities,
    /// The URI is no SPIFFE identity.
    Identity(SpiffeError),
}

impl fmt::Display for LeafError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotX509 => f.write_str("not an X.509 certificate"),
            Self::Authority => f.write_str("the leaf is a certificate of an authority"),
            Self::AlternativeName => f.write_str("an alternative name of the certificate is malformed"),
            Self::NoIdentity => f.write_str("the certificate carries no SPIFFE identity"),
            Self::TwoIdentities => f.write_str("the certificate carries more than one identity"),
            Self::Identity(error) => write!(f, "the certificate's identity is malformed: {error}"),
        }
    }
}

impl std::error::Error for LeafError {}

fn check_trust_domain(text: &str) -> Result<(), SpiffeError> {
    let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_' | b'.');
    let dots = text.split('.').any(str::is_empty); // also the empty text
    if dots || text.len() > MAX_TRUST_DOMAIN || !text.bytes().all(legal) {
        return Err(SpiffeError::TrustDomain);
    }
    Ok(())
}

/// Whether a namespace or a service account is well-formed.
pub(crate) fn check_segment(text: &str) -> Result<(), SpiffeError> {
    let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if text.is_empty() || text == "." || text == ".." || !text.bytes().all(legal) {
        return Err(SpiffeError::Segment);
    }
    Ok(())
}

pub(crate) const SCHEME: &str = "spiffe://";
const NS: &str = "/ns/";
const SA: &str = "/sa/";
const MAX_ID: usize = 2048;
const MAX_TRUST_DOMAIN: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CustomExtension, IsCa, KeyPair, SanType};

    fn leaf(uris: &[&str], is_ca: IsCa) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        params.subject_alt_names.push(SanType::DnsName("host.example".try_into().unwrap()));
        params.is_ca = is_ca;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn t06_malformed_identities_are_refused_by_their_rule() {
        let cases = [
            ("", SpiffeError::Scheme),
            ("SPIFFE://td/ns/a/sa/b", SpiffeError::Scheme),
            ("https://td/ns/a/sa/b", SpiffeError::Scheme),
            ("spiffe://", SpiffeError::Path),
            ("spiffe://td", SpiffeError::Path),
            ("spiffe://td/", SpiffeError::Path),
            ("spiffe:///ns/a/sa/b", SpiffeError::TrustDomain),
            ("spiffe://TD/ns/a/sa/b", SpiffeError::TrustDomain),
            ("spiffe://td:80/ns/a/sa/b", SpiffeError::TrustDomain),
            ("spiffe://u@td/ns/a/sa/b", SpiffeError::TrustDomain),
            ("spiffe://t%64/ns/a/sa/b", SpiffeError::TrustDomain),
            ("spiffe://td./ns/a/sa/b", SpiffeError::TrustDomain),
            ("spiffe://.td/ns/a/sa/b", SpiffeError::TrustDomain),
            ("spiffe://t..d/ns/a/sa/b", SpiffeError::TrustDomain),
            ("spiffe://td/ns/a/sa/b?x", SpiffeError::Segment),
            ("spiffe://td/ns/a/sa/b#x", SpiffeError::Segment),
            ("spiffe://td/ns/%61/sa/b", SpiffeError::Segment),
            ("spiffe://td/ns//sa/b", SpiffeError::Segment),
            ("spiffe://td/ns/a/sa/", SpiffeError::Segment),
            ("spiffe://td/ns/../sa/b", SpiffeError::Segment),
            ("spiffe://td/ns/./sa/b", SpiffeError::Segment),
            ("spiffe://td/ns/a/sa/b\u{0}", SpiffeError::Segment),
            ("spiffe://td/ns/a/sa/b/", SpiffeError::Path),
            ("spiffe://td//ns/a/sa/b", SpiffeError::Path),
            ("spiffe://td/sa/b/ns/a", SpiffeError::Path),
            ("spiffe://td/ns/a/sa", SpiffeError::Path),
        ];
        for (text, rule) in cases {
            assert_eq!(text.parse::<SpiffeId>(), Err(rule), "{text:?}");
        }
        let long = format!("spiffe://td/ns/a/sa/{}", "b".repeat(2029));
        assert_eq!(long.len(), 2049);
        assert_eq!(long.parse::<SpiffeId>(), Err(SpiffeError::TooLong));
        assert!(long[..2048].parse::<SpiffeId>().is_ok());
    }

    #[test]
    fn an_identity_gives_back_its_parts() {
        let id: SpiffeId = "spiffe://cluster.local/ns/shop/sa/cart".parse().unwrap();
        assert_eq!(
            (id.trust_domain(), id.namespace(), id.service_account()),
            ("cluster.local", "shop", "cart")
        );
        assert_eq!(SpiffeId::new(&"cluster.local".parse().unwrap(), "shop", "cart"), Ok(id));
    }

    #[test]
    fn t07_neighbours_are_exact_never_by_prefix_suffix_case_or_dot() {
        let id = |text: &str| text.parse::<SpiffeId>().unwrap();
        let me = id("spiffe://td.org/ns/shop/sa/me");
        assert!(me.is_neighbour(&id("spiffe://td.org/ns/shop/sa/you")));
        for other in [
            "spiffe://td.or/ns/shop/sa/you",
            "spiffe://td.org.evil/ns/shop/sa/you",
            "spiffe://a.td.org/ns/shop/sa/you",
            "spiffe://td-org/ns/shop/sa/you",
            "spiffe://td.org/ns/shop2/sa/you",
            "spiffe://td.org/ns/Shop/sa/you",
            "spiffe://td.org/ns/sho/sa/p",
        ] {
            assert!(!me.is_neighbour(&id(other)), "{other}");
        }
    }

    #[test]
    fn t05_a_leaf_has_exactly_one_identity() {
        let alice = "spiffe://td/ns/a/sa/alice";
        assert_eq!(leaf_identity(&leaf(&[alice], IsCa::NoCa)).unwrap().as_str(), alice);
        assert_eq!(leaf_identity(&leaf(&[], IsCa::NoCa)), Err(LeafError::NoIdentity));
        let two = leaf(&[alice, "spiffe://td/ns/a/sa/bob"], IsCa::NoCa);
        assert_eq!(leaf_identity(&two), Err(LeafError::TwoIdentities));
        let mixed = leaf(&["https://example.org/", alice], IsCa::NoCa);
        assert_eq!(leaf_identity(&mixed), Err(LeafError::TwoIdentities));
        let other = leaf(&["https://example.org/"], IsCa::NoCa);
        assert_eq!(leaf_identity(&other), Err(LeafError::Identity(SpiffeError::Scheme)));
    }

    #[test]
    fn t05_a_leaf_with_an_alternative_name_that_cannot_be_read_is_refused() {
        let alice = b"spiffe://td/ns/a/sa/alice";
        let entry = |tag: u8, value: &[u8]| [&[tag, u8::try_from(value.len()).unwrap()], value].concat();
        let of = |names: Vec<u8>| {
            let mut params = CertificateParams::default();
            let names = CustomExtension::from_oid_content(&[2, 5, 29, 17], entry(0x30, &names));
            params.custom_extensions = vec![names];
            leaf_identity(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
        };
        assert_eq!(of(entry(0x86, alice)).unwrap().as_str().as_bytes(), alice);
        // A URI that is not UTF-8, a directory name that is none, and a kind that does not exist.
        for second in [entry(0x86, b"spiffe://td/ns/a/sa/b\xff"), entry(0xa4, b"\xff"), entry(0x89, b"x")] {
            assert_eq!(of([entry(0x86, alice), second].concat()), Err(LeafError::AlternativeName));
        }
        // What is cut off spoils the whole extension.
        assert_eq!(of([&entry(0x86, alice)[..], &[0x86, 9, b'x']].concat()), Err(LeafError::NotX509));
    }

    #[test]
    fn t06_a_leaf_that_may_sign_others_is_refused() {
        let alice = "spiffe://td/ns/a/sa/alice";
        let ca = leaf(&[alice], IsCa::Ca(BasicConstraints::Unconstrained));
        assert_eq!(leaf_identity(&ca), Err(LeafError::Authority));
    }

    #[test]
    fn octets_that_are_no_certificate_are_refused() {
        let good = leaf(&["spiffe://td/ns/a/sa/alice"], IsCa::NoCa);
        for end in [0, 1, 10, good.len() - 1] {
            assert_eq!(leaf_identity(&good[..end]), Err(LeafError::NotX509));
        }
        let more = [&good[..], b"x"].concat();
        assert_eq!(leaf_identity(&more), Err(LeafError::NotX509));
    }
}
