//! A connection of a web front from both sides: a client on a socket, and a workload behind a node on a stream.

use std::sync::Arc;
use std::time::Duration;

use hbone_conn::{Config, Plain, Response, Side, Stream, establish};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::client::{Connection, serve, turned_over};
use super::table::{WebFront, WebRoute};
use crate::drain::{Shutdown, drain};
use crate::front::Origin;
use crate::hop::PlainNode;
use crate::join::End;
use crate::leg::UnixLeg;
use crate::open::Opener;
use crate::outcome::RelayLimits;
use crate::pool::{Pool, PoolConfig};
use crate::sockets;
use crate::testing::outside::{Ending, Kind, LONG, Maker, read_end};
use crate::testing::{Authority, Leaf};
use crate::way::Way;
use crate::wire::Wire;

const HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: web.example\r\n\r\n";

/// A connection that is served.
struct Scene<C> {
    client: C,
    /// The workload's ends of tunnels.
    tunnels: mpsc::UnboundedReceiver<Stream>,
    /// Whether it ended in peace.
    served: JoinHandle<bool>,
    _shutdown: Shutdown,
}

impl Scene<TcpStream> {
    async fn new(idle: Option<Duration>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (near, _) = listener.accept().await.unwrap();
        Self::over(End::Tcp(near), client, idle).await
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Scene<C> {
    async fn over(near: End, client: C, idle: Option<Duration>) -> Self {
        let (address, tunnels) = node().await;
        let route = WebRoute {
            host: Some("web.example".parse().unwrap()),
            path: "/".parse().unwrap(),
            destination: "10.0.0.1:80".parse().unwrap(),
            way: Way::Plain(PlainNode { address: address.parse().unwrap(), unix: None }),
        };
        let identity = Arc::new(Authority::new().identity(&Leaf::of("spiffe://td/ns/a/sa/gate")).unwrap());
        let (shutdown, drain) = drain();
        let connection = Connection {
            front: WebFront { certificates: None, routes: Arc::new([route]) },
            listener: "web".into(),
            from: Origin::Address("192.0.2.7:1".parse().unwrap()),
            sni: None,
            opener: Opener { pool: Pool::new(PoolConfig::default()), identity, after: LONG },
            baggage: None,
            limits: RelayLimits { idle, ..RelayLimits::default() },
            drain,
        };
        let served = tokio::spawn(serve(near, connection));
        Self { client, tunnels, served, _shutdown: shutdown }
    }

    async fn say(&mut self, octets: &[u8]) {
        self.client.write_all(octets).await.unwrap();
    }

    /// The next tunnel, once the workload has read so much of the request that it ends so.
    async fn asked(&mut self, end: &[u8]) -> Stream {
        let mut stream = timeout(LONG, self.tunnels.recv()).await.unwrap().unwrap();
        let mut read = Vec::new();
        while !read.ends_with(end) {
            read.push(timeout(LONG, stream.read_u8()).await.unwrap().unwrap());
        }
        stream
    }

    async fn ended_in_peace(self) -> bool {
        timeout(LONG, self.served).await.expect("it never ends").unwrap()
    }
}

/// A node without TLS, and its ends of the tunnels that it is asked for.
async fn node() -> (String, mpsc::UnboundedReceiver<Stream>) {
    let (give, tunnels) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let (handle, mut incoming, driver) = establish(Side::Server, Plain::new(tcp), Config::default());
        tokio::spawn(driver);
        while let Some((_, mut stream)) = incoming.accept().await {
            stream.respond(Response::new(200)).unwrap();
            let _ = give.send(stream);
        }
        drop(handle);
    });
    (address, tunnels)
}

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn n2_a_whole_exchange_ends_the_tunnel_in_peace_whatever_its_contents() {
    for (request, response) in [
        (HEAD, &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"[..]),
        (HEAD, b"HTTP/1.1 204 None\r\n\r\n"),
        (HEAD, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        (
            b"POST / HTTP/1.1\r\nhost: web.example\r\ncontent-length: 4\r\n\r\n\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ),
        (b"HEAD / HTTP/1.1\r\nhost: web.example\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
    ] {
        let mut scene = Scene::new(None).await;
        scene.say(request).await;
        let end = if request.starts_with(b"POST") { &b"\r\n\r\n\r\n\r\n"[..] } else { b"\r\n\r\n" };
        let mut workload = scene.asked(end).await;
        workload.write_all(response).await.unwrap();
        let (rest, ending) = read_end(&mut workload).await;
        assert_eq!((rest.len(), ending), (0, Ending::Fin), "{}", String::from_utf8_lossy(response));
        scene.client.shutdown().await.unwrap();
        let (_, ending) = read_end(&mut scene.client).await;
        assert_eq!(ending, Ending::Fin);
        assert!(scene.ended_in_peace().await);
    }
}

#[tokio::test]
async fn n3_a_client_that_breaks_off_within_its_content_resets_the_tunnel() {
    for framing in ["content-length: 100\r\n\r\nbegin", "transfer-encoding: chunked\r\n\r\n5\r\nbegin\r\n"] {
        let mut scene = Scene::new(None).await;
        scene.say(format!("POST / HTTP/1.1\r\nhost: web.example\r\n{framing}").as_bytes()).await;
        let mut workload = scene.asked(b"begin").await;
        let Scene { client, served, .. } = scene;
        sockets::reset(client);
        let (_, ending) = read_end(&mut workload).await;
        assert_eq!(ending, Ending::Reset, "{framing}");
        assert!(!timeout(LONG, served).await.unwrap().unwrap(), "no end in peace");
    }
}

#[tokio::test]
async fn n3_a_workload_that_breaks_off_within_its_content_is_a_reset_at_both_ends() {
    let mut scene = Scene::new(None).await;
    scene.say(HEAD).await;
    let mut workload = scene.asked(b"\r\n\r\n").await;
    workload.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegin").await.unwrap();
    workload.shutdown().await.unwrap();
    let (read, ending) = read_end(&mut workload).await;
    assert_eq!((read.len(), ending), (0, Ending::Reset));
    let (_, ending) = read_end(&mut scene.client).await;
    assert_eq!(ending, Ending::Reset);
    assert!(!scene.ended_in_peace().await);
}

#[tokio::test]
async fn t28_a_workload_that_says_nothing_is_a_504_and_a_reset_of_its_tunnel() {
    let mut scene = Scene::new(Some(SHORT)).await;
    scene.say(HEAD).await;
    let mut workload = scene.asked(b"\r\n\r\n").await;
    let mut status = [0; 12];
    timeout(LONG, scene.client.read_exact(&mut status)).await.unwrap().unwrap();
    assert_eq!(&status, b"HTTP/1.1 504");
    assert_eq!(read_end(&mut workload).await.1, Ending::Reset);
}

#[tokio::test]
async fn t28_a_response_that_stops_is_cut_at_both_ends_at_the_idle_limit() {
    let mut scene = Scene::new(Some(SHORT)).await;
    scene.say(HEAD).await;
    let mut workload = scene.asked(b"\r\n\r\n").await;
    workload.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegin").await.unwrap();
    assert_eq!(read_end(&mut workload).await.1, Ending::Reset);
    let (read, ending) = read_end(&mut scene.client).await;
    assert!(read.ends_with(b"begin") && ending == Ending::Reset, "{ending:?}");
    assert!(!scene.ended_in_peace().await);
}

#[tokio::test]
async fn t27_an_upload_that_moves_may_last_longer_than_the_idle_limit() {
    const IDLE: Duration = Duration::from_millis(800);
    let mut scene = Scene::new(Some(IDLE)).await;
    scene.say(b"POST / HTTP/1.1\r\nhost: web.example\r\ncontent-length: 8\r\n\r\n").await;
    let mut workload = scene.asked(b"\r\n\r\n").await;
    for _ in 0..8 {
        // Of the time that passes this test is about.
        sleep(IDLE / 5).await;
        scene.say(b"x").await;
        assert_eq!(timeout(LONG, workload.read_u8()).await.unwrap().unwrap(), b'x');
    }
    workload.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let mut status = [0; 12];
    timeout(LONG, scene.client.read_exact(&mut status)).await.unwrap().unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    assert_eq!(read_end(&mut workload).await.1, Ending::Fin);
}

#[tokio::test]
async fn t27_a_client_that_takes_its_time_is_not_cut_while_it_takes_something() {
    const IDLE: Duration = Duration::from_millis(600);
    const ALL: usize = 4 << 20;
    let (near, client) = UnixStream::pair().unwrap();
    // The system tells of room only when most of its buffer is free.
    SockRef::from(&near).set_send_buffer_size(16 << 10).unwrap();
    let near = End::Other(Box::new(UnixLeg::new(near)));
    let mut scene = Scene::over(near, client, Some(IDLE)).await;
    scene.say(b"GET / HTTP/1.1\r\nhost: web.example\r\nconnection: close\r\n\r\n").await;
    let mut workload = scene.asked(b"\r\n\r\n").await;
    let sends = tokio::spawn(async move {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {ALL}\r\n\r\n");
        workload.write_all(head.as_bytes()).await.unwrap();
        workload.write_all(&vec![0; ALL]).await.unwrap();
        read_end(&mut workload).await
    });
    let mut piece = vec![0; 20 << 10];
    for _ in 0..12 {
        sleep(IDLE / 4).await;
        timeout(LONG, scene.client.read_exact(&mut piece)).await.unwrap().unwrap();
    }
    let (rest, ending) = read_end(&mut scene.client).await;
    assert_eq!(ending, Ending::Fin);
    assert!(rest.len() + 12 * piece.len() > ALL);
    assert_eq!(timeout(LONG, sends).await.unwrap().unwrap().1, Ending::Fin);
}

#[tokio::test]
async fn t28_a_client_that_takes_no_answers_is_reset_at_the_idle_limit() {
    let scene = Scene::new(Some(SHORT)).await;
    let Scene { mut client, served, tunnels: _tunnels, _shutdown } = scene;
    // Nothing is served there: no tunnel that could be silent has a part in it.
    let asks = tokio::spawn(async move {
        let asks = b"GET / HTTP/1.1\r\nhost: other\r\n\r\n".repeat(1000);
        while client.write_all(&asks).await.is_ok() {}
    });
    assert!(!timeout(LONG, served).await.expect("it holds its place for ever").unwrap());
    timeout(LONG, asks).await.unwrap().unwrap();
}

#[tokio::test]
async fn n3_a_client_whose_other_protocol_has_lost_its_far_end_is_reset() {
    let (near, mut outside) = Maker::new().make(Kind::Tcp).await;
    let (give, far) = oneshot::channel();
    drop(give);
    let (limits, (_shutdown, drain)) = (RelayLimits::default(), drain());
    let wire = Wire::new(near.into_leg());
    let watch = wire.watch(limits);
    assert!(!turned_over(Some((wire, bytes::Bytes::new(), watch)), far, &limits, &drain).await);
    assert_eq!(read_end(&mut outside).await.1, Ending::Reset);
}
