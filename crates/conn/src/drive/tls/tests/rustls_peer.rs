//! rustls at the other end, and our own handshake and records in memory.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
    SupportedCipherSuite, Tls13CipherSuite,
};

use super::super::facts::Facts;
use super::super::handshake::Handshake;
use super::super::layer::Layer;

pub(super) const NAME: &str = "node.example";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

pub(super) const ROLES: [Role; 2] = [Role::Client, Role::Server];

pub(super) fn suites() -> Vec<SupportedCipherSuite> {
    use aws_lc_rs::cipher_suite::*;
    vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256]
}

/// The same suite with a limit of so many records for a key.
pub(super) fn limited(suite: SupportedCipherSuite, limit: u64) -> SupportedCipherSuite {
    let suite = suite.tls13().unwrap();
    SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
        common: rustls::crypto::CipherSuiteCommon {
            suite: suite.common.suite,
            hash_provider: suite.common.hash_provider,
            confidentiality_limit: limit,
        },
        hkdf_provider: suite.hkdf_provider,
        aead_alg: suite.aead_alg,
        quic: None,
    })))
}

#[derive(Clone)]
pub(super) struct Configs {
    pub(super) client: ClientConfig,
    pub(super) server: ServerConfig,
}

impl Configs {
    pub(super) fn new(suite: SupportedCipherSuite) -> Self {
        Self::with_groups(suite, suite, None)
    }

    /// Each end with a suite of its own, and the server with one group if one is named.
    pub(super) fn with_groups(
        near: SupportedCipherSuite,
        far: SupportedCipherSuite,
        group: Option<&'static dyn SupportedKxGroup>,
    ) -> Self {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let provider = |suite, group: Option<_>| {
            let usual = aws_lc_rs::default_provider();
            let kx_groups = group.map_or_else(|| usual.kx_groups.clone(), |group| vec![group]);
            Arc::new(CryptoProvider { cipher_suites: vec![suite], kx_groups, ..usual })
        };
        let versions = [&rustls::version::TLS13];
        let client = ClientConfig::builder_with_provider(provider(near, None));
        let client = client.with_protocol_versions(&versions).unwrap();
        let mut client = client.with_root_certificates(roots).with_no_client_auth();
        let server = ServerConfig::builder_with_provider(provider(far, group));
        let server = server.with_protocol_versions(&versions).unwrap().with_no_client_auth();
        let mut server = server.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        client.alpn_protocols = vec![b"h2".to_vec()];
        server.alpn_protocols = vec![b"h2".to_vec()];
        Self { client, server }
    }
}

/// Our end and rustls' after their handshake.
pub(super) struct Pair {
    pub(super) facts: Facts,
    pub(super) layer: Layer,
    pub(super) peer: Connection,
    /// To us, not opened yet.
    waiting: Vec<u8>,
}

impl Pair {
    /// Shakes hands; octets pass in pieces of `size`.
    pub(super) fn new(ours: Role, configs: &Configs, size: usize) -> Self {
        let name = ServerName::try_from(NAME).unwrap();
        let Configs { client, server } = configs.clone();
        let (mut handshake, mut peer) = match ours {
            Role::Client => (
                Handshake::client((), Arc::new(client), name).unwrap(),
                Connection::from(ServerConnection::new(Arc::new(server)).unwrap()),
            ),
            Role::Server => (
                Handshake::server((), &server).unwrap(),
                Connection::from(ClientConnection::new(Arc::new(client), name).unwrap()),
            ),
        };
        for _ in 0..10 {
            handshake.step().unwrap();
            for piece in handshake.take_output().chunks(size) {
                assert_eq!(hear(&mut peer, piece), b"");
            }
            for piece in said(&mut peer).chunks(size) {
                handshake.take_input(piece);
                handshake.step().unwrap();
            }
        }
        assert!(!peer.is_handshaking());
        let (facts, layer, waiting) = handshake.into_layer().unwrap();
        Self { facts, layer, peer, waiting }
    }

    /// Passes what rustls has sealed, in pieces of `size`; returns the data in it.
    pub(super) fn receive(&mut self, size: usize) -> Vec<u8> {
        let octets = said(&mut self.peer);
        self.receive_octets(&octets, size)
    }

    pub(super) fn receive_octets(&mut self, octets: &[u8], size: usize) -> Vec<u8> {
        let mut data = Vec::new();
        let mut open = |layer: &mut Layer, waiting: &mut Vec<u8>| {
            let opened = layer.open(waiting);
            data.extend_from_slice(&waiting[opened.plain]);
            waiting.drain(..opened.taken);
        };
        open(&mut self.layer, &mut self.waiting);
        for piece in octets.chunks(size) {
            self.waiting.extend_from_slice(piece);
            open(&mut self.layer, &mut self.waiting);
        }
        data
    }

    /// Seals data and passes it to rustls in pieces of `size`, which opens it.
    pub(super) fn send(&mut self, data: &[u8], size: usize) -> Vec<u8> {
        let (mut rest, mut got) = (data, Vec::new());
        loop {
            let mut out = Vec::new();
            self.layer.answer(&mut out).unwrap();
            let taken = if rest.is_empty() {
                0
            } else {
                self.layer.seal([rest].into_iter(), rest.len(), &mut out).unwrap()
            };
            for piece in out.chunks(size) {
                got.extend(hear(&mut self.peer, piece));
            }
            rest = &rest[taken..];
            if rest.is_empty() {
                return got;
            }
        }
    }

    pub(super) fn suite(&self) -> CipherSuite {
        self.peer.negotiated_cipher_suite().unwrap().suite()
    }
}

/// What rustls has sealed.
pub(super) fn said(peer: &mut Connection) -> Vec<u8> {
    let mut octets = Vec::new();
    while peer.wants_write() {
        peer.write_tls(&mut octets).unwrap();
    }
    octets
}

/// rustls takes octets; returns the data in them.
fn hear(peer: &mut Connection, mut octets: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while !octets.is_empty() {
        peer.read_tls(&mut octets).unwrap();
        peer.process_new_packets().unwrap();
        // `WouldBlock` tells that there is no more for now.
        let _ = peer.reader().read_to_end(&mut data);
    }
    data
}

/// rustls seals data as one flight.
pub(super) fn write(peer: &mut Connection, data: &[u8]) {
    peer.set_buffer_limit(None);
    peer.writer().write_all(data).unwrap();
}
