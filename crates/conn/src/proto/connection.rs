//! The public contract of the engine: dispatch only.
//!
//! The order of calls: whatever the wire or the application says first (`handle_*`, commands), then
//! `poll_transmit` until it returns `false`, `poll_event` until it returns `None` (each of the two may give the
//! other something to do, so events come last), and `poll_timeout` for when to come back at the latest.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hbone_frame::{ErrorCode, Frame, Scope, Side};

use super::closed::Ending;
use super::config::Config;
use super::connect::{Request, Response};
use super::error::{ConnectionError, Misuse, OpenError, StreamError, Timeout, Violation};
use super::event::{Event, Read};
use super::half::{RecvState, SendState};
use super::keepalive::Purpose;
use super::notes::Note;
use super::queue::OWN;
use super::recv;
use super::send;
use super::shortage;
use super::state::{Control, Fault, HeadOut, State};
use super::streams::{Failure, Parting, Stream, StreamKey};
use super::timer::Timer;
use super::transmit::Transmit;
use super::urgency;

/// Octets of header lists, as RFC 7541 4.1 counts them, that wait in events before the next frame is taken.
const HEADS_PAUSE: usize = 64 * 1024;

/// One HTTP/2 connection, either side: a deterministic state machine without I/O and without a clock.
///
/// What the wire says never fails a call: each outcome is an event or something to transmit. Time never runs
/// backwards between calls. No call blocks, and none panics on what a peer sends.
pub struct Connection {
    pub(super) state: State,
}

/// The wire speaks.
impl Connection {
    /// A connection at its beginning. A client has its preface and SETTINGS to transmit, a server its SETTINGS.
    pub fn new(side: Side, config: Config, now: Instant) -> Self {
        Self { state: State::new(side, config, now) }
    }

    /// Octets arrived, in any chunking. DATA keeps slices of `bytes`; pass large reads without copying.
    pub fn handle_bytes(&mut self, now: Instant, bytes: Bytes) {
        let state = &mut self.state;
        if !state.is_open() || bytes.is_empty() {
            // RFC 9113 5.4.1: after a connection error what still arrives is ignored.
            return;
        }
        state.stats.octets_received += bytes.len() as u64;
        state.last_received = now;
        state.heed_memory(now);
        state.next_batch();
        state.decoder.feed(bytes);
        self.digest(now, HEADS_PAUSE);
    }

    /// Takes what the decoder holds, until `heads` octets of header lists wait for the application: a few octets of
    /// HPACK stand for a long list. Goes on when `poll_event` has handed them out.
    fn digest(&mut self, now: Instant, heads: usize) {
        self.state.paused = false;
        while self.state.is_open() {
            if self.state.events.heads() >= heads {
                self.state.paused = true;
                return;
            }
            let mut last = None;
            let outcome = match self.state.decoder.next() {
                Ok(None) => break,
                // By far the most frequent kind goes its own way.
                Ok(Some(Frame::Data(mut piece))) => {
                    last = piece.end_stream.then_some(piece.stream);
                    self.state.stats.frames_received += 1;
                    recv::data(&mut self.state, now, &mut piece)
                }
                Ok(Some(frame)) => {
                    self.state.stats.frames_received += 1;
                    if matches!(frame, Frame::Headers(_)) {
                        self.state.timers.stop(Timer::HeaderBlock);
                    }
                    recv::frame(&mut self.state, now, frame)
                }
                Err(fault) => Err(blame(fault)),
            };
            if let Err(fault) = outcome {
                self.route(now, fault);
                // The end of a frame at fault counts, whether it comes with its beginning or later.
                if let Some(id) = last {
                    self.state.closed.ended_by_peer(id);
                }
            }
        }
        self.state.charge_memory();
        self.watch_header_block(now);
        self.state.end_if_drained();
    }

    /// The peer has closed its direction of the transport.
    pub fn handle_eof(&mut self, now: Instant) {
        self.digest_rest(now);
        let state = &mut self.state;
        let error = match &state.goaway.received {
            Some(received) if received.code != ErrorCode::NO_ERROR => received.error(),
            Some(_) | None if state.goaway.is_draining() && state.streams.active_in_all() == 0 => {
                ConnectionError::Closed
            }
            Some(_) | None => ConnectionError::Eof,
        };
        state.end_without_transport(error);
    }

    /// The transport has failed.
    pub fn handle_io_error(&mut self, now: Instant, kind: io::ErrorKind) {
        self.digest_rest(now);
        self.state.end_without_transport(ConnectionError::Io(kind));
    }

    /// Nothing more comes: what has come counts before that.
    fn digest_rest(&mut self, now: Instant) {
        if self.state.paused {
            self.digest(now, usize::MAX);
        }
    }

    /// The time of `poll_timeout` has come. Harmless at any other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.state.timers.take_due(now) {
            self.expired(now, timer);
        }
        while let Some(key) = self.state.deadlines.take_due(now) {
            self.state.reset(key, ErrorCode::CANCEL, Failure::Deadline);
        }
    }

    /// Whether more octets should be taken from the wire. `false` while the peer does not read the replies
    /// that it provokes; transmit first.
    pub fn wants_read(&self) -> bool {
        !self.state.replies_pile_up()
    }

    /// Sends a fault of the peer to the part of the connection that it ends: the one place for that.
    fn route(&mut self, now: Instant, fault: Fault) {
        let state = &mut self.state;
        let (id, violation) = match fault {
            Fault::Connection(violation) => return state.end_by_fault(violation),
            // RFC 9113 6.4: an idle stream cannot be reset.
            Fault::Stream(id, violation) if state.is_idle(id) => return state.end_by_fault(violation),
            Fault::Stream(id, violation) => (id, violation),
        };
        if let Err(flood) = state.abuse.provoked_reset(now) {
            return state.end_by_fault(Violation::Flood(flood));
        }
        state.stats.stream_violations += 1;
        state.causes.count(violation.label());
        let live = |key: &StreamKey| state.streams.get(*key).is_some_and(|stream| !stream.is_closed());
        match state.streams.find(id).filter(live) {
            Some(key) => state.reset(key, violation.code(), Failure::Protocol(violation)),
            None => {
                state.stats.resets_sent += 1;
                state.replies += 1;
                state.control.push_back(Control::Reset(id, violation.code()));
                if state.closed.recall(id).is_none() {
                    let error = StreamError::Protocol(violation);
                    state.notes.note(Note::Reset { stream: id, error });
                    state.closed.remember(id, Ending::ByUs);
                }
            }
        }
    }

    /// A header block has to be whole in time; its parts do not refresh the timer.
    fn watch_header_block(&mut self, now: Instant) {
        let state = &mut self.state;
        if !state.is_open() || !state.decoder.in_header_block() {
            state.timers.stop(Timer::HeaderBlock);
        } else if !state.timers.is_set(Timer::HeaderBlock) {
            state.timers.set_after(Timer::HeaderBlock, now, state.config.header_block_timeout);
        }
    }

    fn expired(&mut self, now: Instant, timer: Timer) {
        let state = &mut self.state;
        match timer {
            Timer::Handshake => self.time_out(Timeout::Handshake, ErrorCode::SETTINGS_TIMEOUT),
            Timer::SettingsAck => self.time_out(Timeout::SettingsAck, ErrorCode::SETTINGS_TIMEOUT),
            Timer::HeaderBlock => self.time_out(Timeout::HeaderBlock, ErrorCode::ENHANCE_YOUR_CALM),
            Timer::Keepalive => self.keep_alive(now),
            Timer::Idle if state.streams.active_in_all() == 0 => state.begin_drain(now),
            Timer::Idle => {}
            Timer::Warning => {
                state.finish_drain(ErrorCode::NO_ERROR, String::new());
                state.end_if_drained();
            }
            Timer::Drain => self.close(ErrorCode::NO_ERROR),
            Timer::Age => state.retire(now),
            Timer::Memory => state.look_for_memory(now),
        }
    }

    fn time_out(&mut self, timeout: Timeout, code: ErrorCode) {
        let error = ConnectionError::Timeout(timeout);
        self.state.finish_drain(code, error.to_string());
        self.state.end(error);
    }

    /// Silence: ask with a PING; after a PING without any octet in answer, end. A PING that waits behind a flight
    /// on a slow path asks nobody yet: as long as flights leave, there is somebody.
    fn keep_alive(&mut self, now: Instant) {
        let state = &mut self.state;
        let Some(interval) = state.config.keepalive_interval else { return };
        let timeout = state.config.keepalive_timeout;
        let (since, patience) = match state.pings.sent(Purpose::Keepalive) {
            None => (state.last_received, interval),
            Some(Some(sent)) => (state.last_received.max(sent), timeout),
            Some(None) => (state.last_received.max(state.last_flight), interval.saturating_add(timeout)),
        };
        // No clock reaches it: never.
        let Some(due) = since.checked_add(patience) else { return };
        if now < due {
            state.timers.set(Timer::Keepalive, due);
        } else if state.pings.sent(Purpose::Keepalive).is_some() {
            self.time_out(Timeout::Keepalive, ErrorCode::NO_ERROR);
        } else {
            state.ping(Purpose::Keepalive);
            state.timers.set_after(Timer::Keepalive, now, timeout);
        }
    }
}

/// The application speaks.
impl Connection {
    /// Opens a stream with `request`, which is taken only on success; `end` finishes our direction with it. A
    /// server opens CONNECTs, and only where both ends have announced it ([`Config::server_streams`]).
    ///
    /// # Errors
    /// [`OpenError`] says whether to wait (`Blocked`), to use another connection, or to mend the request.
    pub fn open(&mut self, request: &mut Option<Request>, end: bool) -> Result<StreamKey, OpenError> {
        let state = &mut self.state;
        if let Some(error) = state.ended() {
            return Err(OpenError::Closed(error.clone()));
        }
        if state.goaway.is_draining() {
            return Err(OpenError::Draining);
        }
        if state.opens_streams() == Some(false) {
            return Err(OpenError::Role);
        }
        let id = state.next_id.ok_or(OpenError::Exhausted)?;
        if state.open_slots() == 0 {
            state.wants_slot = true;
            return Err(OpenError::Blocked);
        }
        if state.lacks_memory_for_a_stream() {
            return Err(OpenError::Memory);
        }
        let head = request.as_ref().ok_or(OpenError::Invalid(Misuse::Head(Violation::PseudoField)))?;
        let nature = state
            .asked
            .judge(head.fields())
            .map_err(|violation| OpenError::Invalid(Misuse::Head(violation)))?;
        if state.side == Side::Server && !nature.connects {
            return Err(OpenError::Invalid(Misuse::NotConnect));
        }
        if nature.has_protocol && !state.peer.connect_protocol {
            return Err(OpenError::Invalid(Misuse::ProtocolNotEnabled));
        }
        let fields = request.take().map(Request::into_fields).unwrap_or_default();
        state.next_id = id.next();
        state.stats.streams_opened += 1;
        let stream = state.add_stream(id);
        stream.is_connect = nature.is_connect();
        stream.is_head = nature.is_head;
        stream.send.state = if end { SendState::Finishing } else { SendState::Open };
        let key = stream.key;
        state.heads.push_back(HeadOut { key, fields, end });
        state.notes.note(Note::Opened { stream: id, by: state.side });
        Ok(key)
    }

    /// Answers a stream of the peer; `end` finishes our direction with it. Informational responses may precede
    /// the final one.
    ///
    /// # Errors
    /// The stream's failure; `Finished` if it was answered already or the response cannot be sent.
    pub fn respond(&mut self, key: StreamKey, response: Response, end: bool) -> Result<(), StreamError> {
        let state = &mut self.state;
        // RFC 9113 8.6: there is no 101 here.
        let nature = response.judge().ok().filter(|nature| nature.status != 101);
        match (state.streams.get_mut(key), nature) {
            (Some(stream), Some(nature)) if stream.send.state == SendState::Head => {
                if !nature.is_informational() {
                    stream.send.state = if end { SendState::Finishing } else { SendState::Open };
                    stream.answered = true;
                } else if end {
                    return Err(StreamError::Finished);
                }
                // What was written before the answer leaves behind it, and END_STREAM with its last octet.
                let end = end && stream.send.queue.is_empty();
                state.heads.push_back(HeadOut { key, fields: response.into_fields(), end });
                Ok(())
            }
            (Some(_) | None, _) => Err(state.failure(key)),
        }
    }

    /// Octets that the stream's queue has room for: `Config::send_queue`, but little more than the peer's windows
    /// let go (`Config::stalled_queue`). Where that is 0, `Event::Writable` follows.
    ///
    /// # Errors
    /// The stream's failure; `Finished` after `finish`.
    pub fn capacity(&mut self, key: StreamKey) -> Result<usize, StreamError> {
        let bounds = self.state.bounds();
        match self.state.streams.get_mut(key) {
            Some(stream) if matches!(stream.send.state, SendState::Open | SendState::Head) => {
                let room = stream.send.limit(bounds).saturating_sub(stream.send.queue.len());
                stream.send.wants_room = room == 0;
                Ok(room)
            }
            Some(_) | None => Err(self.state.failure(key)),
        }
    }

    /// Queues `data` whole, without copying large pieces. Callers that respect `capacity` bound the memory.
    ///
    /// # Errors
    /// As `capacity`.
    pub fn write(&mut self, key: StreamKey, data: Bytes) -> Result<(), StreamError> {
        match self.state.streams.get_mut(key) {
            Some(stream) if matches!(stream.send.state, SendState::Open | SendState::Head) => {
                self.state.stats.queued += data.len();
                stream.send.queue.push(&mut self.state.chunks, data, OWN);
                self.state.charge_memory();
                self.state.enlist(key);
                Ok(())
            }
            Some(_) | None => Err(self.state.failure(key)),
        }
    }

    /// Copies as much of `data` as there is room for; returns how much. 0: `Event::Writable` follows.
    ///
    /// # Errors
    /// As `capacity`.
    pub fn write_slice(&mut self, key: StreamKey, data: &[u8]) -> Result<usize, StreamError> {
        let taken = self.capacity(key)?.min(data.len());
        if let Some(stream) = self.state.streams.get_mut(key) {
            stream.send.queue.push_slice(&mut self.state.chunks, &data[..taken]);
            self.state.stats.queued += taken;
            self.state.charge_memory();
            self.state.enlist(key);
        }
        Ok(taken)
    }

    /// Finishes our direction: END_STREAM leaves with the last octet that is queued. Repeating it is harmless.
    ///
    /// # Errors
    /// The stream's failure; `Finished` on a stream of the peer that was never answered.
    pub fn finish(&mut self, key: StreamKey) -> Result<(), StreamError> {
        match self.state.streams.get_mut(key) {
            Some(stream) if stream.send.state == SendState::Open => {
                stream.send.state = SendState::Finishing;
                self.state.enlist(key);
                Ok(())
            }
            Some(stream) if matches!(stream.send.state, SendState::Finishing | SendState::Finished) => Ok(()),
            Some(_) | None => Err(self.state.failure(key)),
        }
    }

    /// Takes at most `max` octets of what has arrived; the credit for them returns to the peer.
    ///
    /// # Errors
    /// The stream's failure: what was cut off is never reported as an end.
    pub fn read(&mut self, key: StreamKey, max: usize) -> Result<Read, StreamError> {
        let Some(stream) = self.state.streams.get_mut(key) else { return Err(self.state.failure(key)) };
        if let Some(data) = stream.recv.queue.pop(&mut self.state.chunks, max) {
            stream.recv.window.release(data.len() as u32);
            self.state.stats.unread -= data.len();
            let target = self.state.path.window();
            if stream.recv.state == RecvState::Open && stream.recv.window.may_grow(target) {
                let room =
                    shortage::room_to_grow(&self.state.charge, &self.state.config, self.state.window_growth);
                self.state.window_growth += stream.recv.window.grow_with_use(target, room);
            }
            if stream.recv.joins_credit(&mut self.state.charge) {
                self.state.credit.push_back(key);
            }
            self.state.charge_memory();
            return Ok(Read::Data(data));
        }
        match stream.recv.state {
            RecvState::Finished if stream.recv.queue.is_empty() => Ok(Read::End),
            // Only asked for 0 octets.
            RecvState::Finished => Ok(Read::Pending),
            RecvState::Failed => Err(self.state.failure(key)),
            RecvState::Head | RecvState::Open => {
                stream.recv.wants_data = true;
                Ok(Read::Pending)
            }
        }
    }

    /// Whether everything that was queued has been given to the wire, the END_STREAM of `finish` included. Where
    /// that is not so, `Event::Writable` follows when it may be. A stream that has failed has nothing left.
    pub fn is_flushed(&mut self, key: StreamKey) -> bool {
        let Some(stream) = self.state.streams.get_mut(key) else { return true };
        let flushed = stream.send.is_flushed();
        stream.send.wants_room |= !flushed;
        flushed
    }

    /// Nothing has arrived for a while: gives back memory that is kept to be used again, and copies what readers
    /// have left in slices of inputs, so that those are pinned no longer. Takes time and changes nothing else.
    pub fn rest(&mut self) {
        self.state.rest();
    }

    /// The stream's failure, if it has failed.
    pub fn stream_error(&self, key: StreamKey) -> Option<StreamError> {
        let stream = self.state.streams.get(key)?;
        stream.failure.map(|_| self.state.failure(key))
    }

    /// Ends both directions at once: what is queued is dropped, the peer is told `code`.
    pub fn reset(&mut self, key: StreamKey, code: ErrorCode) {
        if let Some(stream) = self.state.streams.get_mut(key) {
            let dropped = stream.recv.queue.clear(&mut self.state.chunks);
            self.state.stats.unread -= dropped;
            if dropped > 0 && stream.recv.state == RecvState::Finished {
                // What came whole is no longer delivered whole: the reader must not find an end.
                stream.recv.state = RecvState::Failed;
                stream.failure.get_or_insert(Failure::Cancelled(code));
            }
        }
        self.state.charge_memory();
        self.state.reset(key, code, Failure::Cancelled(code));
    }

    /// The application lets go of the stream; every accepted or opened stream ends so, and holds its slot until
    /// then. What is finished still leaves; a direction that is not finished is reset with CANCEL (the peer's,
    /// after a complete response: NO_ERROR, RFC 9113 8.1).
    pub fn release(&mut self, key: StreamKey) {
        let Some(stream) = self.state.streams.get_mut(key) else { return };
        stream.released = true;
        stream.send.wants_room = false;
        stream.recv.wants_data = false;
        let unread = stream.recv.queue.clear(&mut self.state.chunks);
        self.state.stats.unread -= unread;
        stream.recv.window.release(unread as u32);
        if stream.recv.joins_credit(&mut self.state.charge) {
            self.state.credit.push_back(key);
        }
        let answered = key.id().initiator() != self.state.side && !stream.is_connect;
        match stream.send.state {
            SendState::Finishing if !stream.recv.is_over() => {
                stream.reset_after = Some(if answered { Parting::Answered } else { Parting::Cut });
            }
            SendState::Finishing | SendState::Failed => {}
            SendState::Finished if stream.recv.is_over() => {}
            SendState::Finished if answered => {
                self.state.reset(key, ErrorCode::NO_ERROR, Failure::Cancelled(ErrorCode::NO_ERROR));
            }
            SendState::Finished | SendState::Head | SendState::Open => {
                self.state.reset(key, ErrorCode::CANCEL, Failure::Cancelled(ErrorCode::CANCEL));
            }
        }
        self.state.charge_memory();
        self.state.settle(key);
    }

    /// How urgently the stream's octets leave, 0 to 7, the lowest first, 3 the usual (RFC 9218 4.1). A hint: streams
    /// of all urgencies move. A signal of the peer replaces it, as it replaces the peer's.
    pub fn set_urgency(&mut self, key: StreamKey, urgency: u8) {
        if let Some(stream) = self.state.streams.get_mut(key) {
            stream.send.urgency = urgency.min(urgency::LEAST);
        }
    }

    /// A stream of which both directions are not complete by then is reset with CANCEL and fails with
    /// [`StreamError::Deadline`]; `None` takes the deadline away. What the peer has finished before stays readable
    /// to its end.
    ///
    /// # Errors
    /// The stream's failure; `Finished` when both directions are complete already.
    pub fn set_deadline(&mut self, key: StreamKey, deadline: Option<Instant>) -> Result<(), StreamError> {
        if self.state.streams.get(key).is_none_or(Stream::is_closed) {
            return Err(self.state.failure(key));
        }
        match deadline {
            Some(deadline) => self.state.deadlines.set(key, deadline),
            None => self.state.deadlines.remove(key),
        }
        Ok(())
    }

    /// Sends a PING; `Event::Pong` with the returned number follows. `None` while too many are unanswered.
    pub fn ping(&mut self) -> Option<u64> {
        self.state.ping(Purpose::User)
    }

    /// Goes away in two steps (RFC 9113 6.8): no new streams, those that are open may end. After `deadline`
    /// what is left is reset. Ends with `Event::Closed`.
    pub fn drain(&mut self, now: Instant, deadline: Option<Duration>) {
        self.state.begin_drain(now);
        if let Some(deadline) = deadline
            && self.state.is_open()
        {
            self.state.timers.set_after(Timer::Drain, now, deadline);
        }
    }

    /// Ends the connection at once: GOAWAY with `code`, every stream fails.
    pub fn close(&mut self, code: ErrorCode) {
        if !self.state.is_open() {
            return;
        }
        self.state.finish_drain(code, String::new());
        self.state.end(ConnectionError::Local(code));
    }
}

/// The connection speaks.
impl Connection {
    /// Puts the next flight into `out`, which must have been written whole (else nothing is added). `false`:
    /// there is nothing to send now.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Transmit) -> bool {
        send::flight(&mut self.state, now, out)
    }

    /// Whether `poll_transmit` would have something, told cheaply.
    pub fn wants_transmit(&self) -> bool {
        send::is_due(&self.state)
    }

    /// What the application may want to know, in order.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.state.paused && self.state.events.is_empty() {
            self.digest(self.state.heard(), HEADS_PAUSE);
        }
        let event = self.state.events.pop();
        if event.is_none() {
            self.state.told();
        }
        event
    }

    /// Whether [`Connection::poll_event`] has something.
    #[inline]
    pub fn has_events(&self) -> bool {
        self.state.paused || !self.state.events.is_empty()
    }

    /// From now on [`Connection::poll_note`] tells what happens. Without this, notes cost nothing.
    pub fn keep_notes(&mut self) {
        self.state.notes.keep();
    }

    /// What an observer is to be told, in order. To be taken after every other call, or they pile up.
    pub fn poll_note(&mut self) -> Option<Note> {
        self.state.notes.take()
    }

    /// Whether [`Connection::poll_note`] has something.
    pub fn has_notes(&self) -> bool {
        self.state.notes.are_waiting()
    }

    /// When to call `handle_timeout` at the latest; `None`: no need.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (self.state.timers.next(), self.state.deadlines.next()) {
            (Some(timer), Some(deadline)) => Some(timer.min(deadline)),
            (timer, deadline) => timer.or(deadline),
        }
    }

    /// Why the connection has ended, once no frame is left to be sent: write what is in the flight, shut the
    /// transport down, and drop it.
    pub fn is_finished(&self) -> Option<&ConnectionError> {
        send::is_finished(&self.state)
    }
}

/// A fault of the frame layer in the engine's terms.
fn blame(fault: hbone_frame::Fault) -> Fault {
    let violation = Violation::Frame(fault.malformed);
    match (fault.malformed.scope(), fault.stream) {
        (Scope::Stream, Some(id)) => Fault::Stream(id, violation),
        (Scope::Stream | Scope::Connection, _) => Fault::Connection(violation),
    }
}
