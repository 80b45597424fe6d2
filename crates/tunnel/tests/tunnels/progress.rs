//! Tunnels of which more waits than leaves: what counts as movement, in virtual time.

use std::time::Duration;

use hbone_conn::{Config, Plain, Request, Response, Side, Stream, establish};
use hbone_tunnel::{Break, RelayLimits, Relayed, relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::common::bind;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const LIMIT: Duration = Duration::from_secs(600);

/// A relay between a TCP connection and a stream.
struct Tunnel {
    tcp: TcpStream,
    reader: Stream,
    relay: JoinHandle<Relayed>,
    start: Instant,
}

/// The reader gives a window of 100 octets; the limit is the same whatever has ended.
async fn tunnel() -> Tunnel {
    let limits = RelayLimits { idle: Some(LIMIT), half_closed_idle: Some(LIMIT), ..RelayLimits::default() };
    tunnel_with(100, limits).await
}

async fn tunnel_with(window: u32, limits: RelayLimits) -> Tunnel {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let config = Config { initial_window_size: window, window_tuning: false, ..Config::default() };
    let (client, _, driver) = establish(Side::Client, Plain::new(ours), config);
    tokio::spawn(driver);
    let (_, mut incoming, driver) = establish(Side::Server, Plain::new(theirs), Config::default());
    tokio::spawn(driver);
    let mut reader = client.open(Request::connect("10.0.0.1:80")).await.unwrap();
    let (_, mut far) = incoming.accept().await.unwrap();
    far.respond(Response::new(200)).unwrap();
    reader.response().await.unwrap();
    let (listener, address) = bind().await;
    let tcp = TcpStream::connect(address).await.unwrap();
    let (leg, _) = listener.accept().await.unwrap();
    let relay = tokio::spawn(async move {
        let _kept = incoming;
        relay(leg, far, limits, std::future::pending()).await
    });
    Tunnel { tcp, reader, relay, start: Instant::now() }
}

impl Tunnel {
    /// It has ended as silent, about when it has to.
    async fn was_idle(self, after: Duration) {
        assert_eq!(self.relay.await.unwrap().broken, Some(Break::Idle(LIMIT)));
        let passed = self.start.elapsed();
        assert!(passed >= after && passed < after + 3 * MINUTE, "{passed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn h43_octets_that_only_pile_up_keep_no_tunnel_alive() {
    let mut tunnel = tunnel().await;
    // The window takes the first hundred, which are not read.
    tunnel.tcp.write_all(&[7; 100]).await.unwrap();
    while !tunnel.relay.is_finished() && tunnel.start.elapsed() < 10 * LIMIT {
        // The relay resets it in the end.
        let _ = tunnel.tcp.write_all(b"x").await;
        sleep(30 * SECOND).await;
    }
    tunnel.was_idle(LIMIT).await;
}

#[tokio::test(start_paused = true)]
async fn h43_a_window_opened_in_drips_keeps_no_tunnel_alive_and_a_slow_reader_does() {
    for (octets, lives) in [(2, false), (100, true)] {
        let mut tunnel = tunnel().await;
        let (_tcp_read, mut tcp) = tunnel.tcp.split();
        // More than any queue holds: the source waits all the time.
        let source = async { tcp.write_all(&vec![7; 8 << 20]).await };
        let reader = async {
            let mut buffer = vec![0; octets];
            for _ in 0..3600 {
                if tunnel.reader.read_exact(&mut buffer).await.is_err() {
                    return;
                }
                sleep(SECOND).await;
            }
        };
        tokio::select! {
            _ = source => {}
            () = reader => {}
        }
        assert_eq!(!tunnel.relay.is_finished(), lives, "{octets} octets a second");
        if lives {
            assert!(tunnel.start.elapsed() >= 3600 * SECOND);
        } else {
            tunnel.was_idle(LIMIT).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn h43_a_terminal_that_moves_an_octet_now_and_then_lives_for_a_day() {
    let mut tunnel = tunnel().await;
    let mut octet = [0];
    while tunnel.start.elapsed() < 24 * 60 * MINUTE {
        tunnel.tcp.write_all(b"k").await.unwrap();
        tunnel.reader.read_exact(&mut octet).await.unwrap();
        sleep(LIMIT - 2 * MINUTE).await;
    }
    assert!(!tunnel.relay.is_finished());
    // Then it is left alone for the whole limit.
    let start = Instant::now() - (LIMIT - 2 * MINUTE);
    Tunnel { start, ..tunnel }.was_idle(LIMIT).await;
}

#[tokio::test(start_paused = true)]
async fn t27_what_is_left_after_the_fin_may_take_its_time_while_it_moves() {
    let mut tunnel = tunnel().await;
    tunnel.tcp.write_all(&[7; 50_000]).await.unwrap();
    tunnel.tcp.shutdown().await.unwrap();
    let (mut buffer, mut left) = ([0; 20], 50_000);
    // 20 octets a second: more than 40 minutes, four times the limit.
    while left > 0 {
        tunnel.reader.read_exact(&mut buffer).await.unwrap();
        left -= buffer.len();
        sleep(SECOND).await;
    }
    assert_eq!(tunnel.reader.read(&mut buffer).await.unwrap(), 0);
    assert!(tunnel.start.elapsed() > 4 * LIMIT);
}

#[tokio::test(start_paused = true)]
async fn t27_a_slow_download_whose_request_has_ended_has_the_whole_idle_time_for_each_batch_of_credit() {
    let limits =
        RelayLimits { idle: Some(LIMIT), half_closed_idle: Some(LIMIT / 5), ..RelayLimits::default() };
    let mut tunnel = tunnel_with(256 * 1024, limits).await;
    tunnel.reader.finish().unwrap();
    assert_eq!(tunnel.tcp.read(&mut [0]).await.unwrap(), 0, "the request has ended");
    let (_tcp_read, mut tcp) = tunnel.tcp.split();
    let source = async { tcp.write_all(&vec![7; 8 << 20]).await };
    // Credit returns by half a window: every 256 seconds, and the half-closed limit is 120.
    let reader = async {
        let mut buffer = vec![0; 5120];
        while tunnel.start.elapsed() < 12 * LIMIT {
            tunnel.reader.read_exact(&mut buffer).await.unwrap();
            sleep(10 * SECOND).await;
        }
    };
    tokio::select! {
        _ = source => {}
        () = reader => {}
    }
    assert!(!tunnel.relay.is_finished());
    // Nobody reads any more: the limit of a tunnel with a backlog.
    let start = Instant::now();
    assert_eq!(tunnel.relay.await.unwrap().broken, Some(Break::Idle(LIMIT)));
    assert!(start.elapsed() < LIMIT + 3 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn t27_a_half_closed_tunnel_in_which_nothing_waits_is_left_after_its_own_limit() {
    let limits =
        RelayLimits { idle: Some(LIMIT), half_closed_idle: Some(LIMIT / 5), ..RelayLimits::default() };
    let mut tunnel = tunnel_with(256 * 1024, limits).await;
    tunnel.reader.finish().unwrap();
    assert_eq!(tunnel.relay.await.unwrap().broken, Some(Break::Idle(LIMIT / 5)));
}
