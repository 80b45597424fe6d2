//! One end of a tunnel that is not the usual pair of a TCP socket and a stream: a unix socket, TLS that is ended here,
//! a stream towards another node, TLS inside a stream.
//!
//! Relayed by `splice`. Every leg says how it fails while nobody reads or writes, and how it ends as a reset: an
//! end-of-file is told by a clean end only. Knows nothing of what stands on the other side.

mod inner;
mod stream;
mod tcp;
mod tls;
mod unix;

use std::io;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use inner::InnerLeg;
pub(crate) use tcp::TcpLeg;
pub(crate) use unix::UnixLeg;

use crate::outcome::Break;

/// One end of a tunnel. Reading gives 0 octets only after a clean end; `poll_shutdown` ends its direction cleanly.
pub(crate) trait Leg: AsyncRead + AsyncWrite + Send + Unpin {
    /// Ready once it has failed, also while nobody reads or writes.
    fn poll_failure(&mut self, cx: &mut Context<'_>) -> Poll<Break>;

    /// Ready once everything that was handed over, the end too, has left.
    fn poll_left(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Break>> {
        Poll::Ready(Ok(()))
    }

    /// Ends it now as a reset, as far as its kind can say so.
    fn reset(&mut self);

    /// Both directions have ended cleanly: when it is dropped, what it still holds is delivered.
    fn release(&mut self);

    /// What an error of reading or writing means.
    fn broken(&self, error: io::Error) -> Break {
        Break::Tcp(error.kind())
    }
}

/// A leg of any kind.
pub(crate) type AnyLeg = Box<dyn Leg>;
