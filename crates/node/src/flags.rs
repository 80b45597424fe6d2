//! What commands that need no configuration file take from their flags: the own identity, a peer, and how a failure
//! of the tunnel becomes an exit code. Used by `dial` and `connect`. Opens nothing.

use std::path::PathBuf;
use std::sync::Arc;

use hbone_tunnel::{Class, Identity, Peer, SpiffeId, TunnelError};

use crate::certs::{self, Paths};
use crate::config;
use crate::exit::{Exit, Failure};

/// The own identity from its files.
pub(crate) fn identity(paths: &Paths) -> Result<Arc<Identity>, Failure> {
    let usage = |what: String| Failure::new(Exit::Usage, what);
    let loaded = certs::load(paths, config::now()).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(|error| format!("{error}; {}", error.remedy())).collect();
        usage(lines.join("\n"))
    })?;
    let identity = Identity::new(loaded.chain, loaded.key, loaded.roots);
    let path: PathBuf = paths.cert.clone().unwrap_or_default();
    identity.map(Arc::new).map_err(|error| usage(format!("{}: {error}", path.display())))
}

/// A peer that must have one identity, which the own roots can vouch for.
pub(crate) fn peer(own: &Identity, what: &str, address: &str, expect: &str) -> Result<Peer, Failure> {
    let expected = parse::<SpiffeId>("--expect", expect)?;
    if expected.trust_domain() != own.id().trust_domain() {
        let own = own.id().trust_domain();
        let what = format!("--expect `{expected}`: nobody of that trust domain can be authenticated here");
        let remedy = format!("expect an identity of the own trust domain, {own}");
        return Err(Failure::new(Exit::Usage, what).remedy(remedy));
    }
    Ok(Peer { address: parse(what, address)?, others: Vec::new(), expected: vec![expected] })
}

/// A value of the command line.
pub(crate) fn parse<T>(what: &str, text: &str) -> Result<T, Failure>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| {
        Failure::new(Exit::Usage, format!("{what} `{}`: {error}", text.escape_debug()))
    })
}

/// A tunnel that does not stand.
pub(crate) fn failure(error: &TunnelError) -> Failure {
    let exit = match error.class() {
        Class::Runtime => Exit::Failure,
        Class::Usage => Exit::Usage,
        Class::Refused => Exit::Refused,
        Class::Unreachable => Exit::Unreachable,
    };
    Failure::new(exit, error.to_string())
}
