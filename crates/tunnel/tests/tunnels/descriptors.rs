//! A node whose descriptors are used up. Runs in a process of its own with a low limit.

use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::captured;
use crate::common::{End, Pair, echo, fin, read_end, within};

#[test]
fn t30_descriptors_used_up_stop_accepting_and_harm_no_live_tunnel() {
    let inner = "descriptors::inside_a_low_limit";
    let child = Command::new("prlimit")
        .args(["--nofile=64:64", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", inner, "--ignored", "--nocapture"])
        .output();
    match child {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
        }
        Err(error) => eprintln!("skipped: prlimit cannot be run: {error}"),
    }
}

#[tokio::test]
#[ignore = "run by the test above under a low limit"]
async fn inside_a_low_limit() {
    let pair = Pair::to(echo().await).await;
    let mut live = TcpStream::connect(pair.entry).await.unwrap();
    live.write_all(b"ping").await.unwrap();
    within(live.read_exact(&mut [0; 4])).await.unwrap();

    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    // Room for the client's own socket only: accepting it fails.
    files.pop();
    let mut waiting = TcpStream::connect(pair.entry).await.unwrap();
    within(captured::events("cannot accept connections; raise the limit of open files", 1)).await;
    live.write_all(b"pong").await.unwrap();
    within(live.read_exact(&mut [0; 4])).await.unwrap();

    drop(files);
    waiting.write_all(b"hello").await.unwrap();
    fin(&waiting);
    assert_eq!(read_end(&mut waiting).await, (b"hello".to_vec(), End::Fin), "it recovers");
}
