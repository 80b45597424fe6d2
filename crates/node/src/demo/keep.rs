//! `hbone demo --keep`: leaves the nodes up and prints commands to try, with the throwaway identities in a
//! folder that only the user can enter and that is gone at the end. Called by mod.rs.

use std::fmt::Write;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::nodes::{Nodes, Person};
use super::server::Servers;
use crate::certs::{write_public, write_secret};

/// Further destinations that bob lets alice reach while the demo stays up: the machine's own ssh server.
pub(super) const ALSO: &[&str] = &["127.0.0.1:22"];

/// The folder of the throwaway identities; deleted when it is dropped.
#[derive(Debug)]
pub(super) struct Kept {
    folder: TempDir,
}

impl Kept {
    /// Writes the identities and alice's configuration.
    pub(super) fn new(nodes: &Nodes) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("hbone-demo-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let path = folder.path();
        write_public(&path.join("ca.pem"), &nodes.people.ca_pem).map_err(io::Error::other)?;
        for (name, person) in [("alice", &nodes.people.alice), ("bob", &nodes.people.bob)] {
            write(&folder, name, person)?;
        }
        let config = format!(
            "# Alice, for `hbone dial`.\n\n[identity]\ncert = \"alice.pem\"\nkey = \"alice.key\"\nca = \"ca.pem\"\n\n\
             [[peers]]\nname = \"bob\"\naddress = \"{}\"\nidentity = \"{}\"\n",
            nodes.bob_address, nodes.people.bob.id
        );
        write_public(&path.join("alice.toml"), &config).map_err(io::Error::other)?;
        Ok(Self { folder })
    }

    /// The commands to try, one a line.
    pub(super) fn commands(&self, nodes: &Nodes, servers: &Servers) -> io::Result<String> {
        let hbone = std::env::current_exe()?;
        let (hbone, config) = (hbone.display(), self.folder.path().join("alice.toml"));
        let config = config.display();
        let mut text = String::from("The nodes stay up. Try, in another terminal:\n\n");
        let _ = writeln!(text, "  curl http://{}/hello", nodes.web);
        let _ = writeln!(text, "  curl -o /dev/null http://{}/bytes/1000000000", nodes.web);
        let _ =
            writeln!(text, "  curl -T /bin/ls 'http://{}/bytes?digest'; echo; sha256sum /bin/ls", nodes.web);
        let _ = writeln!(
            text,
            "  printf 'GET /hello HTTP/1.0\\r\\n\\r\\n' | {hbone} dial {} -c {config}",
            servers.http
        );
        let _ = writeln!(text, "  ssh -o ProxyCommand='{hbone} dial %h:%p -c {config}' 127.0.0.1");
        let _ = write!(text, "\nControl-C ends it and deletes {}.", self.folder.path().display());
        Ok(text)
    }
}

fn write(folder: &TempDir, name: &str, person: &Person) -> io::Result<()> {
    let path = folder.path();
    write_public(&path.join(format!("{name}.pem")), &person.issued.cert_pem).map_err(io::Error::other)?;
    write_secret(&path.join(format!("{name}.key")), &person.issued.key_pem).map_err(io::Error::other)
}
