//! This engine as a carrier, over every path.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hbone_conn::{Config, Handle, Incoming, Plain, Request, Response, Side, Stream, Tls, Wire, establish};
use tokio::task::JoinHandle;

use crate::carrier::{self, Role};
use crate::identity::{self, NAME};
use crate::path::{End, Link};

/// The client's end.
#[derive(Clone, Debug)]
pub struct Client(Handle);

/// The server's end.
#[derive(Debug)]
pub struct Server(Incoming);

/// A stream of either end.
#[derive(Debug)]
pub struct Carried {
    stream: Stream,
    /// There is no answer to wait for.
    answered: bool,
}

thread_local! {
    /// For what is read: a buffer for each thread, as an application with many streams would keep.
    static PIECES: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
}

/// The client's end of a connection, and the task that runs it.
pub async fn connect(end: End, config: Config) -> (Client, JoinHandle<()>) {
    let (handle, _, task) = match end.link().await {
        Link::Duplex(io) => start(Side::Client, Plain::new(io), config),
        Link::Tcp(io) => start(Side::Client, Plain::new(io), config),
        Link::Counted(io) => start(Side::Client, Plain::new(io), config),
        Link::ForTls(io) => {
            let tls = Tls::connect(io, identity::client(), NAME.try_into().expect("a name")).await;
            start(Side::Client, tls.expect("a handshake"), config)
        }
    };
    (Client(handle), task)
}

/// The server's end of a connection.
pub async fn accept(end: End, config: Config) -> Server {
    let (_, incoming, _) = match end.link().await {
        Link::Duplex(io) => start(Side::Server, Plain::new(io), config),
        Link::Tcp(io) => start(Side::Server, Plain::new(io), config),
        Link::Counted(io) => start(Side::Server, Plain::new(io), config),
        Link::ForTls(io) => {
            let tls = Tls::accept(io, identity::server()).await.expect("a handshake");
            start(Side::Server, tls, config)
        }
    };
    Server(incoming)
}

fn start<W: Wire>(side: Side, wire: W, config: Config) -> (Handle, Incoming, JoinHandle<()>) {
    let (handle, incoming, driver) = establish(side, wire, config);
    (
        handle,
        incoming,
        tokio::spawn(async move {
            driver.await;
        }),
    )
}

impl carrier::Client for Client {
    type Stream = Carried;

    async fn open(&self, role: Role) -> Carried {
        let stream = self.0.open(Request::connect(role.authority())).await.expect("a stream");
        Carried { stream, answered: false }
    }
}

impl carrier::Server for Server {
    type Stream = Carried;

    async fn accept(&mut self) -> Option<(Role, Carried)> {
        let (request, mut stream) = self.0.accept().await?;
        let role = Role::asked_for(request.authority().expect("an authority"));
        stream.respond(Response::new(200)).expect("an answer");
        Some((role, Carried { stream, answered: true }))
    }
}

impl carrier::Stream for Carried {
    async fn answered(&mut self) {
        if !std::mem::replace(&mut self.answered, true) {
            assert_eq!(self.stream.response().await.expect("an answer").status(), 200);
        }
    }

    async fn send(&mut self, piece: Bytes) {
        self.stream.write_chunk(piece).await.expect("room");
    }

    async fn send_last(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.stream.write_chunk(piece).await.expect("room");
        }
        self.stream.finish().expect("an end");
    }

    async fn receive(&mut self) -> usize {
        self.answered().await;
        poll_fn(|cx| PIECES.with_borrow_mut(|pieces| self.poll_receive(cx, pieces))).await
    }
}

impl Carried {
    fn poll_receive(&mut self, cx: &mut Context<'_>, pieces: &mut Vec<Bytes>) -> Poll<usize> {
        ready!(self.stream.poll_read_chunks(cx, pieces, usize::MAX)).expect("octets");
        Poll::Ready(pieces.drain(..).map(|piece| piece.len()).sum())
    }
}
