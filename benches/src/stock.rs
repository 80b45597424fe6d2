//! Stock `h2` over plain TCP, with default settings or with its best-known ones.

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use tokio::net::TcpStream;

use crate::payload::Payload;

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

const MIB: u32 = 1024 * 1024;

impl Settings {
    /// As `h2` comes.
    pub const DEFAULT: Self = Self { name: "h2 default", windows: None, frame: None, send_buffer: None };
    /// Large windows, frames of 16 KiB.
    pub const WINDOWS: Self = Self { name: "h2 4M/16M", windows: Some((4 * MIB, 16 * MIB)), ..Self::DEFAULT };
    /// Large windows and frames of 1 MiB, a large send buffer.
    pub const LARGE: Self = Self {
        name: "h2 4M/16M, 1M frames",
        windows: Some((4 * MIB, 16 * MIB)),
        frame: Some(MIB),
        send_buffer: Some(4 * MIB as usize),
    };
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

/// Takes uploads until the connection ends.
pub async fn serve_upload(socket: TcpStream, settings: Settings) {
    socket.set_nodelay(true).expect("nodelay");
    let builder = configured!(h2::server::Builder::new(), settings);
    let mut connection = builder.handshake::<_, Bytes>(socket).await.expect("a handshake");
    while let Some(accepted) = connection.accept().await {
        let Ok((request, mut respond)) = accepted else { break };
        tokio::spawn(async move {
            let mut send = respond.send_response(Response::new(()), false).expect("the answer");
            drain(request.into_body()).await;
            send.send_data(Bytes::new(), true).expect("the end");
        });
    }
}

async fn drain(mut body: RecvStream) {
    while let Some(data) = body.data().await {
        let data = data.expect("data");
        body.flow_control().release_capacity(data.len()).expect("credit");
    }
}

/// Uploads `octets` on each of `streams` streams at a time and awaits the other end's own end.
pub async fn upload(socket: TcpStream, settings: Settings, streams: usize, octets: u64, payload: Payload) {
    socket.set_nodelay(true).expect("nodelay");
    let builder = configured!(h2::client::Builder::new(), settings);
    let (client, connection) = builder.handshake::<_, Bytes>(socket).await.expect("a handshake");
    let driver = tokio::spawn(connection);
    let tasks: Vec<_> = (0..streams)
        .map(|_| {
            let (client, payload) = (client.clone(), payload.clone());
            tokio::spawn(async move {
                let mut client = client.ready().await.expect("a stream");
                let request =
                    Request::builder().method(Method::CONNECT).uri("bench:1").body(()).expect("head");
                let (response, send) = client.send_request(request, false).expect("a stream");
                push(send, octets, payload).await;
                drain(response.await.expect("an answer").into_body()).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("an upload panicked");
    }
    drop(client);
    driver.await.expect("the client's driver panicked").expect("a clean end");
}

async fn push(mut send: SendStream<Bytes>, octets: u64, mut payload: Payload) {
    let mut left = octets;
    while left > 0 {
        let mut chunk = payload.next(left);
        left -= chunk.len() as u64;
        while !chunk.is_empty() {
            send.reserve_capacity(chunk.len());
            let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await.expect("open").expect("room");
            let piece = chunk.split_to(room.min(chunk.len()));
            send.send_data(piece, false).expect("room");
        }
    }
    send.send_data(Bytes::new(), true).expect("the end");
}
