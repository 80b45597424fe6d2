//! Stock `h2` as a carrier, over every path, with default settings or with its best-known ones.

use std::future::poll_fn;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::server::TlsStream;

use crate::calls::Counted;
use crate::carrier::{self, Role};
use crate::identity;
use crate::path::{End, Link};

/// Settings of stock `h2` that the benchmarks name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name in tables.
    pub name: &'static str,
    /// Stream window, connection window, in octets.
    pub windows: Option<(u32, u32)>,
    /// SETTINGS_MAX_FRAME_SIZE.
    pub frame: Option<u32>,
    /// The send buffer of a stream, in octets.
    pub send_buffer: Option<usize>,
}

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

impl Settings {
    /// As `h2` comes.
    pub const DEFAULT: Self = Self { name: "h2 default", windows: None, frame: None, send_buffer: None };
    /// Large windows, frames of 16 KiB.
    pub const WINDOWS: Self = Self { name: "h2 4M/16M", windows: Some((4 * MIB, 16 * MIB)), ..Self::DEFAULT };
    /// Large windows and frames of 64 KiB, a large send buffer.
    pub const MEDIUM: Self = Self {
        name: "h2 4M/16M 64K frames",
        frame: Some(64 * KIB),
        send_buffer: Some(4 * MIB as usize),
        ..Self::WINDOWS
    };
    /// Large windows and frames of 1 MiB, a large send buffer.
    pub const LARGE: Self = Self { name: "h2 4M/16M 1M frames", frame: Some(MIB), ..Self::MEDIUM };
    /// Windows for a path with delay.
    pub const FAR: Self = Self {
        name: "h2 16M/16M",
        windows: Some((16 * MIB, 16 * MIB)),
        send_buffer: Some(16 * MIB as usize),
        ..Self::DEFAULT
    };

    /// The settings in words.
    pub fn words(&self) -> String {
        let windows = self.windows.map_or_else(
            || "windows as they come, 64 KiB".to_owned(),
            |(stream, connection)| {
                format!("windows {} MiB a stream, {} MiB a connection", stream / MIB, connection / MIB)
            },
        );
        let frame = self.frame.unwrap_or(16 * KIB) / KIB;
        let buffer = self.send_buffer.unwrap_or(400 * KIB as usize) / KIB as usize;
        format!("{windows}; frames of {frame} KiB; send buffer {buffer} KiB a stream")
    }
}

/// A builder of either side with the settings: two types with the same methods and no trait in common.
macro_rules! configured {
    ($builder:expr, $settings:expr) => {{
        let (mut builder, settings) = ($builder, $settings);
        if let Some((stream, connection)) = settings.windows {
            builder.initial_window_size(stream).initial_connection_window_size(connection);
        }
        if let Some(frame) = settings.frame {
            builder.max_frame_size(frame);
        }
        if let Some(octets) = settings.send_buffer {
            builder.max_send_buffer_size(octets);
        }
        builder
    }};
}

/// The client's end.
#[derive(Clone, Debug)]
pub struct Client(SendRequest<Bytes>);

/// The server's end: `accept` runs the connection.
pub enum Server {
    /// In memory.
    Duplex(h2::server::Connection<DuplexStream, Bytes>),
    /// Over a socket.
    Tcp(h2::server::Connection<TcpStream, Bytes>),
    /// Over a socket whose calls are counted.
    Counted(h2::server::Connection<Counted<TcpStream>, Bytes>),
    /// Over TLS.
    Tls(Box<h2::server::Connection<TlsStream<TcpStream>, Bytes>>),
}

/// A stream of either end.
pub struct Carried {
    send: SendStream<Bytes>,
    response: Option<ResponseFuture>,
    receive: Option<RecvStream>,
}

/// The client's end of a connection, and the task that runs it.
pub async fn connect(end: End, settings: Settings) -> (Client, JoinHandle<()>) {
    match end.link().await {
        Link::Duplex(io) => start(io, settings).await,
        Link::Tcp(io) => start(io, settings).await,
        Link::Counted(io) => start(io, settings).await,
        Link::ForTls(io) => start(identity::connect(io).await, settings).await,
    }
}

async fn start<T>(io: T, settings: Settings) -> (Client, JoinHandle<()>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = configured!(h2::client::Builder::new(), settings);
    let (client, connection) = builder.handshake::<_, Bytes>(io).await.expect("a handshake");
    // Its streams tell how it ended.
    (Client(client), tokio::spawn(async move { drop(connection.await) }))
}

/// The server's end of a connection.
pub async fn accept(end: End, settings: Settings) -> Server {
    let builder = configured!(h2::server::Builder::new(), settings);
    match end.link().await {
        Link::Duplex(io) => Server::Duplex(builder.handshake(io).await.expect("a handshake")),
        Link::Tcp(io) => Server::Tcp(builder.handshake(io).await.expect("a handshake")),
        Link::Counted(io) => Server::Counted(builder.handshake(io).await.expect("a handshake")),
        Link::ForTls(io) => {
            let io = identity::accept(io).await;
            Server::Tls(Box::new(builder.handshake(io).await.expect("a handshake")))
        }
    }
}

impl carrier::Client for Client {
    type Stream = Carried;

    async fn open(&self, role: Role) -> Carried {
        let mut client = self.0.clone().ready().await.expect("a stream");
        let request = Request::builder().method(Method::CONNECT).uri(role.authority()).body(());
        let (response, send) = client.send_request(request.expect("a request"), false).expect("a stream");
        Carried { send, response: Some(response), receive: None }
    }
}

impl carrier::Server for Server {
    type Stream = Carried;

    async fn accept(&mut self) -> Option<(Role, Carried)> {
        let accepted = match self {
            Self::Duplex(connection) => connection.accept().await,
            Self::Tcp(connection) => connection.accept().await,
            Self::Counted(connection) => connection.accept().await,
            Self::Tls(connection) => connection.accept().await,
        };
        let (request, mut respond) = accepted?.ok()?;
        let role = Role::asked_for(request.uri().authority().expect("an authority").as_str().as_bytes());
        let send = respond.send_response(Response::new(()), false).expect("an answer");
        Some((role, Carried { send, response: None, receive: Some(request.into_body()) }))
    }
}

impl Carried {
    async fn push(&mut self, mut piece: Bytes, last: bool) {
        while !piece.is_empty() {
            self.send.reserve_capacity(piece.len());
            let room = poll_fn(|cx| self.send.poll_capacity(cx)).await.expect("open").expect("room");
            let part = piece.split_to(room.min(piece.len()));
            self.send.send_data(part, last && piece.is_empty()).expect("room");
        }
    }
}

impl carrier::Stream for Carried {
    async fn answered(&mut self) {
        if let Some(response) = self.response.take() {
            self.receive = Some(response.await.expect("an answer").into_body());
        }
    }

    async fn send(&mut self, piece: Bytes) {
        self.push(piece, false).await;
    }

    async fn send_last(&mut self, piece: Bytes) {
        if piece.is_empty() {
            self.send.send_data(piece, true).expect("an end");
        } else {
            self.push(piece, true).await;
        }
    }

    async fn receive(&mut self) -> usize {
        self.answered().await;
        let body = self.receive.as_mut().expect("an answer");
        while let Some(data) = body.data().await {
            let data = data.expect("octets");
            body.flow_control().release_capacity(data.len()).expect("credit");
            if !data.is_empty() {
                return data.len();
            }
        }
        0
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

impl std::fmt::Debug for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carried").field("answered", &self.receive.is_some()).finish()
    }
}
