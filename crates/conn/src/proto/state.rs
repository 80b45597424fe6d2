//! Everything a connection remembers, and the few operations that more than one part of it needs.
//!
//! `recv`, `send` and `connection` work on this; it emits no frames and parses none. A stream fails, ends and
//! leaves its slot here and nowhere else; how the connection itself ends is in `ending`.

use std::collections::VecDeque;
use std::time::Instant;

use hbone_frame::hpack;
use hbone_frame::{DEFAULT_WINDOW, Decoder, DecoderConfig, ErrorCode, Fields, Side, StreamId};

use super::abuse::Abuse;
use super::causes::Causes;
use super::closed::{ClosedStreams, Ending};
use super::config::Config;
use super::deadlines::Deadlines;
use super::error::{ConnectionError, Flood, StreamError, Violation};
use super::event::Event;
use super::events::Events;
use super::flow::{ReceiveWindow, SendWindow};
use super::goaway::{Goaway, Sent};
use super::half::{Bounds, Place, RecvState, SendState};
use super::keepalive::{Path, Pings, Purpose};
use super::liveliness::Liveliness;
use super::memory::{Charge, Pressure};
use super::notes::{Note, Notes};
use super::prioritised::Prioritised;
use super::queue::Chunks;
use super::repeats::{self, Received};
use super::schedule::Schedule;
use super::settings::{self, PeerSettings};
use super::stalls::StallClock;
use super::stats::Stats;
use super::streams::{Failure, Stream, StreamKey, Streams};
use super::timer::{Timer, Timers};

/// Inputs after which slices of them that were not read are copied; at most twice as many are pinned at a time.
const BATCHES_SHARED: u32 = 8;

/// Streams that leave between two looks for lists that are longer than they should be.
const SWEEP: u32 = 32;

/// Places that each list of a connection without streams keeps.
const ROOM_KEPT: usize = 128;
/// Octets of scratch that it keeps for header blocks.
const BLOCK_KEPT: usize = 1024;

/// Entries for which an empty list keeps room while there are streams.
const CROWD: usize = 512;

/// Lets the room go that a crowd has left behind in an empty list.
pub(super) fn relax<T>(list: &mut VecDeque<T>) {
    if list.capacity() > CROWD && list.is_empty() {
        *list = VecDeque::new();
    }
}

/// A frame that waits to be sent before any DATA.
#[derive(Debug)]
pub(super) enum Control {
    Settings,
    SettingsAck,
    Ping(u64),
    Pong([u8; 8]),
    Reset(StreamId, ErrorCode),
    /// 431 for a request whose header list was too large; then, unless the peer has ended, a reset.
    TooLarge {
        id: StreamId,
        ended: bool,
    },
    Goaway {
        last: Option<StreamId>,
        code: ErrorCode,
        debug: String,
    },
}

/// A head that waits to be sent.
pub(super) struct HeadOut {
    pub(super) key: StreamKey,
    pub(super) fields: Fields,
    pub(super) end: bool,
}

/// Where the connection stands as a whole.
#[derive(Debug)]
pub(super) enum Phase {
    /// In use; it may be draining.
    Open,
    /// It has ended for the application; its last frames are to be sent.
    Ending(ConnectionError),
    /// Nothing is to be sent any more.
    Ended(ConnectionError),
}

/// A fault of the peer, with the part of the connection that it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Connection(Violation),
    Stream(StreamId, Violation),
}

impl From<Flood> for Fault {
    fn from(flood: Flood) -> Self {
        Self::Connection(Violation::Flood(flood))
    }
}

pub(super) struct State {
    pub(super) side: Side,
    pub(super) config: Config,
    pub(super) phase: Phase,
    pub(super) streams: Streams,
    /// What all streams have queued.
    pub(super) chunks: Chunks,
    pub(super) schedule: Schedule,
    pub(super) closed: ClosedStreams,
    /// The identifier of the next stream that we open; `None` once they are used up.
    pub(super) next_id: Option<StreamId>,
    /// The highest stream that the peer has opened.
    pub(super) last_peer_id: Option<StreamId>,

    pub(super) decoder: Decoder,
    pub(super) hpack_in: hpack::Decoder,
    pub(super) hpack_out: hpack::Encoder,
    pub(super) limits: hpack::Limits,
    /// The last heads of both directions.
    pub(super) received: Received,
    pub(super) asked: repeats::Asked,
    pub(super) sent: repeats::Sent,

    pub(super) peer: PeerSettings,
    /// When our SETTINGS left, until they are acknowledged.
    pub(super) settings_sent: Option<Instant>,
    pub(super) settings_acknowledged: bool,
    pub(super) preface_due: bool,

    pub(super) send_window: SendWindow,
    pub(super) recv_window: ReceiveWindow,
    pub(super) control: VecDeque<Control>,
    /// How many of them the peer has provoked.
    pub(super) replies: usize,
    /// Resets of the peer's streams, asked for by the application, that have not left.
    pub(super) unsent_resets: usize,
    pub(super) heads: VecDeque<HeadOut>,
    /// Streams with credit worth a WINDOW_UPDATE.
    pub(super) credit: VecDeque<StreamKey>,
    /// Scratch for one encoded header block.
    pub(super) block: Vec<u8>,

    pub(super) goaway: Goaway,
    pub(super) prioritised: Prioritised,
    pub(super) pings: Pings,
    pub(super) path: Path,
    pub(super) abuse: Abuse,
    pub(super) timers: Timers,
    pub(super) deadlines: Deadlines,
    pub(super) last_received: Instant,
    /// When the wire last took a flight whole and asked for the next.
    pub(super) last_flight: Instant,
    pub(super) liveliness: Liveliness,
    /// What this connection takes of the memory that it shares, and how short that is.
    pub(super) charge: Charge,
    /// Octets by which the windows of all streams have grown.
    pub(super) window_growth: u32,
    /// Streams that have left their slots; wraps.
    departed: u32,
    /// There were streams since the lists have given back their room.
    untidy: bool,
    /// Number of the input that is being handled.
    pub(super) batch: u32,
    /// Streams whose queues hold slices of inputs.
    pub(super) holders: Vec<StreamKey>,
    pub(super) events: Events,
    /// Input waits in the decoder until they are taken.
    pub(super) paused: bool,
    /// `open` was refused for want of a slot: somebody waits for `Event::Openable`.
    pub(super) wants_slot: bool,
    pub(super) notes: Notes,
    pub(super) stats: Stats,
    /// Rules that the peer broke.
    pub(super) causes: Causes,
    /// The connection's send window holds up DATA.
    pub(super) connection_stalls: StallClock,
    /// Streams whose own send windows hold up DATA.
    pub(super) stream_stalls: StallClock,
}

impl State {
    pub(super) fn new(side: Side, config: Config, now: Instant) -> Self {
        let mut decoder = Decoder::new(Self::decoder_config(&config));
        if side == Side::Server {
            decoder.expect_preface();
        }
        let mut recv_window = ReceiveWindow::new(DEFAULT_WINDOW);
        recv_window.grow(config.connection_window_size);
        Self {
            side,
            phase: Phase::Open,
            streams: Streams::default(),
            chunks: Chunks::default(),
            schedule: Schedule::default(),
            closed: ClosedStreams::default(),
            next_id: Some(side.first_stream()),
            last_peer_id: None,
            decoder,
            hpack_in: hpack::Decoder::new(config.header_table_size.max(4096) as usize),
            hpack_out: hpack::Encoder::new(config.header_table_size as usize),
            limits: hpack::Limits {
                list_size: config.max_header_list_size as usize,
                fields: config.max_header_fields,
                name: config.limits.name,
                value: config.limits.value,
            },
            peer: PeerSettings::new(),
            settings_sent: None,
            settings_acknowledged: false,
            preface_due: side == Side::Client,
            send_window: SendWindow::default(),
            recv_window,
            control: VecDeque::from([Control::Settings]),
            replies: 0,
            unsent_resets: 0,
            heads: VecDeque::new(),
            credit: VecDeque::new(),
            block: Vec::new(),
            received: Received::default(),
            asked: repeats::Asked::default(),
            sent: repeats::Sent::default(),
            goaway: Goaway::new(),
            prioritised: Prioritised::default(),
            pings: Pings::default(),
            path: Path::new(&config),
            abuse: Abuse::new(&config.limits, now),
            timers: Timers::at_the_beginning(&config, now),
            deadlines: Deadlines::default(),
            last_received: now,
            last_flight: now,
            liveliness: Liveliness::default(),
            charge: Charge::new(config.memory.clone()),
            window_growth: 0,
            departed: 0,
            untidy: true,
            batch: 0,
            holders: Vec::new(),
            events: Events::default(),
            paused: false,
            wants_slot: false,
            notes: Notes::default(),
            stats: Stats::default(),
            causes: Causes::default(),
            connection_stalls: StallClock::new(now),
            stream_stalls: StallClock::new(now),
            config,
        }
    }

    /// What the decoder takes of a peer.
    pub(super) fn decoder_config(config: &Config) -> DecoderConfig {
        DecoderConfig {
            max_frame_size: settings::max_frame_size(config),
            max_header_block: config.max_header_list_size as usize * 2,
            max_continuations: config.limits.continuations,
            max_empty_continuations: config.limits.empty_continuations,
            max_settings: config.limits.settings_entries,
            max_goaway_debug: config.limits.goaway_debug,
            // RFC 9113 8.4: a client cannot push, and ours announces from its first frame on that it takes none.
            push: false,
            ..DecoderConfig::default()
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// The last time that the engine was told.
    pub(super) fn heard(&self) -> Instant {
        self.last_received.max(self.last_flight)
    }

    /// Why the connection has ended, if it has.
    pub(super) fn ended(&self) -> Option<&ConnectionError> {
        match &self.phase {
            Phase::Open => None,
            Phase::Ending(error) | Phase::Ended(error) => Some(error),
        }
    }

    /// Whether the peer's replies are taken so slowly that reading on would only queue more.
    pub(super) fn replies_pile_up(&self) -> bool {
        self.replies + self.unsent_resets >= self.config.limits.replies_pause
    }

    /// «idle» of RFC 9113 5.1: above every stream that its side has opened.
    pub(super) fn is_idle(&self, id: StreamId) -> bool {
        if id.initiator() == self.side {
            self.next_id.is_some_and(|next| id >= next)
        } else {
            Some(id) > self.last_peer_id
        }
    }

    /// Queues a frame that the peer has provoked.
    pub(super) fn reply(&mut self, control: Control) -> Result<(), Flood> {
        if self.replies >= self.config.limits.replies_end {
            return Err(Flood::Replies);
        }
        self.replies += 1;
        self.control.push_back(control);
        Ok(())
    }

    /// After a flight or new credit: DATA waits for the connection's window, or no longer does.
    pub(super) fn watch_connection_window(&mut self, now: Instant) {
        let ready = self.stats.queued > 0 && self.schedule.is_ready(true);
        let stalled = ready && self.send_window.available(DEFAULT_WINDOW) <= 0;
        match (stalled, self.connection_stalls.held() > 0) {
            (true, false) => self.connection_stalls.begin(now),
            (false, true) => self.connection_stalls.end(now),
            (true, true) | (false, false) => {}
        }
    }

    /// What a call on a failed or unknown stream reports.
    pub(super) fn failure(&self, key: StreamKey) -> StreamError {
        let failure = self.streams.get(key).and_then(|stream| stream.failure);
        match (failure, self.ended()) {
            (Some(Failure::Reset(code)), _) => StreamError::Reset(code),
            (Some(Failure::Cancelled(code)), _) => StreamError::Cancelled(code),
            (Some(Failure::Protocol(violation)), _) => StreamError::Protocol(violation),
            (Some(Failure::Goaway), _) => StreamError::Goaway,
            (Some(Failure::Deadline), _) => StreamError::Deadline,
            (Some(Failure::Connection), Some(error)) => StreamError::Connection(error.clone()),
            (Some(Failure::Connection) | None, _) => StreamError::Finished,
        }
    }

    /// Whether this end opens streams: a client does, a server where both have announced it. `None` while that is
    /// not known.
    pub(super) fn opens_streams(&self) -> Option<bool> {
        match self.side {
            Side::Server if !self.config.server_streams => Some(false),
            Side::Server if self.peer.known => Some(self.peer.server_streams),
            Side::Server => None,
            Side::Client => Some(true),
        }
    }

    /// Whether the peer may open streams. A server has acknowledged our SETTINGS before it goes by them.
    pub(super) fn takes_streams(&self) -> bool {
        self.side == Side::Server || (self.peer.server_streams && self.settings_acknowledged)
    }

    /// Whether the application could open a stream now, as far as the peer's limit goes.
    pub(super) fn open_slots(&self) -> usize {
        if self.opens_streams() != Some(true) {
            return 0;
        }
        let limit = self.peer.max_streams.unwrap_or(self.config.assumed_peer_streams);
        (limit as usize).saturating_sub(self.streams.active(self.side))
    }

    /// Tells a waiting opener to try again.
    pub(super) fn openable(&mut self) {
        if std::mem::take(&mut self.wants_slot) {
            self.events.rare(Event::Openable);
        }
    }

    /// Takes a slot; a connection with a stream is not idle.
    pub(super) fn add_stream(&mut self, id: StreamId) -> &mut Stream {
        self.timers.stop(Timer::Idle);
        self.untidy = true;
        let window = settings::initial_receive_window(&self.config, self.settings_acknowledged);
        self.streams.insert(id, window)
    }

    /// Ends both directions of a stream that are not over. Octets that came before a clean end stay readable.
    pub(super) fn fail(&mut self, key: StreamKey, failure: Failure) {
        let now = self.heard();
        let Some(stream) = self.streams.get_mut(key) else { return };
        if stream.is_closed() {
            return;
        }
        // RFC 9113 8.7: a request that has not left was certainly not processed.
        let unsent = !stream.send.head_sent && key.id().initiator() == self.side;
        let failure = if unsent && failure == Failure::Connection { Failure::Goaway } else { failure };
        stream.failure.get_or_insert(failure);
        if !stream.send.is_over() {
            if stream.send.place == Place::Blocked {
                self.stream_stalls.end(now);
            }
            self.stats.queued -= stream.send.fail(&mut self.chunks);
        }
        if !stream.recv.is_over() {
            self.stats.unread -= stream.recv.fail(&mut self.chunks);
        }
        if !stream.released {
            self.events.readable(key);
            self.events.writable(key);
        }
        if self.notes.are_kept() {
            let error = self.failure(key);
            self.notes.note(Note::Reset { stream: key.id(), error });
        }
        self.charge_memory();
        self.settle(key);
    }

    /// Resets a stream with `code`, if the peer knows it, and fails it.
    pub(super) fn reset(&mut self, key: StreamKey, code: ErrorCode, failure: Failure) {
        let Some(stream) = self.streams.get(key) else { return };
        if stream.is_closed() {
            return;
        }
        let known = stream.send.head_sent || key.id().initiator() != self.side;
        if known {
            self.stats.resets_sent += 1;
            // A peer that opens streams only to have them refused, and does not read, stops being read.
            self.unsent_resets += usize::from(key.id().initiator() != self.side);
            self.control.push_back(Control::Reset(key.id(), code));
        }
        self.fail(key, failure);
    }

    /// After a half has changed: a closed stream stops counting, a released one leaves its slot.
    pub(super) fn settle(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get(key) else { return };
        if !stream.is_closed() {
            return;
        }
        let by_peer =
            stream.recv.state == RecvState::Finished || matches!(stream.failure, Some(Failure::Reset(_)));
        let released = stream.released;
        if self.streams.deactivate(key) {
            self.deadlines.remove(key);
            self.closed.remember(key.id(), if by_peer { Ending::ByPeer } else { Ending::ByUs });
            if key.id().initiator() == self.side {
                self.openable();
            }
        }
        if released && let Some(mut stream) = self.streams.remove(key) {
            stream.send.queue.clear(&mut self.chunks);
            stream.recv.queue.clear(&mut self.chunks);
            self.window_growth -= stream.recv.window.grown();
            self.departed = self.departed.wrapping_add(1);
            if self.departed.is_multiple_of(SWEEP) {
                self.forget_stale();
            }
        }
    }

    /// Lists of keys are cleaned when their turn comes; where it does not come, they are swept here.
    fn forget_stale(&mut self) {
        let streams = &self.streams;
        let most = 2 * streams.len() + 64;
        if self.heads.len() > most {
            self.heads.retain(|head| streams.get(head.key).is_some());
        }
        if self.credit.len() > most {
            self.credit.retain(|key| streams.get(*key).is_some());
        }
        self.schedule.forget_stale(most, |key| streams.get(key).is_some());
    }

    /// The application has heard everything.
    #[inline]
    pub(super) fn told(&mut self) {
        let untidy = self.untidy || !self.is_open() || self.control.capacity() > ROOM_KEPT;
        if untidy && self.streams.active_in_all() == 0 {
            self.untidy = false;
            self.give_back();
        }
    }

    /// Without streams a connection keeps no room that a crowd has left behind; the rest goes with `rest`.
    #[inline(never)]
    pub(super) fn give_back(&mut self) {
        if self.is_open() {
            self.shrink_lists(ROOM_KEPT);
            self.block.shrink_to(BLOCK_KEPT);
        } else {
            self.rest();
        }
    }

    /// Gives back what the lists have room for beyond `places` each; nothing where there is no such room.
    fn shrink_lists(&mut self, places: usize) {
        self.schedule.give_back(places);
        self.control.shrink_to(places);
        self.heads.shrink_to(places);
        self.credit.shrink_to(places);
        self.events.give_back(places);
        self.holders.shrink_to(places);
    }

    /// The next input begins. Slices that a reader has left in its queue for long are copied, so that a stalled
    /// reader pins no read buffers: it costs what it has not read.
    pub(super) fn next_batch(&mut self) {
        self.batch = self.batch.wrapping_add(1);
        if self.batch.is_multiple_of(BATCHES_SHARED) {
            self.copy_inputs(self.batch.wrapping_sub(BATCHES_SHARED));
        }
    }

    /// Copies what readers have left in slices of inputs before that one.
    fn copy_inputs(&mut self, before: u32) {
        let Self { streams, chunks, .. } = self;
        self.holders.retain(|key| {
            let Some(stream) = streams.get_mut(*key) else { return false };
            stream.recv.holds_slices = stream.recv.queue.copy_older(chunks, before);
            stream.recv.holds_slices
        });
    }

    /// What bounds the queues of streams now.
    pub(super) fn bounds(&self) -> Bounds {
        let (queue, stalled) = (self.config.send_queue, self.config.stalled_queue);
        let freely =
            self.stats.queued < queue.saturating_mul(4) && self.peer.initial_window as usize >= stalled;
        let freely = freely && self.charge.pressure() == Pressure::None;
        Bounds {
            queue,
            stalled: if freely { queue } else { stalled },
            initial: self.peer.initial_window,
            connection: self.send_window.available(DEFAULT_WINDOW),
        }
    }

    /// The peer's window has grown: a writer that waits may find room. Credit of the connection calls nobody: a
    /// stream that it sets free has its turn, and its writer is called then.
    pub(super) fn call_writer(&mut self, key: StreamKey) {
        let bounds = self.bounds();
        if let Some(stream) = self.streams.get_mut(key)
            && stream.send.wants_room
            && matches!(stream.send.state, SendState::Open | SendState::Head)
            && stream.send.has_room(bounds)
        {
            stream.send.wants_room = false;
            self.events.writable(key);
        }
    }

    /// Nothing has come for a while: see `Connection::rest`.
    pub(super) fn rest(&mut self) {
        self.copy_inputs(self.batch.wrapping_add(1));
        self.streams.rest();
        self.chunks.rest();
        self.deadlines.rest();
        self.shrink_lists(0);
        self.received.rest();
        self.block = Vec::new();
    }

    /// A stream has something new to send.
    pub(super) fn enlist(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.get_mut(key)
            && stream.send.head_sent
            && stream.send.has_work()
            && stream.send.place != Place::Blocked
        {
            self.schedule.enlist(stream);
        }
    }

    /// A stream with octets to send has got credit.
    pub(super) fn unblock(&mut self, key: StreamKey) {
        let (initial, now) = (self.peer.initial_window, self.heard());
        if let Some(stream) = self.streams.get_mut(key)
            && stream.send.place == Place::Blocked
            && stream.send.sendable(initial) > 0
        {
            self.stream_stalls.end(now);
            self.schedule.enlist(stream);
        }
    }

    /// Queues a PING.
    pub(super) fn ping(&mut self, purpose: Purpose) -> Option<u64> {
        let id = self.pings.begin(purpose)?;
        self.control.push_back(Control::Ping(id));
        Some(id)
    }

    /// The timer of a connection without streams starts when the last one has left.
    pub(super) fn rest_if_idle(&mut self, now: Instant) {
        if self.is_open()
            && self.streams.active_in_all() == 0
            && self.goaway.sent == Sent::Nothing
            && !self.timers.is_set(Timer::Idle)
            && let Some(idle) = self.config.idle_timeout
        {
            self.timers.set_after(Timer::Idle, now, idle);
        }
    }
}
