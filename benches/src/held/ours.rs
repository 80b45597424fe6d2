//! Either end of the script with this engine and its driver.

use bytes::Bytes;
use hbone_conn::{Config, Handle, Incoming, Plain, Request, Response, Side, Stream, establish};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::end::{self, FULL, TOGETHER};
use crate::measure::Account;

pub(super) struct End {
    side: Side,
    handle: Handle,
    incoming: Incoming,
    streams: Vec<Stream>,
}

impl End {
    pub(super) async fn new<T>(side: Side, io: T, account: &Account) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let config = Config { max_concurrent_streams: 1 << 20, ..Config::default() };
        let (handle, incoming, driver) = establish(side, Plain::new(io), config);
        tokio::task::spawn_local(account.charge(driver));
        handle.ready().await.expect("a handshake");
        Self { side, handle, incoming, streams: Vec::new() }
    }

    async fn open(&mut self) -> Stream {
        match self.side {
            Side::Client => self.handle.open(Request::connect("bench:1")).await.expect("a stream"),
            Side::Server => {
                let (_, mut stream) = self.incoming.accept().await.expect("a stream");
                stream.respond(Response::new(200)).expect("the answer");
                stream
            }
        }
    }

    async fn answered(&self, stream: &mut Stream) {
        if self.side == Side::Client {
            assert_eq!(stream.response().await.expect("an answer").status(), 200);
        }
    }
}

impl end::End for End {
    async fn grow(&mut self, to: usize) {
        let from = self.streams.len();
        let mut streams = std::mem::take(&mut self.streams);
        streams.reserve_exact(to - from);
        while streams.len() < to {
            let first = streams.len();
            for _ in 0..TOGETHER.min(to - first) {
                streams.push(self.open().await);
            }
            for stream in &mut streams[first..] {
                self.answered(stream).await;
            }
        }
        self.streams = streams;
    }

    async fn echo(&mut self) {
        let octet = || Bytes::from_static(b"e");
        if self.side == Side::Client {
            for stream in &mut self.streams {
                stream.write_chunk(octet()).await.expect("room");
            }
        }
        for stream in &mut self.streams {
            assert_eq!(stream.read_chunk().await.expect("an octet"), Some(octet()));
            if self.side == Side::Server {
                stream.write_chunk(octet()).await.expect("room");
            }
        }
    }

    async fn leave(&mut self) {
        if self.side == Side::Client {
            for stream in &mut self.streams {
                stream.finish().expect("the end");
            }
        }
        for mut stream in std::mem::take(&mut self.streams) {
            assert_eq!(stream.read_chunk().await.expect("a clean end"), None);
            if self.side == Side::Server {
                stream.finish().expect("the end");
            }
        }
    }

    async fn carry(&mut self, octets: usize) {
        let mut stream = self.open().await;
        if self.side == Side::Client {
            let piece = Bytes::from(vec![7; 64 * 1024]);
            for _ in 0..octets / piece.len() {
                stream.write_chunk(piece.clone()).await.expect("room");
            }
            stream.finish().expect("the end");
        }
        while stream.read_chunk().await.expect("octets").is_some() {}
        self.answered(&mut stream).await;
        stream.finish().expect("the end");
    }

    async fn stall(&mut self, piece: usize) {
        let mut stream = self.open().await;
        self.answered(&mut stream).await;
        if self.side == Side::Client {
            let piece = Bytes::from(vec![7; piece]);
            while timeout(FULL, stream.write_chunk(piece.clone())).await.is_ok() {
                tokio::task::yield_now().await;
            }
        }
        self.streams.push(stream);
    }

    fn abandon(&mut self) {
        self.streams = Vec::new();
    }
}
