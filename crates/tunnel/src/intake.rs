//! From a TCP socket into chunks: one read becomes one chunk.
//!
//! Used by the relay. Reads grow from 16 to 256 KiB while they are filled and shrink again when they are not. The
//! buffers belong to the thread and not to tunnels: one that is silent, or that waits for its reader, holds none. Small
//! reads go to small buffers, and what took less than a quarter of its buffer is a copy: a chunk, whoever holds it for
//! however long, pins at most four times its octets.

use std::cell::RefCell;
use std::io;

use bytes::{Bytes, BytesMut};
use tokio::net::TcpStream;

use crate::legs;

/// The size of a tunnel's reads.
#[derive(Debug)]
pub(crate) struct Intake {
    /// Octets that the next read asks for.
    size: u32,
    /// Reads in a row that were far from filling it.
    small: u8,
}

impl Intake {
    pub(crate) const fn new() -> Self {
        Self { size: LEAST, small: 0 }
    }

    /// Reads once, about `room` octets at most; an empty chunk is the FIN.
    pub(crate) fn read(&mut self, tcp: &TcpStream, room: usize) -> io::Result<Bytes> {
        let want = octets(self.size).min(room.max(octets(LEAST)));
        let kind = Kind::of(want);
        let mut buffer = take(kind, want);
        let result = legs::read(tcp, &mut buffer, want).map(|taken| {
            self.adapt(taken, want);
            let chunk = buffer.split_to(taken);
            if taken < kind.size() / PINNED { Bytes::copy_from_slice(&chunk) } else { chunk.freeze() }
        });
        give_back(kind, buffer);
        result
    }

    fn adapt(&mut self, taken: usize, want: usize) {
        if taken == want {
            self.size = (self.size * 2).min(MOST);
            self.small = 0;
        } else if taken < Kind::of(octets(self.size)).size() / PINNED {
            self.small += 1;
            if self.small == PATIENCE {
                self.size = (self.size / 2).max(LEAST);
                self.small = 0;
            }
        }
    }
}

/// Of which buffers a read takes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Small,
    Large,
}

impl Kind {
    /// That of a read of `want` octets.
    const fn of(want: usize) -> Self {
        if want <= Self::Small.size() { Self::Small } else { Self::Large }
    }

    /// Octets of a buffer.
    const fn size(self) -> usize {
        match self {
            Self::Small => octets(SMALL),
            Self::Large => octets(MOST),
        }
    }
}

thread_local! {
    /// Buffers between reads, of each kind. Chunks of theirs may still be on their way.
    static SPARE: RefCell<[Vec<BytesMut>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// A buffer with room for `want` octets: one of the thread's that has it, or has it back from its chunks, or a new one.
fn take(kind: Kind, want: usize) -> BytesMut {
    SPARE.with_borrow_mut(|spare| {
        let spare = &mut spare[kind as usize];
        let usable = spare.iter_mut().position(|buffer| {
            debug_assert!(buffer.is_empty());
            buffer.capacity() >= want || buffer.try_reclaim(kind.size())
        });
        match usable {
            Some(place) => spare.swap_remove(place),
            None => BytesMut::with_capacity(kind.size()),
        }
    })
}

fn give_back(kind: Kind, mut buffer: BytesMut) {
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        let spare = &mut spare[kind as usize];
        if spare.len() >= KEPT {
            // The one whose chunks have been on their way for longest.
            spare.remove(0);
        }
        spare.push(buffer);
    });
}

const fn octets(size: u32) -> usize {
    size as usize
}

const LEAST: u32 = 16 * 1024;
const SMALL: u32 = 64 * 1024;
const MOST: u32 = 256 * 1024;
/// How many times its octets a chunk may pin.
const PINNED: usize = 4;
/// Buffers of a kind that a thread keeps.
const KEPT: usize = 4;
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
            let size = octets(intake.size);
            intake.adapt(size, size);
        }
        assert_eq!(intake.size, MOST);
        for _ in 0..100 {
            intake.adapt(1, octets(MOST));
        }
        assert_eq!(intake.size, LEAST);
    }

    #[test]
    fn a_buffer_serves_again_once_its_chunks_are_gone_and_few_are_kept() {
        let large = || take(Kind::Large, octets(MOST));
        let give_back = |buffer| give_back(Kind::Large, buffer);
        let mut buffer = large();
        buffer.resize(octets(MOST), 7);
        let (chunk, start) = (buffer.split().freeze(), buffer.as_ptr());
        let start = start.wrapping_sub(octets(MOST));
        assert_eq!(chunk.as_ptr(), start);
        give_back(buffer);
        let other = take(Kind::Large, octets(LEAST));
        assert_ne!(other.as_ptr(), start, "its chunk is still held");
        give_back(other);
        drop(chunk);
        let again = [large(), large()];
        assert!(again.iter().any(|buffer| buffer.as_ptr() == start));
        let many: Vec<_> = again.into_iter().chain((0..10).map(|_| large())).collect();
        many.into_iter().for_each(give_back);
        assert_eq!(SPARE.with_borrow(|spare| spare[Kind::Large as usize].len()), KEPT);
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
                Err(_) => receiver.readable().await.unwrap(),
            }
        }
        assert!(received == sent && kept.concat() == sent);
        writer.await.unwrap();
    }
}
