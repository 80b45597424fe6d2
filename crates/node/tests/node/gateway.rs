//! A gateway with one listener, and bob's node behind it: real processes.

use std::net::{SocketAddr, TcpStream};

use crate::common::{Lab, id, identity_section};
use crate::process::{NodeProcess, PATIENCE};

/// The two nodes.
pub(crate) struct Gateway {
    pub(crate) lab: Lab,
    pub(crate) gate: NodeProcess,
    _bob: NodeProcess,
}

impl Gateway {
    /// Bob lets the gateway reach `to`. `listener` gives the keys of the gateway's listener, but for its name and its
    /// place, and what else follows; it may put files into the lab.
    pub(crate) fn start(to: &[String], listener: impl FnOnce(&Lab) -> String) -> Self {
        let lab = Lab::new();
        lab.issue("gate");
        lab.issue("bob");
        let config = format!(
            "{}[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n\
             [[policies]]\nname = \"gate\"\naction = \"allow\"\nfrom = \"{}\"\nto = {to:?}\n",
            identity_section("bob"),
            id("gate"),
        );
        let bob = NodeProcess::start(&lab.write("bob.toml", &config));
        let config = format!(
            "{}[[peers]]\nname = \"bob\"\naddress = \"{}\"\nidentity = \"{}\"\n\
             [[listeners]]\nname = \"gate\"\nbind = \"127.0.0.1:0\"\n{}",
            identity_section("gate"),
            bob.address("in"),
            id("bob"),
            listener(&lab),
        );
        let gate = NodeProcess::start(&lab.write("gate.toml", &config));
        Self { lab, gate, _bob: bob }
    }

    /// Where the gateway listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.gate.address("gate")
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}
