//! TLS for all contenders alike: one certificate made for this process, TLS 1.3, AES-128-GCM, ALPN `h2`.

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// The server's name.
pub const NAME: &str = "versus.test";

type Configs = (Arc<ClientConfig>, Arc<ServerConfig>);

static CONFIGS: LazyLock<Configs> = LazyLock::new(configs);

/// The client's side.
pub fn client() -> Arc<ClientConfig> {
    Arc::clone(&CONFIGS.0)
}

/// The server's side.
pub fn server() -> Arc<ServerConfig> {
    Arc::clone(&CONFIGS.1)
}

/// Shakes hands through tokio-rustls.
pub async fn connect(io: TcpStream) -> client::TlsStream<TcpStream> {
    let name = ServerName::try_from(NAME).expect("a name");
    TlsConnector::from(client()).connect(name, io).await.expect("a TLS handshake")
}

/// Shakes hands through tokio-rustls.
pub async fn accept(io: TcpStream) -> server::TlsStream<TcpStream> {
    TlsAcceptor::from(server()).accept(io).await.expect("a TLS handshake")
}

fn configs() -> Configs {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..aws_lc_rs::default_provider()
    });
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate and its key");
    client.alpn_protocols = vec![b"h2".to_vec()];
    server.alpn_protocols = vec![b"h2".to_vec()];
    (Arc::new(client), Arc::new(server))
}
