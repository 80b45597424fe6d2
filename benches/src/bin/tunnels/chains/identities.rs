//! Throwaway certificates, made by this project's own commands; the chains with mutual TLS all use the same kind.

use std::io;
use std::process::Command;

use super::chain::{Chain, run};
use super::hbone;

/// The identities of the two ends: `local.pem`, `local.key`, `remote.pem`, `remote.key`, `ca.pem` in the chain's
/// folder.
pub(super) fn issue(chain: &Chain) -> io::Result<()> {
    let hbone = hbone::find().map_err(io::Error::other)?;
    let command =
        |arguments: &[&str]| run(Command::new(&hbone).args(arguments).current_dir(chain.folder())).map(drop);
    command(&["ca", "init", "--trust-domain", "bench.test"])?;
    command(&["id", "issue", LOCAL, "--name", "local"])?;
    command(&["id", "issue", REMOTE, "--name", "remote"])
}

/// Who the local end is.
pub(super) const LOCAL: &str = "spiffe://bench.test/ns/bench/sa/local";
/// Who the remote end is.
pub(super) const REMOTE: &str = "spiffe://bench.test/ns/bench/sa/remote";
