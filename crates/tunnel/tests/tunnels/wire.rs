//! Lines of HBONE that nothing else pins: what counts as success, and how many tunnels a caller may count on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use hbone_conn::{Config, Request, Response, Side, Tls, establish};
use hbone_tunnel::{OutboundConfig, Pool, PoolConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{ALICE, BOB, Ca, End, Running, bind, echo, inbound_config, read_end, route, within};
use crate::upstream::call;

/// A far node that answers every CONNECT with a status that the test sets, without END_STREAM.
async fn answering(ca: &Ca, status: Arc<AtomicU16>) -> std::net::SocketAddr {
    let (listener, address) = bind().await;
    let config = ca.identity(BOB).server_config().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let tls = Tls::accept(tcp, Arc::clone(&config)).await.unwrap();
            let (handle, mut incoming, driver) = establish(Side::Server, tls, Config::default());
            tokio::spawn(driver);
            let status = Arc::clone(&status);
            tokio::spawn(async move {
                let _handle = handle;
                while let Some((_, mut stream)) = incoming.accept().await {
                    stream.respond(Response::new(status.load(Ordering::SeqCst))).unwrap();
                    let _ = stream.send_chunk("hello".into());
                    tokio::spawn(async move { while let Ok(Some(_)) = stream.read_chunk().await {} });
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn any_answer_but_200_is_no_tunnel_and_no_octet_of_it_reaches_the_client() {
    let (ca, mut running, status) = (Ca::new(), Running::new(), Arc::new(AtomicU16::new(200)));
    let node = answering(&ca, Arc::clone(&status)).await;
    let config = OutboundConfig::new("out", route(echo().await, node, BOB), ca.identity(ALICE));
    let (entry, _) = running.outbound(config, Pool::new(PoolConfig::default())).await;
    for wrong in [201, 202, 204, 206, 299, 302, 401, 403, 500, 503] {
        status.store(wrong, Ordering::SeqCst);
        let mut client = TcpStream::connect(entry).await.unwrap();
        assert_eq!(read_end(&mut client).await, (Vec::new(), End::Reset), "{wrong}");
    }
    status.store(200, Ordering::SeqCst);
    let mut client = TcpStream::connect(entry).await.unwrap();
    let mut octets = [0; 5];
    within(client.read_exact(&mut octets)).await.unwrap();
    assert_eq!(&octets, b"hello");
}

#[tokio::test]
async fn a_caller_that_counts_on_a_hundred_tunnels_in_one_connection_gets_them() {
    let (ca, mut running) = (Ca::new(), Running::new());
    let (node, _inbound) = running.inbound(inbound_config(&ca)).await;
    let (service, handle) = (echo().await.to_string(), call(&ca.identity(ALICE), node).await);
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(within(handle.open(Request::connect(&service))).await.unwrap());
    }
    for stream in &mut streams {
        assert_eq!(within(stream.response()).await.unwrap().status(), 200);
    }
    for stream in &mut streams {
        within(stream.write_all(b"word")).await.unwrap();
        let mut octets = [0; 4];
        within(stream.read_exact(&mut octets)).await.unwrap();
    }
}
