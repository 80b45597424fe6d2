//! Two nodes of the real binary: the local one captures a port, the remote one serves it over mutual TLS.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::chain::{Chain, free_port};
use super::identities::{self, LOCAL, REMOTE};

/// Starts both.
pub(super) async fn start(mut chain: Chain) -> io::Result<Chain> {
    let (entry, middle, server) = (free_port()?, free_port()?, chain.server());
    identities::issue(&chain)?;
    let remote = format!(
        "{}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"{middle}\"\n\n\
         [[policies]]\nname = \"bench\"\naction = \"allow\"\nfrom = \"{LOCAL}\"\nto = \"{server}\"\n",
        identity("remote"),
    );
    let local = format!(
        "{}[[peers]]\nname = \"remote\"\naddress = \"{middle}\"\nidentity = \"{REMOTE}\"\n\n\
         [[listeners]]\nname = \"out\"\nkind = \"tcp\"\nbind = \"{entry}\"\ndestination = \"{server}\"\n\
         peer = \"remote\"\n",
        identity("local"),
    );
    for (name, config) in [("remote", remote), ("local", local)] {
        let file = format!("{name}.toml");
        chain.write(&file, &config)?;
        let mut command = Command::new(find().map_err(io::Error::other)?);
        // None of the others writes a line for each tunnel.
        command.env("RUST_LOG", "info,hbone::tunnel=off").args(["run", "-c", &file]);
        chain.start(command, name)?;
    }
    chain.ready(entry).await
}

fn identity(name: &str) -> String {
    format!("[identity]\ncert = \"{name}.pem\"\nkey = \"{name}.key\"\nca = \"ca.pem\"\n\n")
}

/// The binary: what `HBONE_BIN` names, or the one next to this program. When cargo runs this program, cargo builds that
/// one first, so that nobody measures what was built before the last change.
///
/// # Errors
/// There is none; with what to do.
pub(super) fn find() -> Result<PathBuf, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND.get_or_init(look).clone()
}

fn look() -> Result<PathBuf, String> {
    if let Some(path) = env::var_os("HBONE_BIN") {
        return Ok(path.into());
    }
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let folder = own.parent().unwrap_or(Path::new("."));
    if let Some(cargo) = env::var_os("CARGO") {
        build(Path::new(&cargo), folder)?;
    }
    let path = folder.join("hbone");
    if path.exists() {
        return Ok(path);
    }
    Err(format!("no {}: cargo build --release -p hbone-node", path.display()))
}

/// Builds the binary into the folder of this program.
fn build(cargo: &Path, folder: &Path) -> Result<(), String> {
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "hbone-node", "--bin", "hbone"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err("cargo build -p hbone-node failed".into()),
        Err(error) => Err(format!("cannot run cargo: {error}")),
    }
}
