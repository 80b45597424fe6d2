//! Octets both ways: intact, half-closed, many at once, and a stalled reader that blocks only itself.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use hbone_conn::{Config, OpenError, Peer, Plain, Request, Response, Side};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    Chopped, End, assert_same, connect, over_tcp, pattern, piped, piped_with, receive, send, spawn_echo,
    start, tunnel,
};

async fn echo_is_intact(client: End, server: End, size: usize) {
    let echo = spawn_echo(server.incoming);
    let mut stream = client.handle.open(connect()).await.unwrap();
    assert_eq!(stream.response().await.unwrap().status(), 200);
    let (reader, writer) = stream.into_split();
    let data = pattern(1, size);
    let sender = tokio::spawn(send(writer, data.clone()));
    assert_same(&receive(reader).await, &data);
    sender.await.unwrap();
    echo.abort();
}

#[tokio::test]
async fn several_mib_come_back_intact_over_a_pipe() {
    let (client, server) = piped();
    echo_is_intact(client, server, 5 << 20).await;
}

#[tokio::test]
async fn several_mib_come_back_intact_over_tcp() {
    let (client, server) = over_tcp().await;
    echo_is_intact(client, server, 8 << 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_mib_come_back_intact_across_threads() {
    let (client, server) = over_tcp().await;
    echo_is_intact(client, server, 8 << 20).await;
}

#[tokio::test]
async fn a_pipe_smaller_than_a_frame_is_enough() {
    let (client, server) = piped_with(100, Config::default(), Config::default());
    echo_is_intact(client, server, 200_000).await;
}

#[tokio::test]
async fn a_wire_without_gathered_writes_that_moves_single_octets_is_enough() {
    let (near, far) = tokio::io::duplex(5000);
    let client = start(Side::Client, Plain::new(Chopped::new(near)), Config::default());
    let server = start(Side::Server, Plain::new(Chopped::new(far)), Config::default());
    echo_is_intact(client, server, 300_000).await;
}

#[tokio::test]
async fn both_directions_carry_different_octets_at_once() {
    let (client, mut server) = over_tcp().await;
    let (near, far) = tunnel(&client, &mut server).await;
    let (near_reader, near_writer) = near.into_split();
    let (far_reader, far_writer) = far.into_split();
    let (up, down) = (pattern(3, 3 << 20), pattern(4, 2 << 20));
    let (got_down, got_up, (), ()) = tokio::join!(
        receive(near_reader),
        receive(far_reader),
        send(near_writer, up.clone()),
        send(far_writer, down.clone())
    );
    assert_same(&got_up, &up);
    assert_same(&got_down, &down);
}

#[tokio::test]
async fn half_close_ends_one_direction_and_leaves_the_other() {
    let (client, mut server) = piped();
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    near.write_chunk(Bytes::from_static(b"last words")).await.unwrap();
    near.finish().unwrap();
    let mut heard = Vec::new();
    far.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"last words");
    let answer = pattern(5, 1 << 20);
    let writer = async {
        far.write_all(&answer).await.unwrap();
        far.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let (_, result) = tokio::join!(writer, near.read_to_end(&mut got));
    result.unwrap();
    assert_same(&got, &answer);
    assert!(near.write_all(b"more").await.is_err(), "finished is finished");
}

#[tokio::test]
async fn gathered_reads_take_everything_under_one_lock_and_stop_at_the_end() {
    let (client, mut server) = piped();
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    let data = pattern(6, 150_000);
    near.write_chunk(data.clone()).await.unwrap();
    near.finish().unwrap();
    let mut all = Vec::new();
    let mut pieces = Vec::new();
    while poll_fn(|cx| far.poll_read_chunks(cx, &mut pieces, 64 * 1024)).await.unwrap() {
        assert!(pieces.iter().map(Bytes::len).sum::<usize>() <= 64 * 1024);
        all.extend(pieces.drain(..).flatten());
    }
    assert_same(&all, &data);
}

#[tokio::test]
async fn request_and_response_heads_arrive_as_they_were_given() {
    let (client, mut server) = piped();
    let mut request = Request::new("POST", "https", "host.example", "/path?query");
    request.push("x-token", "value");
    let mut near = client.handle.open(request).await.unwrap();
    let (got, mut far) = server.incoming.accept().await.unwrap();
    assert_eq!((got.method(), got.path()), (&b"POST"[..], Some(&b"/path?query"[..])));
    assert_eq!(got.field("x-token"), Some(&b"value"[..]));
    assert_eq!(far.id(), near.id());
    let mut response = Response::new(403);
    response.push("x-reason", "because");
    far.respond_and_finish(response).unwrap();
    drop(far);
    let got = near.response().await.unwrap();
    assert_eq!((got.status(), got.field("x-reason")), (403, Some(&b"because"[..])));
    assert_eq!(near.read_chunk().await, Ok(None), "the response was the end");
}

#[tokio::test]
async fn two_hundred_streams_at_once_keep_their_octets_apart() {
    let (client, server) = over_tcp().await;
    client.handle.ready().await.unwrap();
    let echo = spawn_echo(server.incoming);
    let mut tasks = Vec::new();
    for seed in 0..200 {
        let handle = client.handle.clone();
        tasks.push(tokio::spawn(async move {
            let stream = handle.open(connect()).await.unwrap();
            let (reader, writer) = stream.into_split();
            let data = pattern(seed, 20_000 + usize::from(seed) * 100);
            let ((), got) = tokio::join!(send(writer, data.clone()), receive(reader));
            assert_same(&got, &data);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(client.handle.active_streams(), 0);
    echo.abort();
}

#[tokio::test]
async fn more_streams_than_the_peer_allows_wait_in_the_order_of_asking() {
    let limited = Config { max_concurrent_streams: 2, ..Config::default() };
    let (client, mut server) = piped_with(64 * 1024, Config::default(), limited);
    client.handle.ready().await.unwrap();
    let first = client.handle.open(connect()).await.unwrap();
    let second = client.handle.open(connect()).await.unwrap();
    assert_eq!(client.handle.open_slots(), 0);
    assert_eq!(client.handle.try_open(connect()).unwrap_err(), OpenError::Blocked);
    let (order, mut opened) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..4 {
        let (handle, order) = (client.handle.clone(), order.clone());
        tokio::spawn(async move {
            let stream = handle.open(connect()).await.unwrap();
            order.send((number, stream)).unwrap();
        });
        // Current-thread runtime: the task has asked before the next one starts.
        tokio::task::yield_now().await;
    }
    drop((first, second));
    let accept = tokio::spawn(async move { while server.incoming.accept().await.is_some() {} });
    for expected in 0..4 {
        let (number, stream) = opened.recv().await.unwrap();
        assert_eq!(number, expected);
        drop(stream);
    }
    accept.abort();
}

#[tokio::test]
async fn one_who_gives_up_waiting_does_not_block_those_behind() {
    let limited = Config { max_concurrent_streams: 1, ..Config::default() };
    let (client, mut server) = piped_with(64 * 1024, Config::default(), limited);
    client.handle.ready().await.unwrap();
    let held = client.handle.open(connect()).await.unwrap();
    let impatient = tokio::spawn({
        let handle = client.handle.clone();
        async move { handle.open(connect()).await }
    });
    tokio::task::yield_now().await;
    let patient = tokio::spawn({
        let handle = client.handle.clone();
        async move { handle.open(connect()).await.unwrap() }
    });
    tokio::task::yield_now().await;
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    drop(held);
    let accept = tokio::spawn(async move { while server.incoming.accept().await.is_some() {} });
    patient.await.unwrap();
    accept.abort();
}

#[tokio::test]
async fn a_stalled_reader_blocks_only_its_own_stream() {
    let (client, mut server) = over_tcp().await;
    let (mut stalled, mut unread) = tunnel(&client, &mut server).await;
    let piece = pattern(9, 64 * 1024);
    let mut sent = 0;
    // Until window and queue are full and nothing moves any more.
    loop {
        let full = poll_fn(|cx| Poll::Ready(stalled.poll_write_ready(cx).is_pending())).await;
        if full {
            let (mut fast, mut other) = tunnel(&client, &mut server).await;
            let data = pattern(10, 4 << 20);
            let writer = async {
                fast.write_all(&data).await.unwrap();
                fast.shutdown().await.unwrap();
            };
            let mut got = Vec::new();
            let (_, result) = tokio::join!(writer, other.read_to_end(&mut got));
            result.unwrap();
            assert_same(&got, &data);
            if poll_fn(|cx| Poll::Ready(stalled.poll_write_ready(cx).is_pending())).await {
                break;
            }
        }
        stalled.write_chunk(piece.clone()).await.unwrap();
        sent += piece.len();
    }
    assert!(sent < 20 << 20, "{sent} octets for a reader that never read");
    stalled.finish().unwrap();
    let mut got = 0;
    while let Some(data) = unread.read_chunk().await.unwrap() {
        got += data.len();
    }
    assert_eq!(got, sent);
}

#[tokio::test]
async fn the_peers_address_is_known_over_tcp_and_nothing_over_a_pipe() {
    let (client, mut server) = over_tcp().await;
    let (near, far) = tunnel(&client, &mut server).await;
    let (near, far) = (near.peer(), far.peer());
    assert!(near.remote.is_some() && near.remote == far.local && near.local == far.remote);
    assert!(near.certificate.is_none() && near.alpn.is_none() && near.server_name.is_none());
    let (client, _server) = piped();
    assert_eq!(*client.handle.peer(), Peer::default());
}
