//! Body of the fuzz target `fronts`: what clients of SOCKS5 and HTTP CONNECT say, and the header of the PROXY protocol
//! in front of it. Built for tests and fuzzing only.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::account::Account;
use super::{http_connect, preamble, socks5};
use crate::authority::Authority;

/// Hears a client: the first octet is the length of the pieces in which the rest comes, but for its top bit, which has
/// the listener ask for a password.
///
/// # Panics
/// If the way in which it is cut changes what it means, if a front takes octets that are not its own, or if what it
/// understood is no destination.
pub fn fronts(input: &[u8]) {
    let Some((&knobs, octets)) = input.split_first() else { return };
    let account = (knobs & 128 != 0).then(|| Account::new("a", "b").ok()).flatten();
    let pieces = [usize::MAX, usize::from(knobs & 127).max(1)];
    let [whole, cut] = pieces.map(|piece| {
        let mut wire = Wire::new(octets, piece);
        let heard = now(socks5::talk(&mut wire, account.as_ref()));
        if let Ok(destination) = &heard {
            settled(destination);
            assert!(wire.said.len() == 2 || account.is_some(), "T31: no reply before the far end");
        }
        (heard, wire.at, wire.said)
    });
    assert_eq!(whole, cut, "SOCKS5 in other pieces");
    let [whole, cut] = pieces.map(|piece| {
        let mut wire = Wire::new(octets, piece);
        let heard = now(http_connect::talk(&mut wire, account.as_ref()));
        let rest = &octets[wire.at..];
        heard.map(|http_connect::Asked { destination, onward, behind }| {
            settled(&destination);
            assert!(onward.is_none_or(|head| head.ends_with(b"\r\nConnection: close\r\n\r\n")));
            let behind = [&behind[..], rest].concat();
            let head = &octets[..octets.len() - behind.len()];
            assert!(head.ends_with(b"\r\n\r\n") && octets.ends_with(&behind), "not as it came");
            (destination, behind)
        })
    });
    assert_eq!(whole, cut, "HTTP in other pieces");
    let [whole, cut] = pieces.map(|piece| {
        let mut wire = Wire::new(octets, piece);
        (now(preamble::header(&mut wire)), wire.at)
    });
    assert_eq!(whole, cut, "T22: a header in other pieces");
}

fn settled(destination: &Authority) {
    assert_eq!(destination.to_string().parse().as_ref(), Ok(destination), "T03: one spelling");
}

/// What comes of a future that has nothing to wait for.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("all octets are there"),
    }
}

/// A client whose octets come in pieces, and end.
struct Wire<'a> {
    octets: &'a [u8],
    piece: usize,
    at: usize,
    said: Vec<u8>,
}

impl<'a> Wire<'a> {
    const fn new(octets: &'a [u8], piece: usize) -> Self {
        Self { octets, piece, at: 0, said: Vec::new() }
    }
}

impl AsyncRead for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.octets[self.at..];
        let taken = rest.len().min(self.piece).min(buffer.remaining());
        buffer.put_slice(&rest[..taken]);
        self.at += taken;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.said.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn random_octets_upset_no_front(octets: Vec<u8>) {
            fronts(&octets);
        }

        #[test]
        fn t31_nearly_socks_upsets_no_front(knobs: u8, kind in 0_u8..5, command in 0_u8..4, rest: Vec<u8>) {
            let login = if knobs & 128 == 0 { &b""[..] } else { b"\x01\x01a\x01b" };
            let talk = [&[knobs, 5, 2, 0, 2][..], login, &[5, command, 0, kind], &rest].concat();
            fronts(&talk);
        }

        #[test]
        fn nearly_requests_upset_no_front(
            knobs in 0_u8..128,
            target in "[a-zA-Z0-9.:\\[\\]@-]{0,12}",
            field in "(host|content-length|x): ?[ -~]{0,8}",
            end in "(\r\n|\n|\r|\r\n\r\n){1,3}",
        ) {
            let text = format!("CONNECT {target} HTTP/1.1\r\nHost: a\r\n{field}{end}behind");
            fronts(&[&[knobs], text.as_bytes()].concat());
        }

        #[test]
        fn t22_nearly_headers_upset_no_front(knobs: u8, text in "PROXY (TCP4|TCP6|UNKNOWN|X)( [0-9a-f.:]{1,9}){0,5}\r?\n?x") {
            fronts(&[&[knobs], text.as_bytes()].concat());
        }
    }
}
