//! From the command line of `capture rules` to a text. Called by main.rs.

use std::path::Path;

use super::rules::Plan;
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
            (port(path, &config, Kind::Redirect)?, port(path, &config, Kind::Tproxy)?, config.mark)
        }
        None => (ask.redirect, ask.tproxy, ask.mark),
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

/// The one port of the listeners of a kind: rules bring all connections of a way to one port.
fn port(path: &Path, config: &Resolved, kind: Kind) -> Result<Option<u16>, Failure> {
    let listeners = config.captures.iter().filter(|it| it.kind == kind);
    let mut ports: Vec<_> = listeners.filter_map(|it| Some(it.bind.address()?.port())).collect();
    ports.dedup();
    let usage = |what: String, remedy: &str| Failure::new(Exit::Usage, what).remedy(remedy);
    match ports.as_slice() {
        [] => Ok(None),
        [0] => {
            let what = format!("{}: a listener of kind \"{kind}\" has port 0", path.display());
            Err(usage(what, "give it a port, so that rules can name it"))
        }
        [port] => Ok(Some(*port)),
        _ => {
            let what = format!("{}: listeners of kind \"{kind}\" have several ports", path.display());
            Err(usage(what, "give them one port on different addresses, or print rules by flags for each"))
        }
    }
}
