//! The three servers: ours and stock h2 in threads of this process, nghttpd as a child.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;

#[path = "../../../../crates/conn/examples/h2c_server/server.rs"]
mod example;

/// The servers run as long as this lives.
pub(crate) struct Servers {
    pub(crate) addresses: [(&'static str, SocketAddr); 3],
    nghttpd: Child,
    root: PathBuf,
}

impl Drop for Servers {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.nghttpd.kill();
        let _ = self.nghttpd.wait();
        let _ = fs::remove_dir_all(&self.root);
    }
}

impl Servers {
    /// `None` when nghttpd is not installed.
    pub(crate) fn start() -> Option<Self> {
        let program = ["/usr/sbin/nghttpd", "/usr/bin/nghttpd", "/usr/local/bin/nghttpd"]
            .into_iter()
            .find(|path| Path::new(path).exists())?;
        let root = std::env::temp_dir().join(format!("hbone-differential-{}", std::process::id()));
        fs::create_dir_all(&root).expect("a folder for nghttpd");
        fs::write(root.join("index.html"), "Hello, world!").expect("a file for nghttpd");
        // A port that was free a moment ago; nghttpd cannot tell which one it took.
        let theirs = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port");
        let nghttpd = Command::new(program)
            .args(["--no-tls", "-a", "127.0.0.1", "-d"])
            .arg(&root)
            .arg(theirs.port().to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nghttpd starts");
        while TcpStream::connect(theirs).is_err() {
            std::thread::yield_now();
        }
        let ours = serve(|listener| async move {
            example::serve(listener, example::config()).await.expect("the example server accepts");
        });
        let stock = serve(stock);
        Some(Self { addresses: [("ours", ours), ("nghttpd", theirs), ("h2", stock)], nghttpd, root })
    }
}

/// Runs a server in a thread of its own, for ever.
fn serve<F>(server: impl FnOnce(tokio::net::TcpListener) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()>,
{
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("tokio wants it");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            server(tokio::net::TcpListener::from_std(listener).expect("a listener")).await;
        });
    });
    address
}

/// The smallest server on stock h2: takes the whole request, answers 200.
async fn stock(listener: tokio::net::TcpListener) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(async move {
            let Ok(mut connection) = h2::server::handshake(socket).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    while let Some(Ok(data)) = body.data().await {
                        // The stream may have been reset: then there is nothing to give back.
                        let _ = body.flow_control().release_capacity(data.len());
                    }
                    if body.trailers().await.is_ok()
                        && let Ok(mut send) = respond.send_response(http::Response::new(()), false)
                    {
                        // The client may be gone.
                        let _ = send.send_data(Bytes::from_static(b"Hello, world!"), true);
                    }
                });
            }
        });
    }
}
