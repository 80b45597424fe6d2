//! A request whose target is a whole URL, as clients send `http:` to a proxy (RFC 9112 3.2.2): what is sent on instead.
//!
//! Called by the HTTP proxy front once a head has been parsed. One connection carries one such request: it goes on with
//! `Connection: close`, so that a second one for another server is never sent to the first. Content goes behind the
//! head as it came, which is why a head whose length of content could be read in two ways is refused.

use httparse::Header;

use super::error::{FrontError, HeadFault};
use crate::authority::Authority;

/// The server of the URL, and the head that it gets; none where the target is no `http:` URL.
///
/// # Errors
/// A URL without a server, and fields that could be read in two ways.
pub(super) fn rewrite(
    request: &httparse::Request<'_, '_>,
) -> Result<Option<(Authority, Vec<u8>)>, FrontError> {
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Ok(None);
    };
    let Some((scheme, rest)) = target.split_at_checked(SCHEME.len()) else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Ok(None);
    }
    if rest.contains('#') {
        return Err(FrontError::Head(HeadFault::Syntax));
    }
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let destination = destination(host)?;
    framing(request.headers)?;
    let path = match path.chars().next() {
        Some('/') => path.to_owned(),
        None if method == "OPTIONS" => "*".to_owned(),
        _ => format!("/{path}"),
    };
    let mut head = format!("{method} {path} HTTP/1.{minor}\r\nHost: {host}\r\n").into_bytes();
    for field in kept(request.headers)? {
        head.extend_from_slice(field.name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(field.value);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"Connection: close\r\n\r\n");
    Ok(Some((destination, head)))
}

/// Port 80 where the URL names none (RFC 9110 4.2.1).
fn destination(host: &str) -> Result<Authority, FrontError> {
    let host = host.to_ascii_lowercase();
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    let text = if has_port { host } else { format!("{host}:80") };
    text.parse().map_err(FrontError::Destination)
}

/// One way to know where the content ends (RFC 9112 6.3).
fn framing(fields: &[Header<'_>]) -> Result<(), FrontError> {
    let count = |name: &str| fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count();
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    if lengths + codings > 1 { Err(FrontError::Head(HeadFault::Content)) } else { Ok(()) }
}

/// The fields that are for the server: none of this connection's own (RFC 9110 7.6.1).
fn kept<'a, 'b>(fields: &'b [Header<'a>]) -> Result<Vec<&'b Header<'a>>, FrontError> {
    let mut own: Vec<String> = OWN.iter().map(|name| (*name).to_owned()).collect();
    for field in fields.iter().filter(|field| field.name.eq_ignore_ascii_case("connection")) {
        let names = std::str::from_utf8(field.value).map_err(|_| FrontError::Head(HeadFault::Syntax))?;
        own.extend(names.split(',').map(|name| name.trim().to_ascii_lowercase()));
    }
    if own.iter().any(|name| FRAMING.contains(&name.as_str())) {
        return Err(FrontError::Head(HeadFault::Content));
    }
    Ok(fields.iter().filter(|field| !own.contains(&field.name.to_ascii_lowercase())).collect())
}

const SCHEME: &str = "http://";
/// What a client may not take away from its request.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];
const OWN: [&str; 9] = [
    "host",
    "connection",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::AuthorityError;

    fn rewritten(head: &str) -> Result<Option<(String, String)>, FrontError> {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut fields);
        request.parse(head.as_bytes()).unwrap();
        let text = |(to, head): (Authority, Vec<u8>)| (to.to_string(), String::from_utf8(head).unwrap());
        rewrite(&request).map(|it| it.map(text))
    }

    #[test]
    fn the_server_gets_its_path_its_name_and_nothing_of_this_connection() {
        let head = "POST http://Web.Example/a?b=c HTTP/1.1\r\nHost: else.example\r\nProxy-Authorization: Basic x\r\n\
                    Proxy-Connection: keep-alive\r\nConnection: x-mine\r\nX-Mine: 1\r\nX-Yours: 2\r\nContent-Length: 3\r\n\r\n";
        let (to, sent) = rewritten(head).unwrap().unwrap();
        assert_eq!(to, "web.example:80");
        assert_eq!(
            sent,
            "POST /a?b=c HTTP/1.1\r\nHost: Web.Example\r\nX-Yours: 2\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
        );
        for (target, to, line) in [
            ("HTTP://a:8080", "a:8080", "GET / HTTP/1.0"),
            ("http://a?q", "a:80", "GET /?q HTTP/1.0"),
            ("http://[2001:db8::7]/x", "[2001:db8::7]:80", "GET /x HTTP/1.0"),
            ("http://[2001:db8::7]:81", "[2001:db8::7]:81", "GET / HTTP/1.0"),
        ] {
            let (found, sent) = rewritten(&format!("GET {target} HTTP/1.0\r\n\r\n")).unwrap().unwrap();
            assert_eq!((found.as_str(), sent.lines().next()), (to, Some(line)), "{target}");
        }
        let (_, sent) = rewritten("OPTIONS http://a HTTP/1.1\r\n\r\n").unwrap().unwrap();
        assert!(sent.starts_with("OPTIONS * HTTP/1.1\r\n"), "{sent}");
        for target in ["/", "https://a/", "ftp://a/", "*", "http:/a"] {
            assert_eq!(rewritten(&format!("GET {target} HTTP/1.1\r\n\r\n")), Ok(None), "{target}");
        }
    }

    #[test]
    fn h16_what_could_be_read_in_two_ways_is_refused() {
        for fields in [
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            "Content-Length: 1\r\nConnection: close, Content-Length",
            "Transfer-Encoding: chunked\r\nConnection: transfer-encoding",
        ] {
            let found = rewritten(&format!("POST http://a/ HTTP/1.1\r\n{fields}\r\n\r\n"));
            assert_eq!(found, Err(FrontError::Head(HeadFault::Content)), "{fields}");
        }
        let found = rewritten("GET http://u:p@a/ HTTP/1.1\r\n\r\n");
        assert_eq!(found, Err(FrontError::Destination(AuthorityError::UserInfo)));
        assert!(matches!(rewritten("GET http:///x HTTP/1.1\r\n\r\n"), Err(FrontError::Destination(_))));
        assert_eq!(rewritten("GET http://a/#f HTTP/1.1\r\n\r\n"), Err(FrontError::Head(HeadFault::Syntax)));
    }
}
