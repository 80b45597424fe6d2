//! Either end of the script with stock `h2`, default windows.

use std::future::poll_fn;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use super::end::{self, FULL, TOGETHER};
use crate::measure::Account;

const MOST_STREAMS: u32 = 1 << 20;
/// As it comes, `h2` ends a connection that carries many small DATA frames.
const ANY: usize = u32::MAX as usize;

/// What the application holds of a stream.
struct Stream {
    send: SendStream<Bytes>,
    receive: RecvStream,
}

impl Stream {
    /// The next octets; an end may come as a piece of none.
    async fn read(&mut self) -> Option<Bytes> {
        loop {
            let data = self.receive.data().await?.expect("data");
            if !data.is_empty() {
                self.receive.flow_control().release_capacity(data.len()).expect("credit");
                return Some(data);
            }
        }
    }

    /// One octet needs no asking for room.
    fn write_octet(&mut self, octet: Bytes) {
        self.send.send_data(octet, false).expect("open");
    }

    async fn write(&mut self, mut data: Bytes) {
        while !data.is_empty() {
            self.send.reserve_capacity(data.len());
            let room = poll_fn(|cx| self.send.poll_capacity(cx)).await.expect("open").expect("room");
            self.send.send_data(data.split_to(room.min(data.len())), false).expect("room");
        }
    }

    fn finish(&mut self) {
        self.send.send_data(Bytes::new(), true).expect("the end");
    }
}

pub(super) struct Client {
    requests: SendRequest<Bytes>,
    streams: Vec<Stream>,
}

impl Client {
    pub(super) async fn new<T>(io: T, account: &Account) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, connection) = h2::client::Builder::new()
            .initial_max_send_streams(MOST_STREAMS as usize)
            .data_frame_budget(ANY)
            .handshake::<_, Bytes>(io)
            .await
            .expect("a handshake");
        tokio::task::spawn_local(account.charge(async { connection.await.expect("a clean end") }));
        Self { requests, streams: Vec::new() }
    }
}

impl end::End for Client {
    async fn grow(&mut self, to: usize) {
        self.streams.reserve_exact(to - self.streams.len());
        while self.streams.len() < to {
            let mut answers = Vec::new();
            for _ in 0..TOGETHER.min(to - self.streams.len()) {
                self.requests = self.requests.clone().ready().await.expect("room");
                let request =
                    Request::builder().method(Method::CONNECT).uri("bench:1").body(()).expect("head");
                answers.push(self.requests.send_request(request, false).expect("a stream"));
            }
            for (answer, send) in answers {
                let receive = answer.await.expect("an answer").into_body();
                self.streams.push(Stream { send, receive });
            }
        }
    }

    async fn echo(&mut self) {
        for stream in &mut self.streams {
            stream.write_octet(Bytes::from_static(b"e"));
        }
        for stream in &mut self.streams {
            assert_eq!(stream.read().await, Some(Bytes::from_static(b"e")));
        }
    }

    async fn leave(&mut self) {
        for stream in &mut self.streams {
            stream.finish();
        }
        for mut stream in std::mem::take(&mut self.streams) {
            assert_eq!(stream.read().await, None);
        }
    }

    async fn carry(&mut self, octets: usize) {
        self.grow(1).await;
        if let Some(mut stream) = self.streams.pop() {
            let piece = Bytes::from(vec![7; 64 * 1024]);
            for _ in 0..octets / piece.len() {
                stream.write(piece.clone()).await;
            }
            stream.finish();
            while stream.read().await.is_some() {}
        }
        self.streams = Vec::new();
    }

    async fn stall(&mut self, piece: usize) {
        self.grow(1).await;
        if let Some(stream) = self.streams.last_mut() {
            let piece = Bytes::from(vec![7; piece]);
            while timeout(FULL, stream.write(piece.clone())).await.is_ok() {
                tokio::task::yield_now().await;
            }
        }
    }

    fn abandon(&mut self) {
        self.streams = Vec::new();
    }
}

pub(super) struct Server {
    accepted: UnboundedReceiver<Stream>,
    streams: Vec<Stream>,
}

impl Server {
    pub(super) async fn new<T>(io: T, account: &Account) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut connection = h2::server::Builder::new()
            .max_concurrent_streams(MOST_STREAMS)
            .data_frame_budget(ANY)
            .handshake::<_, Bytes>(io)
            .await
            .expect("a handshake");
        let (sender, accepted) = unbounded_channel();
        tokio::task::spawn_local(account.charge(async move {
            while let Some(accepted) = connection.accept().await {
                let (request, mut respond) = accepted.expect("a stream");
                let send = respond.send_response(Response::new(()), false).expect("the answer");
                if sender.send(Stream { send, receive: request.into_body() }).is_err() {
                    break;
                }
            }
        }));
        Self { accepted, streams: Vec::new() }
    }
}

impl end::End for Server {
    async fn grow(&mut self, to: usize) {
        self.streams.reserve_exact(to - self.streams.len());
        while self.streams.len() < to {
            self.streams.push(self.accepted.recv().await.expect("a stream"));
        }
    }

    async fn echo(&mut self) {
        for stream in &mut self.streams {
            let octet = stream.read().await.expect("an octet");
            stream.write_octet(octet);
        }
    }

    async fn leave(&mut self) {
        for mut stream in std::mem::take(&mut self.streams) {
            assert_eq!(stream.read().await, None);
            stream.finish();
        }
    }

    async fn carry(&mut self, _: usize) {
        self.grow(1).await;
        if let Some(mut stream) = self.streams.pop() {
            while stream.read().await.is_some() {}
            stream.finish();
        }
        self.streams = Vec::new();
    }

    async fn stall(&mut self, _: usize) {
        self.grow(1).await;
    }

    fn abandon(&mut self) {
        self.streams = Vec::new();
    }
}
