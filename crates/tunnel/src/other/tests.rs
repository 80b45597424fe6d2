//! A caller's stream on one side, a handler on the other.

use hbone_conn::{Config, Plain, Side, establish};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::testing::outside::{Ending, LONG, read_end};

struct Scene {
    /// The caller's end.
    stream: Stream,
    handler: TcpStream,
    handed: JoinHandle<Option<u16>>,
    _handle: hbone_conn::Handle,
}

/// A request of which the handler has read the head.
async fn scene(length: &str, idle: Option<Duration>) -> Scene {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (handle, _, driver) = establish(Side::Client, Plain::new(ours), Config::default());
    tokio::spawn(driver);
    let (kept, mut incoming, driver) = establish(Side::Server, Plain::new(theirs), Config::default());
    tokio::spawn(driver);
    let mut request = Request::new("POST", "https", "a:1", "/x");
    request.push("content-length", length);
    let stream = handle.open(request).await.unwrap();
    let (request, asked) = incoming.accept().await.unwrap();
    tokio::spawn(async move {
        while incoming.accept().await.is_some() {}
        drop(kept);
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let limits = RelayLimits { idle, ..RelayLimits::default() };
    let handed = tokio::spawn(async move {
        let asker = Asker { source: None, from: "192.0.2.7:1".parse().unwrap() };
        hand_over(asked, &request, asker, to, limits).await
    });
    let (mut handler, _) = timeout(LONG, listener.accept()).await.unwrap().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(LONG, handler.read_u8()).await.unwrap().unwrap());
    }
    Scene { stream, handler, handed, _handle: handle }
}

impl Scene {
    async fn status(self) -> Option<u16> {
        timeout(LONG, self.handed).await.expect("it outlives its caller").unwrap()
    }
}

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_request_that_was_answered_ends_in_peace_at_both_ends() {
    let mut scene = scene("5", None).await;
    scene.stream.write_all(b"hello").await.unwrap();
    scene.stream.finish().unwrap();
    let mut content = [0; 5];
    timeout(LONG, scene.handler.read_exact(&mut content)).await.unwrap().unwrap();
    scene.handler.write_all(b"HTTP/1.1 203 Fine\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    assert_eq!(scene.stream.response().await.unwrap().status(), 203);
    assert_eq!(read_end(&mut scene.stream).await, (b"ok".to_vec(), Ending::Fin));
    assert_eq!(read_end(&mut scene.handler).await, (Vec::new(), Ending::Fin));
    assert_eq!(scene.handler.shutdown().await.is_ok().then_some(scene.status().await), Some(Some(203)));
}

#[tokio::test]
async fn n3_a_request_whose_caller_has_gone_goes_too_before_the_answer_and_within_it() {
    for begin in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegin"] {
        let mut scene = scene("0", None).await;
        scene.handler.write_all(begin.as_bytes()).await.unwrap();
        if !begin.is_empty() {
            scene.stream.response().await.unwrap();
            let mut read = [0; 5];
            timeout(LONG, scene.stream.read_exact(&mut read)).await.unwrap().unwrap();
        }
        scene.stream.reset(ErrorCode::CANCEL);
        assert_eq!(read_end(&mut scene.handler).await.1, Ending::Reset, "{begin}");
        assert_eq!(scene.status().await, None);
    }
}

#[tokio::test]
async fn t28_a_handler_that_stops_within_its_answer_is_cut_at_the_idle_limit() {
    let mut scene = scene("0", Some(SHORT)).await;
    scene.handler.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegin").await.unwrap();
    scene.stream.response().await.unwrap();
    let (read, ending) = read_end(&mut scene.stream).await;
    assert_eq!((&read[..], ending), (&b"begin"[..], Ending::Reset));
    assert_eq!(read_end(&mut scene.handler).await.1, Ending::Reset);
    assert_eq!(scene.status().await, None);
}

#[tokio::test]
async fn t28_an_upload_that_stops_is_told_504_at_the_idle_limit() {
    let mut scene = scene("100", Some(SHORT)).await;
    scene.stream.write_all(b"begin").await.unwrap();
    let response = timeout(LONG, scene.stream.response()).await.unwrap().unwrap();
    assert_eq!(response.status(), 504);
    assert_eq!(read_end(&mut scene.handler).await.1, Ending::Reset);
    assert_eq!(scene.status().await, Some(504));
}
