//! Beginning and end of a connection: ready, ping, drain, close, and what happens when all owners are gone.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use hbone_conn::{Config, ConnectionError, ErrorCode, OpenError, Plain, Side, StreamError, Timeout};
use tokio::io::AsyncReadExt;

use crate::support::{connect, over_tcp, pattern, piped, piped_with, sockets, start, tunnel};

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn ready_means_that_the_peer_has_spoken_and_ping_measures_it() {
    let (client, server) = over_tcp().await;
    client.handle.ready().await.unwrap();
    server.handle.ready().await.unwrap();
    assert!(client.handle.is_open());
    let (one, two) = tokio::join!(client.handle.ping(), client.handle.ping());
    assert!(one.unwrap() < LONG && two.unwrap() < LONG);
    assert_eq!(client.handle.stats().streams_opened, 0);
}

#[tokio::test]
async fn more_pings_than_may_be_on_the_way_are_all_answered() {
    let (client, _server) = piped();
    let pings: Vec<_> = (0..100)
        .map(|_| {
            let handle = client.handle.clone();
            tokio::spawn(async move { handle.ping().await })
        })
        .collect();
    for ping in pings {
        ping.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn drain_lets_open_streams_end_and_takes_no_new_ones() {
    let (client, mut server) = over_tcp().await;
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    server.handle.drain(LONG);
    assert!(!server.handle.is_open());
    // The peer hears of it.
    let refused = loop {
        match client.handle.open(connect()).await {
            Err(error) => break error,
            Ok(early) => drop((early, client.handle.ping().await)),
        }
    };
    assert_eq!(refused, OpenError::Draining);
    assert!(!client.handle.is_open());
    let data = pattern(1, 500_000);
    far.write_chunk(data.clone()).await.unwrap();
    far.finish().unwrap();
    let mut got = Vec::new();
    near.read_to_end(&mut got).await.unwrap();
    assert_eq!(got.len(), data.len());
    near.finish().unwrap();
    assert_eq!(far.read_chunk().await, Ok(None));
    assert_eq!(server.handle.closed().await, ConnectionError::Closed);
    assert_eq!(client.handle.closed().await, ConnectionError::Closed);
    assert_eq!(server.driver.await.unwrap(), ConnectionError::Closed);
    assert_eq!(client.driver.await.unwrap(), ConnectionError::Closed);
    assert!(server.incoming.accept().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_deadline_whatever_the_streams_do() {
    let (client, mut server) = piped();
    let (mut near, _far) = tunnel(&client, &mut server).await;
    server.handle.drain(Duration::from_secs(5));
    assert!(matches!(near.read_chunk().await, Err(StreamError::Connection(_))));
    server.handle.closed().await;
    client.handle.closed().await;
}

#[tokio::test]
async fn close_tells_the_peer_the_code() {
    let (client, mut server) = over_tcp().await;
    let (_near, mut far) = tunnel(&client, &mut server).await;
    client.handle.close(ErrorCode::ENHANCE_YOUR_CALM);
    assert_eq!(client.handle.closed().await, ConnectionError::Local(ErrorCode::ENHANCE_YOUR_CALM));
    let ConnectionError::Goaway { code, .. } = server.handle.closed().await else { panic!("no GOAWAY") };
    assert_eq!(code, ErrorCode::ENHANCE_YOUR_CALM);
    assert!(matches!(far.read_chunk().await, Err(StreamError::Connection(ConnectionError::Goaway { .. }))));
    assert!(matches!(client.handle.try_open(connect()), Err(OpenError::Closed(_))));
}

#[tokio::test]
async fn without_owners_a_connection_drains_in_peace() {
    let (client, mut server) = over_tcp().await;
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    drop((client.handle, client.incoming));
    // The stream alone keeps it.
    near.write_chunk(Bytes::from_static(b"still here")).await.unwrap();
    assert_eq!(far.read_chunk().await.unwrap().unwrap(), "still here");
    near.finish().unwrap();
    far.finish().unwrap();
    assert_eq!(near.read_chunk().await, Ok(None));
    drop(near);
    assert_eq!(client.driver.await.unwrap(), ConnectionError::Closed);
    assert_eq!(server.driver.await.unwrap(), ConnectionError::Closed);
}

#[tokio::test]
async fn those_who_wait_to_open_hear_of_the_end() {
    let limited = Config { max_concurrent_streams: 1, ..Config::default() };
    let (client, _server) = piped_with(10_000, Config::default(), limited);
    client.handle.ready().await.unwrap();
    let _held = client.handle.open(connect()).await.unwrap();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let handle = client.handle.clone();
            tokio::spawn(async move { handle.open(connect()).await.map(drop) })
        })
        .collect();
    tokio::task::yield_now().await;
    client.handle.drain(LONG);
    for task in waiting {
        assert_eq!(task.await.unwrap(), Err(OpenError::Draining));
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up() {
    let (near, _far) = tokio::io::duplex(100_000);
    let client = start(Side::Client, Plain::new(near), Config::default());
    let mut stream = client.handle.open(connect()).await.unwrap();
    let error = ConnectionError::Timeout(Timeout::Handshake);
    assert_eq!(client.handle.ready().await, Err(error.clone()));
    assert_eq!(stream.response().await, Err(StreamError::Connection(error.clone())));
    assert_eq!(client.driver.await.unwrap(), error, "the driver ends although the peer never closes");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_does_not_keep_the_driver() {
    // Too small even for the preface.
    let (near, far) = tokio::io::duplex(10);
    let client = start(Side::Client, Plain::new(near), Config::default());
    client.handle.close(ErrorCode::NO_ERROR);
    assert_eq!(client.driver.await.unwrap(), ConnectionError::Local(ErrorCode::NO_ERROR));
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn a_wire_that_is_stuck_does_not_keep_the_driver_from_ending() {
    let (near, far) = tokio::io::duplex(1000);
    let client = start(Side::Client, Plain::new(near), Config::default());
    let mut stream = client.handle.open(connect()).await.unwrap();
    stream.send_chunk(pattern(1, 100_000)).unwrap();
    // Long enough for the wire to fill, not for any timer of the connection.
    tokio::time::sleep(Duration::from_millis(10)).await;
    client.handle.close(ErrorCode::CANCEL);
    let end = tokio::time::timeout(LONG, client.driver).await.unwrap();
    assert_eq!(end.unwrap(), ConnectionError::Local(ErrorCode::CANCEL));
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn the_last_words_are_said_on_a_wire_that_was_stuck() {
    let (near, mut far) = tokio::io::duplex(1000);
    let client = start(Side::Client, Plain::new(near), Config::default());
    let mut stream = client.handle.open(connect()).await.unwrap();
    stream.send_chunk(pattern(1, 100_000)).unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    client.handle.close(ErrorCode::CANCEL);
    let mut sent = Vec::new();
    far.read_to_end(&mut sent).await.unwrap();
    drop(far);
    assert_eq!(client.driver.await.unwrap(), ConnectionError::Local(ErrorCode::CANCEL));
    assert!(sent.ends_with(&[0, 0, 0, 8]), "GOAWAY with the code is the last frame");
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_with_keepalive_stays() {
    let (client, mut server) = piped();
    let (near, far) = tunnel(&client, &mut server).await;
    tokio::time::sleep(LONG).await;
    assert!(client.handle.is_open() && server.handle.is_open());
    drop((near, far));
}

#[tokio::test]
async fn a_transport_that_fails_names_its_error() {
    let (near, far) = sockets().await;
    let client = start(Side::Client, Plain::tcp(near).unwrap(), Config::default());
    // Closing with unread octets resets the connection.
    far.readable().await.unwrap();
    far.set_zero_linger().unwrap();
    drop(far);
    let error = client.handle.closed().await;
    assert_eq!(error, ConnectionError::Io(io::ErrorKind::ConnectionReset));
}
