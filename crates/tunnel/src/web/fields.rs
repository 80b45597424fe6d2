//! The fields of a message that passes a web front: which end here, which strangers may not say, and which we say.
//!
//! Called for each request and response. Pure. Threat T23: what strangers say of where they come from is taken away, and
//! said anew from what is known.

use std::fmt::Write as _;
use std::net::SocketAddr;

use hyper::HeaderMap;
use hyper::header::{CONNECTION, EXPECT, HeaderName, HeaderValue, UPGRADE};

/// What is known of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub(super) from: Option<SocketAddr>,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// The host that it names.
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
    let strangers: Vec<_> = headers.keys().filter(|name| is_ours(name)).cloned().collect();
    for name in strangers {
        headers.remove(name);
    }
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let mut forwarded = String::new();
    if let Some(from) = known.from {
        // RFC 7239 6: with a port or IPv6 in quotes.
        let _ = write!(forwarded, "for=\"{from}\";");
        put("x-forwarded-for", &from.ip().to_canonical().to_string());
    }
    let _ = write!(forwarded, "host=\"{}\";proto={}", known.host, known.scheme);
    put("forwarded", &forwarded);
    put("x-forwarded-host", known.host);
    put("x-forwarded-proto", known.scheme);
    if let Some(baggage) = known.baggage {
        put("baggage", baggage);
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

/// Fields with which only this node says where a request comes from.
fn is_ours(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded-") || OURS.contains(&name)
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
const OURS: &[&str] =
    &["forwarded", "baggage", "via", "x-real-ip", "x-istio-source", "x-client-ip", "true-client-ip"];

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
            ("baggage", "service.name=admin"),
            ("traceparent", "00-1"),
            ("accept", "*/*"),
        ]);
        of_request(&mut fields, known(None));
        let expected = map(&[
            ("traceparent", "00-1"),
            ("accept", "*/*"),
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
