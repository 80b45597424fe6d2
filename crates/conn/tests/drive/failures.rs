//! A stream that fails says so, in every phase: a reset is never an end, and nobody waits for ever.

use std::io;

use bytes::Bytes;
use hbone_conn::{Config, ConnectionError, ErrorCode, OpenError, Plain, Response, Side, StreamError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{connect, over_tcp, pattern, piped, sockets, start, tunnel};

fn cause(error: &io::Error) -> &StreamError {
    error.get_ref().unwrap().downcast_ref().unwrap()
}

#[tokio::test]
async fn a_reset_before_the_response_fails_the_response() {
    let (client, mut server) = piped();
    let mut near = client.handle.open(connect()).await.unwrap();
    let (_, mut far) = server.incoming.accept().await.unwrap();
    far.reset(ErrorCode::REFUSED_STREAM);
    assert_eq!(near.response().await, Err(StreamError::Reset(ErrorCode::REFUSED_STREAM)));
    assert_eq!(near.read_chunk().await, Err(StreamError::Reset(ErrorCode::REFUSED_STREAM)));
    assert_eq!(far.read_chunk().await, Err(StreamError::Cancelled(ErrorCode::REFUSED_STREAM)));
}

#[tokio::test]
async fn a_response_is_given_once() {
    let (client, mut server) = piped();
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    assert_eq!(near.response().await, Err(StreamError::Finished));
    assert!(far.respond(Response::new(200)).is_err(), "answered already");
}

#[tokio::test]
async fn a_reset_in_the_middle_is_an_error_for_readers_of_every_kind() {
    // Even with codes that sound peaceful.
    for code in [ErrorCode::NO_ERROR, ErrorCode::CANCEL, ErrorCode::CONNECT_ERROR] {
        let (client, mut server) = piped();
        let (mut near, mut far) = tunnel(&client, &mut server).await;
        far.write_chunk(pattern(1, 10_000)).await.unwrap();
        let mut some = [0; 100];
        near.read_exact(&mut some).await.unwrap();
        far.reset(code);
        let mut rest = Vec::new();
        let error = near.read_to_end(&mut rest).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(cause(&error), &StreamError::Reset(code));
        assert_eq!(near.read_chunk().await, Err(StreamError::Reset(code)), "and stays one");
    }
}

#[tokio::test]
async fn a_reset_after_our_half_close_is_an_error_too() {
    let (client, mut server) = piped();
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    near.finish().unwrap();
    assert_eq!(far.read_chunk().await, Ok(None));
    far.reset(ErrorCode::CONNECT_ERROR);
    let mut rest = Vec::new();
    let error = near.read_to_end(&mut rest).await.unwrap_err();
    assert_eq!(cause(&error), &StreamError::Reset(ErrorCode::CONNECT_ERROR));
}

#[tokio::test]
async fn a_writer_that_waits_for_room_hears_of_the_reset() {
    let (client, mut server) = piped();
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    let writer = tokio::spawn(async move {
        loop {
            if let Err(error) = near.write_all(&[7; 65_536]).await {
                return error;
            }
        }
    });
    far.read_exact(&mut [0; 100_000]).await.unwrap();
    far.reset(ErrorCode::CANCEL);
    assert_eq!(cause(&writer.await.unwrap()), &StreamError::Reset(ErrorCode::CANCEL));
}

#[tokio::test]
async fn one_who_neither_reads_nor_writes_hears_of_the_reset() {
    let (client, mut server) = piped();
    let (near, mut far) = tunnel(&client, &mut server).await;
    let (_reader, mut writer) = near.into_split();
    let waiting = tokio::spawn(async move { writer.reset_by_peer().await });
    tokio::task::yield_now().await;
    far.reset(ErrorCode(0xbeef));
    assert_eq!(waiting.await.unwrap(), StreamError::Reset(ErrorCode(0xbeef)));
}

#[tokio::test]
async fn a_dropped_stream_is_cancelled_and_a_dropped_half_is_not() {
    let (client, mut server) = piped();
    let (near, mut far) = tunnel(&client, &mut server).await;
    let (reader, mut writer) = near.into_split();
    drop(reader);
    writer.write_chunk(Bytes::from_static(b"still here")).await.unwrap();
    assert_eq!(far.read_chunk().await.unwrap().unwrap(), "still here");
    drop(writer);
    assert_eq!(far.read_chunk().await, Err(StreamError::Reset(ErrorCode::CANCEL)));
}

#[tokio::test]
async fn what_was_finished_before_the_drop_still_arrives() {
    let (client, mut server) = piped();
    let (near, mut far) = tunnel(&client, &mut server).await;
    far.finish().unwrap();
    let (mut reader, mut writer) = near.into_split();
    assert_eq!(reader.read_chunk().await, Ok(None));
    let data = pattern(2, 200_000);
    writer.write_chunk(data.clone()).await.unwrap();
    writer.finish().unwrap();
    drop((reader, writer));
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert_eq!(got.len(), data.len());
}

#[tokio::test]
async fn a_transport_that_ends_under_a_stream_is_no_end_of_the_stream() {
    let (client, mut server) = over_tcp().await;
    let (mut near, far) = tunnel(&client, &mut server).await;
    server.driver.abort();
    let error = near.read_chunk().await.unwrap_err();
    assert!(
        matches!(error, StreamError::Connection(ConnectionError::Eof | ConnectionError::Io(_))),
        "{error:?}"
    );
    assert!(matches!(client.handle.open(connect()).await, Err(OpenError::Closed(_))));
    drop(far);
}

#[tokio::test]
async fn a_dropped_driver_fails_everything_that_waits() {
    let (near, _far) = tokio::io::duplex(1000);
    let (handle, mut incoming, driver) =
        hbone_conn::establish(Side::Client, Plain::new(near), Config::default());
    let mut stream = handle.try_open(connect()).unwrap();
    let waiting = tokio::spawn(async move { stream.response().await });
    let pinging = tokio::spawn({
        let handle = handle.clone();
        async move { handle.ping().await }
    });
    tokio::task::yield_now().await;
    drop(driver);
    let aborted = ConnectionError::Io(io::ErrorKind::ConnectionAborted);
    assert_eq!(waiting.await.unwrap(), Err(StreamError::Goaway), "its request never left");
    assert_eq!(pinging.await.unwrap(), Err(aborted.clone()));
    assert_eq!(handle.ready().await, Err(aborted.clone()));
    assert_eq!(handle.closed().await, aborted);
    assert!(incoming.accept().await.is_none());
    assert!(!handle.is_open());
}

#[tokio::test]
async fn streams_that_nobody_accepts_are_refused() {
    let (client, server) = piped();
    let mut waiting = client.handle.open(connect()).await.unwrap();
    client.handle.ping().await.unwrap();
    drop(server.incoming);
    assert_eq!(waiting.response().await, Err(StreamError::Reset(ErrorCode::REFUSED_STREAM)));
    let mut late = client.handle.open(connect()).await.unwrap();
    assert_eq!(late.response().await, Err(StreamError::Reset(ErrorCode::REFUSED_STREAM)));
}

#[tokio::test]
async fn a_stream_that_was_reset_while_it_waited_is_not_offered() {
    let (client, mut server) = piped();
    drop(client.handle.open(connect()).await.unwrap());
    let mut cancelled = client.handle.open(connect()).await.unwrap();
    client.handle.ping().await.unwrap();
    cancelled.reset(ErrorCode::CANCEL);
    client.handle.ping().await.unwrap();
    let kept = client.handle.open(connect()).await.unwrap();
    let (_, stream) = server.incoming.accept().await.unwrap();
    assert_eq!(stream.id(), kept.id());
}

#[tokio::test]
async fn a_peer_that_does_not_speak_http2_ends_the_connection() {
    let (near, mut far) = sockets().await;
    let client = start(Side::Client, Plain::tcp(near).unwrap(), Config::default());
    let mut stream = client.handle.open(connect()).await.unwrap();
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    assert!(matches!(client.handle.ready().await, Err(ConnectionError::Protocol(_))));
    assert!(matches!(stream.response().await, Err(StreamError::Connection(ConnectionError::Protocol(_)))));
    drop(far);
    assert!(matches!(client.driver.await.unwrap(), ConnectionError::Protocol(_)));
}
