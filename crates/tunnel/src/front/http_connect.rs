//! An HTTP/1.1 proxy for CONNECT (RFC 9110 9.3.6, RFC 9112 3.2.3) and for requests with a whole `http:` URL, as
//! `curl -x` and browsers ask for it.
//!
//! Called by the outbound side through `Front`. A head is at most 8 KiB with 100 fields; what comes behind it is
//! handed on as it came. Strict: what two programs could read in two ways is refused. Reads no answers.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::absolute_form;
use super::account::Account;
use super::error::{FrontError, HeadFault};
use crate::authority::Authority;

/// The far end stands.
pub(super) const GRANTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) destination: Authority,
    /// The head that the destination gets; none after a CONNECT, which the client is told of.
    pub(super) onward: Option<Vec<u8>>,
    /// What came behind the client's head.
    pub(super) behind: Bytes,
}

/// Hears where a client wants to go, and what it said behind it. Says nothing.
///
/// # Errors
/// Its fault.
pub(super) async fn talk<S>(client: &mut S, account: Option<&Account>) -> Result<Asked, FrontError>
where
    S: AsyncRead + Unpin,
{
    let mut buffer = BytesMut::with_capacity(HEAD);
    loop {
        // Never more than a head may have: a client that says more than we hear has it in its socket.
        if (&mut *client).take((HEAD - buffer.len()) as u64).read_buf(&mut buffer).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        if let Some((destination, onward, length)) = head(&buffer, account)? {
            return Ok(Asked { destination, onward, behind: buffer.split_off(length).freeze() });
        }
        if buffer.len() >= HEAD {
            return Err(FrontError::Head(HeadFault::TooLarge));
        }
    }
}

/// What a client is told of its fault, where there is somebody to tell.
pub(super) fn complaint(error: &FrontError) -> Option<Vec<u8>> {
    let (line, field) = if *error == FrontError::Head(HeadFault::TooLarge) {
        ((431, "Request Header Fields Too Large"), "")
    } else if matches!(error, FrontError::Head(_) | FrontError::Destination(_)) {
        ((400, "Bad Request"), "")
    } else if *error == FrontError::Method {
        ((405, "Method Not Allowed"), "Allow: CONNECT\r\n")
    } else if *error == FrontError::WrongPassword {
        ((407, "Proxy Authentication Required"), "Proxy-Authenticate: Basic realm=\"hbone\"\r\n")
    } else {
        return None;
    };
    Some(answer(line, field, &error.to_string()))
}

/// An answer of one line for people, after which the connection ends.
pub(super) fn answer((status, words): (u16, &str), field: &str, text: &str) -> Vec<u8> {
    let text = text.replace(['\r', '\n'], " ");
    format!(
        "HTTP/1.1 {status} {words}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n{field}\r\n{text}\n",
        text.len() + 1
    )
    .into_bytes()
}

/// A whole head's destination, the head that it gets, if any, and the head's length; none while it is not whole.
fn head(octets: &[u8], account: Option<&Account>) -> Result<Option<Whole>, FrontError> {
    // The parser takes line ends and empty first lines that other programs do not.
    if lines_are_odd(octets) {
        return Err(FrontError::Head(HeadFault::Syntax));
    }
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(octets) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(FrontError::Head(HeadFault::TooLarge)),
        Err(_) => return Err(FrontError::Head(HeadFault::Syntax)),
    };
    let is_connect = request.method == Some("CONNECT");
    let whole_url = if is_connect { None } else { absolute_form::rewrite(&request)? };
    if !is_connect && whole_url.is_none() {
        return Err(FrontError::Method);
    }
    let value = |name: &str| {
        let mut found = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        (found.next().map(|field| field.value), found.next().is_some())
    };
    // RFC 9112 3.2: one Host of a request of 1.1, never two. A CONNECT has no content (RFC 9110 9.3.6).
    let (host, twice) = value("host");
    if twice || (host.is_none() && request.version == Some(1)) {
        return Err(FrontError::Head(HeadFault::Host));
    }
    let announces = |name: &&str| value(name).0.is_some_and(|it| it != b"0");
    if is_connect && ["content-length", "transfer-encoding"].iter().any(announces) {
        return Err(FrontError::Head(HeadFault::Content));
    }
    if let Some(account) = account {
        let (said, twice) = value("proxy-authorization");
        if twice || !said.is_some_and(|said| account.is_basic(said)) {
            return Err(FrontError::WrongPassword);
        }
    }
    if let Some((destination, onward)) = whole_url {
        return Ok(Some((destination, Some(onward), length)));
    }
    let target = request.path.unwrap_or_default().to_ascii_lowercase();
    Ok(Some((target.parse().map_err(FrontError::Destination)?, None, length)))
}

type Whole = (Authority, Option<Vec<u8>>, usize);

/// Whether a head, as far as it is there, has a line that does not end in CR LF, or an empty first one.
fn lines_are_odd(octets: &[u8]) -> bool {
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n").map_or(octets.len(), |at| at + 4);
    let head = &octets[..end];
    let bare = |(at, octet): (usize, &u8)| *octet == b'\n' && (at == 0 || head[at - 1] != b'\r');
    head.first() == Some(&b'\r') || head.iter().enumerate().any(bare)
}

/// Octets of a head.
const HEAD: usize = 8 << 10;
/// Fields of a head.
const FIELDS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::AuthorityError;
    use proptest::prelude::*;

    const PLAIN: &str = "CONNECT Web.Example:443 HTTP/1.1\r\nHost: web.example:443\r\nUser-Agent: x\r\n\r\n";

    async fn hear(octets: &[u8], account: Option<&Account>) -> Result<(String, Vec<u8>), FrontError> {
        let mut client = octets;
        let Asked { destination, onward, behind } = talk(&mut client, account).await?;
        Ok((destination.to_string(), [&onward.unwrap_or_default(), &behind[..], client].concat()))
    }

    #[tokio::test]
    async fn every_head_cut_at_every_octet_asks_for_nothing_and_what_is_behind_it_is_kept() {
        for cut in 0..PLAIN.len() {
            let heard = hear(&PLAIN.as_bytes()[..cut], None).await;
            assert_eq!(heard, Err(FrontError::Gone(std::io::ErrorKind::UnexpectedEof)), "cut at {cut}");
        }
        let behind = vec![7; 20_000];
        let octets = [PLAIN.as_bytes(), &behind].concat();
        assert_eq!(hear(&octets, None).await, Ok(("web.example:443".into(), behind.clone())));
        let octets =
            [&b"POST http://Web.Example/a HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n"[..], &behind]
                .concat();
        let sent =
            b"POST /a HTTP/1.1\r\nHost: Web.Example\r\nContent-Length: 20000\r\nConnection: close\r\n\r\n";
        let sent = [&sent[..], &behind].concat();
        assert_eq!(hear(&octets, None).await, Ok(("web.example:80".into(), sent)));
        let old = b"CONNECT [2001:db8::7]:80 HTTP/1.0\r\n\r\n\x16\x03";
        assert_eq!(hear(old, None).await, Ok(("[2001:db8::7]:80".into(), vec![0x16, 3])));
    }

    #[tokio::test]
    async fn what_cannot_be_meant_or_could_be_read_in_two_ways_is_refused_with_its_status() {
        let head = |fault| FrontError::Head(fault);
        let many = format!("CONNECT a:1 HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(100));
        let large = format!("CONNECT a:1 HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(9000));
        let cases = [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", FrontError::Method, "405"),
            ("GET https://a/ HTTP/1.1\r\nhost: a\r\n\r\n", FrontError::Method, "405"),
            ("GET http://a/ HTTP/1.1\r\n\r\n", head(HeadFault::Host), "400"),
            ("connect a:1 HTTP/1.1\r\nhost: a\r\n\r\n", FrontError::Method, "405"),
            ("CONNECT a HTTP/1.1\r\nhost: a\r\n\r\n", FrontError::Destination(AuthorityError::NoPort), "400"),
            (
                "CONNECT u@a:1 HTTP/1.1\r\nhost: a\r\n\r\n",
                FrontError::Destination(AuthorityError::UserInfo),
                "400",
            ),
            ("CONNECT a:1 HTTP/1.1\r\n\r\n", head(HeadFault::Host), "400"),
            ("CONNECT a:1 HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n", head(HeadFault::Host), "400"),
            ("CONNECT a:1 HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n", head(HeadFault::Content), "400"),
            (
                "CONNECT a:1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
                head(HeadFault::Content),
                "400",
            ),
            ("CONNECT a:1 HTTP/1.1\nhost: a\n\n", head(HeadFault::Syntax), "400"),
            ("\r\nCONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", head(HeadFault::Syntax), "400"),
            ("CONNECT a:1 HTTP/1.1\r\nhost : a\r\n\r\n", head(HeadFault::Syntax), "400"),
            ("CONNECT a:1 HTTP/1.1\r\nx: 1\r\n  folded\r\n\r\n", head(HeadFault::Syntax), "400"),
            ("CONNECT  a:1 HTTP/1.1\r\n\r\n", head(HeadFault::Syntax), "400"),
            ("CONNECT a:1 HTTP/2.0\r\n\r\n", head(HeadFault::Syntax), "400"),
            ("\x05\x01\0", head(HeadFault::Syntax), "400"),
            (&many, head(HeadFault::TooLarge), "431"),
            (&large, head(HeadFault::TooLarge), "431"),
        ];
        for (octets, fault, status) in cases {
            assert_eq!(hear(octets.as_bytes(), None).await, Err(fault.clone()), "{octets}");
            let told = String::from_utf8(complaint(&fault).unwrap()).unwrap();
            assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{told}");
            let (_, body) = told.split_once("\r\n\r\n").unwrap();
            assert!(body.ends_with('\n') && body.lines().count() == 1 && body.len() > 10, "{told}");
        }
    }

    #[tokio::test]
    async fn a_password_is_asked_for_where_there_is_one() {
        let account = Account::new("ann", "s3cret").unwrap();
        let with = |field: &str| PLAIN.replace("User-Agent: x", field);
        let good = "Proxy-Authorization: Basic YW5uOnMzY3JldA==";
        assert!(hear(with(good).as_bytes(), Some(&account)).await.is_ok());
        let twice = format!("{good}\r\n{good}");
        for odd in ["X: y", "Proxy-Authorization: Basic YW5uOm5v", "Authorization: Basic x", &twice] {
            let heard = hear(with(odd).as_bytes(), Some(&account)).await;
            assert_eq!(heard, Err(FrontError::WrongPassword), "{odd}");
        }
        let told = String::from_utf8(complaint(&FrontError::WrongPassword).unwrap()).unwrap();
        assert!(told.contains("407") && told.contains("\r\nProxy-Authenticate: Basic "), "{told}");
    }

    proptest! {
        #[test]
        fn any_octets_give_an_answer(octets: Vec<u8>) {
            let _ = head(&octets, None);
            let _ = head(&[b"CONNECT a:1 HTTP/1.1\r\nhost:", &octets[..]].concat(), None);
        }
    }
}
