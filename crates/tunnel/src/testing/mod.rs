//! Certificates for tests: an authority of a trust domain and the leaves that it signs.

pub(crate) mod outside;

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SanType, SignatureAlgorithm,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::tls::{Identity, IdentityError};

/// An authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a leaf is like; the default is a good one.
pub(crate) struct Leaf {
    pub(crate) uris: Vec<String>,
    pub(crate) purposes: Vec<ExtendedKeyUsagePurpose>,
    /// Seconds from now.
    pub(crate) from: i64,
    /// Seconds from now.
    pub(crate) to: i64,
    pub(crate) is_ca: bool,
}

impl Leaf {
    pub(crate) fn of(uri: &str) -> Self {
        let purposes = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        Self { uris: vec![uri.to_owned()], purposes, from: -3600, to: 3600, is_ca: false }
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::with(&PKCS_ECDSA_P256_SHA256)
    }

    pub(crate) fn rsa() -> Self {
        Self::with(&PKCS_RSA_SHA256)
    }

    fn with(algorithm: &'static SignatureAlgorithm) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate_for(algorithm).unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    pub(crate) fn sign(&self, leaf: &Leaf) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names =
            leaf.uris.iter().map(|uri| SanType::URI(uri.as_str().try_into().unwrap())).collect();
        params.extended_key_usages = leaf.purposes.clone();
        let now = std::time::SystemTime::now();
        let at = |seconds: i64| {
            let span = Duration::from_secs(seconds.unsigned_abs());
            if seconds < 0 { now - span } else { now + span }
        };
        params.not_before = at(leaf.from).into();
        params.not_after = at(leaf.to).into();
        if leaf.is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    pub(crate) fn identity(&self, leaf: &Leaf) -> Result<Identity, IdentityError> {
        let (certificate, key) = self.sign(leaf);
        Identity::new(vec![certificate], key, vec![self.root()])
    }
}
