//! Chains of nodes, each a process: a client's node, gateways that send on, and the node that dials.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};

use crate::common::{Lab, id, identity_section};
use crate::process::{NodeProcess, PATIENCE};
use crate::tunnels::capturing;

/// A client's node and the nodes behind it, the one that dials last.
pub(crate) struct Chain {
    pub(crate) lab: Lab,
    pub(crate) alice: NodeProcess,
    pub(crate) nodes: Vec<NodeProcess>,
}

/// What a chain is made of.
pub(crate) struct Plan<'a> {
    /// Nodes behind the client's, and as many connections between them all.
    pub(crate) hops: usize,
    pub(crate) destinations: &'a [SocketAddr],
    pub(crate) limits: &'a str,
    /// Stands first in every configuration.
    pub(crate) head: &'a str,
    /// The last node is reached inside a tunnel of those before it.
    pub(crate) inside: bool,
    /// The last node is not dialled: it dials the one before it.
    pub(crate) reverse: bool,
}

impl Chain {
    /// The listeners `to0`, `to1`, … lead to the destinations.
    pub(crate) fn start(hops: usize, destinations: &[SocketAddr]) -> Self {
        let plan = Plan { hops, destinations, limits: "", head: "", inside: false, reverse: false };
        let first = id(&account(0));
        Self::planned(&plan, |nodes| capturing(nodes[0].address("in"), &first, destinations, ""))
    }

    /// With a configuration of the client's node for the nodes behind it.
    pub(crate) fn planned(plan: &Plan<'_>, client: impl FnOnce(&[NodeProcess]) -> String) -> Self {
        let lab = Lab::new();
        lab.issue("alice");
        let mut nodes: Vec<NodeProcess> = Vec::new();
        let dialled = if plan.reverse { plan.hops - 1 } else { plan.hops };
        for at in (0..dialled).rev() {
            lab.issue(&account(at));
            let before = at.checked_sub(1).map_or_else(|| "alice".to_owned(), account);
            let last = at + 1 == plan.hops;
            let caller = if last && plan.inside { "alice".to_owned() } else { before };
            // A gateway in front of connections inside lets the caller reach the last node, and nothing behind it.
            let inner = nodes.first().filter(|_| plan.inside).map(|last| vec![last.address("in")]);
            let targets = inner.as_deref().unwrap_or(plan.destinations);
            let mut config = plan.head.to_owned() + &serving(&account(at), &caller, targets, plan.limits);
            let dials = last || (plan.inside && at + 2 == plan.hops);
            if let Some(next) = nodes.last().filter(|_| !dials) {
                let _ = write!(
                    config,
                    "[[peers]]\nname = \"next\"\naddress = \"{}\"\nidentity = \"{}\"\n\
                     [[routes]]\nlistener = \"in\"\npeer = \"next\"\n",
                    next.address("in"),
                    id(&account(at + 1))
                );
            }
            if plan.reverse && at + 1 == dialled {
                config = takes_reverse(&config)
                    + &reverse_peer("next", &account(at + 1))
                    + "[[routes]]\nlistener = \"in\"\npeer = \"next\"\n";
            }
            nodes.push(NodeProcess::start(&lab.write(&file(at), &config)));
        }
        nodes.reverse();
        let alice = NodeProcess::start(&lab.write("alice.toml", &(plan.head.to_owned() + &client(&nodes))));
        if plan.reverse {
            let (gateway, who) =
                nodes.last().map_or((&alice, "alice".to_owned()), |last| (last, account(nodes.len() - 1)));
            lab.issue(&account(dialled));
            let config = format!(
                "{}[[peers]]\nname = \"gate\"\naddress = \"{}\"\nidentity = \"{}\"\n\
                 [[reverse]]\nname = \"home\"\npeer = \"gate\"\ndestination = \"{}\"\n",
                identity_section(&account(dialled)),
                gateway.address("in"),
                id(&who),
                plan.destinations[0],
            );
            nodes.push(NodeProcess::start(&lab.write(&file(dialled), &config)));
        }
        Self { lab, alice, nodes }
    }

    pub(crate) fn connect(&self, index: usize) -> TcpStream {
        connect(self.alice.address(&format!("to{index}")))
    }
}

/// The same with a listener of peers that takes nodes which are reached through what they have dialled.
pub(crate) fn takes_reverse(config: &str) -> String {
    config.replace("kind = \"hbone\"\n", "kind = \"hbone\"\nreverse = true\n")
}

/// A peer that dials this node.
pub(crate) fn reverse_peer(name: &str, who: &str) -> String {
    format!("[[peers]]\nname = \"{name}\"\nreverse = \"house\"\nidentity = \"{}\"\n", id(who))
}

/// A node's account in a chain.
pub(crate) fn account(at: usize) -> String {
    format!("node{at}")
}

/// The file of its configuration.
pub(crate) fn file(at: usize) -> String {
    format!("node{at}.toml")
}

/// A configuration that serves one caller.
pub(crate) fn serving(account: &str, caller: &str, destinations: &[SocketAddr], limits: &str) -> String {
    let allowed = destinations.iter().map(|it| format!("\"{it}\"")).collect::<Vec<_>>().join(", ");
    format!(
        "{}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n\
         [[policies]]\nname = \"caller\"\naction = \"allow\"\nfrom = \"{}\"\nto = [{allowed}]\n[limits]\n{limits}\n",
        identity_section(account),
        id(caller),
    )
}

/// A connection that waits no longer than any machine needs.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}
