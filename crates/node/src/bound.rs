//! From where listeners shall listen to sockets that do, all of them or a list of those that cannot.
//!
//! Called by node.rs. TCP has a socket on every shard, a unix socket one on the first. A file that a dead process left
//! is taken over; one that somebody listens on is not. Serves nothing.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener as StdUnixListener, UnixStream};
use std::path::Path;

use rustix::fs::Mode;
use rustix::process::umask;
use tokio::net::{TcpListener, UnixListener};

use crate::config::Bind;
use crate::shard::Shards;

/// A listener and the place that it really has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Its name in the configuration.
    pub name: String,
    /// The place, with the port that the system chose if it was asked to.
    pub bind: Bind,
}

/// Sockets of one place.
#[derive(Debug)]
pub(crate) enum Sockets {
    /// One of each shard that takes part.
    Tcp(Vec<TcpListener>),
    /// Of the first shard.
    Unix(UnixListener),
}

/// Binds all, TCP for `most` shards, or names every one that cannot be bound.
pub(crate) fn bind<'a>(
    shards: &Shards,
    most: usize,
    wanted: impl Iterator<Item = (&'a str, (Bind, bool))>,
) -> Result<Vec<(Sockets, Bound)>, Vec<String>> {
    let (mut bound, mut faults) = (Vec::new(), Vec::new());
    for (name, (place, transparent)) in wanted {
        let sockets = match &place {
            Bind::Tcp(address) => tcp(shards, most, *address, transparent),
            Bind::Unix(path) => unix(shards, || file(path)).map(|sockets| (sockets, place.clone())),
            Bind::Abstract(name) => unix(shards, || nameless(name)).map(|sockets| (sockets, place.clone())),
        };
        match sockets {
            Ok((sockets, bind)) => bound.push((sockets, Bound { name: name.to_owned(), bind })),
            Err(error) => faults.push(format!("listener `{name}` cannot bind {place}: {}", cause(&error))),
        }
    }
    if faults.is_empty() { Ok(bound) } else { Err(faults) }
}

fn tcp(shards: &Shards, most: usize, address: SocketAddr, transparent: bool) -> io::Result<(Sockets, Bind)> {
    shards
        .bind(address, most, transparent)
        .map(|(listeners, address)| (Sockets::Tcp(listeners), address.into()))
}

fn unix(shards: &Shards, open: impl FnOnce() -> io::Result<StdUnixListener>) -> io::Result<Sockets> {
    let listener = open()?;
    listener.set_nonblocking(true)?;
    let _here = shards.iter().next().map(tokio::runtime::Handle::enter);
    UnixListener::from_std(listener).map(Sockets::Unix)
}

/// For its owner only: whoever may write to it speaks with the identity of this node.
fn file(path: &Path) -> io::Result<StdUnixListener> {
    let stale = fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if stale {
        fs::remove_file(path)?;
    }
    // From its first moment on: nothing else of this process makes files while listeners are bound.
    let before = umask(Mode::from_raw_mode(0o177));
    let listener = StdUnixListener::bind(path);
    umask(before);
    listener
}

fn nameless(name: &str) -> io::Result<StdUnixListener> {
    StdUnixListener::bind_addr(&UnixAddress::from_abstract_name(name)?)
}

fn cause(error: &io::Error) -> String {
    use std::io::ErrorKind;
    let known = [
        (ErrorKind::AddrInUse, "it is taken; stop the other program or choose another port or path"),
        (ErrorKind::AddrNotAvailable, "this machine has no such address; choose one of its own"),
        (ErrorKind::PermissionDenied, "not permitted; choose a port over 1023 or give the capability"),
        (ErrorKind::NotFound, "its folder does not exist; make it"),
    ];
    let cause = known.iter().find(|(kind, _)| *kind == error.kind());
    cause.map_or_else(|| error.to_string(), |(_, text)| (*text).to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_file_of_a_dead_process_is_taken_over_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.sock");
        drop(StdUnixListener::bind(&path).unwrap());
        let shards = Shards::start().unwrap();
        let wanted = || [("web", (Bind::Unix(path.clone()), false))].into_iter();
        let first = bind(&shards, 1, wanted()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let faults = bind(&shards, 1, wanted()).unwrap_err();
        assert!(faults[0].contains("`web`") && faults[0].contains("taken"), "{faults:?}");
        drop(first);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "no socket").unwrap();
        assert!(bind(&shards, 1, wanted()).is_err(), "a file of another kind is never removed");
        assert_eq!(fs::read(&path).unwrap(), b"no socket");
    }
}
