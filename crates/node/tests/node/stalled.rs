//! F3: tunnels whose readers have stalled do not hold up their neighbours on the same connections. Real processes;
//! prints what a neighbour moves beside them, and what each of them costs.
//! `cargo test -p hbone-node --test node f3_ -- --nocapture`

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::fake;
use crate::process::PATIENCE;
use crate::tunnels::{Pair, octets};

/// Of a neighbour's transfer.
const SIZE: usize = 24 << 20;

/// A server that sends without end where it is asked for `s`, and an amount where it is asked for `f`.
fn server(sent: Arc<AtomicU64>) -> std::net::SocketAddr {
    let content = octets(1 << 20);
    fake::serve(move |mut stream| {
        let mut asked = [0];
        if stream.read_exact(&mut asked).is_err() {
            return;
        }
        if asked == *b"f" {
            for _ in 0..SIZE / content.len() {
                if stream.write_all(&content).is_err() {
                    return;
                }
            }
        } else {
            while let Ok(count) = stream.write(&content) {
                sent.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
    })
}

/// The time of a transfer, octet for octet what was sent.
fn transfer(pair: &Pair) -> Duration {
    let content = octets(1 << 20);
    let mut stream = pair.connect(0);
    let start = Instant::now();
    stream.write_all(b"f").unwrap();
    let mut received = vec![0; content.len()];
    for _ in 0..SIZE / content.len() {
        stream.read_exact(&mut received).unwrap();
        assert!(received == content);
    }
    assert_eq!(stream.read(&mut received).unwrap(), 0);
    start.elapsed()
}

fn best(pair: &Pair) -> Duration {
    (0..3).map(|_| transfer(pair)).min().unwrap()
}

/// Resident memory of both nodes in KiB.
fn memory(pair: &mut Pair) -> u64 {
    let of = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    of(pair.alice.process().id()) + of(pair.bob.process().id())
}

#[test]
fn f3_two_hundred_and_fifty_five_stalled_readers_hold_up_nobody_on_their_connections() {
    let sent = Arc::new(AtomicU64::new(0));
    let limits = "connections_per_peer = 1\nstreams_per_connection = 256";
    let mut pair = Pair::with_limits(&[server(Arc::clone(&sent))], limits);
    let alone = best(&pair);
    let before = memory(&mut pair);
    let stalled: Vec<TcpStream> = (0..255)
        .map(|_| {
            let mut stream = pair.connect(0);
            stream.write_all(b"s").unwrap();
            stream
        })
        .collect();
    // Until all of them are full, and the server stands still.
    let (start, mut last) = (Instant::now(), (0, Instant::now()));
    while last.1.elapsed() < Duration::from_millis(500) || last.0 == 0 {
        assert!(start.elapsed() < 2 * PATIENCE, "nothing stops the server");
        let now = sent.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let each = memory(&mut pair).saturating_sub(before) / stalled.len() as u64;
    let beside = best(&pair);
    let kept = alone.as_secs_f64() / beside.as_secs_f64() * 100.0;
    println!(
        "beside 255 stalled tunnels a neighbour keeps {kept:.0} % of its rate ({alone:?}, then {beside:?})"
    );
    println!("a stalled tunnel costs {each} KiB at both nodes together");
    // As many as the two windows of a stream, the sockets' buffers apart.
    assert!(each < 2048, "{each} KiB");
    drop(stalled);
}
