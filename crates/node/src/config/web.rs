//! `[[listeners]]` of the kinds `http` and `https`: requests and where they go.
//! Called by listeners.rs. Binds nothing.

use hbone_tunnel::{Authority, Front, PathPrefix, Routes, WebFront, WebRoute};

use super::bind::Bind;
use super::fault::Cause;
use super::gateways::clients;
use super::kind::Kind;
use super::listeners::Known;
use super::raw::{RawListener, RawWebRoute};
use super::resolved::Capture;
use super::resolver::{ADDRESS, Resolver};

impl Resolver<'_> {
    /// A listener whose clients send requests, in the clear or inside TLS.
    pub(super) fn web(
        &mut self,
        raw: &RawListener,
        kind: Kind,
        bind: Option<Bind>,
        known: Known<'_>,
    ) -> Option<Capture> {
        self.keep_local(raw, bind.as_ref());
        let (allow_from, proxies) = (self.allow_from(raw), self.proxies(raw));
        let certificates = if kind == Kind::Https {
            self.certificates(raw, &[b"http/1.1"], known.now).map(Some)
        } else {
            Some(None)
        };
        if raw.routes.is_empty() {
            let (section, example) =
                ("[[listeners.routes]]", "`destination` and, if need be, `host` and `path`");
            self.fault(&raw.span, Cause::MissingSection { section, example });
            return None;
        }
        let routes: Vec<_> = raw.routes.iter().filter_map(|it| self.web_route(raw, it, known)).collect();
        if routes.len() < raw.routes.len() {
            return None;
        }
        let (name, bind, allow_from) = (raw.name.as_ref()?.value.clone(), bind?, allow_from?);
        let (routes, lines): (Vec<_>, Vec<_>) = routes.into_iter().unzip();
        let summary = format!("{}{}", lines.join(", "), clients(&allow_from));
        let front = Front::Web(WebFront { certificates: certificates?, routes: routes.into() });
        let (proxies, routes) = (proxies?, Routes::default());
        Some(Capture { name, kind, bind, allow_from, proxies, summary, front, routes })
    }

    /// One route, and what it is for people.
    fn web_route(
        &mut self,
        listener: &RawListener,
        raw: &RawWebRoute,
        known: Known<'_>,
    ) -> Option<(WebRoute, String)> {
        let host = raw.host.as_ref().map(|at| self.shown_to("host", at));
        let path = raw
            .path
            .as_ref()
            .map(|at| self.parse::<PathPrefix>("path", at, "the beginning of paths like \"/\" or \"/api\""));
        let destination =
            raw.destination.as_ref().and_then(|at| self.parse::<Authority>("destination", at, ADDRESS));
        let peer = raw.peer.as_ref().or(listener.peer.as_ref());
        let (peer, way) =
            self.way_to(peer, (&raw.title, &raw.span), listener, destination.as_ref(), known)?;
        let host = host.map_or(Some(None), |host| host.map(Some))?;
        let path = path.unwrap_or_else(|| Some(PathPrefix::all()))?;
        let destination = destination?;
        let any = || "*".to_owned();
        let from = format!("{}{path}", host.as_ref().map_or_else(any, ToString::to_string));
        let line = format!("{from} at {destination} through {peer}");
        Some((WebRoute { host, path, destination, way }, line))
    }
}
