//! OpenSSH: a server of its own on a loopback port, with keys and configuration of its own, and `ssh -L` in front of
//! it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::chain::{Chain, free_port, run};

/// Starts both.
pub(super) async fn start(mut chain: Chain) -> io::Result<Chain> {
    let (entry, middle, server) = (free_port()?, free_port()?, chain.server());
    let sshd = find().map_err(io::Error::other)?;
    let user = run(Command::new("id").arg("-un"))?;
    if user == "root" {
        make_separation_folder()?;
    }
    for name in ["host", "user"] {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-f", name]).current_dir(chain.folder());
        run(&mut command)?;
    }
    fs::copy(chain.folder().join("user.pub"), chain.folder().join("authorized"))?;
    let folder = chain.folder().display().to_string();
    chain.write("sshd_config", &format!(
        "ListenAddress {middle}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nPidFile none\n\
         UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nCiphers {CIPHER}\n",
    ))?;
    let mut command = Command::new(sshd);
    command.args(["-D", "-e", "-f"]).arg(format!("{folder}/sshd_config"));
    chain.start(command, "remote")?;
    wait_for(middle).await;

    let mut command = Command::new("ssh");
    command.args(["-N", "-F", "none", "-i", "user", "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes"]);
    command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
    command.args(["-o", "IdentitiesOnly=yes", "-o", "Compression=no", "-o", &format!("Ciphers={CIPHER}")]);
    command.args(["-L", &format!("{entry}:{server}"), "-p", &middle.port().to_string()]);
    command.arg(format!("{user}@127.0.0.1"));
    chain.start(command, "local")?;
    chain.ready(entry).await
}

/// `ssh` does not try again when the server is not there yet.
async fn wait_for(address: std::net::SocketAddr) {
    for _ in 0..100 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// What the system's own start of sshd does: the server of root refuses to run without this folder.
fn make_separation_folder() -> io::Result<()> {
    let folder = Path::new("/run/sshd");
    if !folder.exists() {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// The path of `sshd`, which does not start without its whole path.
///
/// # Errors
/// One of the programs is not installed; with what to do.
pub(super) fn find() -> Result<PathBuf, String> {
    let missing = || "not installed: apt-get install openssh-server openssh-client".to_owned();
    if Command::new("ssh").arg("-V").output().is_err() {
        return Err(missing());
    }
    let places = ["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"];
    places.iter().map(PathBuf::from).find(|path| path.exists()).ok_or_else(missing)
}

const CIPHER: &str = "aes128-gcm@openssh.com";
