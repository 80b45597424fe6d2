//! The fields of a message that passes a web front: which end here, which strangers may not say, and which we say.
//!
//! Called for each request and response. Pure. Threat T23: what strangers say of where they come from is taken away, and
//! said anew from what is known.

use std::net::SocketAddr;

use hyper::HeaderMap;
use hyper::header::{CONNECTION, EXPECT, HOST, HeaderName, HeaderValue, UPGRADE};

use crate::metadata::forwarded::Forwarded;
use crate::metadata::strangers::claims_a_source;
use crate::metadata::{BAGGAGE, FORWARDED};

/// What is known of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) from: Option<SocketAddr>,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// The host that it names, and by which it was routed.
    pub(super) host: &'a str,
    pub(super) baggage: Option<&'a str>,
}

/// The protocol that a request wants to turn into, as it is written.
pub(super) fn wanted_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let asks = options(headers).any(|option| option == "upgrade");
    let protocol = headers.get(UPGRADE).filter(|_| asks)?;
    // HTTP/2 in the clear has no place behind a front that routes by request.
    let is_http2 = protocol.to_str().is_ok_and(|it| it.to_ascii_lowercase().contains("h2c"));
    (!is_http2).then(|| protocol.clone())
}

/// Makes the fields of a client's request those that the workload sees.
pub(super) fn of_request(headers: &mut HeaderMap, known: Known<'_>) {
    let upgrade = wanted_upgrade(headers);
    hop_by_hop(headers);
    // Answered here: the body is read, and 100 said, once the tunnel stands.
    headers.remove(EXPECT);
    let claims = |name: &&HeaderName| claims_a_source(name.as_str().as_bytes());
    let strangers: Vec<_> = headers.keys().filter(claims).cloned().collect();
    for name in strangers {
        headers.remove(name);
    }
    let mut put = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    };
    // RFC 9112 3.2.2: an absolute target replaces whatever `host` said. The workload decides by what we decided by.
    put(HOST.as_str(), known.host);
    let forwarded =
        Forwarded { client: known.from, host: Some(known.host), proto: Some(known.scheme) }.write();
    put(FORWARDED, &forwarded);
    if let Some(from) = known.from {
        put("x-forwarded-for", &from.ip().to_canonical().to_string());
    }
    put("x-forwarded-host", known.host);
    put("x-forwarded-proto", known.scheme);
    if let Some(baggage) = known.baggage {
        put(BAGGAGE, baggage);
    }
    if let Some(protocol) = upgrade {
        turn(headers, protocol);
    }
}

/// Makes the fields of a workload's response those that the client sees; `upgrade` says that it takes the upgrade.
pub(super) fn of_response(headers: &mut HeaderMap, upgrade: bool) {
    let protocol = headers.get(UPGRADE).filter(|_| upgrade).cloned();
    hop_by_hop(headers);
    if let Some(protocol) = protocol {
        turn(headers, protocol);
    }
}

fn turn(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Takes away what is about one connection only (RFC 9110 7.6.1).
fn hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = options(headers).filter_map(|name| name.parse().ok()).collect();
    for name in named.iter().filter(|name| !KEPT.contains(&name.as_str())) {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(*name);
    }
}

/// What `connection` lists, in lower case.
fn options(headers: &HeaderMap) -> impl Iterator<Item = String> + '_ {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|option| option.trim().to_ascii_lowercase())
}

const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Fields that `connection` cannot take away: without them a request would mean another one.
const KEPT: &[&str] = &["host", "content-length", "content-type", "authorization", "cookie", "origin"];

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = fields
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut map = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    }

    fn known(baggage: Option<&str>) -> Known<'_> {
        let from = Some("192.0.2.7:1234".parse().unwrap());
        Known { from, scheme: "https", host: "web.example:8443", baggage }
    }

    #[test]
    fn t23_what_strangers_say_of_where_they_come_from_is_taken_away_and_said_anew() {
        let mut fields = map(&[
            ("forwarded", "for=10.0.0.1"),
            ("forwarded", "for=10.0.0.2"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-network", "trusted"),
            ("x-forwarded-client-cert", "by=me"),
            ("x-real-ip", "10.0.0.1"),
            ("x-istio-source", "a"),
            ("x_forwarded_for", "10.0.0.1"),
            ("hbone-source", "spiffe://td/ns/a/sa/admin"),
            ("hbone_source", "spiffe://td/ns/a/sa/admin"),
            ("baggage", "service.name=admin"),
            ("traceparent", "00-1"),
            ("accept", "*/*"),
        ]);
        of_request(&mut fields, known(None));
        let expected = map(&[
            ("traceparent", "00-1"),
            ("accept", "*/*"),
            ("host", "web.example:8443"),
            ("forwarded", "for=\"192.0.2.7:1234\";host=\"web.example:8443\";proto=https"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-host", "web.example:8443"),
            ("x-forwarded-proto", "https"),
        ]);
        assert_eq!(fields, expected);
        of_request(&mut fields, known(Some("service.name=gate")));
        assert_eq!(fields["baggage"], "service.name=gate");
    }

    #[test]
    fn t23_what_is_about_one_connection_ends_here_and_no_more() {
        let mut fields = map(&[
            ("connection", "keep-alive, X-Secret"),
            ("connection", "host, authorization"),
            ("keep-alive", "timeout=5"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "x"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("host", "web.example"),
            ("authorization", "Bearer x"),
            ("content-length", "3"),
        ]);
        of_request(&mut fields, known(None));
        let mut names: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        names.retain(|name| !name.contains("forwarded"));
        names.sort_unstable();
        assert_eq!(names, ["authorization", "content-length", "host"]);
        let mut fields =
            map(&[("connection", "close, x-a"), ("x-a", "1"), ("upgrade", "h2"), ("server", "s")]);
        of_response(&mut fields, false);
        assert_eq!(fields, map(&[("server", "s")]));
    }

    #[test]
    fn t20_the_host_that_a_request_was_routed_by_is_the_one_that_the_workload_sees() {
        for said in [&[("host", "admin.example")][..], &[("host", "a"), ("host", "b")], &[]] {
            let mut fields = map(said);
            of_request(&mut fields, known(None));
            let hosts: Vec<_> = fields.get_all(HOST).iter().collect();
            assert_eq!(hosts, ["web.example:8443"], "{said:?}");
        }
    }

    #[test]
    fn an_upgrade_passes_and_http2_in_the_clear_does_not() {
        let mut fields = map(&[("connection", "Upgrade, x-a"), ("upgrade", "websocket"), ("x-a", "1")]);
        assert!(wanted_upgrade(&fields).is_some());
        of_request(&mut fields, known(None));
        assert_eq!(
            (&fields["connection"], &fields["upgrade"]),
            (&"upgrade".parse().unwrap(), &"websocket".parse().unwrap())
        );
        assert!(!fields.contains_key("x-a"));
        assert!(wanted_upgrade(&map(&[("connection", "upgrade"), ("upgrade", "h2c")])).is_none());
        assert!(wanted_upgrade(&map(&[("upgrade", "websocket")])).is_none());
        let mut fields = map(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        of_response(&mut fields, true);
        assert_eq!(fields["upgrade"], "websocket");
    }
}
