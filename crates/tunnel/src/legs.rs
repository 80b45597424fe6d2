//! Moving octets of a TCP leg without waiting: what is there, as long as it goes, in as few calls as possible.
//!
//! Used by the two directions of a relay. A call that took or gave less than it could is remembered as the end of
//! what there is, so the call that would only say so is saved. Knows nothing of streams and keeps nothing.

use std::io::{self, IoSlice};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Reads at most `most` octets, at least 1, behind those of `buffer`; 0 is the FIN.
pub(crate) fn read(tcp: &TcpStream, buffer: &mut BytesMut, most: usize) -> io::Result<usize> {
    once(
        tcp,
        Interest::READABLE,
        |taken| *taken < most && *taken > 0,
        || tcp.try_read_buf(&mut (&mut *buffer).limit(most)),
    )
}

/// Writes pieces from `at` on, [`GATHER`] at the most, and lets go of those that went whole; `at` moves on. Returns the
/// octets that went.
pub(crate) fn write(tcp: &TcpStream, pieces: &mut [Bytes], at: &mut usize) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); GATHER];
    let (mut count, mut offered) = (0, 0);
    for (slice, piece) in slices.iter_mut().zip(&pieces[*at..]) {
        *slice = IoSlice::new(piece);
        offered += piece.len();
        count += 1;
    }
    let written = once(
        tcp,
        Interest::WRITABLE,
        |written| *written < offered,
        || tcp.try_write_vectored(&slices[..count]),
    )?;
    let mut left = written;
    while let Some(piece) = pieces.get_mut(*at) {
        let taken = left.min(piece.len());
        piece.advance(taken);
        left -= taken;
        if !piece.is_empty() {
            break;
        }
        // Gives the memory back at once, and skips empty pieces.
        *piece = Bytes::new();
        *at += 1;
    }
    Ok(written)
}

/// One call. After a result that is `short` the socket counts as not ready until it says otherwise.
fn once(
    tcp: &TcpStream,
    interest: Interest,
    short: impl Fn(&usize) -> bool,
    call: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    let mut done = None;
    let told = tcp.try_io(interest, || {
        let result = call()?;
        done = Some(result);
        if short(&result) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(result) }
    });
    match done {
        Some(result) => Ok(result),
        None => told,
    }
}

/// Pieces given to one `writev`.
const GATHER: usize = 64;
