//! The ceilings of a run: a bare socket or bare TLS as a carrier of one stream, and encryption alone.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::carrier::{self, Role};
use crate::identity;
use crate::path::{End, Link};
use crate::payload::Payload;

/// Octets of one read.
const READ: usize = 256 * 1024;
/// Octets of one TLS record.
const RECORD: usize = 16 * 1024;
/// A piece under that size does not wait for more.
const SMALL: usize = 16 * 1024;

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// The client's end: it can be opened once.
#[derive(Clone)]
pub struct Client(Arc<Mutex<Option<Carried>>>);

/// The server's end: it accepts once.
pub struct Server {
    role: Role,
    stream: Option<Carried>,
}

/// The connection itself.
pub struct Carried {
    io: Box<dyn Io>,
    buffer: Vec<u8>,
}

/// The client's end of a connection.
pub async fn connect(end: End) -> Client {
    let io: Box<dyn Io> = match end.link().await {
        Link::Duplex(io) => Box::new(io),
        Link::Tcp(io) => Box::new(io),
        Link::Counted(io) => Box::new(io),
        Link::ForTls(io) => Box::new(identity::connect(io).await),
    };
    Client(Arc::new(Mutex::new(Some(Carried::new(io)))))
}

/// The server's end of a connection.
pub async fn accept(end: End, role: Role) -> Server {
    let io: Box<dyn Io> = match end.link().await {
        Link::Duplex(io) => Box::new(io),
        Link::Tcp(io) => Box::new(io),
        Link::Counted(io) => Box::new(io),
        Link::ForTls(io) => Box::new(identity::accept(io).await),
    };
    Server { role, stream: Some(Carried::new(io)) }
}

impl Carried {
    fn new(io: Box<dyn Io>) -> Self {
        Self { io, buffer: vec![0; READ] }
    }
}

impl carrier::Client for Client {
    type Stream = Carried;

    async fn open(&self, _: Role) -> Carried {
        self.0.lock().expect("no panic before").take().expect("a socket carries one stream")
    }
}

impl carrier::Server for Server {
    type Stream = Carried;

    async fn accept(&mut self) -> Option<(Role, Carried)> {
        Some((self.role, self.stream.take()?))
    }
}

impl carrier::Stream for Carried {
    async fn answered(&mut self) {}

    async fn send(&mut self, piece: Bytes) {
        self.io.write_all(&piece).await.expect("room");
        if piece.len() < SMALL {
            self.io.flush().await.expect("room");
        }
    }

    async fn send_last(&mut self, piece: Bytes) {
        self.io.write_all(&piece).await.expect("room");
        self.io.shutdown().await.expect("an end");
    }

    async fn receive(&mut self) -> usize {
        self.io.read(&mut self.buffer).await.expect("octets")
    }
}

/// Seals and opens pieces of 16 KiB with AES-128-GCM until the time is over, as the two ends of a connection would,
/// on one core; how many octets.
pub fn encrypt(span: Duration) -> u64 {
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[7; 16]).expect("a key"));
    let mut payload = Payload::new(RECORD, 0);
    let mut buffer = Vec::with_capacity(2 * RECORD);
    let until = Instant::now() + span;
    let mut octets = 0_u64;
    let nonce = |number: u64| {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&number.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    };
    while Instant::now() < until {
        buffer.clear();
        buffer.extend_from_slice(&payload.piece());
        key.seal_in_place_append_tag(nonce(octets), Aad::empty(), &mut buffer).expect("sealed");
        let opened = key.open_in_place(nonce(octets), Aad::empty(), &mut buffer).expect("opened");
        octets += opened.len() as u64;
    }
    octets
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("role", &self.role).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Carried")
    }
}
