//! New tunnels per second: on a connection that stands, on a new one with a full mTLS handshake, and on a new one whose
//! session is resumed. Prints figures and how many handshakes were full; demands nothing.
//!
//! `handshakes [ROUNDS]`. Client and server are this process, each on a thread of its own; a tunnel is TCP, TLS 1.3
//! with certificates of both ends (P-256), HTTP/2, a CONNECT and its 200, and the next begins when it stands.
//! The node itself never resumes: a resumed session skips what is asked of certificates anew each time. This says
//! what that costs.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hbone_conn::{Config, Handle, Request, Response, Side, Tls, establish};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsFault, RootCertStore, ServerConfig, SignatureScheme,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let rounds = std::env::args().nth(1).map_or(Ok(300), |text| text.parse())?;
    let ca = Ca::new()?;
    println!("{:<34} {:>12} {:>12} {:>8}", "", "tunnels/s", "us each", "full");
    for (name, tickets) in [("new connection, full handshake", 0), ("new connection, session resumed", 2)] {
        let server = serve(ca.server(tickets)?)?;
        let (client, full) = ca.client(tickets > 0)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            for _ in 0..20 {
                drop(tunnel(server, &client).await?);
            }
            full.store(0, Ordering::Relaxed);
            let start = Instant::now();
            for _ in 0..rounds {
                drop(tunnel(server, &client).await?);
            }
            tell(name, rounds, start, full.load(Ordering::Relaxed));
            Outcome::Ok(())
        })?;
    }
    let server = serve(ca.server(0)?)?;
    let (client, full) = ca.client(false)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let handle = tunnel(server, &client).await?;
        full.store(0, Ordering::Relaxed);
        let start = Instant::now();
        for _ in 0..rounds * 20 {
            open(&handle).await?;
        }
        tell("stream on a connection that stands", rounds * 20, start, full.load(Ordering::Relaxed));
        Ok(())
    })
}

fn tell(name: &str, rounds: usize, start: Instant, full: usize) {
    let each = start.elapsed().as_secs_f64() / f64::from(u32::try_from(rounds).unwrap_or(u32::MAX));
    println!("{name:<34} {:>12.0} {:>12.1} {full:>8}", 1.0 / each, each * 1e6);
}

/// A tunnel on a connection of its own, which lives as long as the handle.
async fn tunnel(server: SocketAddr, client: &Arc<ClientConfig>) -> Outcome<Handle> {
    let tcp = TcpStream::connect(server).await?;
    tcp.set_nodelay(true)?;
    let tls = Tls::connect(tcp, Arc::clone(client), ServerName::try_from("localhost")?).await?;
    let (handle, _, driver) = establish(Side::Client, tls, Config::default());
    tokio::spawn(driver);
    open(&handle).await?;
    Ok(handle)
}

async fn open(handle: &Handle) -> Outcome<()> {
    let mut stream = handle.open(Request::connect("10.0.0.1:80")).await?;
    let status = stream.response().await?.status();
    if status != 200 {
        return Err(format!("status {status}").into());
    }
    // Both ends say that they have nothing to say: a reset costs the server more.
    stream.finish()?;
    while stream.read_chunk().await?.is_some() {}
    Ok(())
}

/// A node that says 200 to everything, on a thread of its own.
fn serve(config: Arc<ServerConfig>) -> Outcome<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (tcp, _) = listener.accept().await?;
                tcp.set_nodelay(true)?;
                let config = Arc::clone(&config);
                tokio::spawn(async move {
                    let tls = Tls::accept(tcp, config).await?;
                    let (_handle, mut incoming, driver) = establish(Side::Server, tls, Config::default());
                    tokio::spawn(driver);
                    while let Some((_, mut stream)) = incoming.accept().await {
                        tokio::spawn(async move {
                            stream.respond(Response::new(200))?;
                            while stream.read_chunk().await?.is_some() {}
                            stream.finish()?;
                            Outcome::Ok(())
                        });
                    }
                    Outcome::Ok(())
                });
            }
            #[expect(unreachable_code, reason = "gives the block its type")]
            Outcome::Ok(())
        })
    });
    Ok(address)
}

/// Who vouches for both ends.
struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Outcome<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    fn roots(&self) -> Outcome<Arc<RootCertStore>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone())?;
        Ok(Arc::new(roots))
    }

    fn leaf(&self) -> Outcome<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params.signed_by(&key, &self.0)?;
        Ok((vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der())?))
    }

    fn server(&self, tickets: usize) -> Outcome<Arc<ServerConfig>> {
        let provider = Arc::new(default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.roots()?, Arc::clone(&provider)).build()?;
        let (chain, key) = self.leaf()?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.send_tls13_tickets = tickets;
        Ok(Arc::new(config))
    }

    /// And how many certificates it has judged: one for each full handshake.
    fn client(&self, resume: bool) -> Outcome<(Arc<ClientConfig>, Arc<AtomicUsize>)> {
        let provider = Arc::new(default_provider());
        let inner =
            WebPkiServerVerifier::builder_with_provider(self.roots()?, Arc::clone(&provider)).build()?;
        let full = Arc::new(AtomicUsize::new(0));
        let verifier = Counting { inner, full: Arc::clone(&full) };
        let (chain, key) = self.leaf()?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.enable_secret_extraction = true;
        config.resumption = if resume { Resumption::in_memory_sessions(256) } else { Resumption::disabled() };
        Ok((Arc::new(config), full))
    }
}

#[derive(Debug)]
struct Counting {
    inner: Arc<WebPkiServerVerifier>,
    full: Arc<AtomicUsize>,
}

impl ServerCertVerifier for Counting {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsFault> {
        self.full.fetch_add(1, Ordering::Relaxed);
        self.inner.verify_server_cert(leaf, others, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsFault> {
        self.inner.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsFault> {
        self.inner.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
