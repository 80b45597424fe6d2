//! The bulk case: streams upload over one TCP connection on loopback; one run of one side.

use std::net::{Ipv4Addr, SocketAddr};

use hbone_conn::Config;
use tokio::net::{TcpListener, TcpStream};

use crate::measure::{Taken, Watch, count_allocations};
use crate::payload::Payload;
use crate::runtime::Mode;
use crate::{ours, raw, stock};

/// Octets that the writer hands over at a time.
pub const CHUNK: usize = 64 * 1024;

/// Who carries the octets.
#[derive(Clone, Debug)]
pub enum Carrier {
    /// Nobody: the socket itself.
    Raw,
    /// This engine with these settings on both ends.
    Ours(Box<Config>),
    /// Stock `h2` with these settings on both ends.
    Stock(stock::Settings),
}

impl Carrier {
    /// The name in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Raw => "raw TCP",
            Self::Ours(_) => "hbone default",
            Self::Stock(settings) => settings.name,
        }
    }
}

/// One upload run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Octets carried.
    pub octets: u64,
    /// Time and CPU of both ends together.
    pub taken: Taken,
    /// Allocations of both ends together, if they were counted.
    pub allocations: u64,
}

impl Run {
    /// MiB per second.
    pub fn throughput(&self) -> f64 {
        self.octets as f64 / (1024.0 * 1024.0) / self.taken.time.as_secs_f64()
    }

    /// CPU seconds per GiB, both ends.
    pub fn cpu_per_gib(&self) -> f64 {
        self.taken.cpu.as_secs_f64() * 1024.0 * 1024.0 * 1024.0 / self.octets as f64
    }

    /// Allocations per MiB, both ends.
    pub fn allocations_per_mib(&self) -> f64 {
        self.allocations as f64 * 1024.0 * 1024.0 / self.octets as f64
    }
}

/// Uploads `octets` in all over `streams` streams.
pub fn upload(carrier: &Carrier, mode: Mode, streams: usize, octets: u64, count: bool) -> Run {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("non-blocking");
    let address = listener.local_addr().expect("an address");
    let payload = Payload::new(CHUNK);
    let each = octets / streams as u64;
    let before = count_allocations(count);
    let watch = Watch::start();
    mode.run(serve(carrier.clone(), listener), send(carrier.clone(), address, streams, each, payload));
    let taken = watch.taken();
    let allocations = count_allocations(false) - before;
    Run { octets: each * streams as u64, taken, allocations }
}

async fn serve(carrier: Carrier, listener: std::net::TcpListener) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let (socket, _) = listener.accept().await.expect("a connection");
    match carrier {
        Carrier::Raw => raw::serve_upload(socket).await,
        Carrier::Ours(config) => ours::serve_upload(socket, *config).await,
        Carrier::Stock(settings) => stock::serve_upload(socket, settings).await,
    }
}

async fn send(carrier: Carrier, address: SocketAddr, streams: usize, octets: u64, payload: Payload) {
    let socket = TcpStream::connect(address).await.expect("a connection");
    match carrier {
        Carrier::Raw => raw::upload(socket, octets * streams as u64, payload).await,
        Carrier::Ours(config) => ours::upload(socket, *config, streams, octets, payload).await,
        Carrier::Stock(settings) => stock::upload(socket, settings, streams, octets, payload).await,
    }
}
