//! `hbone ca init` and `hbone id issue`: makes an authority and identities and writes them into files.
//! Called by main.rs. Never overwrites a file, never prints a key.

use std::fs;
use std::path::{Path, PathBuf};

use hbone_tunnel::SpiffeId;
use x509_parser::prelude::GeneralName;

use crate::certs::{CertificateAuthority, CertificateError, private, write_public, write_secret};
use crate::cli::{CaInit, IdIssue};
use crate::exit::{Exit, Failure};

/// Makes an authority; gives back what to tell the user.
///
/// # Errors
/// A wrong trust domain and existing files are usage faults; unwritable folders fail at run time.
pub fn init(ask: &CaInit) -> Result<String, Failure> {
    check_identity(&format!("spiffe://{}/ns/x/sa/x", ask.trust_domain))?;
    let (cert, key) = (ask.dir.join(CERT), ask.dir.join(KEY));
    fresh(&[&cert, &key])?;
    let (_, issued) = CertificateAuthority::create(&ask.trust_domain, ask.days).map_err(failed)?;
    folder(&ask.dir)?;
    write_secret(&key, &issued.key_pem).map_err(failed)?;
    write_public(&cert, &issued.cert_pem).map_err(failed)?;
    Ok(format!(
        "trust domain  {}\ncertificate   {}   (give it to every node)\nkey           {}   (keep it here: who has it can be anyone)\nnext          hbone id issue --ca {} --ns default --sa NAME",
        ask.trust_domain,
        cert.display(),
        key.display(),
        ask.dir.display(),
    ))
}

/// Issues an identity; gives back what to tell the user.
///
/// # Errors
/// A wrong identity, a missing authority, an authority's key that others can read and existing files are usage
/// faults.
pub fn issue(ask: &IdIssue) -> Result<String, Failure> {
    let (ca_cert, ca_key) = (ask.ca.join(CERT), ask.ca.join(KEY));
    let cert_pem = read(&ca_cert)?;
    let key_pem = read(&ca_key)?;
    private(&ca_key).map_err(failed)?;
    let authority = CertificateAuthority::open(&cert_pem, &key_pem).map_err(failed)?;
    let trust_domain = trust_domain(&cert_pem);
    let identity = match (&ask.identity, &ask.ns, &ask.sa, &trust_domain) {
        (Some(identity), ..) => identity.clone(),
        (None, Some(ns), Some(sa), Some(domain)) => format!("spiffe://{domain}/ns/{ns}/sa/{sa}"),
        (None, Some(_), Some(_), None) => {
            let what = format!("{} does not say which trust domain it belongs to", ca_cert.display());
            return Err(Failure::new(Exit::Usage, what).remedy("give the whole spiffe:// identity"));
        }
        (None, ..) => {
            let failure = Failure::new(Exit::Usage, "no identity");
            return Err(failure.remedy("give --ns and --sa, or a whole spiffe:// identity"));
        }
    };
    let identity = check_identity(&identity)?;
    if let Some(domain) = trust_domain.filter(|domain| *domain != identity.trust_domain()) {
        let what = format!("the authority belongs to the trust domain {domain}, {identity} to another");
        return Err(Failure::new(Exit::Usage, what).remedy("use the authority of that trust domain"));
    }
    let name = match &ask.name {
        Some(name) => name.clone(),
        None => identity.service_account().to_owned(),
    };
    let (cert, key) = (ask.out.join(format!("{name}.pem")), ask.out.join(format!("{name}.key")));
    fresh(&[&cert, &key])?;
    let issued = authority.issue(identity.as_str(), ask.days).map_err(failed)?;
    folder(&ask.out)?;
    write_secret(&key, &issued.key_pem).map_err(failed)?;
    write_public(&cert, &issued.cert_pem).map_err(failed)?;
    Ok(format!(
        "identity      {identity}\ncertificate   {}\nkey           {}\nvalid         {} days",
        cert.display(),
        key.display(),
        ask.days
    ))
}

/// The trust domain that an authority of ours carries as its URI name.
fn trust_domain(cert_pem: &str) -> Option<String> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(cert_pem.as_bytes()).ok()?;
    let cert = pem.parse_x509().ok()?;
    let names = cert.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| {
        if let GeneralName::URI(uri) = name { uri.strip_prefix("spiffe://").map(str::to_owned) } else { None }
    })
}

fn check_identity(text: &str) -> Result<SpiffeId, Failure> {
    text.parse().map_err(|error: hbone_tunnel::SpiffeError| {
        let fault = CertificateError::Name { identity: text.to_owned(), reason: error.to_string() };
        Failure::new(Exit::Usage, fault.to_string()).remedy(fault.remedy())
    })
}

/// Refuses before anything is made when a file is there.
fn fresh(paths: &[&PathBuf]) -> Result<(), Failure> {
    for path in paths {
        if path.symlink_metadata().is_ok() {
            return Err(failed(CertificateError::Exists { path: (*path).clone() }));
        }
    }
    Ok(())
}

fn folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| {
        failed(CertificateError::Unwritable { path: path.to_path_buf(), kind: error.kind() })
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        let fault = CertificateError::Unreadable { path: path.to_path_buf(), kind: error.kind() };
        let remedy = "make an authority with `hbone ca init`, or name its folder with --ca";
        Failure::new(Exit::Usage, fault.to_string()).remedy(remedy)
    })
}

fn failed(fault: CertificateError) -> Failure {
    let ours = matches!(fault, CertificateError::Unwritable { .. } | CertificateError::Make { .. });
    let exit = if ours { Exit::Failure } else { Exit::Usage };
    Failure::new(exit, fault.to_string()).remedy(fault.remedy())
}

/// The authority's certificate in its folder.
const CERT: &str = "ca.pem";
/// The authority's key in its folder.
const KEY: &str = "ca.key";
