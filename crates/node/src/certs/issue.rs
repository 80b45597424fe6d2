//! Makes certificate authorities and SPIFFE X.509 identities (X509-SVID: P-256, one URI name, both usages).
//! Used by `ca init`, `id issue` and the demo. Keeps no state and writes no file.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use time::{Duration, OffsetDateTime};

use super::error::CertificateError;

/// Something that signs identities: a certificate and its key.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    cert_pem: String,
}

/// A certificate and its key, both in PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub cert_pem: String,
    /// The private key: a secret.
    pub key_pem: String,
}

impl CertificateAuthority {
    /// Makes a new authority for a trust domain, with its certificate and key to be stored.
    ///
    /// # Errors
    /// [`CertificateError::Make`].
    pub fn create(trust_domain: &str, days: u32) -> Result<(Self, Issued), CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(made)?;
        let mut params = base(&format!("hbone authority of {trust_domain}"), days);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![uri(&format!("spiffe://{trust_domain}"))?];
        let cert_pem = params.self_signed(&key).map_err(made)?.pem();
        let issued = Issued { cert_pem: cert_pem.clone(), key_pem: key.serialize_pem() };
        Ok((Self { issuer: Issuer::new(params, key), cert_pem }, issued))
    }

    /// An authority that was made before.
    ///
    /// # Errors
    /// [`CertificateError::Make`] when the two texts are not a certificate and its key.
    pub fn open(cert_pem: &str, key_pem: &str) -> Result<Self, CertificateError> {
        let key = KeyPair::from_pem(key_pem).map_err(made)?;
        let issuer = Issuer::from_ca_cert_pem(cert_pem, key).map_err(made)?;
        Ok(Self { issuer, cert_pem: cert_pem.to_owned() })
    }

    /// Its certificate in PEM: what peers need as `ca`.
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// Issues one identity. The caller has checked that `identity` is a SPIFFE identity.
    ///
    /// # Errors
    /// [`CertificateError::Make`].
    pub fn issue(&self, identity: &str, days: u32) -> Result<Issued, CertificateError> {
        let now = OffsetDateTime::now_utc();
        self.issue_between(identity, now - CLOCK_SLACK, now + Duration::days(i64::from(days)))
    }

    /// Issues one identity for a stretch of time; the tests make expired ones with it.
    ///
    /// # Errors
    /// [`CertificateError::Make`].
    pub fn issue_between(
        &self,
        identity: &str,
        from: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<Issued, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(made)?;
        let mut params = base("", 0);
        params.distinguished_name = DistinguishedName::new();
        params.not_before = from;
        params.not_after = until;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![uri(identity)?];
        params.use_authority_key_identifier_extension = true;
        let cert = params.signed_by(&key, &self.issuer).map_err(made)?;
        Ok(Issued { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority").finish_non_exhaustive()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("cert_pem", &self.cert_pem).field("key_pem", &"***").finish()
    }
}

fn base(common_name: &str, days: u32) -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.not_before = now - CLOCK_SLACK;
    params.not_after = now + Duration::days(i64::from(days));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

fn uri(text: &str) -> Result<SanType, CertificateError> {
    Ok(SanType::URI(text.try_into().map_err(made)?))
}

fn made(error: rcgen::Error) -> CertificateError {
    CertificateError::Make { reason: error.to_string() }
}

/// Certificates begin a little in the past, for peers whose clock is late.
const CLOCK_SLACK: Duration = Duration::minutes(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_masks_the_key() {
        let (authority, issued) = CertificateAuthority::create("example.org", 1).unwrap();
        let text = format!("{authority:?} {issued:?}");
        assert!(!text.contains("PRIVATE KEY"), "{text}");
        assert!(text.contains("CERTIFICATE"));
    }

    #[test]
    fn an_authority_can_be_opened_again_and_still_issues() {
        let (_, stored) = CertificateAuthority::create("example.org", 1).unwrap();
        let again = CertificateAuthority::open(&stored.cert_pem, &stored.key_pem).unwrap();
        assert!(again.issue("spiffe://example.org/ns/a/sa/b", 1).is_ok());
    }
}
