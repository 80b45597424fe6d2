//! An orderly end of both nodes.

use std::time::Duration;

use hbone_tunnel::DrainReport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{End, LONG, Pair, echo, fin, read_end, within};

async fn tunnel(pair: &Pair) -> TcpStream {
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    client.write_all(b"ping").await.unwrap();
    within(client.read_exact(&mut [0; 4])).await.unwrap();
    client
}

#[tokio::test]
async fn f11_live_tunnels_finish_and_new_connections_are_not_taken() {
    let mut pair = Pair::to(echo().await).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(tunnel(&pair).await);
    }
    pair.running.shutdown.start(LONG);
    within(async {
        // Until the listeners are closed.
        while TcpStream::connect(pair.entry).await.is_ok() || TcpStream::connect(pair.node).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for mut client in clients {
        client.write_all(b"still there").await.unwrap();
        fin(&client);
        assert_eq!(read_end(&mut client).await, (b"still there".to_vec(), End::Fin));
    }
    pair.running.ended().await;
    let report = within(pair.running.shutdown.finished()).await;
    // Each tunnel counts at both of its nodes.
    assert_eq!(report, DrainReport { finished: 40, reset: 0 });
    within(pair.pool.close(LONG)).await;
    assert_eq!(pair.pool.connections(), 0);
}

#[tokio::test]
async fn f11_what_is_live_at_the_deadline_is_reset() {
    let mut pair = Pair::to(echo().await).await;
    let (mut first, mut second) = (tunnel(&pair).await, tunnel(&pair).await);
    pair.running.shutdown.start(Duration::from_millis(100));
    for client in [&mut first, &mut second] {
        assert_eq!(read_end(client).await, (Vec::new(), End::Reset));
    }
    pair.running.ended().await;
    let report = within(pair.running.shutdown.finished()).await;
    assert_eq!(report, DrainReport { finished: 0, reset: 4 });
}

#[tokio::test]
async fn f12_a_second_signal_ends_at_once() {
    let mut pair = Pair::to(echo().await).await;
    let mut client = tunnel(&pair).await;
    pair.running.shutdown.start(LONG * 100);
    client.write_all(b"more").await.unwrap();
    within(client.read_exact(&mut [0; 4])).await.unwrap();
    pair.running.shutdown.start(Duration::ZERO);
    assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset));
    pair.running.ended().await;
}
