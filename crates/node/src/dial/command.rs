//! From the command line of `dial` to a tunnel and its exit code. Called by main.rs. Logs nothing unless asked:
//! standard error belongs to the user of ssh.

use std::sync::Arc;
use std::time::Duration;

use hbone_tunnel::{Authority, Identity, Peer, Single, Way, connect};

use super::stdio::join;
use crate::certs::Paths;
use crate::cli::Dial;
use crate::config::{self, Limits};
use crate::exit::{Exit, Failure};
use crate::{flags, report, runtime, settings};

/// Where to, through whom, as whom.
struct Target {
    destination: Authority,
    peer: Peer,
    identity: Arc<Identity>,
    baggage: Option<String>,
    limits: Limits,
}

/// Dials and carries octets until both directions have ended.
///
/// # Errors
/// With the exit code that names the kind: usage, refused, unreachable, or a failure on the way.
pub fn dial(ask: &Dial) -> Result<Exit, Failure> {
    let destination = flags::parse::<Authority>("destination", &ask.destination)?;
    let target = match (&ask.config, &ask.peer) {
        (Some(path), _) => from_file(path, ask.via.as_deref(), destination)?,
        (None, Some(peer)) => from_flags(ask, peer, destination)?,
        (None, None) => {
            return Err(Failure::new(Exit::Usage, "no peer").remedy("give -c FILE or --peer ADDR"));
        }
    };
    runtime::block_on(async move {
        let Target { destination, peer, identity, baggage, limits } = &target;
        let (config, after) = (settings::connect(limits), limits.setup_timeout);
        let opened = connect(identity, peer, destination, baggage.as_deref(), &config, after).await;
        let Single { stream, connection, .. } = opened.map_err(|error| flags::failure(&error))?;
        join(stream, connection, limits.drain_deadline.max(FAREWELL)).await?;
        Ok(Exit::Success)
    })
}

fn from_file(path: &std::path::Path, via: Option<&str>, destination: Authority) -> Result<Target, Failure> {
    let config = config::load(path).map_err(|faults| report::faults(&faults))?;
    let Some((_, peer)) = config.peer_for(via, &destination) else {
        let known: Vec<_> = config.peers.keys().map(|name| format!("`{name}`")).collect();
        let what = match via {
            Some(name) => format!("there is no peer `{name}` in {}", path.display()),
            None => format!("no route in {} leads to {destination}", path.display()),
        };
        let remedy = format!("name one with --via; known: {}", known.join(", "));
        return Err(Failure::new(Exit::Usage, what).remedy(remedy));
    };
    let Way::Node(peer) = peer.clone() else {
        let what = format!("{peer} is no node with mTLS, and `dial` goes through those only");
        return Err(Failure::new(Exit::Usage, what).remedy("name another with --via, or use a listener"));
    };
    let (identity, baggage, limits) = (config.identity, config.baggage, config.limits);
    Ok(Target { destination, peer, identity, baggage, limits })
}

fn from_flags(ask: &Dial, address: &str, destination: Authority) -> Result<Target, Failure> {
    let paths = Paths { cert: ask.cert.clone(), key: ask.key.clone(), ca: ask.ca.clone() };
    let identity = flags::identity(&paths)?;
    let peer = flags::peer(&identity, "--peer", address, ask.expect.as_deref().unwrap_or_default())?;
    Ok(Target { destination, peer, identity, baggage: None, limits: Limits::default() })
}

/// For the connection to end once everything has left, whatever the configuration says of drains.
const FAREWELL: Duration = Duration::from_secs(15);
