//! Writes certificate and key files: new ones only, keys for their owner only.
//! Used by the commands that make certificates and by the demo. Never overwrites.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::CertificateError;

/// Writes a new file that everyone may read (mode 0644, narrowed by the umask).
///
/// # Errors
/// [`CertificateError::Exists`] and [`CertificateError::Unwritable`].
pub fn write_public(path: &Path, text: &str) -> Result<(), CertificateError> {
    write(path, text, 0o644)
}

/// Writes a new file that only its owner may read (mode 0600).
///
/// # Errors
/// [`CertificateError::Exists`] and [`CertificateError::Unwritable`].
pub fn write_secret(path: &Path, text: &str) -> Result<(), CertificateError> {
    write(path, text, 0o600)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertificateError> {
    let fault = |error: std::io::Error| {
        let (path, kind) = (path.to_path_buf(), error.kind());
        if kind == ErrorKind::AlreadyExists {
            CertificateError::Exists { path }
        } else {
            CertificateError::Unwritable { path, kind }
        }
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(fault)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fault)
}
