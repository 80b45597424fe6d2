//! Standard input and output as one thing that reads and writes. Used by command.rs for ways that are not one stream.

use std::io::{self, IsTerminal};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, Stdin, Stdout};

use super::stdio::close_output;

/// The two.
pub(super) struct Stdio {
    input: Stdin,
    output: Stdout,
    /// The input ends with the output: a person at a terminal would have to end it by hand.
    over: bool,
}

impl Stdio {
    pub(super) fn new() -> Self {
        Self { input: tokio::io::stdin(), output: tokio::io::stdout(), over: false }
    }
}

impl AsyncRead for Stdio {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.over {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.input).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stdio {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.output).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.output).poll_flush(cx))?;
        if io::stdin().is_terminal() {
            self.over = true;
            // The other direction was looked at before.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(close_output())
    }
}
