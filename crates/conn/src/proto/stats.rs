//! Counters of one connection and of one stream. Written by the engine, read by whoever observes it.

use std::time::Duration;

use super::stalls::Stalls;

/// What a connection has done so far, and how it stands. Reading it costs the same whatever the connection does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Octets taken from the wire, frame heads included.
    pub octets_received: u64,
    /// Octets given to the wire, frame heads included.
    pub octets_sent: u64,
    /// Frames taken from the wire; a header block in several frames and a DATA frame in several pieces count by
    /// blocks and pieces.
    pub frames_received: u64,
    /// Frames given to the wire; a header block in several frames counts as one.
    pub frames_sent: u64,
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
    /// Streams that are open or half-closed now, of both sides.
    pub streams_active: usize,
    /// Streams that hold memory now: the active ones, and closed ones that the application has not let go of.
    pub streams_held: usize,
    /// RST_STREAM received.
    pub resets_received: u64,
    /// RST_STREAM sent.
    pub resets_sent: u64,
    /// Stream errors found in what the peer sent. By cause: `violations`.
    pub stream_violations: u64,
    /// Legal frames without effect.
    pub glitches: u64,
    /// Why the connection has ended, as [`ConnectionError::label`](crate::ConnectionError::label); `None` while it is
    /// open.
    pub closed_by: Option<&'static str>,
    /// The shortest round trip seen, by PING or by the acknowledgement of SETTINGS.
    pub shortest_rtt: Option<Duration>,
    /// The latest round trip seen.
    pub latest_rtt: Option<Duration>,
    /// The round trip smoothed as RFC 6298 2 does: each new one counts an eighth.
    pub smoothed_rtt: Option<Duration>,
    /// What the path carried towards this end within the shortest round trip, in octets, when that was last measured:
    /// an estimate of the bandwidth-delay product, from below. 0 until DATA has been received and measured.
    pub bandwidth_delay: u64,
    /// The receive window of a busy stream, in octets, as the path asks for.
    pub stream_window: u32,
    /// Octets of all streams that have arrived and were not read.
    pub unread: usize,
    /// Octets of all streams that are queued and not given to the wire.
    pub queued: usize,
    /// DATA was ready and the connection's send window used up.
    pub connection_stalls: Stalls,
    /// A stream had DATA ready and its send window used up; each stream by itself.
    pub stream_stalls: Stalls,
    /// Streams that stand still so now.
    pub streams_stalled: u32,
}

/// How one stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Octets that have arrived and were not read.
    pub unread: usize,
    /// Octets that are queued and not given to the wire.
    pub queued: usize,
    /// Octets that the stream's own send window still allows; negative after the peer made it smaller
    /// (RFC 9113 6.9.2).
    pub send_window: i64,
    /// The size of the receive window in octets: what the peer may send unread.
    pub receive_window: u32,
}
