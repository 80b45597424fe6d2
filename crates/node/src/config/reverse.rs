//! `[[reverse]]`: gateways that this node dials so that they can reach it, and the names of those that dial this one.
//! Called by resolve.rs. Dials nothing.

use hbone_tunnel::{
    Authority, HostName, Peer, ReverseName, ReverseNames, ReversePeer, Serves, SpiffeId, Target, Way,
};

use super::fault::{Cause, Faults};
use super::raw::RawPeer;
use super::reader::Section;
use super::resolved::Inbound;
use super::resolver::{ADDRESS, Peers, Resolver};
use super::source::{At, Source, Texts};

/// `[[reverse]]` as it was written.
#[derive(Debug)]
pub(super) struct RawReverse {
    title: String,
    pub(super) name: Option<At<String>>,
    peer: Option<At<String>>,
    names: Option<Texts>,
    shared: Option<At<bool>>,
    destination: Option<At<String>>,
    allow: Option<Texts>,
}

/// A gateway that this node dials, and what it gives away to it.
#[derive(Debug, Clone)]
pub struct Reverse {
    /// Its name.
    pub name: String,
    /// The gateway.
    pub gateway: Peer,
    /// The names to hold there; every name that the gateway grants when none.
    pub names: Vec<HostName>,
    /// On an ordinary connection, which this node's own tunnels share.
    pub shared: bool,
    /// Which destination a CONNECT means.
    pub serves: Serves,
    /// Destinations that the gateway may ask for.
    pub allow: Vec<Target>,
}

impl RawReverse {
    pub(super) fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let raw = Self {
            title: section.title().to_owned(),
            name: section.required("name", "\"home\""),
            peer: section.required("peer", "\"gateway\""),
            names: section.strings("names"),
            shared: section.boolean("shared"),
            destination: section.string("destination"),
            allow: section.strings("allow"),
        };
        section.finish(source, faults);
        raw
    }
}

impl Resolver<'_> {
    /// All sections, in the order of the file.
    pub(super) fn reverses(&mut self, raw: &[RawReverse], peers: &Peers) -> Vec<Reverse> {
        self.names("reverse", raw.iter().map(|it| it.name.as_ref()));
        raw.iter().filter_map(|raw| self.reverse(raw, peers)).collect()
    }

    fn reverse(&mut self, raw: &RawReverse, peers: &Peers) -> Option<Reverse> {
        let gateway = self.gateway(raw, peers);
        let names = self.list("names", raw.names.as_ref(), "host names like \"web.home\"");
        let wanted = "destinations as in a policy: \"127.0.0.1:80\", \"10.0.0.0/8\", \"*.home.example\"";
        let allow = self.list("allow", raw.allow.as_ref(), wanted);
        let destination = match &raw.destination {
            Some(at) => Some(self.parse::<Authority>("destination", at, ADDRESS)?),
            None => None,
        };
        if let (Some(_), Some(at)) = (&destination, &raw.allow) {
            let (section, reason) = (raw.title.clone(), "`allow` is for callers that choose the destination");
            self.fault(
                &at.span,
                Cause::Conflict { section, reason, remedy: "remove `allow` or `destination`" },
            );
        }
        let shared = raw.shared.as_ref().is_some_and(|at| at.value);
        if let Some(at) = raw.names.as_ref().filter(|_| shared) {
            let (section, reason) = (raw.title.clone(), "on a shared connection no name can be asked for");
            self.fault(&at.span, Cause::Conflict { section, reason, remedy: "remove `names` or `shared`" });
        }
        let serves = destination.map_or(Serves::Asked, Serves::One);
        let name = raw.name.as_ref()?.value.clone();
        Some(Reverse { name, gateway: gateway?, names: names?, shared, serves, allow: allow? })
    }

    /// The peer that is dialled.
    fn gateway(&mut self, raw: &RawReverse, peers: &Peers) -> Option<Peer> {
        let at = raw.peer.as_ref()?;
        if !self.reference("peer", at, peers.keys()) {
            return None;
        }
        match peers.get(&at.value)?.as_ref()? {
            Way::Node(peer) => Some(peer.clone()),
            Way::Plain(_) | Way::Post(_) | Way::Double(_) | Way::Reverse(_) => {
                let (section, reason) =
                    (raw.title.clone(), "a gateway is dialled by mTLS, and this peer is not");
                let remedy = "name a peer with an `address` and an `identity`";
                self.fault(&at.span, Cause::Conflict { section, reason, remedy });
                None
            }
        }
    }

    fn list<T>(&mut self, key: &str, list: Option<&Texts>, wanted: &str) -> Option<Vec<T>>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let Some(list) = list else { return Some(Vec::new()) };
        let read: Vec<_> = list.value.iter().filter_map(|at| self.parse::<T>(key, at, wanted)).collect();
        (read.len() == list.value.len()).then_some(read)
    }

    /// A peer that dials this node, known here by the name under `reverse`.
    pub(super) fn reverse_peer(
        &mut self,
        raw: &RawPeer,
        at: &At<String>,
        expected: Vec<SpiffeId>,
    ) -> Option<Way> {
        if let Some(odd) =
            (raw.plain.as_ref().map(|at| &at.span)).or(raw.post.as_ref().map(|post| &post.span))
        {
            let (section, reason) = (raw.title.clone(), "a peer that dials this node comes by mTLS");
            self.fault(
                odd,
                Cause::Conflict { section, reason, remedy: "remove `plain`, `post` or `reverse`" },
            );
        }
        if let Some(address) = &raw.address {
            let (section, reason) = (raw.title.clone(), "a peer that dials this node is not dialled");
            self.fault(
                &address.span,
                Cause::Conflict { section, reason, remedy: "remove `address` or `reverse`" },
            );
        }
        let wanted = "a host name like \"web.home\", or an identity";
        Some(Way::Reverse(ReversePeer { name: self.parse::<ReverseName>("reverse", at, wanted)?, expected }))
    }

    /// A peer that dials this node needs a listener that takes it.
    pub(super) fn receptions(&mut self, raw: &[RawPeer], inbounds: &[Inbound]) {
        if inbounds.iter().any(|inbound| inbound.reverse) {
            return;
        }
        for raw in raw {
            if let Some(at) = &raw.reverse {
                let (section, reason) = (raw.title.clone(), "no listener takes peers that dial this node");
                let remedy = "set `reverse = true` on a listener of kind \"hbone\"";
                self.fault(&at.span, Cause::Conflict { section, reason, remedy });
            }
        }
    }
}

/// Who may hold which name here: what the peers say.
pub(crate) fn names<'a>(peers: impl Iterator<Item = &'a Way>) -> ReverseNames {
    let mut names = ReverseNames::default();
    for peer in peers {
        if let Way::Reverse(ReversePeer { name, expected }) = peer {
            names.bind(name.clone(), expected);
        }
    }
    names
}

impl std::fmt::Display for Reverse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.names.iter().map(ToString::to_string).collect();
        let names = if names.is_empty() { "the names it grants".to_owned() } else { names.join(", ") };
        let shared = if self.shared { ", on a shared connection" } else { "" };
        write!(f, "at {} as {names}{shared}, serves ", self.gateway.address)?;
        let allowed: Vec<_> = self.allow.iter().map(ToString::to_string).collect();
        match &self.serves {
            Serves::One(destination) => destination.fmt(f),
            Serves::Asked | Serves::Ports(_) if allowed.is_empty() => f.write_str("what the policy allows"),
            Serves::Asked | Serves::Ports(_) => f.write_str(&allowed.join(", ")),
        }
    }
}
