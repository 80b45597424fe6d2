//! Pairs of connections and data that can be checked, for the tests beside this file.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hbone_conn::{
    Config, ConnectionError, Handle, Incoming, Plain, ReadHalf, Request, Response, Side, Stream, Wire,
    WriteHalf, establish,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One end of a running connection.
pub(crate) struct End {
    pub(crate) handle: Handle,
    pub(crate) incoming: Incoming,
    pub(crate) driver: JoinHandle<ConnectionError>,
}

pub(crate) fn start<W: Wire>(side: Side, wire: W, config: Config) -> End {
    let (handle, incoming, driver) = establish(side, wire, config);
    End { handle, incoming, driver: tokio::spawn(driver) }
}

/// Client and server over a pipe of `size` octets.
pub(crate) fn piped_with(size: usize, client: Config, server: Config) -> (End, End) {
    let (near, far) = tokio::io::duplex(size);
    (start(Side::Client, Plain::new(near), client), start(Side::Server, Plain::new(far), server))
}

pub(crate) fn piped() -> (End, End) {
    piped_with(64 * 1024, Config::default(), Config::default())
}

/// Both ends of a TCP connection over loopback.
pub(crate) async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// Client and server over TCP.
pub(crate) async fn over_tcp() -> (End, End) {
    let (near, far) = sockets().await;
    (
        start(Side::Client, Plain::tcp(near).unwrap(), Config::default()),
        start(Side::Server, Plain::tcp(far).unwrap(), Config::default()),
    )
}

pub(crate) fn connect() -> Request {
    Request::connect("target.example:443")
}

/// A tunnel: the client's and the server's end, answered.
pub(crate) async fn tunnel(client: &End, server: &mut End) -> (Stream, Stream) {
    let mut near = client.handle.open(connect()).await.unwrap();
    let (_, mut far) = server.incoming.accept().await.unwrap();
    far.respond(Response::new(200)).unwrap();
    assert_eq!(near.response().await.unwrap().status(), 200);
    (near, far)
}

/// Accepts CONNECTs for ever and sends everything back.
pub(crate) fn spawn_echo(mut incoming: Incoming) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.accept().await {
            tokio::spawn(async move {
                stream.respond(Response::new(200)).unwrap();
                while let Ok(Some(data)) = stream.read_chunk().await {
                    if stream.write_chunk(data).await.is_err() {
                        return;
                    }
                }
                // A stream that has failed meanwhile cannot be finished.
                let _ = stream.finish();
            });
        }
    })
}

/// `size` octets that repeat in no power of two, different for every seed.
pub(crate) fn pattern(seed: u8, size: usize) -> Bytes {
    (0..size).map(|i| ((i % 251) as u8).wrapping_mul(31).wrapping_add(seed) ^ (i >> 10) as u8).collect()
}

/// Sends `data` in pieces of various sizes and finishes.
pub(crate) async fn send(mut half: WriteHalf, data: Bytes) {
    let mut rest = data;
    for size in [1, 7, 1000, 16_384, 100_000, 3].into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let piece = rest.split_to(size.min(rest.len()));
        half.write_chunk(piece).await.unwrap();
    }
    half.finish().unwrap();
    // The stream lives until its reader is done too.
}

/// Reads until the end.
pub(crate) async fn receive(mut half: ReadHalf) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = half.read_chunk().await.unwrap() {
        all.extend_from_slice(&piece);
    }
    all
}

/// Says where two long texts differ instead of printing them.
pub(crate) fn assert_same(left: &[u8], right: &[u8]) {
    let differ = left.iter().zip(right).position(|(a, b)| a != b);
    assert!(
        left.len() == right.len() && differ.is_none(),
        "{} and {} octets, first difference at {differ:?}",
        left.len(),
        right.len()
    );
}

/// A pipe that moves a few octets at a time, a different number each time, and has no gathered writes.
pub(crate) struct Chopped {
    pipe: DuplexStream,
    turn: usize,
}

impl Chopped {
    pub(crate) const fn new(pipe: DuplexStream) -> Self {
        Self { pipe, turn: 0 }
    }

    fn next(&mut self) -> usize {
        self.turn += 1;
        [1, 2, 9, 5, 300, 17, 4000][self.turn % 7]
    }
}

impl AsyncRead for Chopped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut piece = [0; 4000];
        let size = self.next().min(buffer.remaining());
        let mut target = ReadBuf::new(&mut piece[..size]);
        let result = Pin::new(&mut self.pipe).poll_read(cx, &mut target);
        buffer.put_slice(target.filled());
        result
    }
}

impl AsyncWrite for Chopped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let size = self.next().min(data.len());
        Pin::new(&mut self.pipe).poll_write(cx, &data[..size])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}
