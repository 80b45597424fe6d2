//! How a connection and its streams stand, for whoever observes them. Changes nothing.

use hbone_frame::Side;

use super::connection::Connection;
use super::stats::{Stats, StreamStats};
use super::streams::StreamKey;

/// The connection is looked at.
impl Connection {
    /// Counters and measures. Costs the same whatever the connection does.
    pub fn stats(&self) -> Stats {
        let state = &self.state;
        let now = state.heard();
        Stats {
            streams_active: state.streams.active_in_all(),
            streams_held: state.streams.len(),
            closed_by: state.ended().map(|error| error.label()),
            shortest_rtt: state.path.shortest_rtt(),
            latest_rtt: state.path.latest_rtt(),
            smoothed_rtt: state.path.smoothed_rtt(),
            bandwidth_delay: state.path.bandwidth_delay(),
            stream_window: state.path.window(),
            connection_stalls: state.connection_stalls.at(now),
            stream_stalls: state.stream_stalls.at(now),
            streams_stalled: state.stream_stalls.held(),
            ..state.stats
        }
    }

    /// How one stream stands; `None` when it is gone.
    pub fn stream_stats(&self, key: StreamKey) -> Option<StreamStats> {
        let stream = self.state.streams.get(key)?;
        Some(StreamStats {
            unread: stream.recv.queue.len(),
            queued: stream.send.queue.len(),
            send_window: stream.send.window.available(self.state.peer.initial_window),
            receive_window: stream.recv.window.size(),
        })
    }

    /// How often the peer broke which rule, by [`Violation::label`](super::Violation::label), the one that ended the
    /// connection included, in the order of the first time. Empty for an honest peer.
    pub fn violations(&self) -> &[(&'static str, u64)] {
        self.state.causes.all()
    }

    /// Octets of the stream that are not yet given to the wire.
    pub fn queued(&self, key: StreamKey) -> usize {
        self.state.streams.get(key).map_or(0, |stream| stream.send.queue.len())
    }

    /// Octets of the stream that have arrived and were not read.
    pub fn unread(&self, key: StreamKey) -> usize {
        self.state.streams.get(key).map_or(0, |stream| stream.recv.queue.len())
    }

    /// This end's side.
    pub fn side(&self) -> Side {
        self.state.side
    }

    /// Streams that `open` would take now.
    pub fn open_slots(&self) -> usize {
        if self.is_draining() {
            return 0;
        }
        self.state.open_slots()
    }

    /// Streams that are open or half-closed, of both sides.
    pub fn active_streams(&self) -> usize {
        self.state.streams.active_in_all()
    }

    /// Slots in use: active streams and closed ones that the application still holds.
    pub fn held_streams(&self) -> usize {
        self.state.streams.len()
    }

    /// Whether no stream can be opened any more: either end is going away, the connection has ended, or its stream
    /// identifiers are used up.
    pub fn is_draining(&self) -> bool {
        !self.state.is_open() || self.state.goaway.is_draining() || self.state.next_id.is_none()
    }
}
