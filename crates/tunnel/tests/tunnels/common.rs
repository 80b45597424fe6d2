//! Two nodes in one process over loopback, with certificates of their own, and the services behind them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hbone_tunnel::{
    Action, Drain, Identity, Inbound, InboundConfig, InboundLimits, Listener, Outbound, OutboundConfig,
    Policy, Pool, PoolConfig, Route, Rule, Shutdown, SpiffeId, drain,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::captured;

pub(crate) const ALICE: &str = "spiffe://td/ns/a/sa/alice";
pub(crate) const BOB: &str = "spiffe://td/ns/a/sa/bob";

/// Long enough that only a fault reaches it.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// An authority and the identities that it vouches for.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn root(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A leaf that is valid from an hour ago until `seconds` from now.
    pub(crate) fn leaf(&self, uri: &str, seconds: i64) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let (now, span) = (SystemTime::now(), Duration::from_secs(seconds.unsigned_abs()));
        params.not_before = (now - Duration::from_secs(7200)).into();
        params.not_after = if seconds < 0 { now - span } else { now + span }.into();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    pub(crate) fn identity(&self, uri: &str) -> Arc<Identity> {
        self.identity_until(uri, 3600)
    }

    pub(crate) fn identity_until(&self, uri: &str, seconds: i64) -> Arc<Identity> {
        let (certificate, key) = self.leaf(uri, seconds);
        Arc::new(Identity::new(vec![certificate], key, vec![self.root()]).unwrap())
    }
}

pub(crate) fn id(uri: &str) -> SpiffeId {
    uri.parse().unwrap()
}

pub(crate) async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A policy that names loopback for callers of the same namespace.
pub(crate) fn loopback_policy(local: &str) -> Arc<Policy> {
    let rule = Rule {
        sources: vec!["spiffe://td/ns/a".parse().unwrap()],
        targets: vec!["127.0.0.0/8".parse().unwrap(), "localhost".parse().unwrap()],
        ..Rule::new("loopback", Action::Allow)
    };
    Arc::new(Policy::new(&id(local), vec![rule]).unwrap())
}

/// What runs until it is dropped.
pub(crate) struct Running {
    pub(crate) shutdown: Shutdown,
    pub(crate) drain: Drain,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Running {
    pub(crate) fn new() -> Self {
        captured::install();
        let (shutdown, drain) = drain();
        Self { shutdown, drain, tasks: Vec::new() }
    }

    pub(crate) async fn inbound(&mut self, config: InboundConfig) -> (SocketAddr, Inbound) {
        let (listener, address) = bind().await;
        (address, self.inbound_on(listener, config, InboundLimits::default()))
    }

    pub(crate) fn inbound_on(
        &mut self,
        listener: TcpListener,
        config: InboundConfig,
        limits: InboundLimits,
    ) -> Inbound {
        let inbound = Inbound::new(config, limits).unwrap();
        let (running, drain) = (inbound.clone(), self.drain.clone());
        self.tasks.push(tokio::spawn(async move { running.serve(Listener::alone(listener), drain).await }));
        inbound
    }

    pub(crate) async fn outbound(&mut self, config: OutboundConfig, pool: Pool) -> (SocketAddr, Outbound) {
        let (listener, address) = bind().await;
        let outbound = Outbound::new(config, 1000);
        let (running, drain) = (outbound.clone(), self.drain.clone());
        self.tasks
            .push(tokio::spawn(async move { running.serve(Listener::alone(listener), pool, drain).await }));
        (address, outbound)
    }

    /// Waits until all listeners have returned.
    pub(crate) async fn ended(&mut self) {
        for task in self.tasks.drain(..) {
            tokio::time::timeout(LONG, task).await.expect("a listener does not return").unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A tunnel from a local port through two nodes to a service.
pub(crate) struct Pair {
    pub(crate) running: Running,
    /// Connect here.
    pub(crate) entry: SocketAddr,
    pub(crate) node: SocketAddr,
    pub(crate) inbound: Inbound,
    pub(crate) outbound: Outbound,
    pub(crate) pool: Pool,
    pub(crate) ca: Ca,
}

pub(crate) fn route(destination: SocketAddr, node: SocketAddr, expected: &str) -> Route {
    Route::new(destination.try_into().unwrap(), node.try_into().unwrap(), vec![id(expected)]).unwrap()
}

pub(crate) fn inbound_config(ca: &Ca) -> InboundConfig {
    let mut config = InboundConfig::new("in", ca.identity(BOB), loopback_policy(BOB));
    config.dial_timeout = LONG;
    config
}

impl Pair {
    pub(crate) async fn to(service: SocketAddr) -> Self {
        Self::with(service, |_| (), |_| (), PoolConfig::default()).await
    }

    pub(crate) async fn with(
        service: SocketAddr,
        inbound: impl FnOnce(&mut InboundConfig),
        outbound: impl FnOnce(&mut OutboundConfig),
        pool: PoolConfig,
    ) -> Self {
        let (mut running, ca, pool) = (Running::new(), Ca::new(), Pool::new(pool));
        let mut config = inbound_config(&ca);
        inbound(&mut config);
        let (node, inbound) = running.inbound(config).await;
        let mut config = OutboundConfig::new("out", route(service, node, BOB), ca.identity(ALICE));
        outbound(&mut config);
        let (entry, outbound) = running.outbound(config, pool.clone()).await;
        Self { running, entry, node, inbound, outbound, pool, ca }
    }
}

/// Runs `serve` for every connection; the port.
pub(crate) async fn service<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let (listener, address) = bind().await;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serve(tcp));
        }
    });
    address
}

/// Sends back what it gets, and FIN for FIN.
pub(crate) async fn echo() -> SocketAddr {
    service(|mut tcp| async move {
        let (mut read, mut write) = tcp.split();
        if tokio::io::copy(&mut read, &mut write).await.is_ok() {
            let _ = write.shutdown().await;
        }
    })
    .await
}

/// A port on which nothing listens.
pub(crate) async fn closed_port() -> SocketAddr {
    bind().await.1
}

/// Closes with RST.
pub(crate) fn reset(tcp: TcpStream) {
    SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).unwrap();
    drop(tcp);
}

pub(crate) fn fin(tcp: &TcpStream) {
    SockRef::from(tcp).shutdown(std::net::Shutdown::Write).unwrap();
}

/// How a direction of a socket ended, with what came before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Reset,
}

/// Reads to the end, whatever it is.
pub(crate) async fn read_end(tcp: &mut TcpStream) -> (Vec<u8>, End) {
    let mut octets = Vec::new();
    let read = tokio::time::timeout(LONG, tcp.read_to_end(&mut octets)).await;
    let end = match read.expect("neither FIN nor RST came") {
        Ok(_) => End::Fin,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => End::Reset,
        Err(error) => panic!("{error:?}"),
    };
    (octets, end)
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, work).await.expect("takes too long")
}

/// Octets that tell their place.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut octets = Vec::with_capacity(length + 4);
    while octets.len() < length {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        octets.extend_from_slice(&state.to_le_bytes());
    }
    octets.truncate(length);
    octets
}
