//! Body of the fuzz target `authority`: what strangers write is taken in one spelling only, or refused.
//!
//! Every grammar of this crate gets the same text. Built for tests and fuzzing only; called by the fuzz target and
//! by the tests below.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use crate::authority::{Authority, Host, HostName};
use crate::escape::Escaped;
use crate::identity::{SpiffeId, TrustDomain, leaf_identity};
use crate::matcher::{Source, Target};
use crate::network::{Network, canonical};

/// Reads `input` by every grammar.
///
/// # Panics
/// If two spellings mean the same where only one may, if two grammars disagree, or if a log line breaks.
pub fn authority(input: &[u8]) {
    escaped(input);
    let _ = leaf_identity(input);
    let parsed = Authority::from_octets(input);
    let Ok(text) = str::from_utf8(input) else {
        assert!(parsed.is_err(), "an authority is ASCII");
        return;
    };
    assert_eq!(parsed, text.parse());
    if let Some(authority) = one_spelling::<Authority>(text) {
        destination(text, &authority);
    }
    one_spelling::<Host>(text);
    one_spelling::<TrustDomain>(text);
    if let Some(name) = one_spelling::<HostName>(text) {
        assert_eq!(text.parse(), Ok(Host::Name(name)), "T04: a name is not an address");
    }
    if let Some(id) = one_spelling::<SpiffeId>(text) {
        identity(text, &id);
    }
    one_spelling::<Source>(text);
    settled::<Target>(text);
    if let Some(network) = settled::<Network>(text) {
        assert!(network.covers(&network));
    }
}

/// Parse, then print, is the identity.
fn one_spelling<T: FromStr + Display>(text: &str) -> Option<T> {
    let value = text.parse::<T>().ok()?;
    assert_eq!(value.to_string(), text, "T03: printed as it was written");
    Some(value)
}

/// What is printed means what was parsed, and is printed so again.
fn settled<T: FromStr + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let value = text.parse::<T>().ok()?;
    let printed = value.to_string();
    let again = printed.parse::<T>().ok();
    assert_eq!(again.as_ref(), Some(&value), "{text:?} is printed as {printed:?}");
    Some(value)
}

fn destination(text: &str, authority: &Authority) {
    let printable = text.bytes().all(|octet| octet.is_ascii_graphic() && !octet.is_ascii_uppercase());
    assert!(printable && !text.contains(['@', '%', '/', '?', '#', '\\']), "T03: {text:?}");
    assert!(authority.port() > 0);
    assert_eq!(authority.address().is_some(), matches!(authority.host(), Host::Address(_)));
    // The same text names the same destination in a route, but for an address that is dialled as another.
    if authority.address().is_none_or(|address| canonical(address.ip()) == address.ip()) {
        let target = text.parse::<Target>();
        assert!(target.is_ok_and(|target| target.matches(authority)), "{text:?} as a target");
    }
}

fn identity(text: &str, id: &SpiffeId) {
    let path = text.strip_prefix("spiffe://").unwrap_or(":");
    assert!(text.len() <= 2048 && !path.contains(['%', '?', '#', '@', ':']), "T06: {text:?}");
    let parts = (id.trust_domain(), id.namespace(), id.service_account());
    let domain = parts.0.parse::<TrustDomain>().ok();
    let again = domain.as_ref().and_then(|domain| SpiffeId::new(domain, parts.1, parts.2).ok());
    assert_eq!(again.as_ref(), Some(id), "T06: the parts make the whole");
    for source in
        [format!("spiffe://{}", parts.0), format!("spiffe://{}/ns/{}", parts.0, parts.1), text.to_owned()]
    {
        assert!(source.parse::<Source>().is_ok_and(|source| source.matches(id)), "T07: {source}");
    }
}

fn escaped(input: &[u8]) {
    let line = Escaped::new(input).to_string();
    assert!(
        line.len() <= 256 && !line.contains(char::is_control) && line.lines().count() <= 1,
        "T24: {line:?}"
    );
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::authority;

    #[test]
    fn the_corpus_of_authority_upsets_nothing() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus-seeds/authority");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 10, "the corpus has content");
        for file in files {
            authority(&std::fs::read(file).unwrap());
        }
    }

    proptest! {
        #[test]
        fn random_octets_upset_no_grammar(octets: Vec<u8>) {
            authority(&octets);
        }

        #[test]
        fn nearly_destinations_upset_no_grammar(text in "[*\\[]{0,2}[0-9a-fx:.-]{0,20}[\\]/]?[0-9:-]{0,8}") {
            authority(text.as_bytes());
        }

        #[test]
        fn nearly_identities_upset_no_grammar(text in "spiffe://[a-z.]{0,6}(/ns/[a-zA-Z.%]{0,4})?(/sa/[a-z./]{0,4})?") {
            authority(text.as_bytes());
        }
    }
}
