//! Handshakes of either side, what they must have agreed on, and whose records come behind them.

use std::future::poll_fn;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{CipherSuite, ClientConfig, ClientConnection, ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite};

use super::buffered::Buffered;
use super::error::TlsError;
use super::handshake::Handshake;
use super::transport::{Inner, Tls};

/// The suites whose keys are known here.
const SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// Who seals and opens the records behind the handshake, which is always rustls'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Records {
    /// This crate: records of TLS 1.3 are opened where they were read and sealed into one buffer, so that TLS costs
    /// little more than its cipher. AES-128-GCM, AES-256-GCM and ChaCha20-Poly1305, by aws-lc-rs.
    ///
    /// Takes the secrets from the handshake (`enable_secret_extraction` is set in a copy of the config where it is
    /// not set). Where this cannot be, [`Rustls`](Self::Rustls) is used instead: when the config's provider has any
    /// other cipher suite, such as one of TLS 1.2, or early data is allowed.
    #[default]
    Own,
    /// rustls: any version and suite that it speaks, with about 170 allocations for each MiB.
    Rustls,
}

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
        Self::connect_with(io, config, name, Records::default()).await
    }

    /// As [`Tls::connect`], with these records.
    ///
    /// # Errors
    /// See [`Tls::connect`].
    pub async fn connect_with(
        io: T,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        records: Records,
    ) -> Result<Self, TlsError> {
        if records == Records::Own && is_plain(config.crypto_provider()) && !config.enable_early_data {
            return Self::own(Handshake::client(io, config, name)?).await;
        }
        Self::rustls(io, ClientConnection::new(config, name)?.into()).await
    }

    /// Shakes hands as the server. One of the config's `alpn_protocols` must be agreed on (RFC 9113 3.2).
    ///
    /// # Errors
    /// See [`TlsError`].
    pub async fn accept(io: T, config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        Self::accept_with(io, config, Records::default()).await
    }

    /// As [`Tls::accept`], with these records.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub async fn accept_with(io: T, config: Arc<ServerConfig>, records: Records) -> Result<Self, TlsError> {
        if records == Records::Own && is_plain(config.crypto_provider()) && config.max_early_data_size == 0 {
            return Self::own(Handshake::server(io, &config)?).await;
        }
        Self::rustls(io, ServerConnection::new(config)?.into()).await
    }

    async fn own(mut handshake: Handshake<T>) -> Result<Self, TlsError> {
        poll_fn(|cx| handshake.poll(cx)).await?;
        let (facts, own) = handshake.finish()?;
        Self::new(facts, Inner::Own(own)).agreed().await
    }

    async fn rustls(io: T, session: rustls::Connection) -> Result<Self, TlsError> {
        let mut buffered = Buffered::new(io, session);
        let mut first = true;
        poll_fn(|cx| buffered.poll_handshake(cx, &mut first)).await?;
        Self::new(buffered.facts(), Inner::Rustls(buffered)).agreed().await
    }

    /// RFC 9113 3.2: a protocol must have been agreed on.
    async fn agreed(mut self) -> Result<Self, TlsError> {
        if self.alpn().is_some() {
            return Ok(self);
        }
        // The verdict stands whether or not the peer hears of it.
        let _ = poll_fn(|cx| self.poll_close(cx)).await;
        Err(TlsError::NoAlpn)
    }
}

/// Whether nothing can be agreed on but TLS 1.3 with ciphers that are known here. A config does not tell its versions,
/// but its suites.
fn is_plain(provider: &CryptoProvider) -> bool {
    provider.cipher_suites.iter().all(|suite| {
        let version = suite.version().version;
        version == ProtocolVersion::TLSv1_3 && SUITES.contains(&suite.suite())
    })
}
