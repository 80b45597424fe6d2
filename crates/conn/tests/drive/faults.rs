//! Wires that fail in small ways: octets that change on their way (F6), single octets and interrupted calls (F7).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hbone_conn::{Config, ConnectionError, Plain, Side};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::support::{End, assert_same, connect, pattern, receive, send, spawn_echo, start};
use crate::tls::{OURS, shake_hands};

/// One octet a call, and every third call is interrupted by a signal first.
struct Slow {
    pipe: DuplexStream,
    calls: u32,
}

impl Slow {
    const fn new(pipe: DuplexStream) -> Self {
        Self { pipe, calls: 0 }
    }

    fn signal(&mut self) -> Poll<io::Result<()>> {
        self.calls += 1;
        let interrupted = self.calls.is_multiple_of(3);
        Poll::Ready(if interrupted { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) })
    }
}

impl AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        std::task::ready!(self.signal())?;
        let mut octet = [0];
        let mut target = ReadBuf::new(&mut octet);
        std::task::ready!(Pin::new(&mut self.pipe).poll_read(cx, &mut target))?;
        into.put_slice(target.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.signal())?;
        Pin::new(&mut self.pipe).poll_write(cx, &data[..data.len().min(1)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.signal())?;
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.signal())?;
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn f7_single_octets_short_writes_and_interrupted_calls_change_nothing() {
    let (near, far) = tokio::io::duplex(100);
    let client = start(Side::Client, Plain::new(Slow::new(near)), Config::default());
    let server = start(Side::Server, Plain::new(Slow::new(far)), Config::default());
    let echo = spawn_echo(server.incoming);
    let data = pattern(3, 20_000);
    let (reader, writer) = client.handle.open(connect()).await.unwrap().into_split();
    let ((), got) = tokio::join!(send(writer, data.clone()), receive(reader));
    assert_same(&got, &data);
    client.handle.drain(std::time::Duration::from_secs(60));
    assert_eq!(client.driver.await.unwrap(), ConnectionError::Closed);
    echo.await.unwrap();
}

/// What happens to one octet on its way.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Flip,
    Insert,
    Drop,
    Swap,
}

/// Reads through; the octet at `at`, counted from when the fault is armed, suffers it.
struct Faulty {
    pipe: DuplexStream,
    fault: Fault,
    /// Octets until it happens.
    at: usize,
}

impl AsyncRead for Faulty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut piece = [0; 2000];
        let room = into.remaining().saturating_sub(1).clamp(1, piece.len());
        let mut target = ReadBuf::new(&mut piece[..room]);
        std::task::ready!(Pin::new(&mut self.pipe).poll_read(cx, &mut target))?;
        let mut octets = target.filled().to_vec();
        let here = self.at;
        self.at = self.at.wrapping_sub(octets.len());
        if here < octets.len() {
            match self.fault {
                Fault::Flip => octets[here] ^= 0x10,
                Fault::Insert if octets.len() < into.remaining() => octets.insert(here, 0x55),
                Fault::Drop if octets.len() > 1 => drop(octets.remove(here)),
                Fault::Swap if here + 1 < octets.len() && octets[here] != octets[here + 1] => {
                    octets.swap(here, here + 1);
                }
                Fault::Insert | Fault::Drop | Fault::Swap => octets[here] ^= 1,
            }
        }
        into.put_slice(&octets);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}

const OCTETS: usize = 6000;
const FAULTS: [Fault; 4] = [Fault::Flip, Fault::Insert, Fault::Drop, Fault::Swap];

/// A client that asks for an echo of [`OCTETS`]; what it read, and how its stream ended.
async fn session(client: End, server: End) -> (Vec<u8>, Result<(), String>) {
    let echo = spawn_echo(server.incoming);
    let opened = client.handle.open(connect()).await;
    let Ok(stream) = opened else { return (Vec::new(), Err(format!("{opened:?}"))) };
    let (mut reader, mut writer) = stream.into_split();
    let mut got = Vec::new();
    let end = async {
        writer.write_chunk(pattern(9, OCTETS)).await?;
        writer.finish()?;
        while let Some(piece) = reader.read_chunk().await? {
            got.extend_from_slice(&piece);
        }
        Ok::<(), hbone_conn::StreamError>(())
    };
    let end = end.await.map_err(|error| error.to_string());
    client.handle.close(hbone_conn::ErrorCode::NO_ERROR);
    client.driver.await.unwrap();
    server.driver.await.unwrap();
    // The streams' own tasks end with their connection.
    echo.await.unwrap();
    (got, end)
}

/// On a paused clock: where an octet is missing, only the keepalive notices.
#[tokio::test(start_paused = true)]
async fn f6_an_octet_that_changes_under_tls_ends_the_connection_and_never_looks_like_an_end() {
    for fault in FAULTS {
        let mut cut = 0;
        // The answers begin some hundred octets after the handshake; every place of the records is met.
        for at in (2500..2500 + OCTETS).step_by(397) {
            let (near, far) = tokio::io::duplex(64 * 1024);
            let (near, far) = (Faulty { pipe: near, fault, at }, Faulty { pipe: far, fault, at: usize::MAX });
            let (client, server) = shake_hands(near, far, OURS).await;
            let (Ok(client), Ok(server)) = (client, server) else {
                // It hit the handshake, which fails as well.
                continue;
            };
            let client = start(Side::Client, client, Config::default());
            let server = start(Side::Server, server, Config::default());
            let (got, end) = session(client, server).await;
            cut += u32::from(end.is_err());
            // Behind the last octet of the answer the change comes too late.
            assert!(end.is_err() || got == pattern(9, OCTETS), "{fault:?} at {at}: a clean end");
            assert!(pattern(9, OCTETS).starts_with(&got), "{fault:?} at {at}: an octet that nobody sent");
        }
        assert!(cut >= 8, "{fault:?}: only {cut} sessions were cut");
    }
}

#[tokio::test]
async fn f6_an_octet_that_changes_without_tls_upsets_nobody_but_its_connection() {
    for fault in FAULTS {
        for at in (0..OCTETS).step_by(61) {
            let (near, far) = tokio::io::duplex(64 * 1024);
            let near = Faulty { pipe: near, fault, at };
            let client = start(
                Side::Client,
                Plain::new(near),
                Config { keepalive_interval: None, ..Config::default() },
            );
            let server = start(Side::Server, Plain::new(far), Config::default());
            // A changed octet of DATA is not noticed, and a changed length may make both wait: nothing is asked
            // but that nobody panics and that all is over when the connection is.
            let handle = client.handle.clone();
            let session = tokio::spawn(session(client, server));
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            handle.close(hbone_conn::ErrorCode::CANCEL);
            let (got, end) = session.await.unwrap();
            assert!(
                end.is_err() || got.len() + 1 >= OCTETS,
                "{fault:?} at {at}: {} octets and an end",
                got.len()
            );
        }
    }
}
