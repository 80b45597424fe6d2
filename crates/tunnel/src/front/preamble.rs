//! Hears the header of the PROXY protocol in front of what a client says, on listeners that declare it.
//!
//! Called by the outbound side before the front, for connections of declared proxies only. Reads exactly the header.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::error::FrontError;
use crate::proxy_header::{HEAD, HeaderFault, LINE, SIGNATURE, follows, read_one, read_two};

/// Who really calls; none when the proxy speaks for itself.
///
/// # Errors
/// [`FrontError::Header`], or that the client has gone.
pub(crate) async fn hear<S: AsyncRead + Unpin>(client: &mut S) -> Result<Option<SocketAddr>, FrontError> {
    let late = Err(FrontError::Header(HeaderFault::Late));
    timeout(LIMIT, header(client)).await.unwrap_or(late)
}

pub(super) async fn header<S: AsyncRead + Unpin>(client: &mut S) -> Result<Option<SocketAddr>, FrontError> {
    // No header of either version is shorter than this.
    let mut head = [0; SHORTEST];
    client.read_exact(&mut head[..1]).await?;
    if ![SIGNATURE[0], b'P'].contains(&head[0]) {
        return Err(FrontError::Header(HeaderFault::Missing));
    }
    client.read_exact(&mut head[1..]).await?;
    if head.starts_with(&SIGNATURE) {
        let mut whole = [0; HEAD];
        whole[..SHORTEST].copy_from_slice(&head);
        client.read_exact(&mut whole[SHORTEST..]).await?;
        let mut rest = vec![0; follows(&whole).map_err(FrontError::Header)?];
        client.read_exact(&mut rest).await?;
        return read_two(&whole, &rest).map_err(FrontError::Header);
    }
    if !head.starts_with(b"PROXY ") {
        return Err(FrontError::Header(HeaderFault::Missing));
    }
    let mut line = head.to_vec();
    // Octet by octet, at most 92: what follows the line belongs to somebody else.
    while !line.ends_with(b"\r\n") {
        if line.len() >= LINE {
            return Err(FrontError::Header(HeaderFault::TooLong));
        }
        line.push(client.read_u8().await?);
    }
    read_one(&line[..line.len() - 2]).map_err(FrontError::Header)
}

/// For the whole header.
const LIMIT: Duration = Duration::from_secs(5);
/// `PROXY UNKNOWN\r\n`.
const SHORTEST: usize = 15;

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::proxy_header::{ProxyVersion, write};

    fn headers() -> Vec<(Vec<u8>, Option<SocketAddr>)> {
        let (source, to) = ("192.0.2.7:4711".parse().unwrap(), "10.0.0.1:80".parse().unwrap());
        vec![
            (write(ProxyVersion::One, source, to, None), Some(source)),
            (write(ProxyVersion::Two, source, to, None), Some(source)),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
        ]
    }

    #[tokio::test]
    async fn t22_a_header_is_read_to_its_end_and_no_further_and_a_cut_one_says_nothing() {
        for (header, source) in headers() {
            let octets = [&header[..], b"behind"].concat();
            let mut client = &octets[..];
            assert_eq!(hear(&mut client).await, Ok(source));
            assert_eq!(client, b"behind");
            for cut in 0..header.len() {
                let mut client = &header[..cut];
                let gone = Err(FrontError::Gone(io::ErrorKind::UnexpectedEof));
                assert_eq!(hear(&mut client).await, gone, "cut at {cut}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn t22_what_is_none_is_refused_at_once_and_what_is_slow_or_long_in_the_end() {
        let header = |fault| Err(FrontError::Header(fault));
        for octets in
            [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01", b"PROXYING IS FUN", b"\r\n\r\n\0\r\nQUITxxxxx"]
        {
            assert_eq!(hear(&mut { octets }).await, header(HeaderFault::Missing));
        }
        let long = [b"PROXY UNKNOWN ", &[b'x'; 100][..], b"\r\n"].concat();
        assert_eq!(hear(&mut &long[..]).await, header(HeaderFault::TooLong));
        let huge = [&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat();
        assert_eq!(hear(&mut &huge[..]).await, header(HeaderFault::TooLong));
        let (mut slow, _other) = tokio::io::duplex(64);
        let start = tokio::time::Instant::now();
        assert_eq!(hear(&mut slow).await, header(HeaderFault::Late));
        assert_eq!(start.elapsed(), LIMIT);
    }
}
