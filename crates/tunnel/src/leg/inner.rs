//! TLS inside a stream as a leg. Only close_notify is an end; END_STREAM comes behind it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hbone_conn::{ErrorCode, Stream, StreamError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use super::Leg;
use crate::outcome::Break;

/// The leg. Boxed: TLS is large.
pub(crate) struct InnerLeg(Option<Box<TlsStream<Stream>>>);

impl InnerLeg {
    pub(crate) fn new(tls: TlsStream<Stream>) -> Self {
        Self(Some(Box::new(tls)))
    }

    fn tls(&mut self) -> io::Result<Pin<&mut TlsStream<Stream>>> {
        // None only once it was released, behind its end.
        self.0.as_deref_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn stream(&mut self) -> Option<&mut Stream> {
        self.0.as_deref_mut().map(|tls| tls.get_mut().0)
    }
}

impl AsyncRead for InnerLeg {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.tls()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for InnerLeg {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.tls()?.poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tls()?.poll_flush(cx)
    }

    /// close_notify, then END_STREAM.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tls()?.poll_shutdown(cx)
    }
}

impl Leg for InnerLeg {
    fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<Break> {
        self.stream().map_or(Poll::Pending, |stream| stream.poll_failure(cx))
    }

    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Break>> {
        self.stream().map_or(Poll::Ready(Ok(())), |stream| stream.poll_left(cx))
    }

    fn reset(&mut self) {
        if let Some(stream) = self.stream() {
            Stream::reset(stream, ErrorCode::CONNECT_ERROR);
        }
    }

    /// END_STREAM may still be on its way behind close_notify: a stream that is dropped before has a RST follow its
    /// own end, which may overtake nothing but frighten whoever is in the middle.
    fn release(&mut self) {
        let Some(tls) = self.0.take() else { return };
        let mut stream = match *tls {
            TlsStream::Client(tls) => tls.into_inner().0,
            TlsStream::Server(tls) => tls.into_inner().0,
        };
        tokio::spawn(async move {
            // What comes behind close_notify is nobody's.
            let rest = async { while let Ok(Some(_)) = stream.read_chunk().await {} };
            let _ = timeout(FAREWELL, rest).await;
        });
    }

    fn broken(&self, error: io::Error) -> Break {
        let kind = error.kind();
        let inner = error.into_inner().and_then(|inner| inner.downcast::<StreamError>().ok());
        inner.map_or(Break::Inner(kind), |error| Break::Stream(*error))
    }
}

/// For END_STREAM behind close_notify.
const FAREWELL: Duration = Duration::from_secs(5);
