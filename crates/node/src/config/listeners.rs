//! `[[listeners]]`: what each kind of listener is made of.
//! Called by resolve.rs. Binds nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use hbone_tunnel::{Authority, Front, Routes, Way};

use super::bind::Bind;
use super::fault::Cause;
use super::gateways::clients;
use super::kind::{self, Kind};
use super::proxies;
use super::raw::RawListener;
use super::resolved::{Capture, Inbound, PeerRoute};
use super::resolver::{ADDRESS, Peers, Resolver};
use super::serving::Serving;
use super::source::{At, Position};
use super::value;

/// What listeners refer to.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) peers: &'a Peers,
    pub(super) routes: &'a [PeerRoute],
    /// The time: seconds since 1970 in UTC.
    pub(super) now: i64,
}

impl Resolver<'_> {
    /// All listeners, in the order of the file: those of clients and those of peers.
    pub(super) fn listeners(
        &mut self,
        raw: &[RawListener],
        known: Known<'_>,
    ) -> (Vec<Capture>, Vec<Inbound>) {
        let (mut captures, mut inbounds) = (Vec::new(), Vec::new());
        let mut binds: HashMap<Bind, Position> = HashMap::new();
        for raw in raw {
            let bind = self.bind(raw, &mut binds);
            let Some(at) = &raw.kind else { continue };
            let Some(kind) = self.checked("kind", at, &kind::wanted(), str::parse::<Kind>) else { continue };
            self.misplaced(raw, kind);
            match kind {
                Kind::Tls => captures.extend(self.tls(raw, bind, known)),
                Kind::Http | Kind::Https => captures.extend(self.web(raw, kind, bind, known)),
                Kind::Sni => captures.extend(self.sni(raw, bind, known)),
                Kind::Tcp => captures.extend(self.capture(raw, bind, known)),
                Kind::Socks5 | Kind::HttpProxy => captures.extend(self.proxy(raw, kind, bind, known)),
                Kind::Redirect | Kind::Tproxy => captures.extend(self.transparent(raw, kind, bind, known)),
                Kind::Hbone | Kind::H2c => inbounds.extend(self.inbound(raw, bind, known, kind)),
            }
        }
        (captures, inbounds)
    }

    /// Where it listens, which is nowhere else in the file.
    fn bind(&mut self, raw: &RawListener, binds: &mut HashMap<Bind, Position>) -> Option<Bind> {
        let wanted = "an address and a port like \"127.0.0.1:8080\" (port 0 lets the system choose), \
                      \"unix:/path\" or \"unix:@name\"";
        let at = raw.bind.as_ref()?;
        let bind = self.parse::<Bind>("bind", at, wanted)?;
        if bind.address().is_none_or(|address| address.port() != 0) {
            let here = self.source.position(at.span.start);
            if let Some(first) = binds.get(&bind).copied() {
                self.fault(&at.span, Cause::Duplicate { kind: "address", name: bind.to_string(), first });
            }
            binds.entry(bind.clone()).or_insert(here);
        }
        Some(bind)
    }

    /// Keys that this kind of listener has no use for.
    fn misplaced(&mut self, raw: &RawListener, kind: Kind) {
        for (key, span) in raw.keys() {
            if !kind.keys().contains(&key) {
                let remedy = format!("remove it; it belongs to listeners of kind {}", kind::takers(key));
                self.fault(&span, Cause::Misplaced { key, section: raw.title.clone(), remedy });
            }
        }
    }

    /// Strangers reach a listener of clients only where that is said.
    pub(super) fn keep_local(&mut self, raw: &RawListener, bind: Option<&Bind>) {
        let allowed = raw.allow_remote.as_ref().is_some_and(|at| at.value);
        if let (Some(bind), Some(at)) = (bind.filter(|bind| !bind.is_local() && !allowed), &raw.bind) {
            self.fault(&at.span, Cause::UnsafeBind { bind: bind.to_string() });
        }
    }

    /// A listener all of whose connections have one destination.
    fn capture(&mut self, raw: &RawListener, bind: Option<Bind>, known: Known<'_>) -> Option<Capture> {
        self.keep_local(raw, bind.as_ref());
        let (allow_from, proxies) = (self.allow_from(raw), self.proxies(raw));
        let Some(at) = &raw.destination else {
            let example = "\"127.0.0.1:80\"";
            self.fault(
                &raw.span,
                Cause::MissingKey { key: "destination", section: raw.title.clone(), example },
            );
            return None;
        };
        let destination = self.parse::<Authority>("destination", at, ADDRESS);
        let via = self.via(raw, destination.as_ref(), known);
        let (destination, via, bind, name) = (destination?, via?, bind?, raw.name.as_ref()?.value.clone());
        let (peer, via) = via;
        let (allow_from, proxies) = (allow_from?, proxies?);
        let summary = format!("{destination} through {peer}{}", clients(&allow_from));
        let (front, routes) = (Front::Fixed(destination), Routes::all(via));
        Some(Capture { name, kind: Kind::Tcp, bind, allow_from, proxies, summary, front, routes })
    }

    /// The peer of a capture: the one it names, else the one that a route finds.
    pub(super) fn via(
        &mut self,
        raw: &RawListener,
        destination: Option<&Authority>,
        known: Known<'_>,
    ) -> Option<(String, Way)> {
        self.way_to(raw.peer.as_ref(), (&raw.title, &raw.span), raw, destination, known)
    }

    /// The peer that a section of a listener names, else the one that a route finds.
    pub(super) fn way_to(
        &mut self,
        peer: Option<&At<String>>,
        (title, span): (&String, &Range<usize>),
        raw: &RawListener,
        destination: Option<&Authority>,
        known: Known<'_>,
    ) -> Option<(String, Way)> {
        let name = match peer {
            Some(at) => self.reference("peer", at, known.peers.keys()).then(|| at.value.clone())?,
            None => {
                let (destination, listener) = (destination?, raw.name.as_ref().map(|at| at.value.as_str()));
                let found = known.routes.iter().find(|route| route.matches(listener, destination));
                let Some(route) = found else {
                    let section = title.clone();
                    let reason = "no `peer`, and no route leads to its destination";
                    let remedy = "name a peer, or add a `[[routes]]` section for the destination";
                    self.fault(span, Cause::Conflict { section, reason, remedy });
                    return None;
                };
                route.peer.clone()?
            }
        };
        let way = known.peers.get(&name)?.clone()?;
        Some((name, way))
    }

    /// The ways of a listener whose clients choose their destination, and what they are for people: its peer for all
    /// of them, else what the routes say. A destination without a route is refused.
    pub(super) fn ways(&mut self, raw: &RawListener, known: Known<'_>) -> Option<(Routes, String)> {
        if let Some(at) = &raw.peer {
            self.reference("peer", at, known.peers.keys()).then_some(())?;
            return Some((
                Routes::all(known.peers.get(&at.value)?.clone()?),
                format!("through {}", at.value),
            ));
        }
        let listener = raw.name.as_ref().map(|at| at.value.as_str());
        let routes: Vec<_> = known.routes.iter().filter(|route| route.is_for(listener)).collect();
        if routes.is_empty() {
            let (section, reason) = (raw.title.clone(), "no `peer`, and no route leads anywhere from here");
            let remedy = "name a peer for all of it, or add `[[routes]]` sections";
            self.fault(&raw.span, Cause::Conflict { section, reason, remedy });
            return None;
        }
        let mut rules = Vec::new();
        for route in &routes {
            rules.push((route.destination.clone(), known.peers.get(route.peer.as_ref()?)?.clone()?));
        }
        let names: BTreeSet<_> = routes.iter().filter_map(|route| route.peer.as_deref()).collect();
        let names: Vec<_> = names.into_iter().collect();
        Some((Routes::new(rules), format!("through {}", names.join(", "))))
    }

    /// What a listener of peers sends on: what the routes that name it say. None of the others is for it.
    fn onward(listener: &str, known: Known<'_>) -> Option<(Routes, Option<String>)> {
        let mine = known.routes.iter().filter(|route| route.listener.as_deref() == Some(listener));
        let (mut rules, mut texts) = (Vec::new(), Vec::new());
        for route in mine {
            let to = route.destination.as_ref().map_or_else(|| "all else".to_owned(), ToString::to_string);
            let (way, text) = match &route.peer {
                Some(peer) => (Some(known.peers.get(peer)?.clone()?), format!("{to} through {peer}")),
                None => (None, format!("{to} from here")),
            };
            rules.push((route.destination.clone(), way));
            texts.push(text);
        }
        let summary = (!texts.is_empty()).then(|| texts.join(", "));
        Some((Routes::with_gaps(rules), summary))
    }

    fn inbound(
        &mut self,
        raw: &RawListener,
        bind: Option<Bind>,
        known: Known<'_>,
        kind: Kind,
    ) -> Option<Inbound> {
        let istio_status = raw.istio_status.as_ref().is_some_and(|at| at.value);
        let (services, proxies) = (self.services(raw), self.proxies(raw));
        let wanted = "\"v1\" or \"v2\"";
        let version = raw.proxy_protocol.as_ref();
        let proxy_protocol =
            version.and_then(|at| self.checked("proxy_protocol", at, wanted, proxies::version));
        let trust_forwarded = raw.trust_forwarded.as_ref().is_some_and(|at| at.value);
        let serving = self.serving(raw, kind == Kind::H2c);
        let bind = bind?;
        let Some(address) = bind.address() else {
            let at = raw.bind.as_ref()?;
            let (key, value, reason) = ("bind".into(), bind.to_string(), "peers come over TCP".into());
            let wanted = "an address and a port like \"0.0.0.0:15008\"".into();
            self.fault(&at.span, Cause::BadValue { key, value, reason, wanted });
            return None;
        };
        let name = raw.name.as_ref()?.value.clone();
        let (routes, summary) = Self::onward(&name, known)?;
        let reverse = raw.reverse.as_ref().is_some_and(|at| at.value);
        let (Serving { trusted, tokens, other_requests }, services, proxies) =
            (serving?, services?, proxies?);
        Some(Inbound {
            name,
            bind: address,
            proxies,
            reverse,
            proxy_protocol,
            trust_forwarded,
            istio_status,
            routes,
            summary,
            services,
            tokens,
            other_requests,
            trusted,
        })
    }

    /// Destinations by name.
    fn services(&mut self, raw: &RawListener) -> Option<BTreeMap<String, Authority>> {
        let mut services = Some(BTreeMap::new());
        for (name, at) in raw.services.iter().flat_map(|table| &table.pairs) {
            let wanted = "a short name like \"web-1\"";
            let name = self.checked("services", name, wanted, |text| value::name(text).map(str::to_owned));
            let destination = self.parse::<Authority>("services", at, ADDRESS);
            match (name, destination, &mut services) {
                (Some(name), Some(destination), Some(services)) => drop(services.insert(name, destination)),
                _ => services = None,
            }
        }
        services
    }
}
