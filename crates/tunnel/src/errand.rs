//! What a stream of a caller is for, by its head alone.
//!
//! Called by `serve` for every stream. Pure. Fields that decide stand once: with two of them nobody knows which one
//! somebody else on the way has followed.

use std::collections::BTreeMap;

use hbone_conn::Request;

use crate::authority::Authority;
use crate::post::asking::{X_SERVICE, X_TUN};
use crate::reject::Rejection;

/// What it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// A tunnel: CONNECT, or a POST with a service.
    Tunnel(Authority),
    /// A tunnel with TLS inside: a POST with `x-tun`.
    Inside(Authority),
    /// Anything else that HTTP is for.
    Other,
}

impl Errand {
    /// What a head asks for; `services` are destinations by name.
    ///
    /// # Errors
    /// [`Rejection::Repeated`] for a field that decides and stands twice, [`Rejection::Authority`] for what is no
    /// destination.
    pub(crate) fn of(request: &Request, services: &BTreeMap<String, Authority>) -> Result<Self, Rejection> {
        let authority = || destination(request.authority().unwrap_or_default());
        if request.is_connect() {
            return authority().map(Self::Tunnel);
        }
        if request.method() != b"POST" || request.protocol().is_some() {
            return Ok(Self::Other);
        }
        if let Some(at) = single(request, X_TUN)? {
            return destination(at).map(Self::Inside);
        }
        let Some(service) = single(request, X_SERVICE)? else { return Ok(Self::Other) };
        let known = str::from_utf8(service).ok().and_then(|name| services.get(name));
        known.map_or_else(authority, |at| Ok(at.clone())).map(Self::Tunnel)
    }
}

fn destination(octets: &[u8]) -> Result<Authority, Rejection> {
    Authority::from_octets(octets).map_err(Rejection::Authority)
}

/// The one field of that name.
pub(crate) fn single<'a>(request: &'a Request, name: &'static str) -> Result<Option<&'a [u8]>, Rejection> {
    let mut found = request.fields().iter().filter(|field| field.name == name.as_bytes());
    let first = found.next().map(|field| field.value);
    if found.next().is_some() { Err(Rejection::Repeated { field: name }) } else { Ok(first) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::AuthorityError;

    fn at(text: &str) -> Authority {
        text.parse().unwrap()
    }

    fn post(authority: &str, fields: &[(&str, &str)]) -> Result<Errand, Rejection> {
        let mut request = Request::new("POST", "https", authority, "/");
        for (name, value) in fields {
            request.push(name, value);
        }
        Errand::of(&request, &BTreeMap::from([("web".to_owned(), at("10.0.0.9:80"))]))
    }

    #[test]
    fn a_post_with_a_service_is_a_connect_and_one_with_x_tun_has_tls_inside() {
        let none = BTreeMap::new();
        assert_eq!(Errand::of(&Request::connect("a:1"), &none), Ok(Errand::Tunnel(at("a:1"))));
        assert_eq!(post("a:1", &[("x-service", "web")]), Ok(Errand::Tunnel(at("10.0.0.9:80"))));
        assert_eq!(post("a:1", &[("x-service", "other")]), Ok(Errand::Tunnel(at("a:1"))));
        assert_eq!(post("a", &[("x-tun", "b:2"), ("x-service", "web")]), Ok(Errand::Inside(at("b:2"))));
        assert_eq!(post("a:1", &[]), Ok(Errand::Other));
        let mut get = Request::new("GET", "https", "a:1", "/");
        get.push("x-tun", "b:2");
        assert_eq!(Errand::of(&get, &none), Ok(Errand::Other));
    }

    #[test]
    fn t11_a_field_that_decides_and_stands_twice_is_refused() {
        for name in [X_TUN, X_SERVICE] {
            for second in ["b:2", "c:3"] {
                let twice = post("a:1", &[(name, "b:2"), (name, second)]);
                assert_eq!(twice, Err(Rejection::Repeated { field: name }));
                assert_eq!(twice.unwrap_err().status(false), 400);
            }
        }
    }

    #[test]
    fn t03_x_tun_has_the_one_grammar_of_destinations() {
        for text in ["b", "u@b:2", "b:080", "b:+80", "127.1:80", "b.:80", ""] {
            assert!(matches!(post("a:1", &[("x-tun", text)]), Err(Rejection::Authority(_))), "{text:?}");
        }
        assert_eq!(post("a", &[("x-service", "x")]), Err(Rejection::Authority(AuthorityError::NoPort)));
    }
}
