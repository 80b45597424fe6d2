//! The name in a ClientHello that is read and not answered (RFC 8446 4.1.2, RFC 6066 3).
//!
//! Fed by sni.rs with whatever octets have come. Pure: reads no socket, keeps every octet as it came, does linear work,
//! and holds at most [`MOST`] octets and one read. Judges no name, and nothing else that the client says.

use std::fmt;

use bytes::Bytes;

/// A ClientHello on its way in.
#[derive(Debug, Default)]
pub(crate) struct ClientHello {
    /// Everything that came, to be handed on.
    octets: Vec<u8>,
    /// Where the next record begins.
    record: usize,
    /// The handshake message without the heads of its records.
    message: Vec<u8>,
}

/// Why octets are no ClientHello that names one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloError {
    /// The client does not speak TLS.
    NotTls,
    /// It speaks TLS and begins with something else, or breaks its grammar.
    Malformed,
    /// More octets than any client has reason to send (16 KiB).
    TooLong,
    /// It names no server (no `server_name`).
    NoName,
    /// It names several servers.
    SeveralNames,
}

impl ClientHello {
    /// Takes octets as they came. Once the message is whole: the name in it, as it was written.
    ///
    /// # Errors
    /// As soon as it cannot become a ClientHello with one name.
    pub(crate) fn take(&mut self, octets: &[u8]) -> Result<Option<Vec<u8>>, HelloError> {
        self.octets.extend_from_slice(octets);
        while let Some(body) = self.next_record()? {
            self.message.extend_from_slice(&self.octets[body]);
            if let Some(message) = whole(&self.message)? {
                return server_name(message).map(Some);
            }
        }
        Ok(None)
    }

    /// Every octet that was taken.
    pub(crate) fn into_octets(self) -> Bytes {
        self.octets.into()
    }

    /// The place of the next record's content, once all of it is there.
    fn next_record(&mut self) -> Result<Option<std::ops::Range<usize>>, HelloError> {
        let head = &self.octets[self.record..];
        let mismatch = |place: usize, octet: u8| head.get(place).is_some_and(|&it| it != octet);
        // RFC 8446 5.1: handshake, then a version of which only the first octet is to be relied on.
        if mismatch(0, HANDSHAKE) || mismatch(1, 3) {
            return Err(if self.record == 0 { HelloError::NotTls } else { HelloError::Malformed });
        }
        let &[_, _, _, high, low, ..] = head else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let body = self.record + HEAD..self.record + HEAD + length;
        // RFC 8446 5.1: no handshake record is empty.
        if length == 0 {
            return Err(HelloError::Malformed);
        }
        if body.end > MOST {
            return Err(HelloError::TooLong);
        }
        if self.octets.len() < body.end {
            return Ok(None);
        }
        self.record = body.end;
        Ok(Some(body))
    }
}

/// The content of the ClientHello that a message is, once all of it is there.
fn whole(message: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    if message.first().is_some_and(|&kind| kind != CLIENT_HELLO) {
        return Err(HelloError::Malformed);
    }
    let &[_, high, middle, low, ref content @ ..] = message else { return Ok(None) };
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    if length > MOST {
        return Err(HelloError::TooLong);
    }
    match content.len().cmp(&length) {
        std::cmp::Ordering::Less => Ok(None),
        std::cmp::Ordering::Equal => Ok(Some(content)),
        // A client has nothing more to say in the same record before it is answered.
        std::cmp::Ordering::Greater => Err(HelloError::Malformed),
    }
}

/// The one name in a whole ClientHello.
fn server_name(content: &[u8]) -> Result<Vec<u8>, HelloError> {
    let mut rest = Reader(content);
    rest.skip(VERSION_AND_RANDOM)?;
    for list in ["session id", "cipher suites", "compression methods"] {
        if list == "cipher suites" {
            rest.long()?
        } else {
            rest.short()?
        };
    }
    if rest.0.is_empty() {
        // Before TLS 1.2 there may be no extensions at all.
        return Err(HelloError::NoName);
    }
    let mut extensions = Reader(rest.long()?);
    rest.end()?;
    let mut name = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let data = extensions.long()?;
        // RFC 8446 4.2: no two extensions of one type.
        if kind == SERVER_NAME && name.replace(host_name(data)?).is_some() {
            return Err(HelloError::SeveralNames);
        }
    }
    name.ok_or(HelloError::NoName)
}

/// The one name of the extension (RFC 6066 3).
fn host_name(data: &[u8]) -> Result<Vec<u8>, HelloError> {
    let mut data = Reader(data);
    let mut list = Reader(data.long()?);
    data.end()?;
    let kind = list.skip(1)?;
    let name = list.long()?;
    if kind != [HOST_NAME] || name.is_empty() {
        return Err(HelloError::Malformed);
    }
    if !list.0.is_empty() {
        return Err(HelloError::SeveralNames);
    }
    Ok(name.to_vec())
}

/// What is left of a structure.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn skip(&mut self, length: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(HelloError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u16, HelloError> {
        let octets = self.skip(2)?;
        Ok(u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// What a length of one octet announces.
    fn short(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.skip(1)?[0];
        self.skip(length.into())
    }

    /// What a length of two octets announces.
    fn long(&mut self) -> Result<&'a [u8], HelloError> {
        let length = self.number()?;
        self.skip(length.into())
    }

    const fn end(&self) -> Result<(), HelloError> {
        if self.0.is_empty() { Ok(()) } else { Err(HelloError::Malformed) }
    }
}

impl fmt::Display for HelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotTls => "it does not speak TLS",
            Self::Malformed => "its ClientHello is malformed",
            Self::TooLong => "its ClientHello is longer than 16 KiB",
            Self::NoName => "its ClientHello names no server (no SNI)",
            Self::SeveralNames => "its ClientHello names several servers",
        })
    }
}

/// Octets of a ClientHello with the heads of its records.
pub(crate) const MOST: usize = 16 * 1024;
const HEAD: usize = 5;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const VERSION_AND_RANDOM: usize = 2 + 32;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    /// What rustls says to a server of that name.
    fn hello(name: &str) -> Vec<u8> {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let config = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        let name = name.to_owned().try_into().unwrap();
        let mut session = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
        let mut octets = Vec::new();
        session.write_tls(&mut octets).unwrap();
        octets
    }

    fn read(octets: &[u8]) -> Result<Option<Vec<u8>>, HelloError> {
        ClientHello::default().take(octets)
    }

    /// Records with the message of `hello` in pieces of so many octets.
    fn in_records(hello: &[u8], piece: usize) -> Vec<u8> {
        let records = hello[HEAD..].chunks(piece).map(|piece| {
            let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
            [&[HANDSHAKE, 3, 1][..], &length, piece].concat()
        });
        records.collect::<Vec<_>>().concat()
    }

    /// A ClientHello with these extensions, in one record.
    fn with_extensions(extensions: &[u8]) -> Vec<u8> {
        let long = |octets: &[u8]| [&u16::try_from(octets.len()).unwrap().to_be_bytes(), octets].concat();
        let content = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &long(extensions)].concat();
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        let message = [&[CLIENT_HELLO][..], &length[1..], &content].concat();
        [&[HANDSHAKE, 3, 1][..], &long(&message)].concat()
    }

    fn extension(names: &[&str]) -> Vec<u8> {
        let long = |octets: &[u8]| [&u16::try_from(octets.len()).unwrap().to_be_bytes(), octets].concat();
        let list: Vec<u8> =
            names.iter().flat_map(|name| [vec![HOST_NAME], long(name.as_bytes())].concat()).collect();
        [&[0, 0][..], &long(&long(&list))].concat()
    }

    #[test]
    fn t21_a_hello_cut_at_every_octet_names_its_server_and_is_replayed_exactly() {
        let hello = hello("web.example");
        for cut in 0..hello.len() {
            let mut peeked = ClientHello::default();
            assert_eq!(peeked.take(&hello[..cut]), Ok(None), "{cut}");
            assert_eq!(peeked.take(&hello[cut..]), Ok(Some(b"web.example".to_vec())), "{cut}");
            assert_eq!(peeked.into_octets(), hello);
        }
        let mut peeked = ClientHello::default();
        let (last, rest) = hello.split_last().unwrap();
        assert!(rest.iter().all(|&octet| peeked.take(&[octet]) == Ok(None)));
        assert!(peeked.take(&[*last]).unwrap().is_some());
        assert_eq!(peeked.into_octets(), hello);
    }

    #[test]
    fn t21_a_hello_in_records_of_every_size_names_its_server_and_is_replayed_exactly() {
        let whole = hello("web.example");
        for piece in 1..whole.len() - HEAD {
            let records = in_records(&whole, piece);
            assert_eq!(read(&records), Ok(Some(b"web.example".to_vec())), "{piece}");
            let mut peeked = ClientHello::default();
            // What follows the message is the server's.
            peeked.take(&[&records[..], b"\x14\x03\x03\0\x01\x01"].concat()).unwrap();
            assert_eq!(peeked.into_octets(), [&records[..], b"\x14\x03\x03\0\x01\x01"].concat());
        }
    }

    #[test]
    fn t21_no_name_and_two_names_are_refused() {
        assert_eq!(read(&hello("192.0.2.1")), Err(HelloError::NoName));
        assert_eq!(read(&with_extensions(&[])), Err(HelloError::NoName));
        assert_eq!(read(&with_extensions(&extension(&["a.example"]))), Ok(Some(b"a.example".to_vec())));
        let two = extension(&["a.example", "b.example"]);
        assert_eq!(read(&with_extensions(&two)), Err(HelloError::SeveralNames));
        let twice = [extension(&["a.example"]), extension(&["b.example"])].concat();
        assert_eq!(read(&with_extensions(&twice)), Err(HelloError::SeveralNames));
        assert_eq!(read(&with_extensions(&extension(&[]))), Err(HelloError::Malformed));
        assert_eq!(read(&with_extensions(&extension(&[""]))), Err(HelloError::Malformed));
    }

    #[test]
    fn t21_what_is_not_tls_is_refused_at_its_first_octets() {
        for octets in [&b"G"[..], b"SSH-2.0", b"\x16\x02", b"\x80\x2e\x01", b"\0"] {
            assert_eq!(read(octets), Err(HelloError::NotTls), "{octets:?}");
        }
        assert_eq!(read(b"\x16\x03"), Ok(None));
        // A ServerHello; an empty record; an alert in the middle.
        assert_eq!(read(b"\x16\x03\x01\0\x04\x02\0\0\0"), Err(HelloError::Malformed));
        assert_eq!(read(b"\x16\x03\x01\0\0"), Err(HelloError::Malformed));
        assert_eq!(read(b"\x16\x03\x01\0\x01\x01\x15\x03"), Err(HelloError::Malformed));
    }

    #[test]
    fn t21_more_than_16_kib_is_refused_by_the_length_that_it_announces() {
        assert_eq!(read(b"\x16\x03\x01\x40\x00"), Err(HelloError::TooLong));
        assert_eq!(read(b"\x16\x03\x01\0\x04\x01\xff\0\0"), Err(HelloError::TooLong));
        let room = MOST - with_extensions(&extension(&["a.example"])).len() - 4;
        let padding = |length: usize| {
            let length_octets = u16::try_from(length).unwrap().to_be_bytes();
            [&[0, 21][..], &length_octets, &vec![0; length]].concat()
        };
        let fits = [extension(&["a.example"]), padding(room)].concat();
        assert_eq!(with_extensions(&fits).len(), MOST);
        assert_eq!(read(&with_extensions(&fits)), Ok(Some(b"a.example".to_vec())));
        let over = [extension(&["a.example"]), padding(room + 1)].concat();
        assert_eq!(read(&with_extensions(&over)), Err(HelloError::TooLong));
    }

    #[test]
    fn t21_every_length_that_is_wrong_is_refused() {
        let good = with_extensions(&extension(&["a.example"]));
        // Cut inside, with the outer two lengths made to fit.
        for end in HEAD + 5..good.len() {
            let mut cut = good[..end].to_vec();
            let length = u16::try_from(end - HEAD).unwrap().to_be_bytes();
            cut[3..5].copy_from_slice(&length);
            let length = u16::try_from(end - HEAD - 4).unwrap().to_be_bytes();
            cut[7..9].copy_from_slice(&length);
            let expected =
                if end == HEAD + 4 + 34 + 1 + 4 + 2 { HelloError::NoName } else { HelloError::Malformed };
            assert_eq!(read(&cut), Err(expected), "{end}");
        }
        let mut longer = good;
        longer.push(0);
        longer[4] += 1;
        assert_eq!(read(&longer), Err(HelloError::Malformed), "octets behind the message");
    }
}
