//! wstunnel: TCP in WebSockets over TLS, a connection for each tunnel, with the certificate that it brings itself. It
//! checks no identities. Takes part where it is installed.

use std::io;
use std::process::Command;

use super::chain::{Chain, free_port, installed};

/// Starts both ends.
pub(super) async fn start(mut chain: Chain) -> io::Result<Chain> {
    let (entry, middle, server) = (free_port()?, free_port()?, chain.server());
    let url = format!("wss://{middle}");
    let mut command = Command::new("wstunnel");
    command.args(["--log-lvl", "WARN", "server", &url]);
    chain.start(command, "remote")?;
    let mut command = Command::new("wstunnel");
    command.args(["--log-lvl", "WARN", "client", "-L", &format!("tcp://{entry}:{server}"), &url]);
    chain.start(command, "local")?;
    chain.ready(entry).await
}

/// # Errors
/// It is not installed; with what to do.
pub(super) fn find() -> Result<(), String> {
    installed("wstunnel")
}
