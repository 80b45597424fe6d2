//! Counters of one connection. Written by the engine, read by whoever observes it.

use std::time::Duration;

/// What a connection has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Octets taken from the wire, frame heads included.
    pub octets_received: u64,
    /// Octets given to the wire, frame heads included.
    pub octets_sent: u64,
    /// Frames taken from the wire.
    pub frames_received: u64,
    /// DATA frames given to the wire.
    pub data_frames_sent: u64,
    /// DATA octets of streams given to the wire.
    pub data_sent: u64,
    /// DATA octets for streams taken from the wire.
    pub data_received: u64,
    /// Streams opened by this end.
    pub streams_opened: u64,
    /// Streams opened by the peer and handed to the application.
    pub streams_accepted: u64,
    /// Streams of the peer refused by a limit.
    pub streams_refused: u64,
    /// RST_STREAM received.
    pub resets_received: u64,
    /// RST_STREAM sent.
    pub resets_sent: u64,
    /// Stream errors found in what the peer sent.
    pub stream_violations: u64,
    /// Legal frames without effect.
    pub glitches: u64,
    /// The shortest round trip seen, by PING or by the acknowledgement of SETTINGS.
    pub shortest_rtt: Option<Duration>,
    /// The latest round trip seen.
    pub latest_rtt: Option<Duration>,
    /// The receive window of a busy stream, in octets, as the path asks for.
    pub stream_window: u32,
}
