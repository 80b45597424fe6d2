//! Raw TCP: the ceiling of the same run.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::payload::Payload;

/// Reads to the end with a buffer of 256 KiB, then ends its own direction.
pub async fn serve_upload(mut socket: TcpStream) {
    let mut buffer = vec![0; 256 * 1024];
    while socket.read(&mut buffer).await.expect("data") > 0 {}
    socket.shutdown().await.expect("the end");
}

/// Uploads `octets` and awaits the other end's own end.
pub async fn upload(mut socket: TcpStream, octets: u64, mut payload: Payload) {
    socket.set_nodelay(true).expect("nodelay");
    let mut left = octets;
    while left > 0 {
        let chunk = payload.next(left);
        left -= chunk.len() as u64;
        socket.write_all(&chunk).await.expect("room");
    }
    socket.shutdown().await.expect("the end");
    assert_eq!(socket.read(&mut [0; 16]).await.expect("the end"), 0);
}
