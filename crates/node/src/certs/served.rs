//! Certificates that are no identity of a mesh: those that a gateway shows to its clients or to destinations. Called by the configuration. Never sends or prints a key.

use std::path::Path;

use hbone_tunnel::Target;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::error::CertificateError;
use super::load::{certificates, in_time, keep, private_key, same_key};

/// A chain with its key, checked.
#[derive(Debug)]
pub struct Pair {
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivateKeyDer<'static>,
    /// The host names that the leaf is for.
    pub names: Vec<Target>,
}

/// Loads and checks a chain and its key at the time `now` (seconds since 1970 in UTC).
///
/// # Errors
/// Every fault that was found, each with the file it belongs to.
pub fn load_pair(cert: &Path, key: &Path, now: i64) -> Result<Pair, Vec<CertificateError>> {
    let mut faults = Vec::new();
    let chain = keep(&mut faults, certificates(cert));
    let names = chain.as_ref().and_then(|chain| keep(&mut faults, names(cert, chain, now)));
    let private = private_key(key, &mut faults);
    if let (Some(chain), Some(private)) = (&chain, &private) {
        keep(&mut faults, same_key(cert, chain, key, private));
    }
    match (chain, private, names) {
        (Some(chain), Some(key), Some(names)) if faults.is_empty() => Ok(Pair { chain, key, names }),
        _ => Err(faults),
    }
}

/// The host names of the leaf, which must be valid now.
fn names(path: &Path, chain: &[CertificateDer<'static>], now: i64) -> Result<Vec<Target>, CertificateError> {
    let content = |reason: String| CertificateError::Content { path: path.to_path_buf(), reason };
    let leaf = chain.first().map_or(&[][..], |leaf| leaf);
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| content(error.to_string()))?;
    in_time(path, &leaf, now)?;
    let names = leaf.subject_alternative_name().map_err(|error| content(error.to_string()))?;
    let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let hosts = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(host) => host.to_ascii_lowercase().parse::<Target>().ok(),
        GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::URI(_)
        | GeneralName::IPAddress(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    });
    Ok(hosts.filter(Target::is_of_names).collect())
}
