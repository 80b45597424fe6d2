//! A node whose descriptors are used up. Runs in a process of its own with a low limit.

use std::io::ErrorKind::WouldBlock;
use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::captured;
use crate::common::{End, Pair, echo, fin, read_end, within};

#[test]
fn t30_descriptors_used_up_stop_accepting_and_harm_no_live_tunnel() {
    run("descriptors::inside_a_low_limit");
}

#[test]
fn h70_descriptors_used_up_turn_out_the_oldest_stranger() {
    run("descriptors::inside_a_full_house");
}

fn run(inner: &str) {
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

#[tokio::test]
#[ignore = "run by the test above under a low limit"]
async fn inside_a_full_house() {
    let pair = Pair::to(echo().await).await;
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let mut strangers = Vec::new();
    for _ in 0..3 {
        let before = open();
        strangers.push(TcpStream::connect(pair.node).await.unwrap());
        within(async {
            while open() < before + 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    let mut files = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        files.push(file);
    }
    files.pop();
    strangers.push(TcpStream::connect(pair.node).await.unwrap());
    // Without a word.
    let mut left = strangers.remove(0);
    assert!(matches!(within(left.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    // One more may go, so that a descriptor is spare: Linux tells the want of one before it looks at the queue.
    for stranger in &strangers[1..] {
        // Nothing to read, no end: still there.
        assert!(stranger.try_read(&mut [0; 1]).is_err_and(|error| error.kind() == WouldBlock));
    }
}
