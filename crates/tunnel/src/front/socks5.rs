//! SOCKS5 (RFC 1928), with a user name and a password if the listener asks for them (RFC 1929): CONNECT only.
//!
//! Called by the outbound side through `Front`. Reads exactly its own talk, never an octet behind it. The reply to a
//! request that can be meant is not sent here: it waits for the far end.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::account::Account;
use super::error::FrontError;
use crate::authority::{Authority, AuthorityError, Host};

/// Hears where a client wants to go. When it says nothing that can be meant, it has been told.
///
/// # Errors
/// Its fault.
pub(super) async fn talk<S>(client: &mut S, account: Option<&Account>) -> Result<Authority, FrontError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let [version, methods] = octets(client).await?;
    if version != VERSION {
        return Err(FrontError::NotSocks5 { version });
    }
    let methods = many(client, methods).await?;
    let wanted = if account.is_some() { PASSWORD } else { NONE };
    if !methods.contains(&wanted) {
        client.write_all(&[VERSION, NO_METHOD]).await?;
        return Err(FrontError::NoMethod { password: account.is_some() });
    }
    client.write_all(&[VERSION, wanted]).await?;
    if let Some(account) = account {
        authenticate(client, account).await?;
    }
    match request(client).await {
        Ok(destination) => Ok(destination),
        Err(error) => {
            if let Some(code) = code(&error) {
                client.write_all(&reply(code)).await?;
            }
            Err(error)
        }
    }
}

/// A reply: what we are bound to is nobody's business, so the address is none.
pub(super) const fn reply(code: u8) -> [u8; 10] {
    [VERSION, code, 0, V4, 0, 0, 0, 0, 0, 0]
}

/// RFC 1929.
async fn authenticate<S>(client: &mut S, account: &Account) -> Result<(), FrontError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let [version, length] = octets(client).await?;
    if version != NEGOTIATION {
        return Err(FrontError::NotSocks5 { version });
    }
    let user = many(client, length).await?;
    let [length] = octets(client).await?;
    let password = many(client, length).await?;
    let known = account.is(&user, &password);
    client.write_all(&[NEGOTIATION, u8::from(!known)]).await?;
    if known { Ok(()) } else { Err(FrontError::WrongPassword) }
}

async fn request<S: AsyncRead + Unpin>(client: &mut S) -> Result<Authority, FrontError> {
    let [version, command, _, kind] = octets(client).await?;
    if version != VERSION {
        return Err(FrontError::NotSocks5 { version });
    }
    let host = match kind {
        V4 => Ok(Host::Address(IpAddr::V4(Ipv4Addr::from(octets::<4, _>(client).await?)))),
        V6 => Ok(Host::Address(IpAddr::V6(Ipv6Addr::from(octets::<16, _>(client).await?)))),
        NAME => {
            let [length] = octets(client).await?;
            name(&many(client, length).await?)
        }
        kind => return Err(FrontError::AddressType { kind }),
    };
    let port = u16::from_be_bytes(octets(client).await?);
    if command != CONNECT {
        return Err(FrontError::Command { command });
    }
    let port = NonZeroU16::new(port).ok_or(FrontError::Destination(AuthorityError::Port))?;
    Ok(Authority::new(host.map_err(FrontError::Destination)?, port))
}

/// Names are the same in upper and in lower case; a destination has one form.
fn name(octets: &[u8]) -> Result<Host, AuthorityError> {
    str::from_utf8(octets).map_err(|_| AuthorityError::Character)?.to_ascii_lowercase().parse()
}

/// What a client is told of its fault, where RFC 1928 has a word for it.
fn code(error: &FrontError) -> Option<u8> {
    if matches!(error, FrontError::Command { .. }) {
        return Some(7);
    }
    if matches!(error, FrontError::AddressType { .. }) {
        return Some(8);
    }
    matches!(error, FrontError::Destination(_)).then_some(1)
}

async fn octets<const N: usize, S: AsyncRead + Unpin>(client: &mut S) -> io::Result<[u8; N]> {
    let mut octets = [0; N];
    client.read_exact(&mut octets).await?;
    Ok(octets)
}

async fn many<S: AsyncRead + Unpin>(client: &mut S, length: u8) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; usize::from(length)];
    client.read_exact(&mut octets).await?;
    Ok(octets)
}

const VERSION: u8 = 5;
const NEGOTIATION: u8 = 1;
const NONE: u8 = 0;
const PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const V4: u8 = 1;
const NAME: u8 = 3;
const V6: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// What a whole talk of a client is, and what it asks for.
    fn talks() -> Vec<(Vec<u8>, &'static str)> {
        let greeting = [5, 1, 0];
        let request = |address: &[u8]| [&[5, 1, 0], address, &[0x1f, 0x90]].concat();
        let name = [&[NAME, 11][..], b"Web.Example"].concat();
        let v6 = [&[V6][..], &"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets()].concat();
        [
            (request(&[V4, 192, 0, 2, 7]), "192.0.2.7:8080"),
            (request(&v6), "[2001:db8::7]:8080"),
            (request(&name), "web.example:8080"),
        ]
        .map(|(request, asked)| ([&greeting[..], &request].concat(), asked))
        .into()
    }

    fn account() -> Account {
        Account::new("ann", "pw").unwrap()
    }

    fn with_password(password: &[u8], request: &[u8]) -> Vec<u8> {
        let login = [&[1, 3][..], b"ann", &[password.len() as u8], password].concat();
        [&[5, 2, 0, 2][..], &login, &request[3..]].concat()
    }

    /// What comes of octets that are followed by an end, written `piece` at a time, and what was said to it; what
    /// was not read.
    async fn hear(
        octets: &[u8],
        piece: usize,
        account: Option<&Account>,
    ) -> (Result<Authority, FrontError>, Vec<u8>, Vec<u8>) {
        let (mut client, mut server) = tokio::io::duplex(1024);
        let (sent, mut said) = (octets.to_vec(), Vec::new());
        let writing = async {
            for piece in sent.chunks(piece) {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
            client.read_to_end(&mut said).await.unwrap();
        };
        let talking = async {
            let heard = talk(&mut server, account).await;
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).await.unwrap();
            drop(server);
            (heard, rest)
        };
        let (_, (heard, rest)) = tokio::join!(writing, talking);
        (heard, said, rest)
    }

    #[tokio::test]
    async fn t31_every_talk_cut_at_every_octet_asks_for_nothing() {
        for (whole, asked) in talks() {
            let login = with_password(b"pw", &whole);
            for (talk, account) in [(whole, None), (login, Some(account()))] {
                for cut in 0..talk.len() {
                    let (heard, said, _) = hear(&talk[..cut], 1024, account.as_ref()).await;
                    let gone = FrontError::Gone(io::ErrorKind::UnexpectedEof);
                    assert_eq!(heard, Err(gone), "{asked} cut at {cut}");
                    // The method, and that the password is right: never a reply to a request.
                    assert!(said.len() <= 4, "{asked} cut at {cut}: {said:?}");
                }
                for piece in [1, 2, 7, 1024] {
                    let octets = [&talk[..], b"behind"].concat();
                    let (heard, said, rest) = hear(&octets, piece, account.as_ref()).await;
                    assert_eq!(heard.unwrap().to_string(), asked);
                    assert_eq!(rest, b"behind", "what follows is not read here");
                    assert_eq!(said, if account.is_some() { &[5, 2, 1, 0][..] } else { &[5, 0] });
                }
            }
        }
    }

    #[tokio::test]
    async fn t31_what_cannot_be_meant_is_told_with_its_code() {
        let request = |command: u8, rest: &[u8]| [&[5, 1, 0, 5, command, 0], rest].concat();
        let v4 = [V4, 192, 0, 2, 7, 0, 80];
        let cases = [
            (request(2, &v4), FrontError::Command { command: 2 }, 7),
            (request(3, &v4), FrontError::Command { command: 3 }, 7),
            (request(1, &[2, 1, 1, 1]), FrontError::AddressType { kind: 2 }, 8),
            (request(1, &[V4, 1, 2, 3, 4, 0, 0]), FrontError::Destination(AuthorityError::Port), 1),
            (request(1, &[NAME, 0, 0, 80]), FrontError::Destination(AuthorityError::NoHost), 1),
            (request(1, b"\x03\x05127.1\0\x50"), FrontError::Destination(AuthorityError::NumericName), 1),
            (request(1, b"\x03\x03a\r\n\0\x50"), FrontError::Destination(AuthorityError::Character), 1),
        ];
        for (octets, fault, code) in cases {
            let (heard, said, _) = hear(&octets, 1024, None).await;
            assert_eq!(heard, Err(fault));
            assert_eq!(said, [&[5, 0][..], &reply(code)].concat());
        }
    }

    #[tokio::test]
    async fn a_method_and_a_password_are_asked_for_as_the_listener_wants() {
        let (whole, _) = talks().remove(0);
        let account = account();
        let (heard, said, _) = hear(&whole, 1024, Some(&account)).await;
        assert_eq!((heard, said), (Err(FrontError::NoMethod { password: true }), vec![5, 0xff]));
        let (heard, said, _) = hear(&[5, 1, 2], 1024, None).await;
        assert_eq!((heard, said), (Err(FrontError::NoMethod { password: false }), vec![5, 0xff]));
        for wrong in [&b"px"[..], b"", b"pww", b"p"] {
            let (heard, said, _) = hear(&with_password(wrong, &whole), 1024, Some(&account)).await;
            assert_eq!((heard, said), (Err(FrontError::WrongPassword), vec![5, 2, 1, 1]));
        }
        for octets in [&b"\x04\x01"[..], b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"] {
            let (heard, said, _) = hear(octets, 1024, None).await;
            assert_eq!((heard, said), (Err(FrontError::NotSocks5 { version: octets[0] }), Vec::new()));
        }
    }
}
