//! What can be wrong with certificate files: one variant per cause, each with its remedy.
//! Made by load.rs, files.rs and issue.rs; shown by the configuration's faults and by the commands.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why certificates could not be loaded, made or written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        kind: io::ErrorKind,
    },
    /// A file cannot be written.
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        kind: io::ErrorKind,
    },
    /// A file is there already; nothing is overwritten.
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A key file that others than its owner may read or write.
    LooseMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file has no PEM block of the kind that is wanted, or a damaged one.
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for: `certificate`, `private key`.
        wanted: &'static str,
    },
    /// A PEM block is whole, its content is not a certificate or a key that can be used.
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The certificate's time has passed.
    Expired {
        /// The file.
        path: PathBuf,
        /// When it ended, in UTC.
        since: String,
    },
    /// The certificate's time has not come.
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// When it begins, in UTC.
        from: String,
    },
    /// Not exactly one SPIFFE identity among the names of the leaf.
    Identity {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The leaf may not be used for both ends of TLS.
    Usage {
        /// The file.
        path: PathBuf,
        /// The usage that is missing: `serverAuth`, `clientAuth`.
        missing: &'static str,
    },
    /// The key belongs to another certificate.
    KeyMismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// A name that cannot stand in a SPIFFE identity.
    Name {
        /// The identity as it would be.
        identity: String,
        /// What is wrong.
        reason: String,
    },
    /// The cryptographic library refused to make a key or a certificate.
    Make {
        /// What it said.
        reason: String,
    },
}

impl CertificateError {
    /// The file that it is about, when there is one.
    pub fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::Unreadable { path, .. }
            | Self::Unwritable { path, .. }
            | Self::Exists { path }
            | Self::LooseMode { path, .. }
            | Self::Pem { path, .. }
            | Self::Content { path, .. }
            | Self::Expired { path, .. }
            | Self::NotYetValid { path, .. }
            | Self::Identity { path, .. }
            | Self::Usage { path, .. } => Some(path),
            Self::KeyMismatch { key, .. } => Some(key),
            Self::Name { .. } | Self::Make { .. } => None,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Unreadable { kind: io::ErrorKind::NotFound, .. } => {
                "correct the path, or make the file with `hbone ca init` and `hbone id issue`".into()
            }
            Self::Unreadable { .. } | Self::Unwritable { .. } => "check its permissions and its owner".into(),
            Self::Exists { .. } => "move it away or choose another folder; nothing is overwritten".into(),
            Self::LooseMode { path, .. } => format!("run `chmod 600 {}`", path.display()),
            Self::Pem { .. } => "use a PEM file; `hbone id issue` makes one".into(),
            Self::Content { .. } => "make a new one with `hbone id issue`".into(),
            Self::Expired { .. } => "issue a new one with `hbone id issue`, or correct the clock".into(),
            Self::NotYetValid { .. } => "correct the clock, or issue a new one".into(),
            Self::Identity { .. } => {
                "a node needs exactly one URI name, `spiffe://<trust domain>/ns/<namespace>/sa/<account>`"
                    .into()
            }
            Self::Usage { .. } => "issue one with both serverAuth and clientAuth".into(),
            Self::KeyMismatch { .. } => "name the two files that were issued together".into(),
            Self::Name { .. } => "use letters, digits, `-`, `.` and `_`; a trust domain in lower case".into(),
            Self::Make { .. } => "try again; if it stays so, this is a bug".into(),
        }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, kind } => write!(f, "cannot read {}: {kind}", path.display()),
            Self::Unwritable { path, kind } => write!(f, "cannot write {}: {kind}", path.display()),
            Self::Exists { path } => write!(f, "{} is there already", path.display()),
            Self::LooseMode { path, mode } => write!(
                f,
                "the key file {} has mode {mode:04o}: others than its owner can use it",
                path.display()
            ),
            Self::Pem { path, wanted } => write!(f, "{} holds no {wanted} in PEM", path.display()),
            Self::Content { path, reason } => write!(f, "{} cannot be used: {reason}", path.display()),
            Self::Expired { path, since } => {
                write!(f, "the certificate {} expired at {since}", path.display())
            }
            Self::NotYetValid { path, from } => {
                write!(f, "the certificate {} is not valid before {from}", path.display())
            }
            Self::Identity { path, reason } => write!(f, "{}: {reason}", path.display()),
            Self::Usage { path, missing } => {
                write!(f, "the certificate {} may not be used for {missing}", path.display())
            }
            Self::KeyMismatch { cert, key } => {
                write!(f, "the key {} does not belong to the certificate {}", key.display(), cert.display())
            }
            Self::Name { identity, reason } => {
                write!(f, "`{}` is not a SPIFFE identity: {reason}", identity.escape_debug())
            }
            Self::Make { reason } => write!(f, "cannot make a certificate: {reason}"),
        }
    }
}

impl std::error::Error for CertificateError {}
