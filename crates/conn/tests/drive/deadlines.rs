//! Deadlines of streams over the driver, on a paused clock.

use std::time::Duration;

use hbone_conn::{Config, ErrorCode, OpenError, StreamError};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::support::{connect, piped, piped_with, tunnel};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_stream_fails_at_its_deadline_while_nothing_else_happens() {
    let (client, mut server) = piped();
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    far.write_chunk("in time".into()).await.unwrap();
    assert_eq!(near.read_chunk().await.unwrap().unwrap(), "in time");
    let start = Instant::now();
    near.set_deadline(5 * SECOND).unwrap();
    assert_eq!(near.read_chunk().await, Err(StreamError::Deadline));
    assert!(start.elapsed() >= 5 * SECOND && start.elapsed() < 6 * SECOND);
    assert_eq!(far.reset_by_peer().await, StreamError::Reset(ErrorCode::CANCEL));
    let error = near.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "no end of file");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_was_taken_away_does_nothing() {
    let (client, mut server) = piped();
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    near.set_deadline(SECOND).unwrap();
    near.clear_deadline().unwrap();
    tokio::time::sleep(5 * SECOND).await;
    far.write_chunk("later".into()).await.unwrap();
    assert_eq!(near.read_chunk().await.unwrap().unwrap(), "later");
}

#[tokio::test(start_paused = true)]
async fn opening_within_a_time_counts_the_wait_for_a_slot_and_the_stream_itself() {
    let one = Config { max_concurrent_streams: 1, ..Config::default() };
    let (client, mut server) = piped_with(64 * 1024, Config::default(), one);
    client.handle.ready().await.unwrap();
    let mut near = client.handle.open_within(connect(), 10 * SECOND).await.unwrap();
    let second = client.handle.open_within(connect(), 3 * SECOND).await;
    assert_eq!(second.unwrap_err(), OpenError::Deadline);
    let start = Instant::now();
    let third = client.handle.open_within(connect(), 20 * SECOND);
    let (error, third) = tokio::join!(near.response(), async {
        let _first = server.incoming.accept().await.unwrap();
        third.await
    });
    assert_eq!(error.unwrap_err(), StreamError::Deadline);
    assert!(start.elapsed() < 8 * SECOND, "the three seconds before count");
    let mut third = third.unwrap();
    assert_eq!(third.response().await.unwrap_err(), StreamError::Deadline);
    assert!(start.elapsed() < 21 * SECOND, "the seven seconds of waiting count");
}
