//! Certificates for names and web servers behind TLS, as gateways meet them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};

use hbone_node::certs::{Issued, write_public, write_secret};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::common::Lab;
use crate::fake;

/// An authority for names, such as browsers have many of.
pub(crate) struct PublicAuthority(CertifiedIssuer<'static, KeyPair>);

impl PublicAuthority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Else OpenSSL takes its leaves for certificates that signed themselves.
        params.distinguished_name.push(DnType::CommonName, "an authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for names or addresses.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued { cert_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }

    /// The same as files of a lab, `<file>.pem` and `<file>.key`, beside `public.pem`.
    pub(crate) fn issue_to(&self, lab: &Lab, file: &str, names: &[&str]) {
        let issued = self.issue(names);
        lab.write("public.pem", &self.pem());
        write_public(&lab.path(&format!("{file}.pem")), &issued.cert_pem).unwrap();
        write_secret(&lab.path(&format!("{file}.key")), &issued.key_pem).unwrap();
    }
}

/// Serves TLS on a loopback port, whose certificate may name it; `handle` has the decrypted side.
pub(crate) fn tls_server(
    issue: impl FnOnce(SocketAddr) -> Issued,
    handle: impl Fn(&mut dyn ReadWrite) + Send + Sync + 'static,
) -> SocketAddr {
    let config = Arc::new(OnceLock::<Arc<ServerConfig>>::new());
    let made = Arc::clone(&config);
    let address = fake::serve(move |stream| serve_tls(made.wait(), stream, &handle));
    config.set(server_config(&issue(address), None)).unwrap();
    address
}

/// The same with one certificate, for clients that show one of the authority.
pub(crate) fn mutual_tls_server(
    authority: &PublicAuthority,
    names: &[&str],
    handle: impl Fn(&mut dyn ReadWrite) + Send + Sync + 'static,
) -> SocketAddr {
    let config = server_config(&authority.issue(names), Some(authority));
    fake::serve(move |stream| serve_tls(&config, stream, &handle))
}

fn serve_tls(config: &Arc<ServerConfig>, stream: TcpStream, handle: &impl Fn(&mut dyn ReadWrite)) {
    let session = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut tls = StreamOwned::new(session, stream);
    handle(&mut tls);
    tls.conn.send_close_notify();
    let _ = tls.flush();
}

fn server_config(issued: &Issued, clients: Option<&PublicAuthority>) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(issued.cert_pem.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Some(authority) => {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let roots = Arc::new(authority.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

/// Octets both ways.
pub(crate) trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}

/// Reads one request without a body and answers with its head as the body.
pub(crate) fn mirror(stream: &mut dyn ReadWrite) {
    let head = head(&mut BufReader::new(&mut *stream));
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{head}", head.len());
    let _ = stream.write_all(answer.as_bytes());
}

/// The head of a message, with the empty line.
pub(crate) fn head(stream: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).is_ok_and(|length| length > 0) {}
    head
}

/// A client of TLS that trusts the authority.
pub(crate) fn tls_client(
    authority: &PublicAuthority,
    name: &str,
    stream: TcpStream,
) -> StreamOwned<ClientConnection, TcpStream> {
    let roots = authority.roots();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

/// Runs curl, which trusts `public.pem` of the lab, and never for longer than half a minute.
pub(crate) fn curl(roots: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "30", "--noproxy", "*", "--cacert"]).arg(roots).args(arguments);
    command.output().unwrap()
}
