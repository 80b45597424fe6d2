//! The demo's two nodes: alice captures local connections, bob serves them, both with throwaway identities that
//! exist in memory only. Used by mod.rs and keep.rs.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hbone_conn::{Side, Tls, establish};
use hbone_tunnel::{Action, Authority, Front, Identity, Peer, Policy, Routes, Rule, Source, SpiffeId, Way};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::server::Servers;
use crate::certs::{CertificateAuthority, Issued};
use crate::config::{Capture, Inbound, Kind, Resolved};
use crate::exit::Failure;
use crate::node::Node;

/// Two running nodes and the way to everything behind them.
#[derive(Debug)]
pub(super) struct Nodes {
    pub(super) alice: Node,
    pub(super) bob: Node,
    pub(super) people: People,
    /// Where alice captures for the HTTP server.
    pub(super) web: SocketAddr,
    /// Where alice captures for the echo.
    pub(super) echo: SocketAddr,
    /// Where alice captures for the server that answers after the end.
    pub(super) after: SocketAddr,
    /// Where alice captures for the server that resets.
    pub(super) reset: SocketAddr,
    /// Where bob serves peers.
    pub(super) bob_address: SocketAddr,
}

/// The throwaway identities.
#[derive(Debug)]
pub(super) struct People {
    pub(super) ca_pem: String,
    pub(super) alice: Person,
    pub(super) bob: Person,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) id: SpiffeId,
    pub(super) issued: Issued,
    pub(super) identity: Arc<Identity>,
}

/// What the handshake between the two agreed on.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) version: String,
    pub(super) cipher: String,
    pub(super) ping: Duration,
}

impl People {
    /// Makes an authority and issues both identities.
    pub(super) fn new() -> io::Result<Self> {
        let (authority, _) = CertificateAuthority::create(TRUST_DOMAIN, 1).map_err(io::Error::other)?;
        let ca_pem = authority.cert_pem().to_owned();
        let person = |name: &str| {
            let id: SpiffeId =
                format!("spiffe://{TRUST_DOMAIN}/ns/demo/sa/{name}").parse().map_err(io::Error::other)?;
            let issued = authority.issue(id.as_str(), 1).map_err(io::Error::other)?;
            let (cert, key) = (issued.cert_pem.as_bytes(), issued.key_pem.as_bytes());
            let identity = Identity::from_pem(cert, key, ca_pem.as_bytes()).map_err(io::Error::other)?;
            io::Result::Ok(Person { id, issued, identity: Arc::new(identity) })
        };
        Ok(Self { alice: person("alice")?, bob: person("bob")?, ca_pem })
    }
}

impl Nodes {
    /// Starts bob in front of the servers and alice in front of bob. `more` are further destinations that bob
    /// lets alice reach.
    pub(super) async fn start(servers: &Servers, more: &[&str]) -> io::Result<Self> {
        let people = People::new()?;
        let behind = [servers.http, servers.echo, servers.after, servers.reset];
        let reachable = behind.iter().map(ToString::to_string).chain(more.iter().map(|it| (*it).to_owned()));
        let rule = Rule {
            sources: vec![Source::Identity(people.alice.id.clone())],
            targets: reachable
                .map(|text| text.parse())
                .collect::<Result<_, _>>()
                .map_err(io::Error::other)?,
            ..Rule::new("demo", Action::Allow)
        };
        let mut config = base("bob", &people.bob, vec![rule])?;
        config.inbounds.push(Inbound::new("hbone", any_port()));
        let bob = Node::start(&config).map_err(failed)?;
        let bob_address = address(&bob, "hbone")?;

        let mut config = base("alice", &people.alice, Vec::new())?;
        let via = Peer {
            address: authority(bob_address)?,
            others: Vec::new(),
            expected: vec![people.bob.id.clone()],
        };
        for (name, destination) in ["web", "echo", "after", "reset"].into_iter().zip(behind) {
            let front = Front::Fixed(authority(destination)?);
            let routes = Routes::all(Way::Node(via.clone()));
            let (name, bind, summary) =
                (name.into(), any_port().into(), format!("{destination} through bob"));
            config.captures.push(Capture {
                name,
                kind: Kind::Tcp,
                bind,
                allow_from: Vec::new(),
                proxies: Vec::new(),
                summary,
                front,
                routes,
            });
        }
        let alice = Node::start(&config).map_err(failed)?;
        Ok(Self {
            web: address(&alice, "web")?,
            echo: address(&alice, "echo")?,
            after: address(&alice, "after")?,
            reset: address(&alice, "reset")?,
            alice,
            bob,
            people,
            bob_address,
        })
    }

    /// A connection of its own from alice to bob, to see what TLS agrees on.
    pub(super) async fn handshake(&self) -> io::Result<Handshake> {
        let expected = [self.people.bob.id.clone()];
        let config = self.people.alice.identity.client_config(&expected).map_err(io::Error::other)?;
        let io = TcpStream::connect(self.bob_address).await?;
        io.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.bob_address.ip().into());
        let tls = Tls::connect(io, config, name).await.map_err(io::Error::other)?;
        let version = tls.protocol_version().map(|version| format!("{version:?}").replace("v1_", " 1."));
        let cipher = tls.cipher_suite().map(|suite| format!("{suite:?}").replace("TLS13_", ""));
        let (handle, incoming, driver) = establish(Side::Client, tls, hbone_conn::Config::default());
        let driver = tokio::spawn(driver);
        handle.ready().await.map_err(io::Error::from)?;
        let ping = handle.ping().await.map_err(io::Error::from)?;
        drop((handle, incoming));
        driver.await.map_err(io::Error::other)?;
        Ok(Handshake { version: version.unwrap_or_default(), cipher: cipher.unwrap_or_default(), ping })
    }

    /// Ends both nodes; says how many tunnels had to be reset.
    pub(super) async fn drain(&mut self, deadline: Duration) -> u64 {
        let alice = self.alice.drain(deadline).await;
        let bob = self.bob.drain(deadline).await;
        alice.reset + bob.reset
    }
}

fn base(name: &str, person: &Person, rules: Vec<Rule>) -> io::Result<Resolved> {
    let bare = Resolved::bare(name, Arc::clone(&person.identity)).map_err(io::Error::other)?;
    let policy = Arc::new(Policy::new(&person.id, rules).map_err(io::Error::other)?);
    Ok(Resolved { policy, ..bare })
}

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn authority(address: SocketAddr) -> io::Result<Authority> {
    Authority::try_from(address).map_err(io::Error::other)
}

fn address(node: &Node, name: &str) -> io::Result<SocketAddr> {
    node.address(name).ok_or_else(|| io::Error::other("a listener is missing"))
}

fn failed(failure: Failure) -> io::Error {
    io::Error::other(failure)
}

const TRUST_DOMAIN: &str = "demo.local";
