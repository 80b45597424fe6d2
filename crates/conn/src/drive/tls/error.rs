//! Why a TLS connection could not be made. Plain data.

use std::fmt;
use std::io;

use rustls::AlertDescription;

/// Why a handshake failed.
#[derive(Debug)]
pub enum TlsError {
    /// The transport failed.
    Io(io::Error),
    /// TLS itself: certificates, versions, alerts of the peer.
    Tls(rustls::Error),
    /// No protocol was agreed on by ALPN (RFC 9113 3.2): the peer does not know it, or none was offered.
    NoAlpn,
    /// Both ends know ALPN and have no protocol in common (RFC 7301 3.2).
    WrongAlpn,
    /// The peer closed the transport in the middle of the handshake.
    ClosedDuringHandshake,
    /// What the peer sent is not TLS, such as an answer in HTTP/1.1 or the SETTINGS of an HTTP/2 in the clear.
    Plaintext,
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        if error == rustls::Error::NoApplicationProtocol
            || error == rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)
        {
            return Self::WrongAlpn;
        }
        Self::Tls(error)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the transport failed: {error}"),
            Self::Tls(error) => write!(f, "TLS: {error}"),
            Self::NoAlpn => f.write_str("no protocol was agreed on by ALPN"),
            Self::WrongAlpn => f.write_str("no ALPN protocol in common"),
            Self::ClosedDuringHandshake => {
                f.write_str("the peer closed the transport during the TLS handshake")
            }
            Self::Plaintext => f.write_str("the peer does not speak TLS"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Tls(error) => Some(error),
            Self::NoAlpn | Self::WrongAlpn | Self::ClosedDuringHandshake | Self::Plaintext => None,
        }
    }
}

impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        let kind = match &error {
            TlsError::Io(error) => error.kind(),
            TlsError::ClosedDuringHandshake => io::ErrorKind::UnexpectedEof,
            TlsError::Tls(_) | TlsError::NoAlpn | TlsError::WrongAlpn | TlsError::Plaintext => {
                io::ErrorKind::InvalidData
            }
        };
        Self::new(kind, error)
    }
}
