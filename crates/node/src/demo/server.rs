//! The servers that stand behind the demo's second node: HTTP, an echo, one that answers after the end, and
//! one that resets. Started by mod.rs. They know nothing of tunnels.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::http::Connection;
use super::payload::{Payload, Sum};

/// The running servers.
#[derive(Debug)]
pub(super) struct Servers {
    /// `GET /hello`, `GET /bytes/N`, `GET /digest`, `PUT /bytes`.
    pub(super) http: SocketAddr,
    /// Sends back what comes.
    pub(super) echo: SocketAddr,
    /// Reads to the end and then answers with the digest.
    pub(super) after: SocketAddr,
    /// Resets as soon as an octet has come.
    pub(super) reset: SocketAddr,
    /// How connections to the echo ended, as the echo saw it.
    pub(super) ends: mpsc::Receiver<End>,
}

/// How a connection ended for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The other side has finished.
    Clean,
    /// The other side has reset.
    Reset,
}

impl Servers {
    /// Starts all of them on loopback ports that the system chooses.
    pub(super) async fn start(payload: &Payload) -> io::Result<Self> {
        let (http, echo, after, reset) = (bind().await?, bind().await?, bind().await?, bind().await?);
        let (report, ends) = mpsc::channel(1024);
        let servers = Self {
            http: http.local_addr()?,
            echo: echo.local_addr()?,
            after: after.local_addr()?,
            reset: reset.local_addr()?,
            ends,
        };
        let payload = payload.clone();
        tokio::spawn(serve(http, move |io| serve_http(io, payload.clone())));
        tokio::spawn(serve(echo, move |io| serve_echo(io, report.clone())));
        tokio::spawn(serve(after, serve_after));
        tokio::spawn(serve(reset, serve_reset));
        Ok(servers)
    }
}

async fn bind() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

/// Accepts for ever; what a connection ends with is its client's business.
async fn serve<F>(listener: TcpListener, handle: impl Fn(TcpStream) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((io, _)) => {
                let _ = io.set_nodelay(true);
                tokio::spawn(handle(io));
            }
            // Out of descriptors, mostly: let some connections end first.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}

async fn serve_http(io: TcpStream, payload: Payload) -> io::Result<()> {
    let mut connection = Connection::new(io);
    let mut digest = String::new();
    while let Some(head) = connection.head().await? {
        let mut words = head.start.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, hashed) = target.strip_suffix("?digest").map_or((target, false), |path| (path, true));
        let mut sum = Sum::new(hashed);
        let size = path.strip_prefix("/bytes/").and_then(|size| size.parse::<u64>().ok());
        match (method, path, size) {
            ("GET", "/" | "/hello", _) => {
                answer(&mut connection, "200 OK", "hello through the tunnel\n").await?
            }
            ("GET", "/digest", _) => answer(&mut connection, "200 OK", &digest).await?,
            ("GET", _, Some(size)) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
                connection.send(head.as_bytes()).await?;
                connection.give(&payload, size, &mut sum).await?;
                digest = sum.finish();
            }
            ("PUT" | "POST", "/bytes", _) => {
                connection.take(head.length, &mut sum).await?;
                answer(&mut connection, "200 OK", &sum.finish()).await?;
            }
            _ => answer(&mut connection, "404 Not Found", "try /hello or /bytes/1000000\n").await?,
        }
        if head.close {
            break;
        }
    }
    Ok(())
}

async fn answer(connection: &mut Connection, status: &str, text: &str) -> io::Result<()> {
    let length = text.len();
    let kind = "Content-Type: text/plain";
    connection
        .send(format!("HTTP/1.1 {status}\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{text}").as_bytes())
        .await
}

async fn serve_echo(mut io: TcpStream, report: mpsc::Sender<End>) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    let end = loop {
        match io.read(&mut buffer).await {
            Ok(0) => break End::Clean,
            Ok(length) => io.write_all(&buffer[..length]).await?,
            Err(_) => break End::Reset,
        }
    };
    // Nobody listens while the rate of connections is measured: a full queue is no fault.
    let _ = report.try_send(end);
    Ok(())
}

async fn serve_after(mut io: TcpStream) -> io::Result<()> {
    let mut sum = Sum::new(true);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match io.read(&mut buffer).await? {
            0 => break,
            length => sum.update(&buffer[..length]),
        }
    }
    io.write_all(sum.finish().as_bytes()).await?;
    io.shutdown().await
}

async fn serve_reset(mut io: TcpStream) -> io::Result<()> {
    let mut octet = [0];
    io.read_exact(&mut octet).await?;
    io.set_zero_linger()
}
