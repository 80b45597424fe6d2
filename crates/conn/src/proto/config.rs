//! What an application may set, with defaults that are safe against every peer. Decides nothing itself.

use std::sync::Arc;
use std::time::Duration;

use super::limits::Limits;
use super::memory::MemoryBudget;

/// Settings of one connection. The defaults are meant for use as they are.
#[derive(Clone, Debug)]
pub struct Config {
    /// SETTINGS_HEADER_TABLE_SIZE, octets of the decoder's table; also the most that our encoder uses.
    pub header_table_size: u32,
    /// SETTINGS_MAX_HEADER_LIST_SIZE, octets by RFC 7541 4.1. A list over it is answered with 431 or a reset
    /// (CVE-2016-6581, CVE-2023-45288).
    pub max_header_list_size: u32,
    /// Fields in one list, cookie crumbs counted one by one (CVE-2026-49975).
    pub max_header_fields: usize,
    /// SETTINGS_MAX_CONCURRENT_STREAMS: streams that the peer may have open. One that has ended holds its slot until
    /// the application lets go of it; open and held ones together are at most twice as many and 16
    /// (CVE-2023-44487, CVE-2025-8671).
    pub max_concurrent_streams: u32,
    /// SETTINGS_INITIAL_WINDOW_SIZE, octets that a stream's peer may send unread, 0 to 2^31-1. Values under
    /// 65 535 hold from the acknowledgement on.
    pub initial_window_size: u32,
    /// Ceiling, in octets, of the window that grows with the measured bandwidth-delay product.
    pub max_window_size: u32,
    /// Octets by which all stream windows of the connection together may have grown beyond their first size.
    pub max_window_growth: u32,
    /// The connection's receive window in octets with which it begins, 65 535 to 2^31-1. Its credit returns on
    /// receipt, so it costs no memory; it bounds what all streams together have in flight, and so how long a short
    /// message waits behind them.
    pub connection_window_size: u32,
    /// Ceiling, in octets, of the connection's window, which grows with the measured bandwidth-delay product. Without
    /// `window_tuning` it stays as it began.
    pub max_connection_window_size: u32,
    /// SETTINGS_MAX_FRAME_SIZE, octets, 16 384 to 16 777 215. DATA is delivered in pieces: a large frame
    /// costs neither memory nor latency at the receiver.
    pub max_frame_size: u32,
    /// The longest DATA frame that this end sends while other streams wait, in octets.
    pub quantum: usize,
    /// The most that one flight commits to the wire, in octets.
    pub flight: usize,
    /// Octets that a stream queues for sending before its writer has to wait, if its peer's windows let them go.
    pub send_queue: usize,
    /// Octets that a stream queues beyond what the peer's windows allow it to send, at least 1: what a stream costs
    /// whose peer holds its window shut for ever (CVE-2023-43622). A few streams of a connection may do so up to
    /// `send_queue`: those whose peer began with larger windows than this, until the connection's queues hold
    /// four times `send_queue` together.
    pub stalled_queue: usize,
    /// Streams to open at once before the peer's SETTINGS are known.
    pub assumed_peer_streams: u32,
    /// PING after that much silence of the peer; `None` never.
    pub keepalive_interval: Option<Duration>,
    /// The connection ends when a PING found no octet in answer for that long.
    pub keepalive_timeout: Duration,
    /// A connection without streams is drained after that long; `None` never. PINGs do not prolong it.
    pub idle_timeout: Option<Duration>,
    /// A connection of that age is drained, whatever it does: so that load finds new servers and new certificates are
    /// seen; `None` never. Many connections that were made at once would go at once: whoever makes them may vary it by
    /// some percent.
    pub max_age: Option<Duration>,
    /// Streams that are still open that long after `max_age` are reset with the connection's end.
    pub max_age_grace: Duration,
    /// For the preface and first SETTINGS of the peer, and for the acknowledgement of ours.
    pub handshake_timeout: Duration,
    /// For a whole header block; not refreshed by its parts.
    pub header_block_timeout: Duration,
    /// Announce SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441) and accept `:protocol`. A client does so only together
    /// with `server_streams`.
    pub enable_connect_protocol: bool,
    /// Announce SETTINGS_SERVER_STREAMS, an extension of this project: where both ends do, the server opens streams
    /// too. A client then takes CONNECTs of its server as a server does, `max_concurrent_streams` at a time.
    pub server_streams: bool,
    /// Measure the path by PING and let the windows follow it.
    pub window_tuning: bool,
    /// The memory that this connection shares with others; `None`: it is bounded by its own windows and queues only.
    pub memory: Option<Arc<MemoryBudget>>,
    /// What a peer may do that costs more than it brings.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            header_table_size: 4096,
            max_header_list_size: 32 * 1024,
            max_header_fields: 100,
            max_concurrent_streams: 256,
            initial_window_size: 256 * 1024,
            max_window_size: 32 * 1024 * 1024,
            max_window_growth: 64 * 1024 * 1024,
            connection_window_size: 640 * 1024,
            max_connection_window_size: 32 * 1024 * 1024,
            max_frame_size: 256 * 1024,
            quantum: 16 * 1024,
            flight: 256 * 1024,
            send_queue: 256 * 1024,
            stalled_queue: 64 * 1024,
            assumed_peer_streams: 100,
            keepalive_interval: Some(Duration::from_secs(10)),
            keepalive_timeout: Duration::from_secs(20),
            idle_timeout: Some(Duration::from_secs(600)),
            max_age: None,
            max_age_grace: Duration::from_secs(300),
            handshake_timeout: Duration::from_secs(10),
            header_block_timeout: Duration::from_secs(10),
            enable_connect_protocol: true,
            server_streams: false,
            window_tuning: true,
            memory: None,
            limits: Limits::default(),
        }
    }
}
