//! What the driver asks of its wire and of its runtime: few wakes, turns for others, buffers given back.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hbone_conn::{
    Config, ConnectionError, Driver, ErrorCode, Fill, Handle, Plain, Side, Transmit, Wire, establish,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::support::{End, assert_same, pattern, start, tunnel};

#[derive(Default)]
struct Counts {
    polls: AtomicUsize,
    /// Octets read since the driver was polled, and the most of that in any poll.
    read: AtomicUsize,
    most_read: AtomicUsize,
    releases: AtomicUsize,
}

/// A wire that counts.
struct Counted {
    wire: Plain<DuplexStream>,
    counts: Arc<Counts>,
}

impl Wire for Counted {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Fill>> {
        let result = self.wire.poll_fill(cx);
        if let Poll::Ready(Ok(Fill::Data(data))) = &result {
            let read = self.counts.read.fetch_add(data.len(), Ordering::Relaxed) + data.len();
            self.counts.most_read.fetch_max(read, Ordering::Relaxed);
        }
        result
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, out: &mut Transmit) -> Poll<io::Result<()>> {
        self.wire.poll_flush(cx, out)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_shutdown(cx)
    }

    fn release_buffers(&mut self) {
        self.counts.releases.fetch_add(1, Ordering::Relaxed);
        self.wire.release_buffers();
    }
}

/// A driver that counts.
struct Polled(Driver<Counted>, Arc<Counts>);

impl Future for Polled {
    type Output = ConnectionError;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ConnectionError> {
        self.1.polls.fetch_add(1, Ordering::Relaxed);
        self.1.read.store(0, Ordering::Relaxed);
        Pin::new(&mut self.0).poll(cx)
    }
}

fn counted(side: Side, pipe: DuplexStream, config: Config) -> (End, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let wire = Counted { wire: Plain::new(pipe), counts: Arc::clone(&counts) };
    let (handle, incoming, driver) = establish(side, wire, config);
    let driver = tokio::spawn(Polled(driver, Arc::clone(&counts)));
    (End { handle, incoming, driver }, counts)
}

async fn settled(handle: &Handle) {
    handle.ready().await.unwrap();
    handle.ping().await.unwrap();
}

#[tokio::test]
async fn a_hundred_writes_wake_the_driver_once() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let (client, counts) = counted(Side::Client, near, Config::default());
    let mut server = start(Side::Server, Plain::new(far), Config::default());
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    settled(&client.handle).await;
    let before = counts.polls.load(Ordering::Relaxed);
    for _ in 0..100 {
        near.send_chunk(Bytes::from_static(&[7; 100])).unwrap();
    }
    near.finish().unwrap();
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, [7; 10_000]);
    let polls = counts.polls.load(Ordering::Relaxed) - before;
    assert!(polls <= 2, "{polls} polls for one batch of writes");
}

#[tokio::test]
async fn a_driver_with_endless_input_gives_others_their_turn() {
    let wide = Config {
        initial_window_size: 16 << 20,
        max_window_size: 16 << 20,
        send_queue: 16 << 20,
        ..Config::default()
    };
    let (near, far) = tokio::io::duplex(16 << 20);
    let client = start(Side::Client, Plain::new(near), wide.clone());
    let (mut server, counts) = counted(Side::Server, far, wide);
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    settled(&client.handle).await;
    let data = pattern(1, 8 << 20);
    let writer = async {
        near.write_all(&data).await.unwrap();
        near.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let ((), result) = tokio::join!(writer, far.read_to_end(&mut got));
    result.unwrap();
    assert_same(&got, &data);
    let most = counts.most_read.load(Ordering::Relaxed);
    assert!(most <= 1 << 20, "{most} octets in one poll");
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_gives_its_buffers_back_once() {
    let (near, far) = tokio::io::duplex(1 << 16);
    let quiet = Config { keepalive_interval: None, idle_timeout: None, ..Config::default() };
    let (client, counts) = counted(Side::Client, near, quiet.clone());
    let mut server = start(Side::Server, Plain::new(far), quiet);
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    assert_eq!(counts.releases.load(Ordering::Relaxed), 0);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(counts.releases.load(Ordering::Relaxed), 1);
    // And it works on.
    far.write_all(b"hello").await.unwrap();
    assert_eq!(near.read_chunk().await.unwrap().unwrap(), "hello");
}

/// Takes nothing; brings these octets, then the end.
struct Farewell(Option<Bytes>);

impl Wire for Farewell {
    fn poll_fill(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Fill>> {
        Poll::Ready(Ok(self.0.take().map_or(Fill::Eof, Fill::Data)))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>, _: &mut Transmit) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn the_reason_that_a_peer_gave_is_heard_although_it_takes_nothing_more() {
    // SETTINGS, then GOAWAY with ENHANCE_YOUR_CALM for no stream.
    let octets = b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b";
    let client = start(Side::Client, Farewell(Some(Bytes::from_static(octets))), Config::default());
    let ConnectionError::Goaway { code, .. } = client.driver.await.unwrap() else { panic!("no GOAWAY") };
    assert_eq!(code, ErrorCode::ENHANCE_YOUR_CALM);
}

#[tokio::test]
async fn a_wire_that_fails_in_both_directions_ends_the_connection() {
    let client = start(Side::Client, Farewell(None), Config::default());
    let end = client.driver.await.unwrap();
    assert!(matches!(end, ConnectionError::Eof | ConnectionError::Io(_)), "{end:?}");
    assert!(client.handle.ready().await.is_err());
}
