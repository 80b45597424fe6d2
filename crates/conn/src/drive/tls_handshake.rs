//! The TLS handshake of either side, and what it must have agreed on. Sets no time limit: its caller does.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};

use super::tls::{SEALED, Tls};
use super::tls_error::TlsError;

impl<T: AsyncRead + AsyncWrite + Unpin> Tls<T> {
    /// Shakes hands as the client. One of the config's `alpn_protocols` must be agreed on (RFC 9113 3.2).
    ///
    /// # Errors
    /// See [`TlsError`]. A server judges the client's certificate after the client's handshake is done: its
    /// refusal comes as an error of the connection.
    pub async fn connect(
        io: T,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, TlsError> {
        let mut session = ClientConnection::new(config, name)?;
        session.set_buffer_limit(Some(SEALED));
        Self::shake_hands(io, session.into()).await
    }

    /// Shakes hands as the server. One of the config's `alpn_protocols` must be agreed on (RFC 9113 3.2).
    ///
    /// # Errors
    /// See [`TlsError`].
    pub async fn accept(io: T, config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        let mut session = ServerConnection::new(config)?;
        session.set_buffer_limit(Some(SEALED));
        Self::shake_hands(io, session.into()).await
    }

    async fn shake_hands(io: T, session: rustls::Connection) -> Result<Self, TlsError> {
        let mut tls = Self::new(io, session);
        let mut first = true;
        poll_fn(|cx| tls.poll_handshake(cx, &mut first)).await?;
        if tls.alpn().is_none() {
            tls.session.send_close_notify();
            // The verdict stands whether or not the peer hears of it.
            let _ = poll_fn(|cx| tls.poll_write_sealed(cx)).await;
            return Err(TlsError::NoAlpn);
        }
        Ok(tls)
    }

    /// `first` until something has arrived.
    fn poll_handshake(&mut self, cx: &mut Context<'_>, first: &mut bool) -> Poll<Result<(), TlsError>> {
        loop {
            ready!(self.poll_write_sealed(cx)).map_err(TlsError::Io)?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if self.sealed.is_empty() && ready!(self.poll_sealed(cx)).map_err(TlsError::Io)? == 0 {
                return Poll::Ready(Err(TlsError::ClosedDuringHandshake));
            }
            if std::mem::take(first) && !self.looks_like_tls() {
                return Poll::Ready(Err(TlsError::Plaintext));
            }
            if let Err(error) = self.step() {
                // The alert goes out if the socket takes it at once.
                let _ = self.poll_write_sealed(cx);
                return Poll::Ready(Err(error));
            }
        }
    }

    /// TLS takes what has arrived, but nothing beyond the handshake's end.
    fn step(&mut self) -> Result<(), TlsError> {
        while self.session.is_handshaking() && !self.sealed.is_empty() {
            if self.sealed.feed(&mut self.session).map_err(TlsError::Io)? == 0 {
                return Err(TlsError::ClosedDuringHandshake);
            }
            self.session.process_new_packets()?;
        }
        Ok(())
    }

    /// A record starts with its type: change_cipher_spec, alert, handshake or application data (RFC 8446 5.1).
    /// The first octets of other protocols do not: `H` of HTTP/1.1, 0 of SETTINGS, `P` of a client's preface.
    fn looks_like_tls(&self) -> bool {
        self.sealed.filled().first().is_none_or(|kind| (20..=23).contains(kind))
    }
}
