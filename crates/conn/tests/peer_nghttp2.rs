//! Against programs of others: nghttpd as the server of our client; nghttp, h2load and curl as clients of the
//! example server.
//!
//! A program that is not installed is skipped with a message; with `HBONE_REQUIRE_PEERS=1` that is a failure.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic, also in its helpers")]

#[path = "../examples/h2c_server/server.rs"]
mod server;

use std::net::{SocketAddr, TcpListener, TcpStream as StdStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use hbone_conn::{Config, ConnectionError, Handle, Plain, Request, Side, establish};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The path of a program, or `None` after saying that it is missing.
fn program(name: &str) -> Option<PathBuf> {
    let places = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin"];
    let found = places.iter().map(|place| PathBuf::from(place).join(name)).find(|path| path.exists());
    if found.is_none() {
        #[expect(clippy::disallowed_methods, reason = "how strict this test is, not how the engine behaves")]
        let required = std::env::var("HBONE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
        assert!(!required, "{name} is required and not installed");
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// A child that is killed with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The example server on a free port, in a thread that ends with the tests.
fn example() -> String {
    serving(server::config())
}

/// The same with that configuration.
fn serving(config: Config) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            server::serve(tokio::net::TcpListener::from_std(listener).unwrap(), config).await
        })
    });
    address
}

fn run(path: PathBuf, arguments: &[&str]) -> Output {
    let output = Command::new(path).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn nghttp_gets_its_answers() {
    let Some(nghttp) = program("nghttp") else { return };
    let address = example();
    let url = format!("http://{address}/");
    let got = text(&run(nghttp, &["-v", "-m", "20", &url]));
    assert_eq!(got.matches(":status: 200").count(), 20, "{got}");
    assert!(got.contains("Hello, world!"));
    assert!(!got.contains("RST_STREAM"), "{got}");
}

#[test]
fn curl_gets_posts_and_asks_for_heads() {
    let Some(curl) = program("curl") else { return };
    let address = example();
    let url = format!("http://{address}/some/path");
    let body = tempfile(3_000_000);
    let ask = |more: &[&str]| {
        let common = ["-s", "--max-time", "20", "--http2-prior-knowledge", "-w", " %{http_code}", &url];
        text(&run(curl.clone(), &[&common, more].concat()))
    };
    assert_eq!(ask(&[]), "Hello, world! 200");
    assert_eq!(ask(&["--data-binary", &format!("@{}", body.display())]), "Hello, world! 200");
    let head = ask(&["-I"]);
    assert!(head.contains("content-length: 13") && head.ends_with("200"), "{head}");
    std::fs::remove_file(body).unwrap();
}

#[test]
fn h2load_succeeds_with_every_request() {
    let Some(h2load) = program("h2load") else { return };
    let address = example();
    let url = format!("http://{address}/");
    let got = text(&run(h2load, &["-n", "5000", "-c", "5", "-m", "100", &url]));
    assert!(got.contains("5000 done, 5000 succeeded, 0 failed, 0 errored"), "{got}");
}

/// RFC 9113 5.5: who does not know a setting ignores it.
#[test]
fn nghttp_and_h2load_ignore_that_our_server_would_open_streams() {
    let extended = Config { server_streams: true, ..server::config() };
    if let Some(nghttp) = program("nghttp") {
        let url = format!("http://{}/", serving(extended.clone()));
        let got = text(&run(nghttp, &["-v", "-m", "20", &url]));
        assert!(got.contains("(0xfb02):1]"), "it was announced: {got}");
        assert_eq!(got.matches(":status: 200").count(), 20, "{got}");
        assert!(!got.contains("RST_STREAM"), "{got}");
    }
    if let Some(h2load) = program("h2load") {
        let url = format!("http://{}/", serving(extended));
        let got = text(&run(h2load, &["-n", "2000", "-c", "5", "-m", "100", &url]));
        assert!(got.contains("2000 done, 2000 succeeded, 0 failed, 0 errored"), "{got}");
    }
}

/// nghttpd on a free port, serving files of `root`.
fn nghttpd(root: &std::path::Path) -> Option<(Running, SocketAddr)> {
    let path = program("nghttpd")?;
    // A port that was free a moment ago; nghttpd cannot tell which one it took.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let child = Command::new(path)
        .args(["--no-tls", "-a", "127.0.0.1", "-d"])
        .arg(root)
        .args(["--echo-upload", &address.port().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    while StdStream::connect(address).is_err() {
        assert!(running.0.try_wait().unwrap().is_none(), "nghttpd has ended");
        std::thread::yield_now();
    }
    Some((running, address))
}

async fn client(address: SocketAddr) -> (Handle, tokio::task::JoinHandle<ConnectionError>) {
    client_with(address, Config::default()).await
}

async fn client_with(
    address: SocketAddr,
    config: Config,
) -> (Handle, tokio::task::JoinHandle<ConnectionError>) {
    let socket = TcpStream::connect(address).await.unwrap();
    let (handle, _, driver) = establish(Side::Client, Plain::tcp(socket).unwrap(), config);
    (handle, tokio::spawn(driver))
}

fn tempfile(size: usize) -> PathBuf {
    let path = std::env::temp_dir().join(format!("hbone-peer-{}-{size}", std::process::id()));
    std::fs::write(&path, pattern(size)).unwrap();
    path
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8 ^ (i >> 12) as u8).collect()
}

#[tokio::test]
async fn our_client_fetches_files_from_nghttpd() {
    let path = tempfile(2_000_000);
    let Some((_server, address)) = nghttpd(path.parent().unwrap()) else { return };
    let (handle, driver) = client(address).await;
    let name = format!("/{}", path.file_name().unwrap().to_string_lossy());
    let fetch = |path: String| {
        let handle = handle.clone();
        async move {
            let mut stream = handle.open(Request::new("GET", "http", "localhost", &path)).await.unwrap();
            stream.finish().unwrap();
            let status = stream.response().await.unwrap().status();
            let mut body = Vec::new();
            stream.read_to_end(&mut body).await.unwrap();
            (status, body)
        }
    };
    let (one, two, missing) =
        tokio::join!(fetch(name.clone()), fetch(name.clone()), fetch("/no/such/file".to_owned()));
    let expected = pattern(2_000_000);
    assert!(one == (200, expected.clone()) && two == (200, expected));
    assert_eq!(missing.0, 404);
    handle.ping().await.unwrap();
    drop(handle);
    assert_eq!(driver.await.unwrap(), ConnectionError::Closed);
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn what_our_client_uploads_comes_back_from_nghttpd() {
    let Some((_server, address)) = nghttpd(&std::env::temp_dir()) else { return };
    let (handle, driver) = client(address).await;
    let mut stream = handle.open(Request::new("POST", "http", "localhost", "/echo")).await.unwrap();
    let data = pattern(1_000_000);
    for piece in data.chunks(70_000) {
        stream.write_chunk(bytes::Bytes::copy_from_slice(piece)).await.unwrap();
    }
    stream.finish().unwrap();
    assert_eq!(stream.response().await.unwrap().status(), 200);
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert!(got == data);
    handle.close(hbone_conn::ErrorCode::NO_ERROR);
    driver.await.unwrap();
}

/// RFC 9113 5.5, 6.8: nghttpd ignores that our client takes streams, and is told to go away in one step.
#[tokio::test]
async fn nghttpd_ignores_that_our_client_takes_streams() {
    let Some((_server, address)) = nghttpd(&std::env::temp_dir()) else { return };
    let extended = Config { server_streams: true, ..Config::default() };
    let (handle, driver) = client_with(address, extended).await;
    let mut stream = handle.open(Request::new("POST", "http", "localhost", "/echo")).await.unwrap();
    let data = pattern(300_000);
    stream.write_chunk(bytes::Bytes::copy_from_slice(&data)).await.unwrap();
    stream.finish().unwrap();
    assert_eq!(stream.response().await.unwrap().status(), 200);
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert!(got == data);
    drop((stream, handle));
    assert_eq!(driver.await.unwrap(), ConnectionError::Closed);
}
