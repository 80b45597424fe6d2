//! Tunnels that are broken although both ends are in order: silence, and a policy that changes.

use std::sync::Arc;
use std::time::Duration;

use hbone_tunnel::{Action, Policy, PoolConfig, RelayLimits, Rule};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::captured;
use crate::common::{ALICE, BOB, End, Pair, bind, echo, fin, id, inbound_config, read_end, within};

const SHORT: Duration = Duration::from_millis(100);

async fn pair_with(address: std::net::SocketAddr, limits: RelayLimits) -> Pair {
    Pair::with(address, |_| (), |config| config.relay = limits, PoolConfig::default()).await
}

#[tokio::test]
async fn t28_a_silent_tunnel_is_reset_on_both_legs_never_ended_by_fin() {
    let (listener, address) = bind().await;
    let pair = pair_with(
        address,
        RelayLimits { idle: Some(SHORT), half_closed_idle: None, ..RelayLimits::default() },
    )
    .await;
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    let (mut server, _) = within(listener.accept()).await.unwrap();
    server.write_all(b"x").await.unwrap();
    assert_eq!(read_end(&mut client).await, (b"x".to_vec(), End::Reset));
    assert_eq!(read_end(&mut server).await, (Vec::new(), End::Reset));
    let events = within(captured::events("tunnel", 2)).await;
    let outbound = events.iter().find(|event| event.contains("side=outbound")).unwrap();
    assert!(outbound.contains("up=0 down=1 up_end=reset down_end=reset cause=no octet moved"), "{outbound}");
}

#[tokio::test]
async fn t28_octets_in_one_direction_keep_a_tunnel() {
    let (listener, address) = bind().await;
    let pair = pair_with(
        address,
        RelayLimits { idle: Some(SHORT * 5), half_closed_idle: None, ..RelayLimits::default() },
    )
    .await;
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    let (mut server, _) = within(listener.accept()).await.unwrap();
    let start = tokio::time::Instant::now();
    let mut received = [0];
    while start.elapsed() < SHORT * 12 {
        server.write_all(b"x").await.unwrap();
        within(client.read_exact(&mut received)).await.unwrap();
        tokio::time::sleep(SHORT / 4).await;
    }
    fin(&server);
    fin(&client);
    assert_eq!(read_end(&mut client).await, (Vec::new(), End::Fin));
}

#[tokio::test]
async fn t27_a_half_closed_tunnel_has_its_own_limit() {
    let (listener, address) = bind().await;
    let pair = pair_with(
        address,
        RelayLimits { idle: None, half_closed_idle: Some(SHORT), ..RelayLimits::default() },
    )
    .await;
    let mut client = TcpStream::connect(pair.entry).await.unwrap();
    let (mut server, _) = within(listener.accept()).await.unwrap();
    fin(&client);
    assert_eq!(read_end(&mut server).await, (Vec::new(), End::Fin));
    assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset));
}

#[tokio::test]
async fn t12_a_changed_policy_resets_what_it_denies_and_leaves_the_rest() {
    let (kept, dropped) = (echo().await, echo().await);
    let pair = Pair::to(kept).await;
    let mut running = crate::common::Running::new();
    let config = hbone_tunnel::OutboundConfig::new(
        "other",
        crate::common::route(dropped, pair.node, BOB),
        pair.ca.identity(ALICE),
    );
    let (other_entry, _) = running.outbound(config, pair.pool.clone()).await;
    let mut survivor = TcpStream::connect(pair.entry).await.unwrap();
    let mut victim = TcpStream::connect(other_entry).await.unwrap();
    let mut octets = [0; 4];
    for client in [&mut survivor, &mut victim] {
        client.write_all(b"ping").await.unwrap();
        within(client.read_exact(&mut octets)).await.unwrap();
    }
    let mut config = inbound_config(&pair.ca);
    let rule = Rule {
        targets: vec![kept.to_string().parse().unwrap()],
        ..Rule::new("one port only", Action::Allow)
    };
    config.policy = Arc::new(Policy::new(&id(BOB), vec![rule]).unwrap());
    pair.inbound.replace(config).unwrap();
    assert_eq!(read_end(&mut victim).await, (Vec::new(), End::Reset));
    survivor.write_all(b"pong").await.unwrap();
    fin(&survivor);
    assert_eq!(read_end(&mut survivor).await, (b"pong".to_vec(), End::Fin));
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_reset_after_the_limit_that_is_set() {
    let (listener, address) = bind().await;
    let limit = |config: &mut hbone_tunnel::OutboundConfig| config.unacknowledged = Some(SHORT);
    let pair = Pair::with(address, |_| (), limit, PoolConfig::default()).await;
    let client = TcpStream::connect(pair.entry).await.unwrap();
    let (server, _) = within(listener.accept()).await.unwrap();
    within(async {
        loop {
            server.writable().await.unwrap();
            if let Err(error) = server.try_write(&[0; 65_536])
                && error.kind() != std::io::ErrorKind::WouldBlock
            {
                return;
            }
        }
    })
    .await;
    drop(client);
}
