//! A small file over HTTPS, from a server whose authorities are pinned: one GET on a connection of its own.
//!
//! Called by `keys`. Follows no redirect, keeps no connection, and takes no more octets than it is told. Sets no limit
//! of time.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use tokio_rustls::TlsConnector;

use crate::authority::{Authority, Host};
use crate::dial::{Means, dial};
use crate::hop::WebRoots;
use crate::resolver::SystemResolver;
use crate::tls::provider;

/// `https://host[:port]/path`, and who vouches for its server.
#[derive(Clone, Debug)]
pub struct Address {
    at: Authority,
    path: String,
    roots: WebRoots,
}

impl Address {
    /// An address.
    ///
    /// # Errors
    /// What is wrong with the text, for people.
    pub fn new(url: &str, roots: WebRoots) -> Result<Self, &'static str> {
        let rest = url.strip_prefix("https://").ok_or("it must begin with https://")?;
        let (host, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        let at = Authority::from_str(host)
            .or_else(|_| Authority::from_str(&format!("{host}:443")))
            .map_err(|_| "its host is malformed")?;
        if !path.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'#') {
            return Err("its path is malformed");
        }
        Ok(Self { at, path: path.to_owned(), roots })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.at, self.path)
    }
}

/// Fetches it.
///
/// # Errors
/// What stopped it, for people.
pub(crate) async fn fetch(address: &Address, most: usize) -> Result<Bytes, String> {
    let cause = |what: &dyn fmt::Display| format!("{address}: {what}");
    let resolver = SystemResolver;
    let means = Means { resolver: &resolver, asker: "", limit: DIAL, guarded: false };
    let dialled = dial(&address.at, means, |_| Ok::<(), Infallible>(())).await;
    let (tcp, _) = dialled.map_err(|error| cause(&format_args!("cannot connect: {error:?}")))?;
    let name = match address.at.host() {
        Host::Address(ip) => ServerName::IpAddress((*ip).into()),
        Host::Name(name) => ServerName::try_from(name.as_str().to_owned()).map_err(|error| cause(&error))?,
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| cause(&error))?
        .with_root_certificates(address.roots.store())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|error| cause(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(tls)).await.map_err(|error| cause(&error))?;
    let connection = tokio::spawn(connection);
    let answer = async {
        let request = Request::get(&address.path)
            .header("host", address.at.to_string())
            .header("accept", "application/jwk-set+json, application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|error| cause(&error))?;
        let response = sender.send_request(request).await.map_err(|error| cause(&error))?;
        if response.status() != 200 {
            return Err(cause(&format_args!("answered {}", response.status())));
        }
        let body = Limited::new(response.into_body(), most).collect().await;
        Ok(body.map_err(|error| cause(&error))?.to_bytes())
    };
    let answer = answer.await;
    connection.abort();
    answer
}

const DIAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Authority as Ca;
    use rustls::ServerConfig;
    use rustls::pki_types::pem::PemObject;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsAcceptor;

    /// A server of one answer, and roots that vouch for it.
    async fn server(answer: &'static [u8]) -> (std::net::SocketAddr, WebRoots) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let leaf = params.self_signed(&key).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(mut tls) = TlsAcceptor::from(Arc::new(config.clone())).accept(tcp).await else {
                    continue;
                };
                let _ = tls.read(&mut [0; 4096]).await;
                let _ = tls.write_all(answer).await;
                let _ = tls.shutdown().await;
            }
        });
        (address, WebRoots::from_pem(leaf.pem().as_bytes()).unwrap())
    }

    #[tokio::test]
    async fn a_file_comes_from_the_pinned_server_only_and_is_never_large() {
        let (at, roots) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nkeys").await;
        let address = |at, roots| Address::new(&format!("https://{at}/jwks"), roots).unwrap();
        assert_eq!(fetch(&address(at, roots.clone()), 4).await.as_deref(), Ok(&b"keys"[..]));
        assert!(fetch(&address(at, roots.clone()), 3).await.is_err());
        let strangers = pem(&Ca::new().root());
        assert!(fetch(&address(at, WebRoots::from_pem(&strangers).unwrap()), 4).await.is_err());
        let (at, roots) = server(b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n").await;
        assert!(fetch(&address(at, roots), 4).await.unwrap_err().contains("302"));
    }

    fn pem(der: &rustls::pki_types::CertificateDer<'_>) -> Vec<u8> {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let text = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        assert!(rustls::pki_types::CertificateDer::from_pem_slice(text.as_bytes()).is_ok());
        text.into_bytes()
    }

    #[test]
    fn an_address_is_https_with_a_host() {
        let roots = WebRoots::from_pem(&pem(&Ca::new().root())).unwrap();
        let printed = |url: &str| Address::new(url, roots.clone()).map(|address| address.to_string());
        assert_eq!(printed("https://a.example/x?y"), Ok("https://a.example:443/x?y".to_owned()));
        assert_eq!(printed("https://a.example:8443"), Ok("https://a.example:8443/".to_owned()));
        for url in ["http://a.example/", "https://", "https://u@a/", "https://a/ b", "https://a/#x"] {
            assert!(printed(url).is_err(), "{url}");
        }
    }
}
