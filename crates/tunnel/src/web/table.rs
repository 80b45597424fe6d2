//! Where a request goes, by the host that it names and the beginning of its path. The table of a web front.
//!
//! Built by the configuration, asked for each request. Pure: opens nothing, answers nobody.

use std::sync::Arc;

use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::{Method, Version};

use super::path::{PathPrefix, is_ambiguous};
use crate::authority::{Authority, Host, HostName};
use crate::certificates::Certificates;
use crate::matcher::Target;
use crate::way::Way;

/// What a listener of kind `http` or `https` serves.
#[derive(Clone, Debug)]
pub struct WebFront {
    /// The certificates by name; none for requests in the clear.
    pub certificates: Option<Certificates>,
    /// Where requests go; the first that fits wins.
    pub routes: Arc<[WebRoute]>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct WebRoute {
    /// The hosts that requests name, whatever port they name with it; any when none.
    pub host: Option<Target>,
    /// How their path begins.
    pub path: PathPrefix,
    /// Who answers them.
    pub destination: Authority,
    /// Which way leads there.
    pub way: Way,
}

/// Why a request goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// CONNECT: this is no proxy.
    Connect,
    /// Not exactly one host, or none that can be meant.
    Host,
    /// Its path may be taken for another one.
    Path,
    /// It names another host than the certificate was asked for.
    Misdirected,
    /// No route fits.
    Unknown,
}

impl WebFront {
    /// The route of a request that came with that name in TLS, and the host that it names.
    pub(crate) fn find(&self, request: &Parts, sni: Option<&HostName>) -> Result<(&WebRoute, String), Lost> {
        if request.method == Method::CONNECT {
            return Err(Lost::Connect);
        }
        let named = named(request).ok_or(Lost::Host)?;
        let host = host(&named).ok_or(Lost::Host)?;
        // Threat T20: what was proven to the client by a certificate is what it gets.
        if sni.is_some_and(|sni| !matches!(&host, Host::Name(name) if name == sni)) {
            return Err(Lost::Misdirected);
        }
        let path = request.uri.path();
        if is_ambiguous(path) {
            return Err(Lost::Path);
        }
        let at = Authority::new(host, std::num::NonZeroU16::MIN);
        let fits = |route: &&WebRoute| {
            route.host.as_ref().is_none_or(|host| host.matches(&at)) && route.path.matches(path)
        };
        self.routes.iter().find(fits).map(|route| (route, named)).ok_or(Lost::Unknown)
    }
}

/// The host of a request, with its port if there is one (RFC 9112 3.2).
fn named(request: &Parts) -> Option<String> {
    // RFC 9112 3.2.2: what an absolute target says holds, whatever `host` says.
    let in_target = request.uri.authority().map(|authority| authority.as_str().to_owned());
    let mut hosts = request.headers.get_all(HOST).iter();
    let in_field = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.to_str().ok()?.to_owned()),
        (None, None) if request.version == Version::HTTP_10 && in_target.is_some() => None,
        (None | Some(_), _) => return None,
    };
    in_target.or(in_field)
}

fn host(named: &str) -> Option<Host> {
    let named = named.to_ascii_lowercase();
    // The port of the scheme may be left out, and which one it is does not matter here.
    let host = match named.parse::<Authority>() {
        Ok(authority) => authority.host().clone(),
        Err(_) => format!("{named}:1").parse::<Authority>().ok()?.host().clone(),
    };
    Some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Peer;

    fn front(routes: &[(&str, &str, &str)]) -> WebFront {
        let peer = Peer {
            address: "node:15008".parse().unwrap(),
            others: Vec::new(),
            expected: vec!["spiffe://td/ns/a/sa/bob".parse().unwrap()],
        };
        let route = |&(host, path, destination): &(&str, &str, &str)| WebRoute {
            host: (!host.is_empty()).then(|| host.parse().unwrap()),
            path: path.parse().unwrap(),
            destination: destination.parse().unwrap(),
            way: Way::Node(peer.clone()),
        };
        WebFront { certificates: None, routes: routes.iter().map(route).collect() }
    }

    fn request(method: &str, target: &str, hosts: &[&str]) -> Parts {
        let mut request = hyper::Request::builder().method(method).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn find(front: &WebFront, target: &str, hosts: &[&str], sni: Option<&str>) -> Result<String, Lost> {
        let sni = sni.map(|name| name.parse().unwrap());
        let found = front.find(&request("GET", target, hosts), sni.as_ref());
        found.map(|(route, _)| route.destination.to_string())
    }

    #[test]
    fn the_first_route_with_the_host_and_the_beginning_of_the_path_wins() {
        let front = front(&[
            ("web.example", "/api", "api:1"),
            ("web.example", "/", "web:2"),
            ("*.example", "/", "any:3"),
            ("", "/health", "health:4"),
        ]);
        for (host, target, expected) in [
            ("web.example", "/api/x?y", Ok("api:1")),
            ("WEB.example:8080", "/apix", Ok("web:2")),
            ("a.example", "/api", Ok("any:3")),
            ("10.0.0.1", "/health", Ok("health:4")),
            ("[::1]:80", "/health", Ok("health:4")),
            ("other", "/", Err(Lost::Unknown)),
        ] {
            let found = find(&front, target, &[host], None);
            assert_eq!(found.as_deref(), expected.as_deref(), "{host}{target}");
        }
        assert_eq!(find(&front, "http://web.example/", &["other"], None).as_deref(), Ok("web:2"));
    }

    #[test]
    fn t20_a_request_for_another_host_than_tls_was_for_is_misdirected() {
        let front = front(&[("", "/", "web:1")]);
        assert!(find(&front, "/", &["web.example:443"], Some("web.example")).is_ok());
        for host in ["admin.example", "10.0.0.1", "web.example.evil", "sub.web.example"] {
            assert_eq!(find(&front, "/", &[host], Some("web.example")), Err(Lost::Misdirected), "{host}");
        }
        let absolute = find(&front, "http://admin.example/", &["web.example"], Some("web.example"));
        assert_eq!(absolute, Err(Lost::Misdirected));
    }

    #[test]
    fn t20_a_host_that_is_none_or_several_is_refused() {
        let front = front(&[("", "/", "web:1")]);
        for hosts in
            [&[][..], &["a", "b"], &["a", "a"], &[""], &["a b"], &["user@a"], &["a/b"], &["127.1"], &["a."]]
        {
            assert_eq!(find(&front, "/", hosts, None), Err(Lost::Host), "{hosts:?}");
        }
        assert_eq!(find(&front, "/a/../b", &["a"], None), Err(Lost::Path));
        let connect = front.find(&request("CONNECT", "a:443", &["a:443"]), None).map(|_| ());
        assert_eq!(connect, Err(Lost::Connect));
    }
}
