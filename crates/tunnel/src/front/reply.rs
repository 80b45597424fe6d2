//! What a client is told once its tunnel stands, or that it does not, and how it is let go.
//!
//! Called by the outbound side. Says nothing before the far end stands.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::trouble::Trouble;
use super::{http_connect, socks5};
use crate::error::TunnelError;
use crate::join::End;
use crate::sockets;

/// How a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Not at all: a connection that is reset says enough.
    Silent,
    /// RFC 1928 6.
    Socks5,
    /// RFC 9110 9.3.6.
    Http,
    /// The same for a failure only: else the destination itself answers the request.
    HttpOrNothing,
}

impl Reply {
    /// The tunnel stands.
    ///
    /// # Errors
    /// When the client has gone.
    pub(crate) async fn granted(self, near: &mut End) -> io::Result<()> {
        match self {
            Self::Silent | Self::HttpOrNothing => Ok(()),
            Self::Socks5 => say(near, &socks5::reply(0)).await,
            Self::Http => say(near, http_connect::GRANTED).await,
        }
    }

    /// It does not, and the client is let go.
    pub(crate) async fn refused(self, near: End, error: &TunnelError) {
        let trouble = Trouble::of(error);
        match self {
            Self::Silent => near.reset(),
            Self::Socks5 => let_go(near, &socks5::reply(trouble.socks())).await,
            Self::Http | Self::HttpOrNothing => {
                let_go(near, &http_connect::answer(trouble.http(), "", &error.to_string())).await
            }
        }
    }
}

/// Says a last word and ends the connection so that it is heard: a reset would overtake it.
pub(crate) async fn let_go(mut near: End, word: &[u8]) {
    let going = async {
        if say(&mut near, word).await.is_err() {
            return near.reset();
        }
        match near {
            End::Tcp(mut tcp) => {
                let _ = tcp.shutdown().await;
                // Octets that nobody reads would turn the end into a reset.
                let (mut left, mut scratch) = (PATIENCE_OCTETS, [0; 1024]);
                while left > 0 {
                    match tcp.read(&mut scratch).await {
                        Ok(0) | Err(_) => break,
                        Ok(read) => left = left.saturating_sub(read),
                    }
                }
                sockets::release(tcp);
            }
            End::Other(mut leg) => {
                let _ = poll_fn(|cx| Pin::new(&mut *leg).poll_shutdown(cx)).await;
                leg.release();
            }
            near @ End::Stream(_) => near.reset(),
        }
    };
    let _ = timeout(PATIENCE, going).await;
}

async fn say(near: &mut End, word: &[u8]) -> io::Result<()> {
    match near {
        End::Tcp(tcp) => tcp.write_all(word).await,
        End::Stream(stream) => stream.write_all(word).await,
        End::Other(leg) => leg.write_all(word).await,
    }
}

/// For a client to hear its last word.
const PATIENCE: Duration = Duration::from_secs(1);
const PATIENCE_OCTETS: usize = 64 << 10;
