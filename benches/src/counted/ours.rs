//! Both ends with this engine and its driver.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hbone_conn::{Config, Handle, Incoming, Plain, Request, Response, Side, Stream, establish};
use tokio::io::DuplexStream;

use super::scene::{ECHO, FRAME, MESSAGE};

/// The end that opens streams.
pub(super) struct Client {
    handle: Handle,
    _incoming: Incoming,
}

/// Windows do not follow the path: that takes a clock, and a clock makes every run another.
fn config() -> Config {
    Config { max_frame_size: FRAME, window_tuning: false, ..Config::default() }
}

/// Connects both ends; the server serves in a task of its own.
pub(super) async fn connect(near: DuplexStream, far: DuplexStream) -> Client {
    let (_, incoming, driver) = establish(Side::Server, Plain::new(far), config());
    tokio::spawn(driver);
    tokio::spawn(serve(incoming));
    let (handle, incoming, driver) = establish(Side::Client, Plain::new(near), config());
    tokio::spawn(driver);
    handle.ready().await.expect("a handshake");
    Client { handle, _incoming: incoming }
}

impl Client {
    /// An upload on a stream of its own, until the server has ended its direction too.
    pub(super) async fn carry(&mut self, chunks: impl Iterator<Item = Bytes>) {
        let mut stream = self.handle.open(Request::connect("bench:1")).await.expect("a stream");
        for chunk in chunks {
            stream.write_chunk(chunk).await.expect("room");
        }
        stream.finish().expect("the end");
        assert_eq!(stream.response().await.expect("an answer").status(), 200);
        assert_eq!(stream.read_chunk().await.expect("a clean end"), None);
    }

    /// Messages on a stream of its own, each of which comes back before the next.
    pub(super) async fn exchange(&mut self, times: usize) {
        let message = Bytes::from_static(&[1; MESSAGE]);
        let mut stream = self.handle.open(Request::connect(ECHO)).await.expect("a stream");
        for _ in 0..times {
            stream.write_chunk(message.clone()).await.expect("room");
            let mut back = 0;
            while back < MESSAGE {
                back += stream.read_chunk().await.expect("an echo").expect("an echo").len();
            }
        }
        stream.finish().expect("the end");
        assert_eq!(stream.read_chunk().await.expect("a clean end"), None);
    }

    /// So many streams are opened, answered, and ended by both ends.
    pub(super) async fn come_and_go(&mut self, together: usize) {
        let mut streams = Vec::with_capacity(together);
        for _ in 0..together {
            streams.push(self.handle.open(Request::connect("bench:1")).await.expect("a stream"));
        }
        for stream in &mut streams {
            assert_eq!(stream.response().await.expect("an answer").status(), 200);
            stream.finish().expect("the end");
        }
        for mut stream in streams {
            assert_eq!(stream.read_chunk().await.expect("a clean end"), None);
        }
    }
}

/// Answers what comes in at once, then reads one stream after the other to its end and ends it.
async fn serve(mut incoming: Incoming) {
    let (mut open, mut pieces) = (VecDeque::new(), Vec::new());
    loop {
        let accepted = poll_fn(|cx| {
            let accepted = incoming.poll_accept(cx);
            if accepted.is_pending() {
                ready!(drain(cx, &mut open, &mut pieces));
            }
            accepted
        });
        let Some((request, mut stream)) = accepted.await else { return };
        stream.respond(Response::new(200)).expect("the answer");
        if request.authority() == Some(ECHO.as_bytes()) {
            tokio::spawn(echo(stream));
            continue;
        }
        open.push_back(stream);
    }
}

fn drain(cx: &mut Context<'_>, open: &mut VecDeque<Stream>, pieces: &mut Vec<Bytes>) -> Poll<()> {
    while let Some(stream) = open.front_mut() {
        while ready!(stream.poll_read_chunks(cx, pieces, usize::MAX)).expect("octets") {
            pieces.clear();
        }
        stream.finish().expect("the end");
        open.pop_front();
    }
    Poll::Ready(())
}

async fn echo(mut stream: Stream) {
    while let Some(message) = stream.read_chunk().await.expect("a message") {
        stream.write_chunk(message).await.expect("room");
    }
    stream.finish().expect("the end");
}
