//! What a handshake has agreed on. Plain data, kept beside the records, whoever makes them.

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, CommonState, ProtocolVersion};

/// What a handshake has agreed on.
pub(super) struct Facts {
    pub(super) certificates: Option<Vec<CertificateDer<'static>>>,
    pub(super) alpn: Option<Vec<u8>>,
    pub(super) version: Option<ProtocolVersion>,
    pub(super) suite: Option<CipherSuite>,
    /// On the server's side: what the client asked for.
    pub(super) name: Option<String>,
}

impl Facts {
    pub(super) fn new(session: &CommonState, name: Option<&str>) -> Self {
        Self {
            certificates: session.peer_certificates().map(<[_]>::to_vec),
            alpn: session.alpn_protocol().map(<[_]>::to_vec),
            version: session.protocol_version(),
            suite: session.negotiated_cipher_suite().map(|suite| suite.suite()),
            name: name.map(str::to_owned),
        }
    }
}
