//! rathole: a reverse tunnel, so the server's end dials the client's; here with Noise. Takes part where it is
//! installed.

use std::io;
use std::process::Command;

use super::chain::{Chain, free_port, installed, run};

/// Starts both ends.
pub(super) async fn start(mut chain: Chain) -> io::Result<Chain> {
    let (entry, middle, server) = (free_port()?, free_port()?, chain.server());
    let keys = run(Command::new("rathole").arg("--genkey"))?;
    let (private, public) = keypair(&keys).ok_or_else(|| io::Error::other("rathole made no keys"))?;
    let local = format!(
        "[server]\nbind_addr = \"{middle}\"\ndefault_token = \"bench\"\n\n{NOISE}\
         local_private_key = \"{private}\"\n\n[server.services.bench]\nbind_addr = \"{entry}\"\n"
    );
    let remote = format!(
        "[client]\nremote_addr = \"{middle}\"\ndefault_token = \"bench\"\n\n{}\
         remote_public_key = \"{public}\"\n\n[client.services.bench]\nlocal_addr = \"{server}\"\n",
        NOISE.replace("server", "client")
    );
    for (name, role, config) in [("local", "--server", local), ("remote", "--client", remote)] {
        let file = format!("{name}.toml");
        chain.write(&file, &config)?;
        let mut command = Command::new("rathole");
        command.env("RUST_LOG", "warn").args([role, &file]);
        chain.start(command, name)?;
    }
    chain.ready(entry).await
}

/// # Errors
/// It is not installed; with what to do.
pub(super) fn find() -> Result<(), String> {
    installed("rathole")
}

/// Headings and keys take turns, a line each, with empty ones between.
fn keypair(text: &str) -> Option<(&str, &str)> {
    let mut keys = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.ends_with(':'));
    Some((keys.next()?, keys.next()?))
}

const NOISE: &str = "[server.transport]\ntype = \"noise\"\n\n[server.transport.noise]\n";

#[cfg(test)]
mod tests {
    use super::keypair;

    #[test]
    fn the_private_key_comes_first() {
        assert_eq!(keypair("Private Key:\nabc=\n\nPublic Key:\ndef=\n"), Some(("abc=", "def=")));
        assert_eq!(keypair("Private Key:\nabc="), None);
    }
}
