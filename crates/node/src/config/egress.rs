//! `[[egress]]`: destinations of peers' tunnels that get TLS.
//! Read by raw.rs, resolved by resolve.rs. Dials nothing.

use std::collections::HashMap;
use std::ops::Range;

use hbone_tunnel::{EgressRule, Host, Target};

use super::fault::{Cause, Faults};
use super::reader::Section;
use super::resolver::Resolver;
use super::source::{At, Position, Source};

/// The section as it was written.
#[derive(Debug)]
pub(super) struct RawEgress {
    title: String,
    listener: Option<At<String>>,
    destination: Option<At<String>>,
    tls: Option<RawTls>,
}

/// `tls = { … }`
#[derive(Debug)]
struct RawTls {
    span: Range<usize>,
    sni: Option<At<String>>,
    roots: Option<At<String>>,
    cert: Option<At<String>>,
    key: Option<At<String>>,
}

impl RawEgress {
    pub(super) fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let written = section.has("tls");
        let raw = Self {
            title: section.title().to_owned(),
            listener: section.string("listener"),
            destination: section.required("destination", "\"api.example:443\""),
            tls: section.table("tls").map(|it| RawTls::read(it, source, faults)),
        };
        if !written {
            section.missing("tls", "{ roots = \"public.pem\" }");
        }
        section.finish(source, faults);
        raw
    }
}

impl RawTls {
    fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let raw = Self {
            span: section.span(),
            sni: section.string("sni"),
            roots: section.required("roots", "\"public.pem\""),
            cert: section.string("cert"),
            key: section.string("key"),
        };
        section.finish(source, faults);
        raw
    }
}

impl Resolver<'_> {
    /// The rules in the order of the file; the first that matches wins.
    pub(super) fn egress(
        &mut self,
        raw: &[RawEgress],
        listeners: &HashMap<String, Position>,
        now: i64,
    ) -> Vec<(Option<String>, EgressRule)> {
        raw.iter().filter_map(|raw| self.egress_rule(raw, listeners, now)).collect()
    }

    fn egress_rule(
        &mut self,
        raw: &RawEgress,
        listeners: &HashMap<String, Position>,
        now: i64,
    ) -> Option<(Option<String>, EgressRule)> {
        let listener = raw.listener.as_ref();
        let known = listener.is_none_or(|at| self.reference("listener", at, listeners.keys()));
        let wanted = "a host and a port or ports: \"api.example:443\", \"*.example:443\", \"10.0.0.0/8:443\"";
        let target = raw.destination.as_ref().and_then(|at| self.parse::<Target>("destination", at, wanted));
        let tls = raw.tls.as_ref()?;
        let wanted = "a name or an address without a port";
        let name = tls.sni.as_ref().map(|at| self.parse::<Host>("sni", at, wanted));
        let roots = tls.roots.as_ref().and_then(|at| self.roots(at));
        let own = match (&tls.cert, &tls.key) {
            (Some(cert), Some(key)) => Some(self.pair(cert, key, now).map(|pair| (pair.chain, pair.key))),
            (None, None) => None,
            (Some(at), None) | (None, Some(at)) => {
                let (section, reason) = (raw.title.clone(), "`cert` and `key` belong together");
                let remedy = "give both, or none if destinations ask for no certificate";
                self.fault(&at.span, Cause::Conflict { section, reason, remedy });
                return None;
            }
        };
        let name = name.map_or(Some(None), |name| name.map(Some))?;
        let own = own.map_or(Some(None), |own| own.map(Some))?;
        match EgressRule::new(target?, name, &roots?, own) {
            Ok(rule) => known.then(|| (listener.map(|at| at.value.clone()), rule)),
            Err(error) => {
                let (key, value, reason) = ("tls".into(), String::new(), error.to_string());
                let wanted = "a certificate with a key that can sign".into();
                self.fault(&tls.span, Cause::BadValue { key, value, reason, wanted });
                None
            }
        }
    }
}
