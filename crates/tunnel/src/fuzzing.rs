//! Bodies of the fuzz targets of this crate. `authority`: what strangers write is taken in one spelling only, or
//! refused; every grammar gets the same text. `client_hello`: what a gateway peeks at. `fronts`: what clients of proxies
//! say, see there.
//!
//! Built for tests and fuzzing only; called by the fuzz target and
//! by the tests below.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use crate::authority::{Authority, Host, HostName};
use crate::escape::Escaped;
use crate::front::client_hello::{ClientHello, MOST};
pub use crate::front::fuzzing::fronts;
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

/// Peeks at a ClientHello: the first octet is the length of the pieces in which the rest comes.
///
/// # Panics
/// If the way in which it is cut changes what it means, if more than the limit is waited for, or if it is not replayed
/// as it came.
pub fn client_hello(input: &[u8]) {
    let Some((&piece, octets)) = input.split_first() else { return };
    let (mut cut, mut outcome, mut taken) = (ClientHello::default(), Ok(None), 0);
    for piece in octets.chunks(usize::from(piece).max(1)) {
        outcome = cut.take(piece);
        taken += piece.len();
        if outcome != Ok(None) {
            break;
        }
        assert!(taken <= MOST, "T21: it waits for more than the limit");
    }
    assert_eq!(cut.into_octets(), octets[..taken], "T21: not as it came");
    let mut whole = ClientHello::default();
    assert_eq!(whole.take(octets), outcome, "T21: another meaning in other pieces");
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

    use super::{authority, client_hello};

    fn replay(target: &str, body: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus-seeds").join(target);
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 10, "the corpus has content");
        for file in files {
            body(&std::fs::read(file).unwrap());
        }
    }

    #[test]
    fn the_corpus_of_authority_upsets_nothing() {
        replay("authority", authority);
    }

    #[test]
    fn t21_the_corpus_of_client_hello_upsets_nothing() {
        replay("client_hello", client_hello);
    }

    proptest! {
        #[test]
        fn random_octets_upset_no_peek(octets: Vec<u8>, piece: u8) {
            client_hello(&[&[piece][..], &octets].concat());
        }

        #[test]
        fn t21_nearly_hellos_upset_no_peek(piece: u8, content: Vec<u8>, record in 1_usize..99, lie: u8) {
            let mut message = vec![1, 0, 0, u8::try_from(content.len()).unwrap_or(99).wrapping_add(lie & 1)];
            message.extend(content);
            let mut octets = vec![piece];
            for part in message.chunks(record) {
                octets.extend([22, 3, lie >> 1, 0, u8::try_from(part.len()).unwrap_or(9)]);
                octets.extend(part);
            }
            client_hello(&octets);
        }

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
