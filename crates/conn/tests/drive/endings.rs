//! The end of a connection on wires of every speed: nothing is cut off, and nobody holds a socket for long.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hbone_conn::{Config, ConnectionError, ErrorCode, Fill, Plain, Side, Transmit, Wire};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep, timeout};

use crate::support::{connect, pattern, start};

const LONG: Duration = Duration::from_secs(3600);
/// Credit of one octet for stream 1.
const CREDIT: [u8; 13] = [0, 0, 4, 8, 0, 0, 0, 0, 1, 0, 0, 0, 1];

#[tokio::test(start_paused = true)]
async fn a_peer_on_a_slow_path_gets_the_time_to_take_the_end() {
    let (near, mut far) = tokio::io::duplex(100_000);
    let client = start(Side::Client, Plain::new(near), Config::default());
    client.handle.close(ErrorCode::NO_ERROR);
    far.read_to_end(&mut Vec::new()).await.unwrap();
    // Our direction is shut, and what it carried may still be on the way: the peer's credit for it must find
    // a socket, else the answer to it destroys the rest.
    for _ in 0..5 {
        sleep(Duration::from_secs(20)).await;
        far.write_all(&CREDIT).await.unwrap();
        assert!(!client.driver.is_finished());
    }
    let shut = Instant::now();
    drop(far);
    client.driver.await.unwrap();
    assert!(shut.elapsed() < Duration::from_secs(1), "the peer's end is the end");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_shuts_its_direction_does_not_keep_the_socket() {
    for pause in [Duration::from_secs(5), LONG] {
        let (near, mut far) = tokio::io::duplex(100_000);
        let client = start(Side::Client, Plain::new(near), Config::default());
        client.handle.close(ErrorCode::NO_ERROR);
        far.read_to_end(&mut Vec::new()).await.unwrap();
        let trickle = tokio::spawn(async move {
            while far.write_all(&CREDIT).await.is_ok() {
                sleep(pause).await;
            }
        });
        timeout(Duration::from_secs(330), client.driver).await.unwrap().unwrap();
        trickle.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_broke_the_protocol_is_not_lingered_for() {
    let (near, mut far) = tokio::io::duplex(100_000);
    let client = start(Side::Client, Plain::new(near), Config::default());
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let trickle = tokio::spawn(async move {
        while far.write_all(&CREDIT).await.is_ok() {
            sleep(Duration::from_millis(500)).await;
        }
    });
    let end = timeout(Duration::from_secs(5), client.driver).await.unwrap();
    assert!(matches!(end.unwrap(), ConnectionError::Protocol(_)));
    trickle.abort();
}

/// Brings octets without end, and takes everything.
struct Endless;

impl Wire for Endless {
    fn poll_fill(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Fill>> {
        Poll::Ready(Ok(Fill::Data(Bytes::from_static(&[0; 1000]))))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>, out: &mut Transmit) -> Poll<io::Result<()>> {
        out.advance(out.len());
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_peer_that_floods_a_connection_that_has_ended_leaves_others_their_turn() {
    let client = start(Side::Client, Endless, Config::default());
    // Octets that are no HTTP/2 end the connection at once; then the driver lingers. This task has its turn.
    assert!(matches!(client.handle.closed().await, ConnectionError::Protocol(_)));
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    client.driver.abort();
    assert!(client.driver.await.unwrap_err().is_cancelled(), "it lingered");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_an_octet_now_and_then_does_not_keep_the_socket() {
    let (near, mut far) = tokio::io::duplex(1000);
    let client = start(Side::Client, Plain::new(near), Config::default());
    let mut stream = client.handle.open(connect()).await.unwrap();
    stream.send_chunk(pattern(1, 60_000)).unwrap();
    sleep(Duration::from_millis(10)).await;
    client.handle.close(ErrorCode::CANCEL);
    let trickle = tokio::spawn(async move {
        while far.read_u8().await.is_ok() {
            sleep(Duration::from_secs(9)).await;
        }
    });
    timeout(Duration::from_secs(60), client.driver).await.unwrap().unwrap();
    trickle.abort();
}

/// Takes everything at once into a store of its own, as TLS does; its transport takes a part every four seconds.
struct Storing {
    parts: u64,
    taken: u64,
    pause: Option<Pin<Box<Sleep>>>,
    shut: Arc<AtomicBool>,
}

impl Wire for Storing {
    fn poll_fill(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Fill>> {
        Poll::Pending
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, out: &mut Transmit) -> Poll<io::Result<()>> {
        out.advance(out.len());
        while self.taken < self.parts {
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(Duration::from_secs(4))));
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
            self.taken += 1;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut.store(true, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn written(&self) -> u64 {
        self.taken
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_holds_back_counts_as_progress_when_it_leaves() {
    for (parts, whole) in [(6, true), (1000, false)] {
        let shut = Arc::new(AtomicBool::new(false));
        let wire = Storing { parts, taken: 0, pause: None, shut: Arc::clone(&shut) };
        let client = start(Side::Client, wire, Config::default());
        client.handle.close(ErrorCode::CANCEL);
        timeout(Duration::from_secs(90), client.driver).await.unwrap().unwrap();
        assert_eq!(shut.load(Ordering::Relaxed), whole, "{parts} parts");
    }
}
