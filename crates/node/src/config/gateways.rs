//! `[[listeners]]` of gateways: those that strangers call on purpose.
//! Called by listeners.rs. Binds nothing.

use hbone_tunnel::{
    Authority, Certificates, Front, Names, Network, Routes, ServedCertificate, Target, TlsFront,
};

use super::bind::Bind;
use super::fault::Cause;
use super::kind::Kind;
use super::listeners::Known;
use super::raw::{RawCertificate, RawListener};
use super::resolved::Capture;
use super::resolver::{ADDRESS, Resolver};
use super::source::At;
use crate::certs::{self, Pair};

impl Resolver<'_> {
    /// A listener whose clients speak TLS with the destination, and name it.
    pub(super) fn sni(&mut self, raw: &RawListener, bind: Option<Bind>, known: Known<'_>) -> Option<Capture> {
        self.keep_local(raw, bind.as_ref());
        let (allow_from, proxies) = (self.allow_from(raw), self.proxies(raw));
        let targets = self.let_through(raw);
        let ways = self.ways(raw, known);
        let (targets, (routes, through)) = (targets?, ways?);
        let names = Names::new(targets);
        let (name, bind, allow_from) = (raw.name.as_ref()?.value.clone(), bind?, allow_from?);
        let summary = format!("{names} {through}{}", clients(&allow_from));
        let (kind, front, proxies) = (Kind::Sni, Front::Sni(names), proxies?);
        Some(Capture { name, kind, bind, allow_from, proxies, summary, front, routes })
    }

    /// A listener that ends TLS in front of one destination.
    pub(super) fn tls(&mut self, raw: &RawListener, bind: Option<Bind>, known: Known<'_>) -> Option<Capture> {
        self.keep_local(raw, bind.as_ref());
        let (allow_from, proxies) = (self.allow_from(raw), self.proxies(raw));
        let certificates = self.certificates(raw, &[], known.now);
        let Some(at) = &raw.destination else {
            let (key, section, example) = ("destination", raw.title.clone(), "\"127.0.0.1:80\"");
            self.fault(&raw.span, Cause::MissingKey { key, section, example });
            return None;
        };
        let destination = self.parse::<Authority>("destination", at, ADDRESS);
        let via = self.via(raw, destination.as_ref(), known);
        let (destination, (peer, via), certificates) = (destination?, via?, certificates?);
        let (name, bind, allow_from) = (raw.name.as_ref()?.value.clone(), bind?, allow_from?);
        let summary = format!("{destination} through {peer}, as {certificates}{}", clients(&allow_from));
        let (front, routes) = (Front::Tls(TlsFront { certificates, destination }), Routes::all(via));
        let (kind, proxies) = (Kind::Tls, proxies?);
        Some(Capture { name, kind, bind, allow_from, proxies, summary, front, routes })
    }

    /// The certificates of a listener that ends TLS.
    pub(super) fn certificates(
        &mut self,
        raw: &RawListener,
        protocols: &[&[u8]],
        now: i64,
    ) -> Option<Certificates> {
        if raw.certificates.is_empty() {
            let (section, example) = ("[[listeners.certificates]]", "`cert`, `key` and, if need be, `names`");
            self.fault(&raw.span, Cause::MissingSection { section, example });
            return None;
        }
        let served: Vec<_> = raw.certificates.iter().filter_map(|it| self.served(it, now)).collect();
        if served.len() < raw.certificates.len() {
            return None;
        }
        match Certificates::new(served, protocols) {
            Ok(certificates) => Some(certificates),
            Err(error) => {
                let (key, value, reason) = ("certificates".into(), String::new(), error.to_string());
                let wanted = "certificates with keys that can sign".into();
                self.fault(&raw.span, Cause::BadValue { key, value, reason, wanted });
                None
            }
        }
    }

    fn served(&mut self, raw: &RawCertificate, now: i64) -> Option<ServedCertificate> {
        let (cert, key) = (raw.cert.as_ref()?, raw.key.as_ref()?);
        let pair = self.pair(cert, key, now);
        let names = match &raw.names {
            Some(list) => {
                let names: Vec<_> = list.value.iter().filter_map(|at| self.shown_to("names", at)).collect();
                (names.len() == list.value.len()).then_some(names)?
            }
            None => pair.as_ref()?.names.clone(),
        };
        if names.is_empty() {
            let (section, remedy) = (raw.title.clone(), "list the `names` that it is shown to");
            self.fault(&raw.span, Cause::Conflict { section, reason: "it is shown to no name", remedy });
            return None;
        }
        let Pair { chain, key, .. } = pair?;
        Some(ServedCertificate { names, chain, key })
    }

    /// A name or `*.name` without ports.
    pub(super) fn shown_to(&mut self, key: &str, at: &At<String>) -> Option<Target> {
        let wanted = "a name: \"web.example\", \"*.example\"";
        self.checked(key, at, wanted, |text| match text.parse::<Target>() {
            Ok(target) if target.is_of_names() && !text.contains(':') => Ok(target),
            Ok(_) | Err(_) => Err("it must be a name or *.name, without a port"),
        })
    }

    /// A certificate with its key, each fault at its own place.
    pub(super) fn pair(&mut self, cert: &At<String>, key: &At<String>, now: i64) -> Option<Pair> {
        let paths = [self.file(cert), self.file(key)];
        let errors = match certs::load_pair(&paths[0], &paths[1], now) {
            Ok(pair) => return Some(pair),
            Err(errors) => errors,
        };
        for error in errors {
            let at = if error.path() == Some(&paths[1]) { key } else { cert };
            self.fault(&at.span, Cause::Certificate(error));
        }
        None
    }

    /// The destinations that `names` lists.
    fn let_through(&mut self, raw: &RawListener) -> Option<Vec<Target>> {
        let Some(list) = &raw.names else {
            let (key, section, example) = ("names", raw.title.clone(), "[\"*.example.org:443\"]");
            self.fault(&raw.span, Cause::MissingKey { key, section, example });
            return None;
        };
        if list.value.is_empty() {
            let (section, reason) = (raw.title.clone(), "`names` is an empty list, so nobody gets through");
            self.fault(&list.span, Cause::Conflict { section, reason, remedy: "list the names" });
            return None;
        }
        let targets: Vec<_> = list.value.iter().filter_map(|at| self.named(at)).collect();
        (targets.len() == list.value.len()).then_some(targets)
    }

    /// A target that consists of names: strangers choose among them, so every host is never meant.
    fn named(&mut self, at: &At<String>) -> Option<Target> {
        let wanted = "a name and a port or ports: \"web.example:443\", \"*.example:443\"";
        self.checked("names", at, wanted, |text| match text.parse::<Target>() {
            Ok(target) if target.is_of_names() => Ok(target),
            Ok(_) => Err("it must be a name or *.name".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// The networks of the clients; none where something is wrong.
    pub(super) fn allow_from(&mut self, raw: &RawListener) -> Option<Vec<Network>> {
        self.networks(raw, "allow_from", raw.allow_from.as_ref())
    }
}

/// Who may call, for people.
pub(super) fn clients(allow_from: &[Network]) -> String {
    if allow_from.is_empty() {
        return String::new();
    }
    let networks: Vec<_> = allow_from.iter().map(ToString::to_string).collect();
    format!(", for {}", networks.join(", "))
}
