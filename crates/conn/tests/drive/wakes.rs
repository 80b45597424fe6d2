//! Wakes that must not be lost: after a pause of reading, after a timer that has fired, and under no lock.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use hbone_conn::{Config, Fill, Handle, Plain, Side, Transmit, Wire, establish};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{sleep, timeout};

use crate::support::{connect, pattern, start};

const LONG: Duration = Duration::from_secs(3600);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const SETTINGS_ACK: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];

fn ping(number: u64) -> Vec<u8> {
    let mut frame = vec![0, 0, 8, 6, 0, 0, 0, 0, 0];
    frame.extend_from_slice(&number.to_be_bytes());
    frame
}

/// Says what a peer has to say at first.
async fn greet(far: &mut DuplexStream) {
    far.write_all(SETTINGS).await.unwrap();
    // Until the other end has said its own.
    sleep(Duration::from_millis(1)).await;
    far.write_all(SETTINGS_ACK).await.unwrap();
}

/// No deadline but those that a test sets.
fn timeless() -> Config {
    Config { keepalive_interval: None, idle_timeout: None, ..Config::default() }
}

/// Lets octets out only while it is open.
#[derive(Default)]
struct Gate {
    shut: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

struct Gated(Plain<DuplexStream>, Arc<Gate>);

impl Wire for Gated {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Fill>> {
        self.0.poll_fill(cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, out: &mut Transmit) -> Poll<io::Result<()>> {
        if self.1.shut.load(Ordering::Relaxed) {
            *self.1.waiting.lock().unwrap() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.0.poll_flush(cx, out)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn reading_goes_on_after_a_pause_for_replies() {
    let (near, mut far) = tokio::io::duplex(8192);
    let gate = Arc::new(Gate::default());
    let server = start(Side::Server, Gated(Plain::new(near), Arc::clone(&gate)), timeless());
    far.write_all(PREFACE).await.unwrap();
    greet(&mut far).await;
    server.handle.ready().await.unwrap();
    gate.shut.store(true, Ordering::Relaxed);
    // At a pace that no budget minds, until the server no longer reads.
    for number in 0..256 {
        far.write_all(&ping(number)).await.unwrap();
        sleep(Duration::from_millis(150)).await;
    }
    let full = timeout(LONG, far.write_all(&[0; 10_000])).await;
    assert!(full.is_err() && server.handle.is_open(), "reading never paused");
    gate.shut.store(false, Ordering::Relaxed);
    gate.waiting.lock().unwrap().take().unwrap().wake();
    timeout(LONG, far.write_all(&[0; 10_000])).await.expect("the server reads again").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_after_a_timer_that_has_fired_is_kept_on_a_stuck_wire() {
    let (near, mut far) = tokio::io::duplex(1000);
    let client = start(Side::Client, Plain::new(near), timeless());
    greet(&mut far).await;
    client.handle.ready().await.unwrap();
    let mut stream = client.handle.open(connect()).await.unwrap();
    stream.send_chunk(pattern(1, 60_000)).unwrap();
    // The wire is full, and the read buffers have gone after their second of silence.
    sleep(LONG).await;
    client.handle.drain(Duration::from_secs(5));
    timeout(LONG, client.handle.closed()).await.expect("the deadline passes");
}

/// A waker that wants the connection's lock.
struct Locking(Handle);

impl Wake for Locking {
    fn wake(self: Arc<Self>) {
        self.0.stats();
    }
}

/// Runs `work` in a thread: one that waits for itself fails the test instead of hanging it.
fn in_time(work: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        work();
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(20)).expect("a lock is waited for by its owner");
}

#[tokio::test]
async fn one_who_waits_for_a_pong_is_not_woken_under_the_lock() {
    let (near, _far) = tokio::io::duplex(1000);
    let (handle, _incoming, driver) = establish(Side::Client, Plain::new(near), Config::default());
    let waker = Waker::from(Arc::new(Locking(handle.clone())));
    in_time(move || {
        let mut waiting = pin!(handle.ping());
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(driver);
        assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    });
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_only_the_last_ping_answers_those_before_it() {
    let (near, mut far) = tokio::io::duplex(1000);
    let client = start(Side::Client, Plain::new(near), timeless());
    greet(&mut far).await;
    let pings: Vec<_> = (0..3)
        .map(|_| {
            let handle = client.handle.clone();
            tokio::spawn(async move { handle.ping().await })
        })
        .collect();
    sleep(Duration::from_millis(10)).await;
    let mut sent = vec![0; 1000];
    let n = far.read(&mut sent).await.unwrap();
    let pinged = sent[..n].windows(5).rposition(|head| head == [0, 0, 8, 6, 0]).unwrap();
    let mut answer = sent[pinged..pinged + 17].to_vec();
    answer[4] = 1;
    far.write_all(&answer).await.unwrap();
    for ping in pings {
        timeout(LONG, ping).await.expect("the answer to a later one serves").unwrap().unwrap();
    }
}
