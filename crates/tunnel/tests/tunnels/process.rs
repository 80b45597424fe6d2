//! Nodes in processes of their own: what their death, and a low limit of descriptors, does to others.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{End, LONG, Pair, bind, echo, fin, read_end, within};

/// This test binary once more, running one ignored test.
pub(crate) struct Process(Child);

impl Process {
    /// Runs `inner` below `wrapper` and waits until it has [`tell`]ed its addresses. `None`, with a word about
    /// it, when the wrapper cannot be run.
    pub(crate) fn start(wrapper: &[&str], inner: &str, input: &str) -> Option<(Self, Vec<SocketAddr>)> {
        let exe = std::env::current_exe().unwrap();
        let mut command = match wrapper.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(exe);
                command
            }
            None => Command::new(exe),
        };
        let child = command
            .args(["--exact", inner, "--ignored", "--nocapture"])
            .env(INPUT, input)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = match child {
            Ok(child) => Self(child),
            Err(error) => {
                eprintln!("skipped: {wrapper:?} cannot be run: {error}");
                return None;
            }
        };
        for line in BufReader::new(child.0.stdout.take().unwrap()).lines() {
            if let Some((_, told)) = line.unwrap().split_once(MARK) {
                return Some((child, told.split(' ').map(|text| text.parse().unwrap()).collect()));
            }
        }
        panic!("the process ended before it told its addresses");
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// An exit without a word.
    pub(crate) fn exit(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Inside: tells the addresses to who started this process, and lives until he lets go.
pub(crate) async fn tell(addresses: &[SocketAddr]) -> ! {
    let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    println!("{MARK}{}", texts.join(" "));
    std::io::stdout().flush().unwrap();
    let waiting = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    waiting.await.unwrap().unwrap();
    std::process::exit(0)
}

pub(crate) fn input() -> String {
    std::env::var(INPUT).unwrap_or_default()
}

const MARK: &str = "the addresses are: ";
const INPUT: &str = "HBONE_TEST_INPUT";

#[tokio::test]
async fn f1_the_death_of_a_process_is_a_rst_for_both_neighbours_never_a_fin() {
    let (listener, service) = bind().await;
    for killed in [true, false] {
        let (mut process, told) = Process::start(&[], "process::inside", &service.to_string()).unwrap();
        let mut ends = Vec::new();
        // Silent, in the middle of octets, and with one direction ended by each side.
        for _ in 0..4 {
            let mut client = TcpStream::connect(told[0]).await.unwrap();
            let (mut server, _) = within(listener.accept()).await.unwrap();
            client.write_all(b"ping").await.unwrap();
            within(server.read_exact(&mut [0; 4])).await.unwrap();
            server.write_all(b"pong").await.unwrap();
            within(client.read_exact(&mut [0; 4])).await.unwrap();
            ends.push((client, server));
        }
        ends[1].0.write_all(&[1; 100_000]).await.unwrap();
        ends[1].1.write_all(&[1; 100_000]).await.unwrap();
        fin(&ends[2].0);
        assert_eq!(read_end(&mut ends[2].1).await, (Vec::new(), End::Fin));
        fin(&ends[3].1);
        assert_eq!(read_end(&mut ends[3].0).await, (Vec::new(), End::Fin));
        if killed {
            process.kill()
        } else {
            process.exit()
        }
        for (at, (client, server)) in ends.iter_mut().enumerate() {
            if at != 3 {
                assert_eq!(read_end(client).await.1, End::Reset, "client {at}, killed: {killed}");
            }
            if at != 2 {
                assert_eq!(read_end(server).await.1, End::Reset, "server {at}, killed: {killed}");
            }
        }
    }
}

#[tokio::test]
#[ignore = "run by the test above in a process of its own"]
async fn inside() {
    let pair = Pair::to(input().parse().unwrap()).await;
    tell(&[pair.entry]).await
}

#[tokio::test]
async fn h70_silent_strangers_lock_nobody_out_of_a_node_with_few_descriptors() {
    let limit = ["prlimit", "--nofile=96:96", "--"];
    let Some((_process, told)) = Process::start(&limit, "process::inside_a_low_limit", "") else { return };
    let mut strangers = Vec::new();
    for _ in 0..200 {
        // With a full queue the system does not answer: that is enough of them.
        let Ok(connected) = tokio::time::timeout(LONG / 100, TcpStream::connect(told[1])).await else {
            break;
        };
        strangers.push(connected.unwrap());
    }
    let mut client = TcpStream::connect(told[0]).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    fin(&client);
    assert_eq!(read_end(&mut client).await, (b"hello".to_vec(), End::Fin));
}

#[tokio::test]
#[ignore = "run by the test above in a process of its own"]
async fn inside_a_low_limit() {
    let pair = Pair::to(echo().await).await;
    tell(&[pair.entry, pair.node]).await
}
