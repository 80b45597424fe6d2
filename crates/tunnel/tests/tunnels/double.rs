//! What a far node hears inside the tunnel of a gateway: the request, its fields, and how connections are shared.

use std::net::SocketAddr;
use std::sync::Arc;

use hbone_conn::{Config, Request, Response, Side, Tls, establish};
use hbone_tunnel::{Double, Front, OutboundConfig, Peer, Pool, PoolConfig, Routes, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::common::{ALICE, BOB, Ca, Running, bind, id, inbound_config, within};

const CAROL: &str = "spiffe://td/ns/b/sa/carol";

/// A far node that tells the number of the connection and the request of every stream, and greets.
async fn far(ca: &Ca) -> (SocketAddr, UnboundedReceiver<(usize, Request)>) {
    let (listener, address) = bind().await;
    let (tell, told) = unbounded_channel();
    let config = ca.identity(CAROL).server_config().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (tcp, _) = listener.accept().await.unwrap();
            let (tell, config) = (tell.clone(), Arc::clone(&config));
            tokio::spawn(async move {
                let tls = Tls::accept(tcp, config).await.unwrap();
                let (_handle, mut incoming, driver) = establish(Side::Server, tls, Config::default());
                tokio::spawn(driver);
                while let Some((request, mut stream)) = incoming.accept().await {
                    stream.respond(Response::new(200)).unwrap();
                    let _ = tell.send((number, request));
                    tokio::spawn(async move {
                        stream.write_all(b"hello").await.unwrap();
                        stream.shutdown().await.unwrap();
                        let _ = stream.read_to_end(&mut Vec::new()).await;
                    });
                }
            });
        }
    });
    (address, told)
}

/// An entry of alice, whose tunnels go to a destination inside tunnels of bob.
async fn entry(ca: &Ca, running: &mut Running, address: Option<SocketAddr>, to: SocketAddr) -> SocketAddr {
    let (gateway, _) = running.inbound(inbound_config(ca)).await;
    let gateway = Peer { address: gateway.try_into().unwrap(), others: Vec::new(), expected: vec![id(BOB)] };
    let address = address.map(|at| at.try_into().unwrap());
    let network = Some("west".to_owned());
    let way = Way::Double(Double { gateway, address, expected: vec![id(CAROL)], network });
    let front = Front::Fixed(to.try_into().unwrap());
    let config = OutboundConfig::with_front("out", front, Routes::all(way), ca.identity(ALICE));
    running.outbound(config, Pool::new(PoolConfig::default())).await.0
}

async fn greeting(entry: SocketAddr) -> String {
    let mut client = TcpStream::connect(entry).await.unwrap();
    let mut text = String::new();
    within(client.read_to_string(&mut text)).await.unwrap();
    text
}

#[tokio::test]
async fn the_far_node_hears_the_destination_and_the_network_and_many_tunnels_share_the_inner_connection() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (node, mut told) = far(&ca).await;
    let entry = entry(&ca, &mut running, Some(node), "10.0.0.1:80".parse().unwrap()).await;
    for _ in 0..5 {
        assert_eq!(greeting(entry).await, "hello");
        let (connection, request) = within(told.recv()).await.unwrap();
        assert_eq!(connection, 0);
        assert!(request.is_connect());
        assert_eq!(request.authority().unwrap(), b"10.0.0.1:80");
        assert_eq!(request.field("x-forwarded-network").unwrap(), b"west");
        assert!(request.field("forwarded").unwrap().starts_with(b"for=\"127.0.0.1:"));
    }
}

#[tokio::test]
async fn without_an_address_the_gateway_is_asked_for_the_destination_itself_and_so_is_the_far_node() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (node, mut told) = far(&ca).await;
    let entry = entry(&ca, &mut running, None, node).await;
    assert_eq!(greeting(entry).await, "hello");
    let (_, request) = within(told.recv()).await.unwrap();
    assert_eq!(request.authority().unwrap(), node.to_string().as_bytes());
}
