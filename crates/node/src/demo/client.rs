//! What the demo does through the tunnel: requests, transfers, endings, round trips, many short connections.
//! Called by mod.rs and measure.rs. Checks what it sees; knows only the address that it connects to.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::http::Connection;
use super::payload::{Payload, Sum};

/// Connects as all of the demo's clients do.
async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let io = TcpStream::connect(address).await?;
    io.set_nodelay(true)?;
    Ok(io)
}

/// Several requests over one connection; gives back how many.
pub(super) async fn requests(address: SocketAddr) -> io::Result<u32> {
    let mut connection = Connection::new(connect(address).await?);
    for _ in 0..REQUESTS {
        connection.send(b"GET /hello HTTP/1.1\r\nHost: demo\r\n\r\n").await?;
        let length = ok(&mut connection).await?;
        let text = connection.text(length).await?;
        expect(text == "hello through the tunnel\n", "the answer has another text")?;
    }
    Ok(REQUESTS)
}

/// Sends a body; with `hashed` both ends digest it and the digests must agree. Gives back the time it took.
pub(super) async fn upload(
    address: SocketAddr,
    payload: &Payload,
    size: u64,
    hashed: bool,
) -> io::Result<Duration> {
    let mut connection = Connection::new(connect(address).await?);
    let mut sum = Sum::new(hashed);
    let start = Instant::now();
    let query = if hashed { "?digest" } else { "" };
    let head = format!("PUT /bytes{query} HTTP/1.1\r\nHost: demo\r\nContent-Length: {size}\r\n\r\n");
    connection.send(head.as_bytes()).await?;
    connection.give(payload, size, &mut sum).await?;
    let length = ok(&mut connection).await?;
    let elapsed = start.elapsed();
    let theirs = connection.text(length).await?;
    expect(theirs == sum.finish(), "what the server received is not what the client sent")?;
    Ok(elapsed)
}

/// Fetches a body; with `hashed` both ends digest it and the digests must agree. Gives back the time it took.
pub(super) async fn download(address: SocketAddr, size: u64, hashed: bool) -> io::Result<Duration> {
    let mut connection = Connection::new(connect(address).await?);
    let mut sum = Sum::new(hashed);
    let start = Instant::now();
    let query = if hashed { "?digest" } else { "" };
    connection.send(format!("GET /bytes/{size}{query} HTTP/1.1\r\nHost: demo\r\n\r\n").as_bytes()).await?;
    let length = ok(&mut connection).await?;
    expect(length == size, "the body has another length")?;
    connection.take(size, &mut sum).await?;
    let elapsed = start.elapsed();
    if hashed {
        connection.send(b"GET /digest HTTP/1.1\r\nHost: demo\r\n\r\n").await?;
        let length = ok(&mut connection).await?;
        let theirs = connection.text(length).await?;
        expect(theirs == sum.finish(), "what the client received is not what the server sent")?;
    }
    Ok(elapsed)
}

/// Ends the own direction and still gets the answer: a FIN arrives as a FIN and leaves the other direction open.
pub(super) async fn half_close(address: SocketAddr, payload: &Payload) -> io::Result<()> {
    let mut io = connect(address).await?;
    let mut sum = Sum::new(true);
    let piece = payload.piece(0, HALF_CLOSE);
    sum.update(&piece);
    io.write_all(&piece).await?;
    io.shutdown().await?;
    let mut answer = String::new();
    io.read_to_string(&mut answer).await?;
    expect(answer == sum.finish(), "the answer after the end of the request is not its digest")
}

/// The server resets: the client must see a reset and no clean end.
pub(super) async fn reset_by_server(address: SocketAddr) -> io::Result<()> {
    let mut io = connect(address).await?;
    io.write_all(b"x").await?;
    match io.read(&mut [0; 16]).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::other("the server has reset, the client sees a clean end")),
    }
}

/// The client resets after a first round trip; how the server saw it is for the caller to ask.
pub(super) async fn reset_by_client(address: SocketAddr) -> io::Result<()> {
    let mut io = connect(address).await?;
    round_trip(&mut io, &mut [7; 64]).await?;
    io.set_zero_linger()
}

/// The times of round trips of 64 octets over one connection, sorted.
pub(super) async fn round_trips(address: SocketAddr, count: usize) -> io::Result<Vec<Duration>> {
    let mut io = connect(address).await?;
    let mut octets = [7; 64];
    for _ in 0..count / 10 {
        round_trip(&mut io, &mut octets).await?;
    }
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        round_trip(&mut io, &mut octets).await?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times)
}

/// Opens connections one after the other in `lanes` tasks for that long, 64 octets each way in each.
/// Gives back how many were done in a second.
pub(super) async fn churn(address: SocketAddr, lanes: usize, time: Duration) -> io::Result<f64> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..lanes {
        tasks.spawn(async move {
            let mut done = 0_u32;
            while start.elapsed() < time {
                let mut io = connect(address).await?;
                round_trip(&mut io, &mut [7; 64]).await?;
                io.shutdown().await?;
                let rest = io.read(&mut [0; 1]).await?;
                expect(rest == 0, "octets after the end")?;
                done += 1;
            }
            io::Result::Ok(done)
        });
    }
    let mut total = 0;
    while let Some(done) = tasks.join_next().await {
        total += done.map_err(io::Error::other)??;
    }
    Ok(f64::from(total) / start.elapsed().as_secs_f64())
}

async fn round_trip(io: &mut TcpStream, octets: &mut [u8; 64]) -> io::Result<()> {
    io.write_all(octets).await?;
    io.read_exact(octets).await?;
    Ok(())
}

/// The length of the body of an answer that must be 200.
async fn ok(connection: &mut Connection) -> io::Result<u64> {
    let head = connection.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    expect(head.start.starts_with("HTTP/1.1 200 "), "the answer is not 200")?;
    Ok(head.length)
}

fn expect(holds: bool, otherwise: &'static str) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, otherwise)) }
}

const REQUESTS: u32 = 100;
/// Small enough to be one slice of the ring.
const HALF_CLOSE: u64 = 100_000;
