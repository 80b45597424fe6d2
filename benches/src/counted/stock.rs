//! Both ends with stock `h2`.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::Connection;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use tokio::io::DuplexStream;

use super::scene::{ECHO, FRAME, MESSAGE};

const MIB: u32 = 1024 * 1024;

/// The end that opens streams.
pub(super) struct Client {
    requests: SendRequest<Bytes>,
}

/// Connects both ends, with windows of 4 MiB and 16 MiB if `large`; the server serves in a task of its own.
pub(super) async fn connect(near: DuplexStream, far: DuplexStream, large: bool) -> Client {
    let (mut client, mut server) = (h2::client::Builder::new(), h2::server::Builder::new());
    client.max_frame_size(FRAME);
    server.max_frame_size(FRAME);
    if large {
        client.initial_window_size(4 * MIB).initial_connection_window_size(16 * MIB);
        server.initial_window_size(4 * MIB).initial_connection_window_size(16 * MIB);
    }
    tokio::spawn(async move { serve(server.handshake(far).await.expect("a handshake")).await });
    let (requests, connection) = client.handshake::<_, Bytes>(near).await.expect("a handshake");
    tokio::spawn(async { connection.await.expect("a clean end") });
    Client { requests }
}

fn connect_head(authority: &'static str) -> Request<()> {
    Request::builder().method(Method::CONNECT).uri(authority).body(()).expect("head")
}

impl Client {
    async fn open(&mut self, authority: &'static str) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        poll_fn(|cx| self.requests.poll_ready(cx)).await.expect("room");
        self.requests.send_request(connect_head(authority), false).expect("a stream")
    }

    /// An upload on a stream of its own, until the server has ended its direction too.
    pub(super) async fn carry(&mut self, chunks: impl Iterator<Item = Bytes>) {
        let (response, mut send) = self.open("bench:1").await;
        for chunk in chunks {
            push(&mut send, chunk).await;
        }
        send.send_data(Bytes::new(), true).expect("the end");
        end(&mut response.await.expect("an answer").into_body()).await;
    }

    /// Messages on a stream of its own, each of which comes back before the next.
    pub(super) async fn exchange(&mut self, times: usize) {
        let message = Bytes::from_static(&[1; MESSAGE]);
        let (response, mut send) = self.open(ECHO).await;
        let mut body = response.await.expect("an answer").into_body();
        for _ in 0..times {
            push(&mut send, message.clone()).await;
            let mut back = 0;
            while back < MESSAGE {
                let data = body.data().await.expect("an echo").expect("an echo");
                body.flow_control().release_capacity(data.len()).expect("credit");
                back += data.len();
            }
        }
        send.send_data(Bytes::new(), true).expect("the end");
        end(&mut body).await;
    }

    /// So many streams are opened, answered, and ended by both ends.
    pub(super) async fn come_and_go(&mut self, together: usize) {
        let mut answers = Vec::with_capacity(together);
        for _ in 0..together {
            answers.push(self.open("bench:1").await);
        }
        let mut bodies = Vec::with_capacity(together);
        for (response, mut send) in answers {
            bodies.push(response.await.expect("an answer").into_body());
            send.send_data(Bytes::new(), true).expect("the end");
        }
        for mut body in bodies {
            end(&mut body).await;
        }
    }
}

async fn push(send: &mut SendStream<Bytes>, mut chunk: Bytes) {
    while !chunk.is_empty() {
        send.reserve_capacity(chunk.len());
        let room = poll_fn(|cx| send.poll_capacity(cx)).await.expect("open").expect("room");
        send.send_data(chunk.split_to(room.min(chunk.len())), false).expect("room");
    }
}

async fn echo(mut body: RecvStream, mut send: SendStream<Bytes>) {
    while let Some(data) = body.data().await {
        let data = data.expect("a message");
        body.flow_control().release_capacity(data.len()).expect("credit");
        push(&mut send, data).await;
    }
    send.send_data(Bytes::new(), true).expect("the end");
}

async fn end(body: &mut RecvStream) {
    while let Some(data) = body.data().await {
        assert!(data.expect("a clean end").is_empty());
    }
}

/// A stream of the server that has been answered.
type Answered = (RecvStream, SendStream<Bytes>);

/// Answers what comes in at once, then reads one stream after the other to its end and ends it.
async fn serve(mut connection: Connection<DuplexStream, Bytes>) {
    let mut open = VecDeque::new();
    loop {
        let accepted = poll_fn(|cx| {
            let accepted = connection.poll_accept(cx);
            if accepted.is_pending() {
                ready!(drain(cx, &mut open));
            }
            accepted
        });
        let Some(accepted) = accepted.await else { return };
        let (request, mut respond) = accepted.expect("a stream");
        let send = respond.send_response(Response::new(()), false).expect("the answer");
        if request.uri().authority().is_some_and(|authority| authority == ECHO) {
            tokio::spawn(echo(request.into_body(), send));
            continue;
        }
        open.push_back((request.into_body(), send));
    }
}

fn drain(cx: &mut Context<'_>, open: &mut VecDeque<Answered>) -> Poll<()> {
    while let Some((body, send)) = open.front_mut() {
        while let Some(data) = ready!(body.poll_data(cx)) {
            let data = data.expect("data");
            body.flow_control().release_capacity(data.len()).expect("credit");
        }
        send.send_data(Bytes::new(), true).expect("the end");
        open.pop_front();
    }
    Poll::Ready(())
}
