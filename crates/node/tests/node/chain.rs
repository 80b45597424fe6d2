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

impl Chain {
    /// So many nodes behind the client's, and as many connections between them all; the listeners `to0`, `to1`, …
    /// lead to the destinations.
    pub(crate) fn start(hops: usize, destinations: &[SocketAddr]) -> Self {
        Self::with_limits(hops, destinations, "")
    }

    pub(crate) fn with_limits(hops: usize, destinations: &[SocketAddr], limits: &str) -> Self {
        let lab = Lab::new();
        lab.issue("alice");
        let mut nodes: Vec<NodeProcess> = Vec::new();
        for at in (0..hops).rev() {
            let caller = at.checked_sub(1).map_or_else(|| "alice".to_owned(), account);
            lab.issue(&account(at));
            let next = nodes.last().map(|next| (next.address("in"), account(at + 1)));
            let mut config = serving(&account(at), &caller, destinations, limits);
            if let Some((address, expected)) = next {
                let _ = write!(
                    config,
                    "[[peers]]\nname = \"next\"\naddress = \"{address}\"\nidentity = \"{}\"\n\
                     [[routes]]\nlistener = \"in\"\npeer = \"next\"\n",
                    id(&expected)
                );
            }
            nodes.push(NodeProcess::start(&lab.write(&file(at), &config)));
        }
        nodes.reverse();
        let config = capturing(nodes[0].address("in"), &id(&account(0)), destinations, limits);
        let alice = NodeProcess::start(&lab.write("alice.toml", &config));
        Self { lab, alice, nodes }
    }

    pub(crate) fn connect(&self, index: usize) -> TcpStream {
        connect(self.alice.address(&format!("to{index}")))
    }
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
