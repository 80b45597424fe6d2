//! The same over TLS: identities are visible, truncation is an error, and no handshake passes without ALPN. With our
//! own records and with rustls', at either end.

use std::io;
use std::sync::Arc;

use hbone_conn::{Config, ConnectionError, Plain, Records, Side, StreamError, Tls, TlsError};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::support::{
    Chopped, End, assert_same, connect, pattern, receive, send, sockets, spawn_echo, start, tunnel,
};

const NAME: &str = "node.example";

struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let above = rcgen::generate_simple_self_signed(["above.example".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    Identity {
        // One that nobody needs, as in a chain.
        chain: vec![made.cert.der().clone(), above.cert.der().clone()],
        key: PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap(),
        roots: Arc::new(roots),
    }
}

type Configs = (Arc<ClientConfig>, Arc<ServerConfig>);

/// Configs with mutual authentication that offer these protocols.
fn configs(client: &[&str], server: &[&str]) -> Configs {
    let own = identity();
    let verifier = WebPkiClientVerifier::builder(Arc::clone(&own.roots)).build().unwrap();
    let protocols = |list: &[&str]| list.iter().map(|name| name.as_bytes().to_vec()).collect();
    let mut near = ClientConfig::builder()
        .with_root_certificates(Arc::clone(&own.roots))
        .with_client_auth_cert(own.chain.clone(), own.key.clone_key())
        .unwrap();
    near.alpn_protocols = protocols(client);
    let mut far = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(own.chain, own.key)
        .unwrap();
    far.alpn_protocols = protocols(server);
    (Arc::new(near), Arc::new(far))
}

fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).unwrap()
}

/// The records of the client and of the server.
pub(crate) type Pair = (Records, Records);

/// Nobody's but ours.
pub(crate) const OURS: Pair = (Records::Own, Records::Own);

const PAIRS: [Pair; 4] = [
    OURS,
    (Records::Own, Records::Rustls),
    (Records::Rustls, Records::Own),
    (Records::Rustls, Records::Rustls),
];

pub(crate) type Outcomes<T> = (Result<Tls<T>, TlsError>, Result<Tls<T>, TlsError>);

pub(crate) async fn shake_hands<T>(near: T, far: T, pair: Pair) -> Outcomes<T>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    shake_hands_with(near, far, configs(&["h2"], &["h2"]), pair).await
}

async fn shake_hands_with<T>(near: T, far: T, configs: Configs, pair: Pair) -> Outcomes<T>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let (client, server) = configs;
    let near = Tls::connect_with(near, client, name(), pair.0);
    tokio::join!(near, Tls::accept_with(far, server, pair.1))
}

async fn over_tls<T>(near: T, far: T, pair: Pair) -> (End, End)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (client, server) = shake_hands(near, far, pair).await;
    (
        start(Side::Client, client.unwrap(), Config::default()),
        start(Side::Server, server.unwrap(), Config::default()),
    )
}

async fn echo_is_intact(client: End, server: End, size: usize) {
    let echo = spawn_echo(server.incoming);
    let stream = client.handle.open(connect()).await.unwrap();
    let (reader, writer) = stream.into_split();
    let data = pattern(1, size);
    let ((), got) = tokio::join!(send(writer, data.clone()), receive(reader));
    assert_same(&got, &data);
    echo.abort();
}

#[tokio::test]
async fn several_mib_come_back_intact_over_tls() {
    for pair in PAIRS {
        let (near, far) = sockets().await;
        let (client, server) = over_tls(near, far, pair).await;
        echo_is_intact(client, server, 8 << 20).await;
    }
}

#[tokio::test]
async fn a_wire_that_moves_single_octets_is_enough_for_tls() {
    for pair in PAIRS {
        let (near, far) = tokio::io::duplex(5000);
        let (client, server) = over_tls(Chopped::new(near), Chopped::new(far), pair).await;
        echo_is_intact(client, server, 300_000).await;
    }
}

#[tokio::test]
async fn both_ends_see_with_whom_they_speak() {
    for pair in PAIRS {
        let (near, far) = sockets().await;
        let (client, server) = shake_hands(near, far, pair).await;
        let (client, server) = (client.unwrap(), server.unwrap());
        for end in [&client, &server] {
            assert_eq!(end.alpn(), Some(&b"h2"[..]));
            assert_eq!(end.protocol_version(), Some(ProtocolVersion::TLSv1_3));
            assert!(end.cipher_suite().is_some());
            assert_eq!(end.peer_certificates().unwrap().len(), 2);
        }
        assert_eq!(server.server_name(), Some(NAME));
        assert_eq!(client.server_name(), None);
    }
}

#[tokio::test]
async fn a_drained_connection_ends_with_close_notify_on_both_sides() {
    for pair in PAIRS {
        let (near, far) = sockets().await;
        let (client, mut server) = over_tls(near, far, pair).await;
        let (near, far) = tunnel(&client, &mut server).await;
        drop((near, far));
        drop((client.handle, client.incoming));
        assert_eq!(client.driver.await.unwrap(), ConnectionError::Closed);
        assert_eq!(server.driver.await.unwrap(), ConnectionError::Closed);
    }
}

#[tokio::test]
async fn an_end_of_the_transport_without_close_notify_is_an_error() {
    for pair in PAIRS {
        let (near, far) = sockets().await;
        let far = far.into_std().unwrap();
        let attacker = far.try_clone().unwrap();
        let far = tokio::net::TcpStream::from_std(far).unwrap();
        let (client, mut server) = over_tls(near, far, pair).await;
        let (mut near, _far) = tunnel(&client, &mut server).await;
        attacker.shutdown(std::net::Shutdown::Write).unwrap();
        let truncated = ConnectionError::Io(io::ErrorKind::UnexpectedEof);
        assert_eq!(near.read_chunk().await, Err(StreamError::Connection(truncated.clone())));
        assert_eq!(client.handle.closed().await, truncated);
    }
}

#[tokio::test]
async fn a_handshake_without_alpn_fails_on_the_end_that_asked_for_it() {
    for pair in PAIRS {
        for (offered, known) in [(&["h2"][..], &[][..]), (&[][..], &["h2"][..]), (&[], &[])] {
            let (client, server) = configs(offered, known);
            let (near, far) = sockets().await;
            let (near, far) = shake_hands_with(near, far, (client, server), pair).await;
            assert!(matches!(near, Err(TlsError::NoAlpn)), "{offered:?} {known:?}: {near:?}");
            assert!(matches!(far, Err(TlsError::NoAlpn)), "{offered:?} {known:?}: {far:?}");
        }
    }
}

#[tokio::test]
async fn a_handshake_without_a_common_protocol_fails_on_both_ends() {
    for pair in PAIRS {
        let (client, server) = configs(&["http/1.1"], &["h2"]);
        let (near, far) = sockets().await;
        let (near, far) = shake_hands_with(near, far, (client, server), pair).await;
        assert!(matches!(near, Err(TlsError::WrongAlpn)), "{near:?}");
        assert!(matches!(far, Err(TlsError::WrongAlpn)), "{far:?}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_recognised() {
    for pair in PAIRS {
        for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64"] {
            let (client, _) = configs(&["h2"], &["h2"]);
            let (near, mut far) = sockets().await;
            let answering = async {
                far.read_exact(&mut [0; 5]).await.unwrap();
                far.write_all(answer).await.unwrap();
            };
            let (result, ()) = tokio::join!(Tls::connect_with(near, client, name(), pair.0), answering);
            assert!(matches!(result, Err(TlsError::Plaintext)), "{result:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_is_recognised() {
    for pair in PAIRS {
        let (_, server) = configs(&["h2"], &["h2"]);
        let (near, far) = sockets().await;
        let client = start(Side::Client, Plain::tcp(near).unwrap(), Config::default());
        assert!(matches!(Tls::accept_with(far, server, pair.1).await, Err(TlsError::Plaintext)));
        drop(client);
    }
}

#[tokio::test]
async fn a_peer_that_leaves_in_the_handshake_is_told_from_one_that_fails_it() {
    for pair in PAIRS {
        let (client, _) = configs(&["h2"], &["h2"]);
        let (near, mut far) = sockets().await;
        let leaving = async {
            far.read_exact(&mut [0; 5]).await.unwrap();
            far.shutdown().await.unwrap();
        };
        let (result, ()) = tokio::join!(Tls::connect_with(near, client, name(), pair.0), leaving);
        assert!(matches!(result, Err(TlsError::ClosedDuringHandshake)), "{result:?}");
    }
}

#[tokio::test]
async fn a_stranger_is_refused_and_learns_it() {
    for pair in PAIRS {
        let (client, _) = configs(&["h2"], &["h2"]);
        let (_, server) = configs(&["h2"], &["h2"]);
        let (near, far) = sockets().await;
        let (near, far) = shake_hands_with(near, far, (client, server), pair).await;
        assert!(matches!(near, Err(TlsError::Tls(rustls::Error::InvalidCertificate(_)))), "{near:?}");
        assert!(matches!(far, Err(TlsError::Tls(rustls::Error::AlertReceived(_)))), "{far:?}");
    }
}

#[tokio::test]
async fn both_ends_know_the_others_address_certificate_and_protocol() {
    for pair in PAIRS {
        let (near, far) = sockets().await;
        let addresses = (near.local_addr().unwrap(), far.local_addr().unwrap());
        let (client, server) = shake_hands(near, far, pair).await;
        let (client, server) = (client.unwrap(), server.unwrap());
        // The test gives both the same.
        let leaf = client.peer_certificates().unwrap()[0].clone();
        let client = start(Side::Client, client, Config::default());
        let mut server = start(Side::Server, server, Config::default());
        let (near, far) = tunnel(&client, &mut server).await;
        let (of_client, of_server) = (near.peer(), far.peer());
        assert!(Arc::ptr_eq(&of_client, &client.handle.peer()), "kept once");
        assert_eq!((of_client.local.unwrap(), of_client.remote.unwrap()), addresses);
        assert_eq!((of_server.remote.unwrap(), of_server.local.unwrap()), addresses);
        for peer in [&of_client, &of_server] {
            assert_eq!(peer.alpn.as_deref(), Some(&b"h2"[..]));
            assert_eq!(peer.certificate.as_deref(), Some(&*leaf), "its own, without those above it");
        }
        assert_eq!((of_client.server_name.as_deref(), of_server.server_name.as_deref()), (None, Some(NAME)));
        let size = format!("certificate: Some({}),", leaf.len());
        assert!(format!("{of_server:?}").contains(&size), "no octets of certificates in logs");
    }
}
