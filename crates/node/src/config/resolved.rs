//! The configuration as it is meant: typed, checked, with nothing left to look up. Made by resolve.rs, used by
//! `run`, `check` and `dial`. Immutable.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use hbone_tunnel::{
    Authority, Egress, EgressRule, Front, Identity, Network, Policy, PolicyError, ProxyVersion, Routes,
    Target, TokenRules, Way,
};

use super::bind::Bind;
use super::files::Files;
use super::kind::Kind;
use super::limits::Limits;
use super::reverse::Reverse;

/// A whole node.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The node's name in logs.
    pub name: String,
    /// The mark of the node's own connections (SO_MARK); 0 is none.
    pub mark: u32,
    /// What is told to peers as `baggage`.
    pub baggage: Option<String>,
    /// Whether tunnels begin a trace.
    pub tracing: bool,
    /// Whether changed files are taken up without being told.
    pub watch: bool,
    /// The file itself and those that it names, but for tokens and key sets, which look after themselves.
    pub files: Files,
    /// Who this node is, and whom it believes.
    pub identity: Arc<Identity>,
    /// When the certificate ends: seconds since 1970 in UTC.
    pub not_after: i64,
    /// What is odd and not a fault, for people.
    pub warnings: Vec<String>,
    /// Local ports whose connections are carried to peers.
    pub captures: Vec<Capture>,
    /// Ports that serve peers.
    pub inbounds: Vec<Inbound>,
    /// Gateways that this node dials so that they can reach it.
    pub reverse: Vec<Reverse>,
    /// Destinations that get TLS, and the listener whose tunnels they are for; any when none.
    pub egress: Vec<(Option<String>, EgressRule)>,
    /// The peers by name.
    pub peers: BTreeMap<String, Way>,
    /// Which peer leads where; the first match wins.
    pub routes: Vec<PeerRoute>,
    /// Who may reach what through this node.
    pub policy: Arc<Policy>,
    /// Where the node tells this host how it is.
    pub admin: Option<Bind>,
    /// Times and counts.
    pub limits: Limits,
}

/// A listener whose connections are carried to peers.
#[derive(Debug, Clone)]
pub struct Capture {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: Kind,
    /// Where it listens.
    pub bind: Bind,
    /// The networks of its clients; an empty list is everyone.
    pub allow_from: Vec<Network>,
    /// The proxies in front, which tell who calls by the PROXY protocol; an empty list is none.
    pub proxies: Vec<Network>,
    /// Where its connections go, for people.
    pub summary: String,
    /// How its clients say where they want to go.
    pub front: Front,
    /// Which way leads there.
    pub routes: Routes,
}

/// A listener of kind `hbone` or `h2c`.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// Its name.
    pub name: String,
    /// The address to listen on.
    pub bind: SocketAddr,
    /// Whether it takes nodes that cannot be dialled and dial this one.
    pub reverse: bool,
    /// The proxies in front, which tell who calls by the PROXY protocol; an empty list is none.
    pub proxies: Vec<Network>,
    /// Whether destinations are told who calls, and in which form.
    pub proxy_protocol: Option<ProxyVersion>,
    /// Whether callers are believed in who their clients are.
    pub trust_forwarded: bool,
    /// Whether a refusal is answered with 401, as Istio does, rather than 403.
    pub istio_status: bool,
    /// What is reached through another node; all else is dialled from here.
    pub routes: Routes,
    /// The same, for people.
    pub summary: Option<String>,
    /// Destinations of a POST with `x-service`, by its value.
    pub services: BTreeMap<String, Authority>,
    /// Which tokens a POST with `x-tun` must show.
    pub tokens: Option<Arc<TokenRules>>,
    /// Where requests go that ask for no tunnel.
    pub other_requests: Option<SocketAddr>,
    /// Of kind `h2c`: the networks whose callers are taken without TLS.
    pub trusted: Option<Vec<Network>>,
}

impl Inbound {
    /// The defaults.
    pub fn new(name: &str, bind: SocketAddr) -> Self {
        let (routes, services) = (Routes::default(), BTreeMap::new());
        Self {
            name: name.to_owned(),
            bind,
            reverse: false,
            proxies: Vec::new(),
            proxy_protocol: None,
            trust_forwarded: false,
            istio_status: false,
            routes,
            summary: None,
            services,
            tokens: None,
            other_requests: None,
            trusted: None,
        }
    }

    /// What it is.
    pub const fn kind(&self) -> Kind {
        if self.trusted.is_some() { Kind::H2c } else { Kind::Hbone }
    }
}

/// One rule of which peer leads where.
#[derive(Debug, Clone)]
pub struct PeerRoute {
    /// The listener it is for; any when none.
    pub listener: Option<String>,
    /// The destinations it is for; any when none.
    pub destination: Option<Target>,
    /// The peer; none where this node dials itself.
    pub peer: Option<String>,
}

impl PeerRoute {
    /// Whether connections of that listener may take it.
    pub fn is_for(&self, listener: Option<&str>) -> bool {
        self.listener.as_deref().is_none_or(|wanted| Some(wanted) == listener)
    }

    /// Whether connections of that listener to that destination take this route.
    pub fn matches(&self, listener: Option<&str>, destination: &Authority) -> bool {
        self.is_for(listener) && self.destination.as_ref().is_none_or(|wanted| wanted.matches(destination))
    }
}

/// The mark where connections are captured and none is set, as Istio's nodes have it.
pub const MARK: u32 = 1337;

impl Resolved {
    /// The egress rules for the tunnels of a listener.
    pub fn egress_of(&self, listener: &str) -> Egress {
        let is_for = |of: &Option<String>| of.as_deref().is_none_or(|of| of == listener);
        Egress::new(self.egress.iter().filter(|(of, _)| is_for(of)).map(|(_, rule)| rule.clone()).collect())
    }

    /// A node with an identity and nothing to do, which allows what its own namespace asks for.
    ///
    /// # Errors
    /// When there is no policy for the identity.
    pub fn bare(name: &str, identity: Arc<Identity>) -> Result<Self, PolicyError> {
        let policy = Arc::new(Policy::new(identity.id(), Vec::new())?);
        Ok(Self {
            name: name.to_owned(),
            mark: 0,
            baggage: None,
            tracing: false,
            watch: false,
            files: Files::default(),
            identity,
            not_after: i64::MAX,
            warnings: Vec::new(),
            captures: Vec::new(),
            inbounds: Vec::new(),
            reverse: Vec::new(),
            egress: Vec::new(),
            peers: BTreeMap::new(),
            routes: Vec::new(),
            policy,
            admin: None,
            limits: Limits::default(),
        })
    }

    /// Whether there is nothing to run.
    pub const fn is_idle(&self) -> bool {
        self.captures.is_empty() && self.inbounds.is_empty() && self.reverse.is_empty()
    }

    /// The peer that leads to a destination for `dial`: the one named, else the first route, else the only peer.
    pub fn peer_for(&self, via: Option<&str>, destination: &Authority) -> Option<(&str, &Way)> {
        let route = || self.routes.iter().find(|route| route.matches(None, destination));
        let only = || self.peers.keys().next().filter(|_| self.peers.len() == 1);
        let name = via
            .or_else(|| route().and_then(|route| route.peer.as_deref()))
            .or_else(|| only().map(String::as_str))?;
        self.peers.get_key_value(name).map(|(name, peer)| (name.as_str(), peer))
    }
}
