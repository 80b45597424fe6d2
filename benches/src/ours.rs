//! This engine, with default settings unless told otherwise, over plain TCP.

use hbone_conn::{Config, Handle, Incoming, Plain, Request, Response, Side, Stream, establish};
use tokio::net::TcpStream;

use crate::payload::Payload;

/// Takes one upload: answers a CONNECT, reads to the end, then ends its own direction.
pub async fn serve_upload(socket: TcpStream, config: Config) {
    let (_handle, mut incoming, driver) = connection(Side::Server, socket, config);
    let driver = tokio::spawn(driver);
    while let Some((_, stream)) = incoming.accept().await {
        tokio::spawn(sink(stream));
    }
    driver.await.expect("the server's driver panicked");
}

async fn sink(mut stream: Stream) {
    stream.respond(Response::new(200)).expect("the answer");
    let mut pieces = Vec::new();
    while std::future::poll_fn(|cx| stream.poll_read_chunks(cx, &mut pieces, usize::MAX)).await.expect("data")
    {
        pieces.clear();
    }
    stream.finish().expect("the end");
}

/// Uploads `octets` on each of `streams` streams at a time and awaits the other end's own end.
pub async fn upload(socket: TcpStream, config: Config, streams: usize, octets: u64, payload: Payload) {
    let (handle, _incoming, driver) = connection(Side::Client, socket, config);
    let driver = tokio::spawn(driver);
    let tasks: Vec<_> =
        (0..streams).map(|_| tokio::spawn(upload_one(handle.clone(), octets, payload.clone()))).collect();
    for task in tasks {
        task.await.expect("an upload panicked");
    }
    drop((handle, _incoming));
    driver.await.expect("the client's driver panicked");
}

async fn upload_one(handle: Handle, octets: u64, mut payload: Payload) {
    let mut stream = handle.open(Request::connect("bench:1")).await.expect("a stream");
    let mut left = octets;
    while left > 0 {
        let chunk = payload.next(left);
        left -= chunk.len() as u64;
        stream.write_chunk(chunk).await.expect("room");
    }
    stream.finish().expect("the end");
    assert_eq!(stream.response().await.expect("an answer").status(), 200);
    assert!(stream.read_chunk().await.expect("a clean end").is_none());
}

fn connection(
    side: Side,
    socket: TcpStream,
    config: Config,
) -> (Handle, Incoming, hbone_conn::Driver<Plain<TcpStream>>) {
    establish(side, Plain::tcp(socket).expect("nodelay"), config)
}
