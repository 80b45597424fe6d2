//! Honest neighbours of an attack: tunnels whose every octet is compared, on a connection and a thread of their own.

use std::net::SocketAddr;

use bytes::Bytes;
use hbone_conn::{Config, Incoming, Plain, Request, Response, Side, Stream, establish};
use tokio::net::{TcpListener, TcpStream};

use crate::row::HONEST;

/// Tunnels of one honest client.
const TUNNELS: u8 = 4;
/// Octets that each sends and gets back.
const OCTETS: usize = 64 * 1024;

/// Sends everything back until the end.
pub(crate) async fn echo(mut stream: Stream) {
    if stream.respond(Response::new(200)).is_err() {
        return;
    }
    while let Ok(Some(data)) = stream.read_chunk().await {
        if stream.write_chunk(data).await.is_err() {
            return;
        }
    }
    // A stream that has failed meanwhile cannot be finished.
    let _ = stream.finish();
}

/// A client in this thread: opens its tunnels and compares what comes back. Panics where an octet is lost.
pub(crate) fn client(server: SocketAddr) {
    in_a_runtime(async move {
        let tcp = TcpStream::connect(server).await.unwrap();
        let (handle, _incoming, driver) =
            establish(Side::Client, Plain::tcp(tcp).unwrap(), Config::default());
        let driver = tokio::spawn(driver);
        let mut tunnels = Vec::new();
        for seed in 0..TUNNELS {
            let stream = handle.open(Request::connect(HONEST)).await.unwrap();
            tunnels.push(tokio::spawn(compare(stream, seed)));
        }
        for tunnel in tunnels {
            tunnel.await.unwrap();
        }
        handle.drain(std::time::Duration::from_secs(10));
        driver.await.unwrap();
    });
}

/// A server in this thread: accepts one connection and echoes what it carries. Returns when it has ended.
pub(crate) fn server(listener: std::net::TcpListener) {
    in_a_runtime(async move {
        listener.set_nonblocking(true).unwrap();
        let (tcp, _) = TcpListener::from_std(listener).unwrap().accept().await.unwrap();
        let (_handle, mut incoming, driver): (_, Incoming, _) =
            establish(Side::Server, Plain::tcp(tcp).unwrap(), Config::default());
        tokio::spawn(async move {
            while let Some((_, stream)) = incoming.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        driver.await;
    });
}

/// One tunnel: what is sent must come back, then a clean end.
pub(crate) async fn compare(mut stream: Stream, seed: u8) {
    let sent: Bytes = (0..OCTETS).map(|i| ((i % 251) as u8).wrapping_mul(31).wrapping_add(seed)).collect();
    assert_eq!(stream.response().await.unwrap().status(), 200);
    let (mut reading, mut writing) = stream.into_split();
    let copy = sent.clone();
    let writer = tokio::spawn(async move {
        for piece in copy.chunks(5000) {
            writing.write_chunk(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        writing.finish().unwrap();
    });
    let mut got = Vec::new();
    while let Some(piece) = reading.read_chunk().await.unwrap() {
        got.extend_from_slice(&piece);
    }
    writer.await.unwrap();
    assert!(got == sent, "an honest tunnel lost octets: {} of {} came back", got.len(), sent.len());
}

fn in_a_runtime(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}
