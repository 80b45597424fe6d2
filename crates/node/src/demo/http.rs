//! Just enough HTTP/1.1 for the demo: a connection that reads heads and bodies of known length.
//! Used by server.rs and client.rs. No part of the tunnel.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::payload::{Payload, Sum};

/// A socket and what was read from it beyond the last head.
#[derive(Debug)]
pub(super) struct Connection {
    io: TcpStream,
    buffer: BytesMut,
}

/// The start line and the two things that the demo needs of a head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The first line.
    pub(super) start: String,
    /// Octets of the body.
    pub(super) length: u64,
    /// Whether the connection ends after this message.
    pub(super) close: bool,
}

impl Connection {
    /// Takes a socket over.
    pub(super) fn new(io: TcpStream) -> Self {
        Self { io, buffer: BytesMut::with_capacity(BUFFER) }
    }

    /// The next head; none when the peer has ended before it.
    pub(super) async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = parse(&self.buffer[..end]);
                self.buffer.advance(end + 4);
                return head.map(Some);
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(invalid("a head of more than 8 KiB"));
            }
            match self.io.read_buf(&mut self.buffer).await? {
                0 if self.buffer.is_empty() => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
    }

    /// Reads a body of that many octets and digests it.
    pub(super) async fn take(&mut self, mut length: u64, sum: &mut Sum) -> io::Result<()> {
        while length > 0 {
            if self.buffer.is_empty() {
                self.buffer.reserve(BUFFER);
                if self.io.read_buf(&mut self.buffer).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let piece = usize::try_from(length).unwrap_or(usize::MAX).min(self.buffer.len());
            sum.update(&self.buffer[..piece]);
            self.buffer.advance(piece);
            length -= piece as u64;
        }
        Ok(())
    }

    /// Reads a short body as text.
    pub(super) async fn text(&mut self, length: u64) -> io::Result<String> {
        let length = usize::try_from(length).ok().filter(|length| *length <= MAX_HEAD);
        let length = length.ok_or_else(|| invalid("a text of more than 8 KiB"))?;
        while self.buffer.len() < length {
            if self.io.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(String::from_utf8_lossy(&self.buffer.split_to(length)).into_owned())
    }

    /// Sends octets as they are.
    pub(super) async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.io.write_all(octets).await
    }

    /// Sends a body out of the ring and digests it.
    pub(super) async fn give(&mut self, payload: &Payload, length: u64, sum: &mut Sum) -> io::Result<()> {
        let mut offset = 0;
        while offset < length {
            let piece = payload.piece(offset, length - offset);
            sum.update(&piece);
            self.io.write_all(&piece).await?;
            offset += piece.len() as u64;
        }
        Ok(())
    }
}

/// Lines up to the empty one; names in any case (RFC 9110 5.1).
fn parse(head: &[u8]) -> io::Result<Head> {
    let text = std::str::from_utf8(head).map_err(|_| invalid("a head that is not text"))?;
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let (mut length, mut close) = (0, start.ends_with("HTTP/1.0"));
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("a field without a colon"))?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(|_| invalid("a content-length that is no number"))?;
        } else if name.eq_ignore_ascii_case("connection") {
            close = value.trim().eq_ignore_ascii_case("close");
        }
    }
    Ok(Head { start, length, close })
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

const BUFFER: usize = 256 << 10;
const MAX_HEAD: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_gives_its_start_line_length_and_end() {
        let head = parse(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nConnection: close").unwrap();
        assert_eq!(head, Head { start: "PUT /x HTTP/1.1".into(), length: 12, close: true });
        assert!(parse(b"GET / HTTP/1.1\r\nContent-Length: x").is_err());
        assert!(parse(b"GET / HTTP/1.1\r\nnonsense").is_err());
    }
}
