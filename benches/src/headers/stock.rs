//! Stock `h2`'s frames, through what its feature `unstable` makes public: its compression is not to be had alone.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use h2::Codec;
use h2::frame::{Frame, Headers, Pseudo};
use hbone_frame::Fields;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A transport that takes everything and gives what it was filled with.
#[derive(Default)]
struct Memory {
    octets: Bytes,
    written: usize,
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.octets.is_empty() {
            return Poll::Pending;
        }
        let octets = self.octets.len().min(out.remaining());
        out.put_slice(&self.octets.split_to(octets));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.written += data.len();
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A list as `h2` has it before it is sent, which uses it up. `None` for a list that is no request of its.
pub(super) fn list(fields: &Fields) -> Option<Headers> {
    let text = |name: &str| {
        let field = fields.iter().find(|field| field.name == name.as_bytes())?;
        std::str::from_utf8(field.value).ok()
    };
    let method = Method::from_bytes(text(":method")?.as_bytes()).ok()?;
    let authority = text(":authority")?;
    let uri: Uri = match (text(":scheme"), text(":path")) {
        (Some(scheme), Some(path)) => format!("{scheme}://{authority}{path}").parse().ok()?,
        _ => authority.parse().ok()?,
    };
    let mut map = HeaderMap::new();
    for field in fields.iter().filter(|field| !field.name.starts_with(b":")) {
        map.append(HeaderName::from_bytes(field.name).ok()?, HeaderValue::from_bytes(field.value).ok()?);
    }
    let mut list = Headers::new(1.into(), Pseudo::request(method, uri, None), map);
    list.set_end_stream();
    Some(list)
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// One direction of a connection that sends lists.
pub(super) struct Sender(Codec<Memory, Bytes>);

impl Sender {
    pub(super) fn new() -> Self {
        Self(Codec::new(Memory::default()))
    }

    /// Makes a frame of a list and writes it to nobody.
    pub(super) fn send(&mut self, list: Headers) -> usize {
        self.0.buffer(list.into()).expect("a frame");
        assert!(self.0.flush(&mut context()).is_ready());
        std::mem::take(&mut self.0.get_mut().written)
    }
}

/// One direction of a connection that takes lists.
pub(super) struct Receiver(Codec<Memory, Bytes>);

impl Receiver {
    pub(super) fn new() -> Self {
        Self(Codec::new(Memory::default()))
    }

    /// Takes octets as reads bring them; the number of lists in them, those included that it decompresses and then
    /// refuses, since they hold fields of HTTP/1.1.
    pub(super) fn receive(&mut self, octets: &Bytes) -> usize {
        self.0.get_mut().octets = octets.clone();
        let mut lists = 0;
        while let Poll::Ready(Some(frame)) = Pin::new(&mut self.0).poll_next(&mut context()) {
            lists += usize::from(matches!(frame, Ok(Frame::Headers(_)) | Err(_)));
        }
        lists
    }
}
