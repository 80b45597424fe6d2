//! Loads a certificate chain, its key and the roots from files, and checks all that can be checked before a
//! peer sees them. Called by the configuration and by `dial`. Never sends or prints the key.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hbone_tunnel::{SpiffeId, leaf_identity};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::CertificateError;

/// Where the three files are; one that is not named is a fault that the caller has reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The chain, leaf first.
    pub cert: Option<PathBuf>,
    /// The leaf's private key.
    pub key: Option<PathBuf>,
    /// The roots that peers must chain to.
    pub ca: Option<PathBuf>,
}

/// What was loaded, checked.
#[derive(Debug)]
pub struct Loaded {
    /// The chain, leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivateKeyDer<'static>,
    /// The roots.
    pub roots: Vec<CertificateDer<'static>>,
    /// Who the leaf says it is.
    pub identity: SpiffeId,
    /// When the leaf ends: seconds since 1970 in UTC.
    pub not_after: i64,
    /// What is odd and not a fault, for people.
    pub warnings: Vec<String>,
}

/// Loads and checks the three files at the time `now` (seconds since 1970 in UTC).
///
/// # Errors
/// Every fault that was found, each with the file it belongs to.
pub fn load(paths: &Paths, now: i64) -> Result<Loaded, Vec<CertificateError>> {
    let mut faults = Vec::new();
    let chain = paths.cert.as_deref().and_then(|path| keep(&mut faults, certificates(path)));
    let facts = match (&paths.cert, &chain) {
        (Some(path), Some(chain)) => keep(&mut faults, facts(path, chain, now)),
        _ => None,
    };
    let key = paths.key.as_deref().and_then(|path| private_key(path, &mut faults));
    let roots = paths.ca.as_deref().and_then(|path| keep(&mut faults, roots(path)));
    if let (Some(chain), Some(key)) = (&chain, &key)
        && let (Some(cert_path), Some(key_path)) = (&paths.cert, &paths.key)
    {
        keep(&mut faults, same_key(cert_path, chain, key_path, key));
    }
    let (Some(chain), Some(facts), Some(key), Some(roots)) = (chain, facts, key, roots) else {
        return Err(faults);
    };
    if !faults.is_empty() {
        return Err(faults);
    }
    let warnings = if chains(&chain, &roots, now) { Vec::new() } else { vec![stranger(paths)] };
    Ok(Loaded { chain, key, roots, identity: facts.identity, not_after: facts.not_after, warnings })
}

/// Whether the chain leads to one of the roots. It need not while an authority is replaced, so this is no fault.
fn chains(chain: &[CertificateDer<'static>], roots: &[CertificateDer<'static>], now: i64) -> bool {
    let Some((leaf, rest)) = chain.split_first() else { return false };
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
    WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider)
        .build()
        .is_ok_and(|verifier| verifier.verify_client_cert(leaf, rest, now).is_ok())
}

fn stranger(paths: &Paths) -> String {
    let name = |path: &Option<PathBuf>| path.as_deref().unwrap_or(Path::new("")).display().to_string();
    let (cert, ca) = (name(&paths.cert), name(&paths.ca));
    format!(
        "{cert} is not issued by an authority in {ca}: peers that have the same {ca} will refuse this node; \
         issue it with that authority, or add the issuer to {ca} everywhere"
    )
}

struct Facts {
    identity: SpiffeId,
    not_after: i64,
}

pub(super) fn keep<T>(faults: &mut Vec<CertificateError>, result: Result<T, CertificateError>) -> Option<T> {
    result.map_err(|fault| faults.push(fault)).ok()
}

/// Threat T35: a key that others can read is no secret.
///
/// # Errors
/// [`CertificateError::LooseMode`] and [`CertificateError::Unreadable`].
pub fn private(path: &Path) -> Result<(), CertificateError> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(CertificateError::LooseMode { path: path.to_path_buf(), mode })
    }
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let pem = || CertificateError::Pem { path: path.to_path_buf(), wanted: "certificate" };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|_| pem())?;
    if chain.is_empty() { Err(pem()) } else { Ok(chain) }
}

/// The key, also when its mode is refused, so that it is still compared with the certificate.
pub(super) fn private_key(path: &Path, faults: &mut Vec<CertificateError>) -> Option<PrivateKeyDer<'static>> {
    match private(path) {
        Ok(()) => {}
        Err(fault @ CertificateError::LooseMode { .. }) => faults.push(fault),
        Err(fault) => {
            faults.push(fault);
            return None;
        }
    }
    let bytes = keep(faults, std::fs::read(path).map_err(|error| unreadable(path, &error)))?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        let path = path.to_path_buf();
        if matches!(error, PemError::NoItemsFound) {
            CertificateError::Pem { path, wanted: "private key" }
        } else {
            CertificateError::Content { path, reason: error.to_string() }
        }
    });
    keep(faults, key)
}

fn facts(path: &Path, chain: &[CertificateDer<'static>], now: i64) -> Result<Facts, CertificateError> {
    let content = |reason: String| CertificateError::Content { path: path.to_path_buf(), reason };
    let Some(leaf) = chain.first() else {
        return Err(CertificateError::Pem { path: path.to_path_buf(), wanted: "certificate" });
    };
    let identity = leaf_identity(leaf).map_err(|error| CertificateError::Identity {
        path: path.to_path_buf(),
        reason: error.to_string(),
    })?;
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| content(error.to_string()))?;
    in_time(path, &leaf, now)?;
    let usage = leaf.extended_key_usage().map_err(|error| content(error.to_string()))?;
    if let Some(usage) = usage {
        for (allowed, missing) in
            [(usage.value.server_auth, "serverAuth"), (usage.value.client_auth, "clientAuth")]
        {
            if !(allowed || usage.value.any) {
                return Err(CertificateError::Usage { path: path.to_path_buf(), missing });
            }
        }
    }
    Ok(Facts { identity, not_after: leaf.validity().not_after.timestamp() })
}

pub(super) fn in_time(path: &Path, leaf: &X509Certificate<'_>, now: i64) -> Result<(), CertificateError> {
    let validity = leaf.validity();
    if now > validity.not_after.timestamp() {
        return Err(CertificateError::Expired {
            path: path.to_path_buf(),
            since: validity.not_after.to_string(),
        });
    }
    if now < validity.not_before.timestamp() {
        let from = validity.not_before.to_string();
        return Err(CertificateError::NotYetValid { path: path.to_path_buf(), from });
    }
    Ok(())
}

/// The roots, each of which must be usable as one.
fn roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let roots = certificates(path)?;
    let mut store = RootCertStore::empty();
    for root in &roots {
        store.add(root.clone()).map_err(|error| CertificateError::Content {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })?;
    }
    Ok(roots)
}

pub(super) fn same_key(
    cert_path: &Path,
    chain: &[CertificateDer<'static>],
    key_path: &Path,
    key: &PrivateKeyDer<'static>,
) -> Result<(), CertificateError> {
    let content = |error: rustls::Error| CertificateError::Content {
        path: key_path.to_path_buf(),
        reason: error.to_string(),
    };
    let signer = aws_lc_rs::sign::any_supported_type(key).map_err(content)?;
    CertifiedKey::new(chain.to_vec(), signer).keys_match().map_err(|_| CertificateError::KeyMismatch {
        cert: cert_path.to_path_buf(),
        key: key_path.to_path_buf(),
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> CertificateError {
    CertificateError::Unreadable { path: path.to_path_buf(), kind: error.kind() }
}
