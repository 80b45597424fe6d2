//! Streams that the server opens, over sockets: `Handle::open` at the server, `Incoming` at the client.

use std::time::Duration;

use hbone_conn::{
    Config, ConnectionError, ErrorCode, Misuse, OpenError, Plain, Request, Response, Side, StreamError,
};
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use crate::support::{
    End, assert_same, connect, pattern, piped_with, receive, send, sockets, spawn_echo, start,
};

const LONG: Duration = Duration::from_secs(3600);

fn extended() -> Config {
    Config { server_streams: true, ..Config::default() }
}

/// Both ends of a connection over TCP.
async fn over_tcp(client: Config, server: Config) -> (End, End) {
    let (near, far) = sockets().await;
    let near = start(Side::Client, Plain::tcp(near).unwrap(), client);
    (near, start(Side::Server, Plain::tcp(far).unwrap(), server))
}

#[tokio::test]
async fn a_server_opens_a_stream_and_octets_go_both_ways_to_their_ends() {
    let (mut client, server) = over_tcp(extended(), extended()).await;
    // Asked for before the client has said that it takes any.
    let mut near = server.handle.open(connect()).await.unwrap();
    let (request, mut far) = client.incoming.accept().await.unwrap();
    assert_eq!((request.authority(), far.id().get()), (Some(&b"target.example:443"[..]), 2));
    far.respond(Response::new(200)).unwrap();
    assert_eq!(near.response().await.unwrap().status(), 200);
    let (up, down) = (pattern(1, 2_000_000), pattern(2, 1_500_000));
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let tasks = [tokio::spawn(send(near_write, up.clone())), tokio::spawn(send(far_write, down.clone()))];
    let (got_down, got_up) = tokio::join!(receive(near_read), receive(far_read));
    assert_same(&got_up, &up);
    assert_same(&got_down, &down);
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn streams_of_both_sides_share_a_connection() {
    let (client, server) = over_tcp(extended(), extended()).await;
    let handles = [client.handle.clone(), server.handle.clone()];
    spawn_echo(client.incoming);
    spawn_echo(server.incoming);
    let mut tasks = JoinSet::new();
    for n in 0..60_u8 {
        let handle = handles[usize::from(n % 2)].clone();
        tasks.spawn(async move {
            let mut stream = handle.open(connect()).await.unwrap();
            assert_eq!(stream.response().await.unwrap().status(), 200);
            let data = pattern(n, 50_000);
            let (read, write) = stream.into_split();
            let (got, ()) = tokio::join!(receive(read), send(write, data.clone()));
            assert_same(&got, &data);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let (client, server) = (handles[0].stats(), handles[1].stats());
    assert_eq!((client.streams_opened, client.streams_accepted), (30, 30));
    assert_eq!((server.streams_opened, server.streams_accepted), (30, 30));
}

#[tokio::test]
async fn without_the_agreement_of_both_a_server_opens_nothing() {
    for (client, server) in [(Config::default(), extended()), (extended(), Config::default())] {
        let (client, server) = over_tcp(client, server).await;
        // In time: it waits for the client's SETTINGS if it has to.
        assert_eq!(server.handle.open(connect()).await.unwrap_err(), OpenError::Role);
        assert_eq!(server.handle.try_open(connect()).unwrap_err(), OpenError::Role);
        assert_eq!(server.handle.open_slots(), 0);
        client.handle.ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_opens_nothing_but_connect() {
    let (_client, server) = over_tcp(extended(), extended()).await;
    let get = Request::new("GET", "https", "a.example", "/");
    let refused = server.handle.open(get).await.unwrap_err();
    assert_eq!(refused, OpenError::Invalid(Misuse::NotConnect));
    // Both have enabled RFC 8441.
    let websocket = Request::extended_connect("websocket", "https", "a.example", "/");
    assert_eq!(server.handle.open(websocket).await.unwrap().id().get(), 2);
}

#[tokio::test]
async fn a_client_that_accepts_nothing_refuses() {
    let (client, server) = over_tcp(extended(), extended()).await;
    drop(client.incoming);
    let mut stream = server.handle.open(connect()).await.unwrap();
    let error = stream.response().await.unwrap_err();
    assert_eq!(error, StreamError::Reset(ErrorCode::REFUSED_STREAM));
    client.handle.ping().await.unwrap();
}

#[tokio::test]
async fn a_server_waits_for_a_slot_at_the_client() {
    let few = Config { max_concurrent_streams: 1, ..extended() };
    let (mut client, server) = over_tcp(few, extended()).await;
    let first = server.handle.open(connect()).await.unwrap();
    assert_eq!(server.handle.try_open(connect()).unwrap_err(), OpenError::Blocked);
    let waiting = tokio::spawn({
        let handle = server.handle.clone();
        async move { handle.open(connect()).await.map(|stream| stream.id().get()) }
    });
    let accepted = client.incoming.accept().await.unwrap();
    drop((first, accepted));
    assert_eq!(waiting.await.unwrap(), Ok(4));
}

#[tokio::test]
async fn a_client_drains_and_a_stream_of_the_server_ends_in_peace() {
    let (mut client, server) = over_tcp(extended(), extended()).await;
    let mut near = server.handle.open(connect()).await.unwrap();
    let (_, mut far) = client.incoming.accept().await.unwrap();
    far.respond(Response::new(200)).unwrap();
    client.handle.drain(LONG);
    // The server hears of it.
    let refused = loop {
        match server.handle.open(connect()).await {
            Err(error) => break error,
            Ok(early) => drop((early, server.handle.ping().await)),
        }
    };
    assert_eq!(refused, OpenError::Draining);
    near.write_chunk("last words".into()).await.unwrap();
    near.finish().unwrap();
    let mut got = String::new();
    far.read_to_string(&mut got).await.unwrap();
    assert_eq!(got, "last words");
    far.finish().unwrap();
    assert_eq!(near.read_chunk().await.unwrap(), None);
    drop((near, far));
    assert_eq!(client.driver.await.unwrap(), ConnectionError::Closed);
    assert_eq!(server.driver.await.unwrap(), ConnectionError::Closed);
}

#[tokio::test]
async fn n7_a_lost_connection_fails_a_stream_of_the_server_at_both_ends() {
    let (mut client, server) = piped_with(64 * 1024, extended(), extended());
    let mut near = server.handle.open(connect()).await.unwrap();
    let (_, mut far) = client.incoming.accept().await.unwrap();
    far.respond(Response::new(200)).unwrap();
    near.response().await.unwrap();
    client.driver.abort();
    assert!(matches!(near.read_chunk().await.unwrap_err(), StreamError::Connection(_)));
    assert!(matches!(far.read_chunk().await.unwrap_err(), StreamError::Connection(_)));
}
