//! From the command line of `dial` to a tunnel and its exit code. Called by main.rs. Logs nothing unless asked:
//! standard error belongs to the user of ssh.

use std::sync::Arc;
use std::time::Duration;

use hbone_tunnel::{Authority, Identity, Pool, Single, Way, carry, connect};

use super::octets::Stdio;
use super::stdio::{broken, join};
use crate::certs::Paths;
use crate::cli::Dial;
use crate::config::{self, Limits};
use crate::exit::{Exit, Failure};
use crate::{flags, report, runtime, settings};

/// Where to, through whom, as whom.
struct Target {
    destination: Authority,
    way: Way,
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
        let Target { destination, way, identity, baggage, limits } = &target;
        let farewell = limits.drain_deadline.max(FAREWELL);
        let Way::Node(peer) = way else { return other(&target, farewell).await };
        let (config, after) = (settings::connect(limits), limits.setup_timeout);
        let opened = connect(identity, peer, destination, baggage.as_deref(), &config, after).await;
        let Single { stream, connection, .. } = opened.map_err(|error| flags::failure(&error))?;
        join(stream, connection, farewell).await?;
        Ok(Exit::Success)
    })
}

/// By another way than mTLS and CONNECT.
async fn other(target: &Target, farewell: Duration) -> Result<Exit, Failure> {
    let Target { destination, way, identity, baggage, limits } = target;
    let pool = Pool::new(settings::pool(limits, 0, 1));
    let means = (identity, &pool, limits.setup_timeout);
    let carried = carry(Stdio::new(), way, destination, baggage.as_deref(), means).await;
    let relayed = carried.map_err(|error| flags::failure(&error))?;
    let left = pool.close(farewell).await;
    if let Some(cause) = &relayed.broken {
        return Err(broken(cause));
    }
    if left.streams > 0 {
        return Err(broken(&"the peer did not take the last octets in time"));
    }
    Ok(Exit::Success)
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
    let way = peer.clone();
    if matches!(way, Way::Reverse(_)) {
        let what = format!("{peer} dials its gateway and cannot be dialled");
        return Err(Failure::new(Exit::Usage, what).remedy("name another with --via, or use a listener"));
    }
    let (identity, baggage, limits) = (config.identity, config.baggage, config.limits);
    Ok(Target { destination, way, identity, baggage, limits })
}

fn from_flags(ask: &Dial, address: &str, destination: Authority) -> Result<Target, Failure> {
    let paths = Paths { cert: ask.cert.clone(), key: ask.key.clone(), ca: ask.ca.clone() };
    let identity = flags::identity(&paths)?;
    let peer = flags::peer(&identity, "--peer", address, ask.expect.as_deref().unwrap_or_default())?;
    let way = Way::Node(peer);
    Ok(Target { destination, way, identity, baggage: None, limits: Limits::default() })
}

/// For the connection to end once everything has left, whatever the configuration says of drains.
const FAREWELL: Duration = Duration::from_secs(15);
