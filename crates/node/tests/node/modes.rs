//! The ways into a tunnel, each with a chain of processes behind it: what fidelity and kills are tried on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::chain::{Chain, Plan, account, connect, takes_reverse};
use crate::common::{id, identity_section, run, stdout};
use crate::process::NodeProcess;
use crate::tunnels::capturing;

/// A way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Connect,
    Post,
    Reverse,
    Socks5,
    HttpProxy,
    Double,
    Redirect,
    Tproxy,
}

/// Those that need no rights.
pub(crate) const PLAIN: [Mode; 6] =
    [Mode::Connect, Mode::Post, Mode::Reverse, Mode::Socks5, Mode::HttpProxy, Mode::Double];
/// Those that need rules of the packet filter.
pub(crate) const CAPTURED: [Mode; 2] = [Mode::Redirect, Mode::Tproxy];

/// A chain with its entry.
pub(crate) struct Entrance {
    pub(crate) mode: Mode,
    pub(crate) chain: Chain,
    destination: SocketAddr,
}

impl Mode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Post => "POST",
            Self::Reverse => "H2R",
            Self::Socks5 => "SOCKS5",
            Self::HttpProxy => "HTTP CONNECT",
            Self::Double => "double HBONE",
            Self::Redirect => "REDIRECT",
            Self::Tproxy => "TPROXY",
        }
    }

    /// The fewest connections that it takes.
    pub(crate) fn fewest(self) -> usize {
        if self == Self::Double { 2 } else { 1 }
    }

    /// The keys of the client's listener, for those whose clients choose.
    const fn listener(self) -> Option<&'static str> {
        match self {
            Self::Connect | Self::Post | Self::Reverse | Self::Double => None,
            Self::Socks5 => Some("kind = \"socks5\"\nbind = \"127.0.0.1:0\""),
            Self::HttpProxy => Some("kind = \"http-proxy\"\nbind = \"127.0.0.1:0\""),
            Self::Redirect => Some("kind = \"redirect\"\nbind = \"127.0.0.1:15001\""),
            Self::Tproxy => Some("kind = \"tproxy\"\nbind = \"[::]:15002\"\nallow_remote = true"),
        }
    }

    /// Starts so many nodes behind the client's; with rules, where those are needed.
    pub(crate) fn start(self, hops: usize, destination: SocketAddr) -> Entrance {
        let head = if CAPTURED.contains(&self) { "[node]\nmark = 1337\n" } else { "" };
        let destinations = [destination];
        // One pool, so that a second tunnel finds the connections of the first.
        let limits = "connections_per_peer = 1";
        let inside = self == Self::Double;
        let reverse = self == Self::Reverse;
        let plan = Plan { hops, destinations: &destinations, limits, head, inside, reverse };
        let chain = Chain::planned(&plan, |nodes| self.client(nodes, &destinations, limits));
        if CAPTURED.contains(&self) {
            let rules = run(&["capture", "rules", "--shell", "-c", &chain.lab.text("alice.toml")]);
            let loaded = std::process::Command::new("sh").args(["-c", &stdout(&rules)]).output().unwrap();
            assert!(loaded.status.success(), "{loaded:?}");
        }
        Entrance { mode: self, chain, destination }
    }

    fn client(self, nodes: &[NodeProcess], destinations: &[SocketAddr], limits: &str) -> String {
        if nodes.is_empty() {
            // The node behind the client's dials it.
            let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
            let peer = capturing(nowhere, &id(&account(0)), destinations, limits)
                .replace(&format!("address = \"{nowhere}\""), "reverse = \"house\"");
            let listener = "[[listeners]]\nname = \"in\"\nkind = \"hbone\"\nbind = \"127.0.0.1:0\"\n";
            return peer + &takes_reverse(listener);
        }
        let (first, last) = (nodes[0].address("in"), nodes[nodes.len() - 1].address("in"));
        let peer = |name: &str, address: SocketAddr, who: usize, more: &str| {
            let who = id(&account(who));
            format!("[[peers]]\nname = \"{name}\"\naddress = \"{address}\"\nidentity = \"{who}\"\n{more}\n")
        };
        match (self, self.listener()) {
            (Self::Post, _) => {
                let expected = id(&account(0));
                let identity = format!("identity = \"{expected}\"\n");
                let post = format!("{identity}[peers.post]\nproxy_identity = \"{expected}\"\n");
                capturing(first, &expected, destinations, limits).replace(&identity, &post)
            }
            (Self::Double, _) => {
                let behind = capturing(last, &id(&account(nodes.len() - 1)), destinations, limits)
                    .replace("name = \"bob\"\naddress", "name = \"bob\"\nthrough = \"gate\"\naddress");
                format!("{behind}{}", peer("gate", first, 0, ""))
            }
            (_, None) => capturing(first, &id(&account(0)), destinations, limits),
            (_, Some(listener)) => format!(
                "{}{}[[listeners]]\nname = \"to0\"\npeer = \"bob\"\n{listener}\n[limits]\n{limits}\n",
                identity_section("alice"),
                peer("bob", first, 0, "")
            ),
        }
    }
}

impl Entrance {
    /// A connection of a client, as its way wants it.
    ///
    /// # Errors
    /// When there is no tunnel.
    pub(crate) fn connect(&self) -> std::io::Result<TcpStream> {
        match self.mode {
            Mode::Connect | Mode::Post | Mode::Reverse | Mode::Double => Ok(self.chain.connect(0)),
            Mode::Redirect | Mode::Tproxy => Ok(connect(self.destination)),
            Mode::Socks5 => {
                let mut stream = self.chain.connect(0);
                stream.write_all(&[5, 1, 0])?;
                stream.read_exact(&mut [0; 2])?;
                let SocketAddr::V4(to) = self.destination else { unreachable!("loopback of IPv4") };
                let port = to.port().to_be_bytes();
                stream.write_all(&[&[5, 1, 0, 1], &to.ip().octets()[..], &port].concat())?;
                let mut reply = [0; 10];
                stream.read_exact(&mut reply)?;
                if reply[1] == 0 {
                    Ok(stream)
                } else {
                    Err(std::io::Error::other(format!("reply {}", reply[1])))
                }
            }
            Mode::HttpProxy => {
                let mut stream = self.chain.connect(0);
                write!(stream, "CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", self.destination)?;
                // Octet by octet: what follows the head belongs to the tunnel.
                let mut head = BufReader::with_capacity(1, &stream).lines();
                let first = head.next().unwrap_or(Ok(String::new()))?;
                while head.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
                drop(head);
                if first.contains(" 200") { Ok(stream) } else { Err(std::io::Error::other(first)) }
            }
        }
    }
}
