//! Ends of a tunnel with their outsides in hand: what a test writes outside comes into the tunnel, and the other way.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hbone_conn::{Config, ErrorCode, Handle, Plain, Request, Response, Side, Stream, establish};
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::{Authority, Leaf};
use crate::join::End;
use crate::leg::{AnyLeg, Leg, TcpLeg, UnixLeg};
use crate::tls::Identity;

/// A kind of end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Unix,
    Stream,
    TlsInTcp,
    TlsInStream,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Tcp, Self::Unix, Self::Stream, Self::TlsInTcp, Self::TlsInStream];

    /// Every pair that may stand in a tunnel.
    pub(crate) fn pairs() -> impl Iterator<Item = (Self, Self)> {
        Self::ALL.into_iter().flat_map(|near| Self::ALL.into_iter().map(move |far| (near, far)))
    }

    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::TlsInTcp | Self::TlsInStream)
    }

    /// Whether its outside can tell a cut from an end while it has sent nothing that nobody read.
    pub(crate) fn tells_cuts(self) -> bool {
        self != Self::Unix
    }
}

/// The outside of an end.
pub(crate) trait Outside: AsyncRead + AsyncWrite + Send + Unpin {
    /// Ends it as a reset.
    fn cut(self: Box<Self>);

    /// Ends what is below it in peace, without a word of its own: of TLS, without close_notify.
    fn end_below(&mut self);
}

/// Any outside.
pub(crate) type AnyOutside = Box<dyn Outside>;

impl Outside for TcpStream {
    fn cut(self: Box<Self>) {
        crate::sockets::reset(*self);
    }

    fn end_below(&mut self) {
        SockRef::from(&*self).shutdown(Shutdown::Write).unwrap();
    }
}

impl Outside for UnixStream {
    /// With octets that nobody has read, which is the only way in which a unix socket can say so.
    fn cut(self: Box<Self>) {
        drop(self);
    }

    fn end_below(&mut self) {
        SockRef::from(&*self).shutdown(Shutdown::Write).unwrap();
    }
}

impl Outside for Held {
    fn cut(mut self: Box<Self>) {
        self.stream.reset(ErrorCode::CONNECT_ERROR);
    }

    fn end_below(&mut self) {
        self.stream.finish().unwrap();
    }
}

impl<L: Outside> Outside for TlsStream<L> {
    fn cut(self: Box<Self>) {
        let below = match *self {
            Self::Client(tls) => tls.into_inner().0,
            Self::Server(tls) => tls.into_inner().0,
        };
        Box::new(below).cut();
    }

    fn end_below(&mut self) {
        self.get_mut().0.end_below();
    }
}

/// A stream and the connection that it needs.
pub(crate) struct Held {
    pub(crate) stream: Stream,
    _handle: Handle,
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Held {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Makes ends.
pub(crate) struct Maker {
    inside: Arc<Identity>,
    outside: Arc<Identity>,
}

impl Maker {
    pub(crate) fn new() -> Self {
        let authority = Authority::new();
        let identity = |name: &str| {
            Arc::new(authority.identity(&Leaf::of(&format!("spiffe://td/ns/a/sa/{name}"))).unwrap())
        };
        Self { inside: identity("inside"), outside: identity("outside") }
    }

    /// An end and its outside.
    pub(crate) async fn make(&self, kind: Kind) -> (End, AnyOutside) {
        match kind {
            Kind::Tcp => {
                let (inside, outside) = tcp().await;
                (End::Tcp(inside), Box::new(outside))
            }
            Kind::Unix => {
                let (inside, outside) = UnixStream::pair().unwrap();
                (End::Other(Box::new(UnixLeg::new(inside))), Box::new(outside))
            }
            Kind::Stream => {
                let (inside, outside) = streams().await;
                (End::Stream(inside), Box::new(outside))
            }
            Kind::TlsInTcp => {
                let (inside, outside) = tcp().await;
                self.secured(TcpLeg::new(inside), outside).await
            }
            Kind::TlsInStream => {
                let (inside, outside) = streams().await;
                self.secured(inside, outside).await
            }
        }
    }

    /// TLS of which the inside is the server.
    async fn secured<L: Leg + 'static, O: Outside + 'static>(
        &self,
        inside: L,
        outside: O,
    ) -> (End, AnyOutside) {
        let server = TlsAcceptor::from(self.inside.server_config().unwrap());
        let client = TlsConnector::from(self.outside.client_config(&[self.inside.id().clone()]).unwrap());
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let (inside, outside) = tokio::join!(server.accept(inside), client.connect(name, outside));
        let leg: AnyLeg = Box::new(TlsStream::Server(inside.unwrap()));
        (End::Other(leg), Box::new(TlsStream::Client(outside.unwrap())))
    }
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let outside = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (inside, _) = listener.accept().await.unwrap();
    (inside, outside)
}

/// A stream that the outside has opened and the inside has answered.
async fn streams() -> (Stream, Held) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (handle, _, driver) = establish(Side::Client, Plain::new(ours), Config::default());
    tokio::spawn(driver);
    let (kept, mut incoming, driver) = establish(Side::Server, Plain::new(theirs), Config::default());
    tokio::spawn(driver);
    let mut stream = handle.open(Request::connect("10.0.0.1:80")).await.unwrap();
    let (_, mut inside) = incoming.accept().await.unwrap();
    // As a node does: the connection lives as long as its streams.
    tokio::spawn(async move {
        while incoming.accept().await.is_some() {}
        drop(kept);
    });
    inside.respond(Response::new(200)).unwrap();
    assert_eq!(stream.response().await.unwrap().status(), 200);
    (inside, Held { stream, _handle: handle })
}

/// How a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Fin,
    Reset,
}

/// Reads to the end, whatever it is.
pub(crate) async fn read_end(outside: &mut (impl AsyncRead + Unpin)) -> (Vec<u8>, Ending) {
    let mut octets = Vec::new();
    let read =
        timeout(LONG, outside.read_to_end(&mut octets)).await.expect("neither an end nor a reset came");
    (octets, if read.is_ok() { Ending::Fin } else { Ending::Reset })
}

/// Octets that tell their place; a shorter one is a prefix of a longer.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Reaching it is a failure, never a way to wait.
pub(crate) const LONG: Duration = Duration::from_secs(20);
