//! The buffer between a TCP socket and a stream: one read becomes one chunk, without a copy.
//!
//! Used by the relay. Reads grow from 16 to 256 KiB while they are filled and shrink again when they are
//! not; the memory of a chunk is used again once the stream has sent it.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::net::TcpStream;

/// The reading side of a relay.
pub(crate) struct Intake {
    buffer: BytesMut,
    /// Octets that the next read asks for.
    size: usize,
    /// Reads in a row that were far from filling it.
    small: u8,
}

impl Intake {
    pub(crate) fn new() -> Self {
        Self { buffer: BytesMut::new(), size: LEAST, small: 0 }
    }

    /// Reads once, about `room` octets at most; an empty chunk is the FIN.
    pub(crate) fn read(&mut self, tcp: &TcpStream, room: usize) -> io::Result<Bytes> {
        let want = self.size.min(room.max(LEAST));
        if self.buffer.capacity() < want / 2 {
            self.buffer.reserve(want);
        }
        let want = want.min(self.buffer.capacity());
        let taken = tcp.try_read_buf(&mut (&mut self.buffer).limit(want))?;
        self.adapt(taken, want);
        Ok(self.buffer.split().freeze())
    }

    /// Nothing to read for now: large buffers are not kept through silence.
    pub(crate) fn rest(&mut self) {
        if self.buffer.capacity() > KEPT {
            self.buffer = BytesMut::new();
        }
    }

    fn adapt(&mut self, taken: usize, want: usize) {
        if taken == want {
            self.size = (self.size * 2).min(MOST);
            self.small = 0;
        } else if taken < self.size / 4 {
            self.small += 1;
            if self.small == PATIENCE {
                self.size = (self.size / 2).max(LEAST);
                self.small = 0;
            }
        }
    }
}

const LEAST: usize = 16 * 1024;
const MOST: usize = 256 * 1024;
const KEPT: usize = 32 * 1024;
const PATIENCE: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    #[test]
    fn the_size_follows_the_reads() {
        let mut intake = Intake::new();
        for _ in 0..10 {
            let size = intake.size;
            intake.adapt(size, size);
        }
        assert_eq!(intake.size, MOST);
        for _ in 0..100 {
            intake.adapt(1, MOST);
        }
        assert_eq!(intake.size, LEAST);
    }

    #[tokio::test]
    async fn octets_come_in_order_and_the_fin_is_empty() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (receiver, _) = listener.accept().await.unwrap();
        let sent: Vec<u8> = (0..700_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
        let copy = sent.clone();
        let writer = tokio::spawn(async move {
            sender.write_all(&copy).await.unwrap();
            sender.shutdown().await.unwrap();
            sender
        });
        let (mut intake, mut received, mut kept) = (Intake::new(), Vec::new(), Vec::new());
        loop {
            match intake.read(&receiver, usize::MAX) {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => {
                    received.extend_from_slice(&chunk);
                    // Chunks that are still held must not be written over.
                    kept.push(chunk);
                }
                Err(_) => {
                    intake.rest();
                    receiver.readable().await.unwrap();
                }
            }
        }
        assert!(received == sent && kept.concat() == sent);
        writer.await.unwrap();
    }
}
