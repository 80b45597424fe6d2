//! The buffer that sealed octets are read into and opened in: what is handed out lies in it, nothing is copied out.
//!
//! A read takes up to 264 KiB, whatever the size of the records. The beginning of a record that is not whole stays
//! for the next read. When all that was handed out is gone the buffer is used again; a few take turns, so that a
//! reader that lags a little costs no memory. Used by `own`.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::super::buffer::{MIN_READ, ReadSize, poll_cold};
use super::layer::Layer;

/// Buffers kept beside the current one.
const SPARES: usize = 3;
/// The least room worth a system call.
const MIN_ROOM: usize = 2048;

/// Sealed octets, and the memory for more.
pub(super) struct Incoming {
    size: ReadSize,
    /// There may be memory.
    warm: bool,
    /// What was not opened yet.
    current: BytesMut,
    spare: Vec<BytesMut>,
}

impl Incoming {
    /// With what has come behind the handshake.
    pub(super) fn new(rest: &[u8]) -> Self {
        Self { size: ReadSize::new(), warm: false, current: rest.into(), spare: Vec::new() }
    }

    /// Reads once; 0 is the end of the transport.
    pub(super) fn poll_read<T>(&mut self, io: &mut T, cx: &mut Context<'_>) -> Poll<io::Result<usize>>
    where
        T: AsyncRead + Unpin,
    {
        if !self.warm {
            let current = &mut self.current;
            let taken = ready!(poll_cold(io, cx, |octets| current.extend_from_slice(octets)))?;
            self.warm = true;
            return Poll::Ready(Ok(taken));
        }
        let room = self.prepare();
        let taken = ready!(pin!(io.read_buf(&mut (&mut self.current).limit(room))).poll(cx))?;
        self.size.learn(room, taken);
        Poll::Ready(Ok(taken))
    }

    /// Opens the records that are whole; `None` when there is no data in them.
    pub(super) fn open(&mut self, layer: &mut Layer) -> Option<Bytes> {
        if self.current.is_empty() {
            return None;
        }
        let opened = layer.open(&mut self.current);
        let (start, end) = (opened.plain.start, opened.plain.end);
        let mut data = self.current.split_to(end);
        self.current.advance(opened.taken - end);
        if data.is_empty() {
            return None;
        }
        data.advance(start);
        Some(data.freeze())
    }

    /// Lets all memory go but for what was not opened.
    pub(super) fn release(&mut self) {
        self.warm = false;
        self.current = BytesMut::from(&self.current[..]);
        self.spare = Vec::new();
    }

    /// Makes room for a read; returns how much.
    fn prepare(&mut self) -> usize {
        let size = self.size.get();
        let enough = if size <= MIN_READ { MIN_ROOM } else { size / 2 };
        if self.room() < enough && !self.current.try_reclaim(size) {
            self.rotate(size);
        }
        self.room()
    }

    fn room(&self) -> usize {
        self.current.capacity() - self.current.len()
    }

    /// The current buffer is pinned by its readers: moves what was not opened to one whose readers are done, or to
    /// a new one.
    fn rotate(&mut self, size: usize) {
        let needed = self.current.len() + size;
        let free = self.spare.iter_mut().position(|buffer| buffer.try_reclaim(needed));
        let mut next = match free {
            Some(index) => self.spare.swap_remove(index),
            None => BytesMut::with_capacity(needed),
        };
        next.extend_from_slice(&self.current);
        let mut last = std::mem::replace(&mut self.current, next);
        last.clear();
        if self.spare.len() == SPARES {
            self.spare.remove(0);
        }
        self.spare.push(last);
    }
}
