//! The configuration as it was written: every key with its place, nothing interpreted yet.
//! Made by `Raw::parse`, consumed by resolve.rs. Knows which keys exist, not what they mean.

use std::ops::Range;

use toml::de::DeTable;

use super::admin::RawAdmin;
use super::egress::RawEgress;
use super::fault::{Cause, Faults};
use super::reader::Section;
use super::reverse::RawReverse;
use super::source::{At, Source, Texts};

/// A whole file.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) node: RawNode,
    pub(super) identity: Option<RawIdentity>,
    pub(super) listeners: Vec<RawListener>,
    pub(super) peers: Vec<RawPeer>,
    pub(super) routes: Vec<RawRoute>,
    pub(super) policies: Vec<RawPolicy>,
    pub(super) reverse: Vec<RawReverse>,
    pub(super) egress: Vec<RawEgress>,
    pub(super) admin: Option<RawAdmin>,
    pub(super) limits: RawLimits,
}

/// `[node]`
#[derive(Debug, Default)]
pub(super) struct RawNode {
    pub(super) name: Option<At<String>>,
    pub(super) mark: Option<At<u64>>,
    pub(super) network: Option<At<String>>,
    pub(super) baggage: Vec<(At<String>, At<String>)>,
    pub(super) tracing: Option<At<bool>>,
    pub(super) watch: Option<At<bool>>,
}

/// `[identity]`
#[derive(Debug)]
pub(super) struct RawIdentity {
    pub(super) span: Range<usize>,
    pub(super) cert: Option<At<String>>,
    pub(super) key: Option<At<String>>,
    pub(super) ca: Option<At<String>>,
}

/// `[[listeners]]`
#[derive(Debug)]
pub(super) struct RawListener {
    pub(super) title: String,
    pub(super) span: Range<usize>,
    pub(super) name: Option<At<String>>,
    pub(super) kind: Option<At<String>>,
    pub(super) bind: Option<At<String>>,
    pub(super) destination: Option<At<String>>,
    pub(super) peer: Option<At<String>>,
    pub(super) allow_remote: Option<At<bool>>,
    pub(super) proxy_protocol_from: Option<Texts>,
    pub(super) proxy_protocol: Option<At<String>>,
    pub(super) trust_forwarded: Option<At<bool>>,
    pub(super) user: Option<At<String>>,
    pub(super) password_file: Option<At<String>>,
    pub(super) allow_from: Option<Texts>,
    pub(super) names: Option<Texts>,
    pub(super) certificates: Vec<RawCertificate>,
    pub(super) routes: Vec<RawWebRoute>,
    pub(super) istio_status: Option<At<bool>>,
    pub(super) reverse: Option<At<bool>>,
    pub(super) services: Option<Table>,
    pub(super) trusted: Option<At<Vec<At<String>>>>,
    pub(super) other_requests: Option<At<String>>,
    pub(super) jwt: Option<RawJwt>,
}

/// `[listeners.jwt]`
#[derive(Debug)]
pub(super) struct RawJwt {
    pub(super) span: Range<usize>,
    pub(super) issuer: Option<At<Vec<At<String>>>>,
    pub(super) audience: Option<At<Vec<At<String>>>>,
    pub(super) algorithms: Option<At<Vec<At<String>>>>,
    pub(super) jwks_file: Option<At<String>>,
    pub(super) jwks_url: Option<At<String>>,
    pub(super) jwks_roots: Option<At<String>>,
    pub(super) refresh: Option<At<String>>,
    pub(super) leeway: Option<At<String>>,
    pub(super) identity_claim: Option<At<String>>,
}

/// A table of free names.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) span: Range<usize>,
    pub(super) pairs: Vec<(At<String>, At<String>)>,
}

/// `[[listeners.certificates]]`
#[derive(Debug)]
pub(super) struct RawCertificate {
    pub(super) title: String,
    pub(super) span: Range<usize>,
    pub(super) names: Option<Texts>,
    pub(super) cert: Option<At<String>>,
    pub(super) key: Option<At<String>>,
}

/// `[[listeners.routes]]`
#[derive(Debug)]
pub(super) struct RawWebRoute {
    pub(super) title: String,
    pub(super) span: Range<usize>,
    pub(super) host: Option<At<String>>,
    pub(super) path: Option<At<String>>,
    pub(super) destination: Option<At<String>>,
    pub(super) peer: Option<At<String>>,
}

/// `[[peers]]`
#[derive(Debug)]
pub(super) struct RawPeer {
    pub(super) title: String,
    pub(super) name: Option<At<String>>,
    pub(super) address: Option<At<String>>,
    /// Further ones.
    pub(super) others: Vec<At<String>>,
    pub(super) reverse: Option<At<String>>,
    pub(super) identities: Option<Texts>,
    pub(super) through: Option<At<String>>,
    pub(super) plain: Option<At<bool>>,
    pub(super) post: Option<RawPost>,
}

/// `[peers.post]`
#[derive(Debug)]
pub(super) struct RawPost {
    pub(super) span: Range<usize>,
    pub(super) roots: Option<At<String>>,
    pub(super) server_name: Option<At<String>>,
    pub(super) identities: Option<Texts>,
    pub(super) authority: Option<At<String>>,
    pub(super) service: Option<At<String>>,
    pub(super) token_file: Option<At<String>>,
    pub(super) token_command: Option<Texts>,
    pub(super) token_timeout: Option<At<String>>,
}

/// `[[routes]]`
#[derive(Debug)]
pub(super) struct RawRoute {
    pub(super) title: String,
    pub(super) listener: Option<At<String>>,
    pub(super) destination: Option<At<String>>,
    pub(super) peer: Option<At<String>>,
    pub(super) local: Option<At<bool>>,
}

/// `[[policies]]`
#[derive(Debug)]
pub(super) struct RawPolicy {
    pub(super) title: String,
    pub(super) span: Range<usize>,
    pub(super) name: Option<At<String>>,
    pub(super) action: Option<At<String>>,
    pub(super) mode: Option<At<String>>,
    pub(super) without_identity: Option<At<bool>>,
    pub(super) from: Option<Texts>,
    pub(super) except: Option<Texts>,
    pub(super) source_ip: Option<Texts>,
    pub(super) not_source_ip: Option<Texts>,
    pub(super) listener: Option<Texts>,
    pub(super) not_listener: Option<Texts>,
    pub(super) sni: Option<Texts>,
    pub(super) not_sni: Option<Texts>,
    pub(super) claims: Vec<(At<String>, Texts)>,
    pub(super) not_claims: Vec<(At<String>, Texts)>,
    pub(super) to: Option<Texts>,
    pub(super) not_to: Option<Texts>,
}

/// `[limits]`
#[derive(Debug, Default)]
pub(super) struct RawLimits {
    pub(super) dial_timeout: Option<At<String>>,
    pub(super) handshake_timeout: Option<At<String>>,
    pub(super) setup_timeout: Option<At<String>>,
    pub(super) idle_timeout: Option<At<String>>,
    pub(super) half_closed_timeout: Option<At<String>>,
    pub(super) pool_timeout: Option<At<String>>,
    pub(super) keepalive_interval: Option<At<String>>,
    pub(super) keepalive_timeout: Option<At<String>>,
    pub(super) drain_deadline: Option<At<String>>,
    pub(super) streams_per_connection: Option<At<u64>>,
    pub(super) served_streams: Option<At<u64>>,
    pub(super) connections_per_peer: Option<At<u64>>,
    pub(super) tunnels: Option<At<u64>>,
    pub(super) unauthenticated: Option<At<u64>>,
    pub(super) memory_mib: Option<At<u64>>,
}

impl Raw {
    /// Reads a text; what cannot be read is left out and reported.
    pub(super) fn parse(source: &Source, faults: &mut Faults) -> Self {
        let (table, errors) = DeTable::parse_recoverable(source.text());
        for error in &errors {
            let offset = error.span().map_or(0, |span| span.start);
            let message = error.message().replace('\n', ", ");
            faults.add(source, offset, Cause::Syntax { message });
        }
        let span = table.span();
        let mut file = Section::new("the file", table.get_ref(), span);
        let raw = Self {
            node: file.table("node").map(|it| RawNode::read(it, source, faults)).unwrap_or_default(),
            identity: file.table("identity").map(|it| RawIdentity::read(it, source, faults)),
            listeners: each(&mut file, "listeners", source, faults, RawListener::read),
            peers: each(&mut file, "peers", source, faults, RawPeer::read),
            routes: each(&mut file, "routes", source, faults, RawRoute::read),
            policies: each(&mut file, "policies", source, faults, RawPolicy::read),
            egress: each(&mut file, "egress", source, faults, RawEgress::read),
            reverse: each(&mut file, "reverse", source, faults, RawReverse::read),
            admin: file.table("admin").map(|it| RawAdmin::read(it, source, faults)),
            limits: file.table("limits").map(|it| RawLimits::read(it, source, faults)).unwrap_or_default(),
        };
        file.finish(source, faults);
        raw
    }
}

fn each<'a, T>(
    file: &mut Section<'a>,
    key: &'static str,
    source: &Source,
    faults: &mut Faults,
    read: impl Fn(Section<'a>, &Source, &mut Faults) -> T,
) -> Vec<T> {
    file.tables(key).into_iter().map(|section| read(section, source, faults)).collect()
}

impl RawNode {
    fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let raw = Self {
            name: section.string("name"),
            mark: section.integer("mark", 0..=u64::from(u32::MAX)),
            network: section.string("network"),
            baggage: section.pairs("baggage"),
            tracing: section.boolean("tracing"),
            watch: section.boolean("watch"),
        };
        section.finish(source, faults);
        raw
    }
}

impl RawIdentity {
    fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let raw = Self {
            span: section.span(),
            cert: section.required("cert", "\"node.pem\""),
            key: section.required("key", "\"node.key\""),
            ca: section.required("ca", "\"ca.pem\""),
        };
        section.finish(source, faults);
        raw
    }
}

impl RawListener {
    /// The keys that are written and that not every kind takes, with their places.
    pub(super) fn keys(&self) -> Vec<(&'static str, Range<usize>)> {
        fn place<T>(at: Option<&At<T>>) -> Option<Range<usize>> {
            at.map(|at| at.span.clone())
        }
        let keys = [
            ("destination", place(self.destination.as_ref())),
            ("peer", place(self.peer.as_ref())),
            ("allow_remote", place(self.allow_remote.as_ref())),
            ("proxy_protocol_from", place(self.proxy_protocol_from.as_ref())),
            ("proxy_protocol", place(self.proxy_protocol.as_ref())),
            ("trust_forwarded", place(self.trust_forwarded.as_ref())),
            ("user", place(self.user.as_ref())),
            ("password_file", place(self.password_file.as_ref())),
            ("allow_from", place(self.allow_from.as_ref())),
            ("names", place(self.names.as_ref())),
            ("routes", self.routes.first().map(|it| it.span.clone())),
            ("certificates", self.certificates.first().map(|it| it.span.clone())),
            ("istio_status", place(self.istio_status.as_ref())),
            ("trusted", place(self.trusted.as_ref())),
            ("other_requests", place(self.other_requests.as_ref())),
            ("jwt", self.jwt.as_ref().map(|jwt| jwt.span.clone())),
            ("services", self.services.as_ref().map(|table| table.span.clone())),
            ("reverse", place(self.reverse.as_ref())),
        ];
        keys.into_iter().filter_map(|(key, span)| Some((key, span?))).collect()
    }

    fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let raw = Self {
            title: section.title().to_owned(),
            span: section.span(),
            name: section.required("name", "\"web\""),
            kind: section.required("kind", "\"tcp\""),
            bind: section.required("bind", "\"127.0.0.1:8080\""),
            destination: section.string("destination"),
            peer: section.string("peer"),
            allow_remote: section.boolean("allow_remote"),
            proxy_protocol_from: section.strings("proxy_protocol_from"),
            proxy_protocol: section.string("proxy_protocol"),
            trust_forwarded: section.boolean("trust_forwarded"),
            user: section.string("user"),
            password_file: section.string("password_file"),
            allow_from: section.strings("allow_from"),
            names: section.strings("names"),
            routes: each(&mut section, "routes", source, faults, RawWebRoute::read),
            certificates: each(&mut section, "certificates", source, faults, RawCertificate::read),
            istio_status: section.boolean("istio_status"),
            trusted: section.strings("trusted"),
            other_requests: section.string("other_requests"),
            jwt: section.table("jwt").map(|jwt| RawJwt::read(jwt, source, faults)),
            services: section.place("services").map(|span| Table { span, pairs: section.pairs("services") }),
            reverse: section.boolean("reverse"),
        };
        section.finish(source, faults);
        raw
    }
}

impl RawCertificate {
    fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let raw = Self {
            title: format!("[[listeners.{}", section.title().trim_start_matches('[')),
            span: section.span(),
            names: section.strings("names"),
            cert: section.required("cert", "\"web.pem\""),
            key: section.required("key", "\"web.key\""),
        };
        section.finish(source, faults);
        raw
    }
}

impl RawWebRoute {
    fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let raw = Self {
            title: format!("[[listeners.{}", section.title().trim_start_matches('[')),
            span: section.span(),
            host: section.string("host"),
            path: section.string("path"),
            destination: section.required("destination", "\"127.0.0.1:8080\""),
            peer: section.string("peer"),
        };
        section.finish(source, faults);
        raw
    }
}

impl RawPeer {
    fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let mut addresses = section.strings("address").map(|list| list.value).unwrap_or_default().into_iter();
        let (address, addresses) = (addresses.next(), addresses.collect());
        let raw = Self {
            title: section.title().to_owned(),
            name: section.required("name", "\"bob\""),
            address,
            others: addresses,
            reverse: section.string("reverse"),
            identities: section.strings("identity"),
            plain: section.boolean("plain"),
            through: section.string("through"),
            post: section.table("post").map(|post| RawPost::read(post, source, faults)),
        };
        // Behind another peer, the destination may say it.
        if raw.address.is_none() && !section.has("through") && !section.has("reverse") {
            section.missing("address", "\"192.0.2.7:15008\"");
        }
        let nobody = raw.plain.as_ref().is_some_and(|at| at.value) && raw.post.is_none();
        if !section.has("identity") && !nobody {
            section.missing("identity", "\"spiffe://example.org/ns/default/sa/bob\"");
        }
        section.finish(source, faults);
        raw
    }
}

impl RawJwt {
    fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let raw = Self {
            span: section.span(),
            issuer: section.strings("issuer"),
            audience: section.strings("audience"),
            algorithms: section.strings("algorithms"),
            jwks_file: section.string("jwks_file"),
            jwks_url: section.string("jwks_url"),
            jwks_roots: section.string("jwks_roots"),
            refresh: section.string("refresh"),
            leeway: section.string("leeway"),
            identity_claim: section.string("identity_claim"),
        };
        section.finish(source, faults);
        raw
    }
}

impl RawPost {
    fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let raw = Self {
            span: section.span(),
            roots: section.string("roots"),
            server_name: section.string("server_name"),
            identities: section.strings("proxy_identity"),
            authority: section.string("authority"),
            service: section.string("service"),
            token_file: section.string("token_file"),
            token_command: section.strings("token_command"),
            token_timeout: section.string("token_timeout"),
        };
        section.finish(source, faults);
        raw
    }
}

impl RawRoute {
    fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let raw = Self {
            title: section.title().to_owned(),
            listener: section.string("listener"),
            destination: section.string("destination"),
            peer: section.string("peer"),
            local: section.boolean("local"),
        };
        if !section.has("peer") && !section.has("local") {
            section.missing("peer", "\"bob\"");
        }
        section.finish(source, faults);
        raw
    }
}

impl RawPolicy {
    fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let raw = Self {
            title: section.title().to_owned(),
            span: section.span(),
            name: section.required("name", "\"friends\""),
            action: section.required("action", "\"allow\""),
            mode: section.string("mode"),
            without_identity: section.boolean("without_identity"),
            from: section.strings("from"),
            except: section.strings("except"),
            source_ip: section.strings("source_ip"),
            not_source_ip: section.strings("not_source_ip"),
            listener: section.strings("listener"),
            not_listener: section.strings("not_listener"),
            sni: section.strings("sni"),
            not_sni: section.strings("not_sni"),
            claims: section.lists("claims"),
            not_claims: section.lists("not_claims"),
            to: section.strings("to"),
            not_to: section.strings("not_to"),
        };
        section.finish(source, faults);
        raw
    }
}

impl RawLimits {
    fn read(mut section: Section<'_>, source: &Source, faults: &mut Faults) -> Self {
        let raw = Self {
            dial_timeout: section.string("dial_timeout"),
            handshake_timeout: section.string("handshake_timeout"),
            setup_timeout: section.string("setup_timeout"),
            idle_timeout: section.string("idle_timeout"),
            half_closed_timeout: section.string("half_closed_timeout"),
            pool_timeout: section.string("pool_timeout"),
            keepalive_interval: section.string("keepalive_interval"),
            keepalive_timeout: section.string("keepalive_timeout"),
            drain_deadline: section.string("drain_deadline"),
            streams_per_connection: section.integer("streams_per_connection", 1..=65_536),
            served_streams: section.integer("served_streams", 100..=65_536),
            connections_per_peer: section.integer("connections_per_peer", 1..=256),
            tunnels: section.integer("tunnels", 1..=1_000_000),
            unauthenticated: section.integer("unauthenticated", 1..=100_000),
            memory_mib: section.integer("memory_mib", 16..=1_048_576),
        };
        section.finish(source, faults);
        raw
    }
}
