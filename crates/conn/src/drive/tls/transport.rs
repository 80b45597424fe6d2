//! The public type: a transport inside TLS, whoever makes its records.

use std::fmt;
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};

use super::super::peer::Peer;
use super::super::wire::{Fill, Wire};
use super::buffered::Buffered;
use super::connect::Records;
use super::facts::Facts;
use super::own::Own;
use crate::proto::Transmit;

/// A transport inside TLS, after its handshake.
///
/// Reads are large whatever the size of the records, and flights of many frames are sealed and written at once. The
/// end of the transport without `close_notify` is an error of kind `UnexpectedEof`: it may be an attacker's
/// (RFC 8446 6.1).
pub struct Tls<T> {
    facts: Facts,
    inner: Inner<T>,
}

/// Whose records.
pub(super) enum Inner<T> {
    Own(Own<T>),
    Rustls(Buffered<T>),
}

impl<T> Tls<T> {
    pub(super) const fn new(facts: Facts, inner: Inner<T>) -> Self {
        Self { facts, inner }
    }

    /// The peer's certificates, its own first; `None` when it showed none.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.facts.certificates.as_deref()
    }

    /// The protocol agreed on by ALPN; always present after the handshake.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.facts.alpn.as_deref()
    }

    /// The version of TLS.
    pub const fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.facts.version
    }

    /// The cipher suite.
    pub const fn cipher_suite(&self) -> Option<CipherSuite> {
        self.facts.suite
    }

    /// On the server's side: the name that the client asked for (SNI).
    pub fn server_name(&self) -> Option<&str> {
        self.facts.name.as_deref()
    }

    /// Who makes the records.
    pub const fn records(&self) -> Records {
        match &self.inner {
            Inner::Own(_) => Records::Own,
            Inner::Rustls(_) => Records::Rustls,
        }
    }

    /// The transport below.
    pub const fn io(&self) -> &T {
        match &self.inner {
            Inner::Own(own) => own.io(),
            Inner::Rustls(buffered) => buffered.io(),
        }
    }
}

impl<T: AsyncWrite + Unpin> Tls<T> {
    /// Says close_notify, and leaves the transport open.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Own(own) => own.poll_close(cx),
            Inner::Rustls(buffered) => buffered.poll_close(cx),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Wire for Tls<T> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Fill>> {
        match &mut self.inner {
            Inner::Own(own) => own.poll_fill(cx),
            Inner::Rustls(buffered) => buffered.poll_fill(cx),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, out: &mut Transmit) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Own(own) => own.poll_flush(cx, out),
            Inner::Rustls(buffered) => buffered.poll_flush(cx, out),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Own(own) => own.poll_shutdown(cx),
            Inner::Rustls(buffered) => buffered.poll_shutdown(cx),
        }
    }

    fn written(&self) -> u64 {
        match &self.inner {
            Inner::Own(own) => own.written(),
            Inner::Rustls(buffered) => buffered.written(),
        }
    }

    fn peer(&self) -> Peer {
        let leaf = self.peer_certificates().and_then(<[_]>::first);
        Peer {
            certificate: leaf.map(|certificate| Bytes::copy_from_slice(certificate)),
            alpn: self.alpn().map(Bytes::copy_from_slice),
            server_name: self.server_name().map(str::to_owned),
            ..Peer::of_socket(self.io())
        }
    }

    fn release_buffers(&mut self) {
        match &mut self.inner {
            Inner::Own(own) => own.release_buffers(),
            Inner::Rustls(buffered) => buffered.release_buffers(),
        }
    }
}

impl<T> fmt::Debug for Tls<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("version", &self.protocol_version())
            .field("suite", &self.cipher_suite())
            .field("records", &self.records())
            .finish_non_exhaustive()
    }
}
