//! From the command line of `capture rules` to a text. Called by main.rs.

use std::net::SocketAddr;
use std::path::Path;

use super::rules::{Door, Families, Plan};
use crate::cli::CaptureRules;
use crate::config::{self, Kind, Resolved};
use crate::exit::{Exit, Failure};
use crate::report;

/// The rules as a text.
///
/// # Errors
/// A faulty configuration, or one that captures nothing.
pub fn rules(ask: &CaptureRules) -> Result<String, Failure> {
    let (redirect, tproxy, mark) = match &ask.config {
        Some(path) => {
            let config = config::load(path).map_err(|faults| report::faults(&faults))?;
            (door(path, &config, Kind::Redirect)?, door(path, &config, Kind::Tproxy)?, config.mark)
        }
        None => {
            let open = if ask.forwarded { Families::BOTH } else { Families::default() };
            let redirect = ask.redirect.map(|port| Door { port, near: Families::BOTH, open });
            let both = |port| Door { port, near: Families::BOTH, open: Families::BOTH };
            (redirect, ask.tproxy.map(both), ask.mark)
        }
    };
    if redirect.is_none() && tproxy.is_none() {
        let what = "no listener of kind \"redirect\" or \"tproxy\": there is nothing to capture for";
        return Err(Failure::new(Exit::Usage, what).remedy("add one to the configuration"));
    }
    if mark == 0 && ask.except_user.is_none() {
        let what = "the node's own connections have no mark, so they would be captured too";
        let remedy = "set `mark` in [node], or name the node's user with --except-user";
        return Err(Failure::new(Exit::Usage, what).remedy(remedy));
    }
    let plan = Plan {
        redirect,
        tproxy,
        mark,
        to: ask.to.clone(),
        except: ask.except.clone(),
        ports: ask.ports.clone(),
        except_user: ask.except_user,
    };
    Ok(if ask.shell { plan.shell() } else { plan.nft() })
}

/// Where the listeners of a kind listen: rules bring all connections of a way to one port.
fn door(path: &Path, config: &Resolved, kind: Kind) -> Result<Option<Door>, Failure> {
    let listeners = config.captures.iter().filter(|it| it.kind == kind);
    let binds: Vec<_> = listeners.filter_map(|it| it.bind.address()).collect();
    let Some(port) = binds.first().map(SocketAddr::port) else { return Ok(None) };
    let usage = |what: &str, remedy: &str| {
        let what = format!("{}: {what} of kind \"{kind}\"", path.display());
        Failure::new(Exit::Usage, what).remedy(remedy)
    };
    if port == 0 {
        return Err(usage("port 0 of a listener", "give it a port, so that rules can name it"));
    }
    if binds.iter().any(|bind| bind.port() != port) {
        let remedy = "give them one port on different addresses, or print rules by flags for each";
        return Err(usage("several ports of listeners", remedy));
    }
    let open = families(binds.iter().filter(|bind| bind.ip().is_unspecified()));
    let heard = |bind: &&SocketAddr| bind.ip().is_loopback() || bind.ip().is_unspecified();
    let near = families(binds.iter().filter(heard));
    // To no other address does the filter bring anything.
    let (taken, remedy) = if kind == Kind::Tproxy {
        (open, "bind one to \"[::]\" with `allow_remote`")
    } else {
        (near, "bind one to 127.0.0.1 and one to [::1]")
    };
    if taken == Families::default() {
        return Err(usage("too narrow a listener", remedy));
    }
    Ok(Some(Door { port, near, open }))
}

/// A socket of IPv6 that is bound to all addresses takes IPv4 too.
fn families<'a>(binds: impl Iterator<Item = &'a SocketAddr>) -> Families {
    let mut found = Families::default();
    for bind in binds {
        found.v4 |= bind.is_ipv4() || bind.ip().is_unspecified();
        found.v6 |= bind.is_ipv6();
    }
    found
}
