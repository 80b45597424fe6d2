//! What the client does through a tunnel: transfers, round trips, many short connections, idle ones. Called by
//! cases.rs. Knows only the address that it connects to, so all contestants get the same.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hbone_benches::payload::Payload;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::server::{APART, READ, WRITE};

/// Which way the octets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client.
    Up,
    /// From the server.
    Down,
}

/// Octets sent and received at a time in a round trip or a short connection.
pub(crate) const MESSAGE: usize = 64;

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// One octet there and back.
pub(crate) async fn probe(address: SocketAddr) -> io::Result<()> {
    round_trip(&mut connect(address).await?, &mut [b'e']).await
}

/// Connections with the server ready behind them, so that a clock can start with the first octet of the transfer.
pub(crate) async fn ready(
    address: SocketAddr,
    way: Way,
    connections: usize,
    each: u64,
) -> io::Result<Vec<TcpStream>> {
    let mut sockets = Vec::new();
    for _ in 0..connections {
        let mut socket = connect(address).await?;
        let mut request = vec![if way == Way::Up { b'u' } else { b'd' }];
        request.extend(each.to_be_bytes());
        socket.write_all(&request).await?;
        expect(socket.read_u8().await? == b'r', "the server is not ready")?;
        sockets.push(socket);
    }
    Ok(sockets)
}

/// Moves `each` octets, a multiple of [`WRITE`], over every connection at once; done when the receivers have all of
/// them.
pub(crate) async fn transfer(sockets: &mut Vec<TcpStream>, way: Way, each: u64) -> io::Result<()> {
    let mut tasks = JoinSet::new();
    for (number, mut socket) in sockets.drain(..).enumerate() {
        let payload = Payload::new(WRITE, number * APART);
        tasks.spawn(async move {
            match way {
                Way::Up => upload(&mut socket, payload, each).await?,
                Way::Down => download(&mut socket, each).await?,
            }
            io::Result::Ok(socket)
        });
    }
    while let Some(done) = tasks.join_next().await {
        sockets.push(done.map_err(io::Error::other)??);
    }
    Ok(())
}

async fn upload(socket: &mut TcpStream, mut payload: Payload, mut left: u64) -> io::Result<()> {
    while left > 0 {
        let piece = payload.piece();
        socket.write_all(&piece).await?;
        left = left.saturating_sub(piece.len() as u64);
    }
    expect(socket.read_u8().await? == b'.', "the server has not received all")
}

async fn download(socket: &mut TcpStream, mut left: u64) -> io::Result<()> {
    socket.write_all(b"g").await?;
    let mut buffer = vec![0; READ];
    while left > 0 {
        let read = socket.read(&mut buffer).await?;
        expect(read > 0, "the server has not sent all")?;
        left = left.saturating_sub(read as u64);
    }
    Ok(())
}

/// The times of round trips over one connection for that long, sorted; those of the first tenth do not count. Each
/// message is sent when the answer to the one before is there.
pub(crate) async fn round_trips(
    address: SocketAddr,
    octets: usize,
    time: Duration,
) -> io::Result<Vec<Duration>> {
    let task = tokio::spawn(async move {
        let mut socket = connect(address).await?;
        let mut message = vec![b'e'; octets];
        let mut times = Vec::new();
        let begin = Instant::now();
        while begin.elapsed() < time {
            let start = Instant::now();
            round_trip(&mut socket, &mut message).await?;
            if begin.elapsed() > time / 10 {
                times.push(start.elapsed());
            }
        }
        times.sort();
        io::Result::Ok(times)
    });
    task.await.map_err(io::Error::other)?
}

/// The same with a message at every `pace`, whether or not those before are answered: else a stall would be one figure,
/// and the quiet before it a thousand.
pub(crate) async fn paced_trips(
    address: SocketAddr,
    octets: usize,
    time: Duration,
    pace: Duration,
) -> io::Result<Vec<Duration>> {
    let (mut read, mut write) = connect(address).await?.into_split();
    let (sent, mut starts) = tokio::sync::mpsc::unbounded_channel();
    let sender = tokio::spawn(async move {
        let message = vec![b'e'; octets];
        let mut due = Instant::now();
        let end = due + time;
        while due < end {
            tokio::time::sleep_until(due.into()).await;
            let _ = sent.send(Instant::now());
            write.write_all(&message).await?;
            due += pace;
        }
        io::Result::Ok(write)
    });
    let receiver = tokio::spawn(async move {
        let mut times = Vec::new();
        let mut message = vec![0; octets];
        while let Some(start) = starts.recv().await {
            read.read_exact(&mut message).await?;
            times.push(start.elapsed());
        }
        io::Result::Ok(times)
    });
    // The connection ends only when all answers are there.
    let _write = sender.await.map_err(io::Error::other)??;
    let mut times = receiver.await.map_err(io::Error::other)??;
    times.sort();
    Ok(times)
}

/// Opens connections one after the other in `lanes` tasks for that long: a message each way, then the end each way.
/// Gives back how many were done in a second.
pub(crate) async fn churn(address: SocketAddr, lanes: usize, time: Duration) -> io::Result<f64> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..lanes {
        tasks.spawn(async move {
            let mut done = 0_u32;
            while start.elapsed() < time {
                let mut socket = connect(address).await?;
                round_trip(&mut socket, &mut [b'e'; MESSAGE]).await?;
                socket.shutdown().await?;
                expect(socket.read(&mut [0; 1]).await? == 0, "octets after the end")?;
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

/// Connections that have carried a message each way and rest since.
pub(crate) async fn rest(address: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut sockets = Vec::with_capacity(count);
    while sockets.len() < count {
        let mut tasks = JoinSet::new();
        for _ in 0..LANES.min(count - sockets.len()) {
            tasks.spawn(async move {
                let mut socket = connect(address).await?;
                round_trip(&mut socket, &mut [b'e'; MESSAGE]).await?;
                io::Result::Ok(socket)
            });
        }
        while let Some(done) = tasks.join_next().await {
            sockets.push(done.map_err(io::Error::other)??);
        }
    }
    Ok(sockets)
}

async fn round_trip(socket: &mut TcpStream, message: &mut [u8]) -> io::Result<()> {
    socket.write_all(message).await?;
    socket.read_exact(message).await.map(drop)
}

/// Uploads that go on until they are told to stop.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    carried: Arc<AtomicU64>,
    tasks: JoinSet<io::Result<()>>,
}

impl Load {
    /// Begins.
    pub(crate) async fn start(address: SocketAddr, connections: usize) -> io::Result<Self> {
        let (stop, carried) = (Arc::default(), Arc::default());
        let mut tasks = JoinSet::new();
        let sockets = ready(address, Way::Up, connections, u64::MAX).await?;
        for (number, socket) in sockets.into_iter().enumerate() {
            let payload = Payload::new(WRITE, number * APART);
            tasks.spawn(keep_sending(socket, payload, Arc::clone(&stop), Arc::clone(&carried)));
        }
        Ok(Self { stop, carried, tasks })
    }

    /// Octets that the senders have handed over so far.
    pub(crate) fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// Ends it and waits until nothing of it is under way.
    pub(crate) async fn stop(mut self) -> io::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(done) = self.tasks.join_next().await {
            done.map_err(io::Error::other)??;
        }
        Ok(())
    }
}

async fn keep_sending(
    mut socket: TcpStream,
    mut payload: Payload,
    stop: Arc<AtomicBool>,
    carried: Arc<AtomicU64>,
) -> io::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let piece = payload.piece();
        socket.write_all(&piece).await?;
        carried.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    socket.shutdown().await?;
    expect(socket.read(&mut [0; 1]).await? == 0, "octets after the end")
}

fn expect(holds: bool, otherwise: &'static str) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, otherwise)) }
}

/// Connections that are opened at a time where only their number matters.
const LANES: usize = 50;
