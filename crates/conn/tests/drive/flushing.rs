//! Waiting until what was written has left: after it nothing is lost by going away.

use std::time::Duration;

use bytes::Bytes;
use hbone_conn::{Config, ErrorCode, Plain, Side, StreamError};
use tokio::io::{AsyncReadExt, DuplexStream};

use crate::support::{connect, pattern, piped, start, tunnel};

/// Long enough for everything to come to rest, not for any timer of a connection.
const REST: Duration = Duration::from_millis(10);

/// The octets of DATA in what a client has sent, and whether END_STREAM came after them.
fn data_of(sent: &[u8]) -> (usize, bool) {
    let mut rest = &sent[24..];
    let (mut octets, mut ended) = (0, false);
    while let Some((head, behind)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if head[3] == 0 {
            octets += length.min(behind.len());
            ended = head[4] & 1 != 0 && behind.len() >= length;
        }
        rest = behind.get(length..).unwrap_or_default();
    }
    (octets, ended)
}

async fn read_some(far: &mut DuplexStream, sent: &mut Vec<u8>) {
    let mut piece = [0; 700];
    let n = far.read(&mut piece).await.unwrap();
    sent.extend_from_slice(&piece[..n]);
}

#[tokio::test(start_paused = true)]
async fn what_was_flushed_is_out_although_the_driver_dies_at_once() {
    let (near, mut far) = tokio::io::duplex(1000);
    let client = start(Side::Client, Plain::new(near), Config::default());
    let mut stream = client.handle.open(connect()).await.unwrap();
    stream.send_chunk(pattern(1, 50_000)).unwrap();
    stream.finish().unwrap();
    let driver = client.driver.abort_handle();
    let flushing = tokio::spawn(async move {
        let flushed = stream.flushed().await;
        driver.abort();
        flushed
    });
    let mut sent = Vec::new();
    while !flushing.is_finished() {
        read_some(&mut far, &mut sent).await;
        tokio::time::sleep(REST).await;
    }
    assert_eq!(flushing.await.unwrap(), Ok(()));
    assert!(sent.len() > 45_000, "{} octets had been taken when it was told to have left", sent.len());
    far.read_to_end(&mut sent).await.unwrap();
    assert_eq!(data_of(&sent), (50_000, true));
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_what_was_written_after_the_last_one() {
    let (near, mut far) = tokio::io::duplex(1000);
    let client = start(Side::Client, Plain::new(near), Config::default());
    let mut stream = client.handle.open(connect()).await.unwrap();
    stream.send_chunk(Bytes::from_static(b"small")).unwrap();
    stream.flushed().await.unwrap();
    // Also when everything has long been sent.
    tokio::time::sleep(REST).await;
    stream.flushed().await.unwrap();
    stream.send_chunk(pattern(1, 10_000)).unwrap();
    assert!(tokio::time::timeout(REST, stream.flushed()).await.is_err());
    let mut sent = Vec::new();
    let reader = async {
        loop {
            read_some(&mut far, &mut sent).await;
        }
    };
    tokio::select! {
        flushed = stream.flushed() => flushed.unwrap(),
        () = reader => {}
    }
    assert!(sent.len() > 9_000, "{}", sent.len());
}

#[tokio::test(start_paused = true)]
async fn what_the_wire_never_took_is_no_success() {
    let (near, _far) = tokio::io::duplex(1000);
    let client = start(Side::Client, Plain::new(near), Config::default());
    let mut stream = client.handle.open(connect()).await.unwrap();
    stream.send_chunk(pattern(1, 10_000)).unwrap();
    stream.finish().unwrap();
    let flushing = tokio::spawn(async move { stream.flushed().await });
    tokio::time::sleep(REST).await;
    assert!(!flushing.is_finished());
    client.driver.abort();
    assert!(matches!(flushing.await.unwrap(), Err(StreamError::Connection(_))));
}

#[tokio::test]
async fn one_who_waits_for_the_flush_hears_of_the_reset() {
    let (client, mut server) = piped();
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    // More than the peer's window: it cannot leave before somebody reads.
    near.send_chunk(pattern(1, 1 << 20)).unwrap();
    let flushing = tokio::spawn(async move { near.flushed().await });
    far.read_exact(&mut [0; 1000]).await.unwrap();
    assert!(!flushing.is_finished());
    far.reset(ErrorCode::CANCEL);
    assert_eq!(flushing.await.unwrap(), Err(StreamError::Reset(ErrorCode::CANCEL)));
}

#[tokio::test]
async fn a_stream_that_goes_on_being_written_beside_others_is_flushed() {
    let (client, mut server) = piped();
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    let (mut busy, mut sink) = tunnel(&client, &mut server).await;
    let noise = tokio::spawn(async move { while busy.write_chunk(pattern(2, 50_000)).await.is_ok() {} });
    let drain = tokio::spawn(async move { while let Ok(Some(_)) = sink.read_chunk().await {} });
    for _ in 0..20 {
        near.write_chunk(Bytes::from_static(b"line")).await.unwrap();
        near.flushed().await.unwrap();
        assert_eq!(far.read_chunk().await.unwrap().unwrap(), "line");
    }
    near.finish().unwrap();
    near.flushed().await.unwrap();
    assert_eq!(far.read_chunk().await, Ok(None));
    noise.abort();
    drain.abort();
}
