//! What the node's tests share: the binary, throwaway certificates, configuration files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hbone_node::certs::{CertificateAuthority, write_public, write_secret};
use tempfile::TempDir;

/// The binary under test, with the log at its default.
pub(crate) fn hbone() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hbone"));
    command.env_remove("RUST_LOG");
    command
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    hbone().args(arguments).output().unwrap()
}

/// The exit code.
pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) const TRUST_DOMAIN: &str = "example.org";

/// The identity of an account in the namespace `test`.
pub(crate) fn id(account: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/ns/test/sa/{account}")
}

/// A folder with an authority, to which identities and configurations are added.
pub(crate) struct Lab {
    folder: TempDir,
    authority: CertificateAuthority,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::of(TRUST_DOMAIN)
    }

    /// A lab whose authority is for another trust domain.
    pub(crate) fn of(trust_domain: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let (authority, _) = CertificateAuthority::create(trust_domain, 30).unwrap();
        write_public(&folder.path().join("ca.pem"), authority.cert_pem()).unwrap();
        Self { folder, authority }
    }

    pub(crate) fn authority(&self) -> &CertificateAuthority {
        &self.authority
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Issues an identity of the namespace `test` as `<account>.pem` and `<account>.key`.
    pub(crate) fn issue(&self, account: &str) {
        self.issue_as(account, &id(account));
    }

    /// Issues any identity under a file name.
    pub(crate) fn issue_as(&self, name: &str, identity: &str) {
        let issued = self.authority.issue(identity, 30).unwrap();
        self.write_identity(name, &issued.cert_pem, &issued.key_pem);
    }

    pub(crate) fn write_identity(&self, name: &str, cert: &str, key: &str) {
        write_public(&self.path(&format!("{name}.pem")), cert).unwrap();
        write_secret(&self.path(&format!("{name}.key")), key).unwrap();
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a file for its owner only.
    pub(crate) fn write_private(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        write_secret(&path, text).unwrap();
        path
    }
}

/// The `[identity]` section of an account whose files stand beside the configuration.
pub(crate) fn identity_section(account: &str) -> String {
    format!("[identity]\ncert = \"{account}.pem\"\nkey = \"{account}.key\"\nca = \"ca.pem\"\n")
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
