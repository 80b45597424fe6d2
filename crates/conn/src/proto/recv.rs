//! What each inbound frame does: one function per frame.
//!
//! Called by `connection` with frames that are well formed by themselves. A function returns the fault that
//! it found and leaves it to the caller to end the stream or the connection. Sends nothing: replies are queued.

use std::time::Instant;

use bytes::Bytes;
use hbone_frame::hpack::Verdict;
use hbone_frame::{
    DEFAULT_WINDOW, DataPiece, ErrorCode, Fields, Frame, HeaderBlock, Malformed, Settings, Side, StreamId,
};

use super::closed::Ending;
use super::connect::{Request, Response};
use super::error::{Flood, StreamError, Violation};
use super::event::Event;
use super::flow::{Exceeded, Overflow};
use super::goaway::Raised;
use super::half::{ANY_LENGTH, RecvState};
use super::judge::{ResponseNature, judge_trailers};
use super::keepalive::Purpose;
use super::notes::{Direction, Note};
use super::priority;
use super::queue::Chunks;
use super::repeats::Judged;
use super::settings::{self, Change};
use super::state::{Control, Fault, State};
use super::streams::{Failure, Stream, StreamKey};
use super::timer::Timer;
use super::urgency;

/// Takes one frame.
#[inline]
pub(super) fn frame(state: &mut State, now: Instant, frame: Frame) -> Result<(), Fault> {
    if !state.peer.known && !matches!(frame, Frame::Settings(_)) {
        // RFC 9113 3.4: the preface of both sides ends with SETTINGS, the first frame.
        return Err(Fault::Connection(Violation::FirstFrameNotSettings));
    }
    match frame {
        Frame::Data(mut piece) => data(state, now, &mut piece),
        Frame::Headers(block) => headers(state, now, block),
        Frame::Priority { stream, priority } => priority::of_rfc7540(state, now, stream, priority),
        Frame::Reset { stream, code } => reset(state, now, stream, code),
        Frame::Settings(settings) => settings_of_peer(state, now, &settings),
        Frame::SettingsAck => settings_ack(state, now),
        // RFC 9113 6.6: a server takes none; a client that has sent ENABLE_PUSH 0 takes none.
        Frame::PushPromise { .. } => Err(Fault::Connection(Violation::Frame(Malformed::PushPromise))),
        Frame::Ping { ack, payload } => ping(state, now, ack, payload),
        Frame::Goaway { last, code, debug } => goaway(state, now, last, code, debug),
        Frame::WindowUpdate { stream: None, increment } => connection_credit(state, now, increment),
        Frame::WindowUpdate { stream: Some(id), increment } => stream_credit(state, now, id, increment),
        Frame::PriorityUpdate { .. } if state.side == Side::Client => {
            Err(Fault::Connection(Violation::PriorityUpdateFromServer))
        }
        Frame::PriorityUpdate { stream, value } => priority::update(state, now, stream, &value),
        // Unknown frames are ignored (RFC 9113 5.5).
        Frame::Unknown { .. } => state.glitch(now),
    }
}

/// Which stream a frame is for.
enum Target {
    Live(StreamKey),
    /// It has ended; how, if that is remembered.
    Closed(Option<Ending>),
    /// Nobody has opened it.
    Idle,
}

#[inline]
fn target(state: &State, id: StreamId) -> Target {
    let Some(key) = state.streams.find(id) else {
        return if state.is_idle(id) { Target::Idle } else { Target::Closed(state.closed.recall(id)) };
    };
    match state.streams.get(key).filter(|stream| !stream.is_closed()) {
        None => Target::Closed(state.closed.recall(id)),
        // RFC 9113 5.1: a stream of ours is idle until its HEADERS have left, whatever the peer guesses.
        Some(stream) if id.initiator() == state.side && !stream.send.head_sent => Target::Idle,
        Some(_) => Target::Live(key),
    }
}

/// Takes a piece of a DATA frame; its octets are taken out of it.
pub(super) fn data(state: &mut State, now: Instant, piece: &mut DataPiece) -> Result<(), Fault> {
    if !state.peer.known {
        return Err(Fault::Connection(Violation::FirstFrameNotSettings));
    }
    let id = piece.stream;
    // RFC 9113 6.1, 6.9.1: the whole frame counts, for the connection whatever has become of the stream.
    state
        .recv_window
        .receive(piece.charge)
        .map_err(|Exceeded| Fault::Connection(Violation::ConnectionWindow))?;
    // The connection's credit returns on receipt, so that no stream can hold it.
    state.recv_window.release(piece.overhead + piece.data.len() as u32);
    let key = match target(state, id) {
        Target::Live(key) => key,
        Target::Idle => return Err(Fault::Connection(Violation::IdleStream)),
        Target::Closed(ending) => return late_data(state, now, piece, ending),
    };
    if piece.first && piece.charge == piece.overhead && !piece.end_stream {
        state.glitch(now)?;
    }
    state.stats.data_received += piece.data.len() as u64;
    if state.path.data(piece.data.len(), now)
        && state.config.window_tuning
        && state.ping(Purpose::Sample).is_some()
    {
        state.path.sample_begins(piece.data.len(), now);
    }
    let others = state.streams.active_in_all() > 1;
    let Some(stream) = state.streams.get_mut(key) else { return Ok(()) };
    let empty = piece.data.is_empty();
    if piece.first && stream.recv.is_message(piece.charge) && others {
        state.liveliness.message(now);
    }
    let held = stream.recv.holds_slices;
    let before = stream.recv.queue.len();
    let taken = stream_data(stream, &mut state.chunks, piece, state.batch);
    state.stats.unread += stream.recv.queue.len() - before;
    let ended = taken.map_err(|violation| Fault::Stream(id, violation))?;
    if stream.recv.holds_slices && !held {
        state.holders.push(key);
    }
    // Nobody reads padding: its credit must not wait for a reader.
    if stream.recv.joins_credit(&mut state.charge) {
        state.credit.push_back(key);
    }
    if !empty {
        state.notes.octets(&mut stream.begun, id, Direction::Received);
    }
    if (ended || !empty) && std::mem::take(&mut stream.recv.wants_data) {
        state.events.readable(key);
    }
    if ended {
        state.notes.note(Note::Finished { stream: id, direction: Direction::Received });
        state.settle(key);
    }
    Ok(())
}

/// A piece for a stream that is not closed. `true` when the peer's direction has ended with it.
fn stream_data(
    stream: &mut Stream,
    chunks: &mut Chunks,
    piece: &mut DataPiece,
    batch: u32,
) -> Result<bool, Violation> {
    match stream.recv.state {
        RecvState::Open => {}
        RecvState::Head => return Err(Violation::DataBeforeHead),
        RecvState::Finished => return Err(Violation::HalfClosed),
        RecvState::Failed => return Ok(false),
    }
    stream.recv.window.receive(piece.charge).map_err(|Exceeded| Violation::StreamWindow)?;
    stream.recv.window.release(piece.overhead);
    if !stream.recv.count(piece.data.len()) {
        return Err(Violation::ContentLength);
    }
    if stream.released {
        // Nobody reads it: dropped and credited, else two ends that wait only to finish would wait for ever.
        stream.recv.window.release(piece.data.len() as u32);
    } else {
        stream.recv.holds_slices |= stream.recv.queue.push(chunks, std::mem::take(&mut piece.data), batch);
    }
    if !piece.end_stream {
        return Ok(false);
    }
    if !stream.recv.may_end() {
        return Err(Violation::ContentLength);
    }
    stream.recv.state = RecvState::Finished;
    Ok(true)
}

/// DATA on a closed stream: tolerated after our own reset, else refused once per frame (RFC 9113 5.1).
fn late_data(
    state: &mut State,
    now: Instant,
    piece: &DataPiece,
    ending: Option<Ending>,
) -> Result<(), Fault> {
    if ending == Some(Ending::ByUs) {
        if piece.end_stream {
            state.closed.ended_by_peer(piece.stream);
        }
        return Ok(());
    }
    if !piece.first {
        return Ok(());
    }
    state.glitch(now)?;
    Err(Fault::Stream(piece.stream, Violation::ClosedStream))
}

fn headers(state: &mut State, now: Instant, block: HeaderBlock) -> Result<(), Fault> {
    let id = block.stream;
    // RFC 9113 4.3: every block is decoded, for the sake of the table, whatever becomes of it.
    let head = state
        .received
        .decode(&mut state.hpack_in, &block.block, &state.limits)
        .map_err(|error| Fault::Connection(Violation::Compression(error)))?;
    let verdict = head.1;
    let found = target(state, id);
    if let Target::Idle = found {
        // RFC 9113 5.1.1: only the peer's parity opens streams, and towards a client only by agreement.
        if id.initiator() == state.side {
            return Err(Fault::Connection(Violation::IdleStream));
        }
        if !state.takes_streams() {
            return Err(Fault::Connection(Violation::StreamParity));
        }
        state.last_peer_id = Some(id);
    }
    if !state.peer.no_priorities && block.priority.is_some_and(|priority| priority.depends_on(id)) {
        return Err(Fault::Stream(id, Violation::SelfDependency));
    }
    match found {
        Target::Idle => new_stream(state, now, id, head, block.end_stream),
        Target::Live(key) => more_headers(state, now, key, head, block.end_stream),
        Target::Closed(Some(Ending::ByUs)) => {
            // A few octets may stand for a long list: what no honest peer has under way is counted.
            if verdict == Verdict::TooLarge || !state.closed.takes_head(id) {
                state.glitch(now)?;
            }
            if block.end_stream {
                state.closed.ended_by_peer(id);
            }
            Ok(())
        }
        Target::Closed(Some(Ending::ByPeer)) => Err(Fault::Connection(Violation::ClosedStream)),
        Target::Closed(None) => Err(Fault::Connection(Violation::StreamIdFell)),
    }
}

/// HEADERS that open a stream of the peer.
fn new_stream(
    state: &mut State,
    now: Instant,
    id: StreamId,
    (fields, verdict, judged): (Fields, Verdict, Judged),
    end: bool,
) -> Result<(), Fault> {
    let signal = state.prioritised.opened(id);
    if state.goaway.refuses(id) {
        // RFC 9113 6.8: beyond the last stream of our GOAWAY: ignored, the peer knows.
        state.closed.remember(id, Ending::ByUs);
        return Ok(());
    }
    let limit = state.config.max_concurrent_streams as usize;
    // A stream holds its slot until the application has let go of it; a short delay of that is no fault.
    let peer = state.side.peer();
    if state.streams.active(peer) >= limit || state.streams.held(peer) >= 2 * limit + 16 {
        return refuse(state, now, id);
    }
    if verdict == Verdict::TooLarge {
        state.abuse.provoked_reset(now)?;
        state.stats.stream_violations += 1;
        state.causes.count(Violation::HeaderListTooLarge.label());
        state.closed.remember(id, if end { Ending::ByPeer } else { Ending::ByUs });
        let error = StreamError::Protocol(Violation::HeaderListTooLarge);
        state.notes.note(Note::Reset { stream: id, error });
        return Ok(state.reply(Control::TooLarge { id, ended: end })?);
    }
    if state.lacks_memory_for_a_stream() {
        // For want of memory, which is not the peer's fault: it costs no budget, or honest streams that ask again
        // would end those that live. `reply` bounds what waits.
        return Ok(refused(state, id)?);
    }
    let blame = |violation| Fault::Stream(id, violation);
    let (request, nature) = Request::received(fields, judged.request).map_err(blame)?;
    state.received.judged(Judged { request: Some(nature), response: None });
    if state.side == Side::Client && !nature.connects {
        return Err(blame(Violation::NotConnect));
    }
    if nature.has_protocol && !state.config.enable_connect_protocol {
        return Err(blame(Violation::ProtocolNotEnabled));
    }
    // RFC 9113 8.5: on a tunnel content-length means nothing.
    let counts = nature.has_fields && !nature.is_connect();
    let expected = if counts { request.content_length().map_err(blame)? } else { None };
    if end && expected.unwrap_or(0) != 0 {
        return Err(blame(Violation::ContentLength));
    }
    let asked = || if nature.has_fields { request.field("priority") } else { None };
    let urgency = signal.unwrap_or_else(|| asked().map_or(urgency::USUAL, urgency::of));
    let stream = state.add_stream(id);
    stream.is_connect = nature.is_connect();
    stream.is_head = nature.is_head;
    stream.send.urgency = urgency;
    stream.recv.expected = expected.unwrap_or(ANY_LENGTH);
    stream.recv.state = if end { RecvState::Finished } else { RecvState::Open };
    let key = stream.key;
    state.stats.streams_accepted += 1;
    state.notes.note(Note::Opened { stream: id, by: id.initiator() });
    note_head(state, id, None, end);
    state.events.incoming(key, request, end);
    Ok(())
}

/// An observer hears of a head of the peer.
fn note_head(state: &mut State, stream: StreamId, status: Option<u16>, end: bool) {
    state.notes.note(Note::Head { stream, direction: Direction::Received, status });
    if end {
        state.notes.note(Note::Finished { stream, direction: Direction::Received });
    }
}

/// More streams than announced (RFC 9113 5.1.2): refused, safe to retry.
fn refuse(state: &mut State, now: Instant, id: StreamId) -> Result<(), Fault> {
    // Before the peer has acknowledged our SETTINGS it cannot know the limit.
    if state.settings_acknowledged {
        state.abuse.provoked_reset(now)?;
        state.causes.count(Violation::StreamLimit.label());
    } else {
        state.glitch(now)?;
    }
    Ok(refused(state, id)?)
}

/// Nothing of it was processed (RFC 9113 8.7).
fn refused(state: &mut State, id: StreamId) -> Result<(), Flood> {
    state.stats.streams_refused += 1;
    state.stats.resets_sent += 1;
    state.notes.note(Note::Reset { stream: id, error: StreamError::Cancelled(ErrorCode::REFUSED_STREAM) });
    state.closed.remember(id, Ending::ByUs);
    state.reply(Control::Reset(id, ErrorCode::REFUSED_STREAM))
}

/// HEADERS on a stream that is open: the answer to it, or its trailers.
fn more_headers(
    state: &mut State,
    now: Instant,
    key: StreamKey,
    (fields, verdict, judged): (Fields, Verdict, Judged),
    end: bool,
) -> Result<(), Fault> {
    let blame = |violation| Fault::Stream(key.id(), violation);
    let Some(stream) = state.streams.get_mut(key) else { return Ok(()) };
    match stream.recv.state {
        RecvState::Failed => return Ok(()),
        RecvState::Finished => return Err(blame(Violation::HalfClosed)),
        RecvState::Head if verdict == Verdict::TooLarge => {
            return Err(blame(Violation::HeaderListTooLarge));
        }
        RecvState::Head => {
            let (response, nature) = Response::received(fields, judged.response).map_err(blame)?;
            state.received.judged(Judged { response: Some(nature), request: None });
            return answer(state, now, key, (response, nature), end);
        }
        // RFC 9113 8.5: on a tunnel only DATA and stream management follow.
        RecvState::Open if stream.is_connect => return Err(blame(Violation::HeadersOnTunnel)),
        RecvState::Open => {}
    }
    if !end {
        return Err(blame(Violation::TrailersWithoutEnd));
    }
    if verdict == Verdict::TooLarge {
        return Err(blame(Violation::HeaderListTooLarge));
    }
    judge_trailers(&fields).map_err(blame)?;
    if !stream.recv.may_end() {
        return Err(blame(Violation::ContentLength));
    }
    stream.recv.state = RecvState::Finished;
    stream.recv.wants_data = false;
    state.notes.note(Note::Finished { stream: key.id(), direction: Direction::Received });
    state.events.readable(key);
    state.settle(key);
    Ok(())
}

/// A response to a stream of ours, informational or final.
fn answer(
    state: &mut State,
    now: Instant,
    key: StreamKey,
    (response, nature): (Response, ResponseNature),
    end: bool,
) -> Result<(), Fault> {
    let blame = |violation| Fault::Stream(key.id(), violation);
    let most = state.config.limits.informational;
    let Some(stream) = state.streams.get_mut(key) else { return Ok(()) };
    let status = nature.status;
    if nature.is_informational() {
        stream.recv.informational = stream.recv.informational.saturating_add(1);
        // RFC 9113 8.1, 8.6: no END_STREAM with it, and 101 does not exist here.
        if end || status == 101 || stream.recv.informational > most {
            return Err(blame(Violation::Informational));
        }
        note_head(state, key.id(), Some(status), false);
        return state.glitch(now);
    }
    let tunnel = stream.is_connect && (200..300).contains(&status);
    stream.recv.expected = if tunnel {
        ANY_LENGTH
    } else if stream.is_head || matches!(status, 204 | 304) {
        0
    } else if nature.has_fields {
        response.content_length().map_err(blame)?.unwrap_or(ANY_LENGTH)
    } else {
        ANY_LENGTH
    };
    if end && !stream.recv.may_end() {
        return Err(blame(Violation::ContentLength));
    }
    stream.answered = true;
    // A CONNECT that is refused becomes no tunnel: its response is one like any other.
    stream.is_connect &= tunnel;
    stream.recv.state = if end { RecvState::Finished } else { RecvState::Open };
    let woken = end && std::mem::take(&mut stream.recv.wants_data);
    note_head(state, key.id(), Some(status), end);
    state.events.response(key, response, end);
    if woken {
        state.events.readable(key);
    }
    if end {
        state.settle(key);
    }
    Ok(())
}

fn reset(state: &mut State, now: Instant, id: StreamId, code: ErrorCode) -> Result<(), Fault> {
    state.stats.resets_received += 1;
    match target(state, id) {
        Target::Idle => Err(Fault::Connection(Violation::IdleStream)),
        Target::Closed(Some(Ending::ByUs)) => {
            state.closed.ended_by_peer(id);
            Ok(())
        }
        Target::Closed(_) => state.glitch(now),
        Target::Live(key) => {
            // Resets of streams that we opened are answers to what we asked for.
            if id.initiator() != state.side {
                let early = state.streams.get(key).is_some_and(|stream| !stream.answered);
                state.abuse.reset(now, early)?;
            }
            // RFC 9113 8.7: REFUSED_STREAM says that nothing was processed.
            state.fail(key, Failure::Reset(code));
            Ok(())
        }
    }
}

fn settings_of_peer(state: &mut State, now: Instant, settings: &Settings) -> Result<(), Fault> {
    state.abuse.settings(now)?;
    // RFC 9113 6.5.3: in the order in which they appear.
    for (id, value) in settings.iter() {
        let extended = state.config.server_streams;
        match state.peer.apply(state.side, extended, id, value).map_err(Fault::Connection)? {
            Change::None => {}
            Change::TableSize(octets) => state.hpack_out.set_max_table_size(octets),
            Change::InitialWindow(octets) => initial_window(state, octets)?,
            Change::Streams => state.openable(),
        }
    }
    state.notes.note(Note::SettingsReceived { first: !state.peer.known });
    if !state.peer.known {
        state.peer.known = true;
        state.timers.stop(Timer::Handshake);
        state.events.rare(Event::Established);
        state.openable();
    }
    Ok(state.reply(Control::SettingsAck)?)
}

/// SETTINGS_INITIAL_WINDOW_SIZE moves every stream's window at once (RFC 9113 6.9.2): windows are offsets to
/// it, so that only a growing one has streams to look at, for an overflow and for those that it sets free.
fn initial_window(state: &mut State, octets: u32) -> Result<(), Fault> {
    let grows = octets > state.peer.initial_window;
    state.peer.initial_window = octets;
    if !grows {
        return Ok(());
    }
    if state.streams.iter().any(|stream| !stream.send.is_over() && !stream.send.window.fits(octets)) {
        return Err(Fault::Connection(Violation::WindowOverflow));
    }
    for key in state.streams.keys() {
        state.unblock(key);
        state.call_writer(key);
    }
    Ok(())
}

fn settings_ack(state: &mut State, now: Instant) -> Result<(), Fault> {
    let Some(sent) = state.settings_sent.take() else {
        return Err(Fault::Connection(Violation::UnexpectedSettingsAck));
    };
    state.timers.stop(Timer::SettingsAck);
    state.notes.note(Note::SettingsAcknowledged);
    state.path.round_trip(now.saturating_duration_since(sent));
    // From here on the peer goes by our values, also by those below the defaults.
    let before = settings::initial_receive_window(&state.config, false);
    state.settings_acknowledged = true;
    let excess = before - settings::initial_receive_window(&state.config, true);
    if excess > 0 {
        for key in state.streams.keys() {
            if let Some(stream) = state.streams.get_mut(key) {
                stream.recv.window.shrink(excess);
                // What was too little for the large window may be all that the small one has.
                if stream.recv.joins_credit(&mut state.charge) {
                    state.credit.push_back(key);
                }
            }
        }
    }
    if state.config.header_table_size < 4096 {
        state.hpack_in.set_max_table_size(state.config.header_table_size as usize);
    }
    Ok(())
}

fn ping(state: &mut State, now: Instant, ack: bool, payload: [u8; 8]) -> Result<(), Fault> {
    if !ack {
        state.abuse.ping(now)?;
        return Ok(state.reply(Control::Pong(payload))?);
    }
    let Some(answered) = state.pings.answered(payload, now) else { return state.glitch(now) };
    state.path.round_trip(answered.rtt);
    match answered.purpose {
        Purpose::User => state.events.rare(Event::Pong { id: answered.id, rtt: answered.rtt }),
        Purpose::Sample => {
            if state.path.sample_ends(answered.rtt, now) {
                let most = state.config.max_connection_window_size;
                state.recv_window.grow(state.path.connection_window().min(most));
            }
        }
        Purpose::Drain => state.finish_drain(ErrorCode::NO_ERROR, String::new()),
        Purpose::Keepalive => {}
    }
    Ok(())
}

fn goaway(
    state: &mut State,
    now: Instant,
    last: Option<StreamId>,
    code: ErrorCode,
    debug: Bytes,
) -> Result<(), Fault> {
    if state.goaway.received.is_some() {
        state.glitch(now)?;
    }
    state
        .goaway
        .receive(last, code, debug.clone())
        .map_err(|Raised| Fault::Connection(Violation::GoawayRaised))?;
    state.notes.note(Note::GoawayReceived { last, code });
    // RFC 9113 6.8: streams above the last one were not and will not be processed.
    for key in state.streams.keys() {
        if key.id().initiator() == state.side && Some(key.id()) > last {
            state.fail(key, Failure::Goaway);
        }
    }
    state.openable();
    state.events.rare(Event::Goaway { code, debug });
    // A client ends once its own streams have. What the server has opened before may be under way: it is asked.
    if state.side == Side::Client && state.takes_streams() && code == ErrorCode::NO_ERROR {
        state.begin_drain(now);
    }
    Ok(())
}

fn connection_credit(state: &mut State, now: Instant, increment: u32) -> Result<(), Fault> {
    update_is_earned(state, now)?;
    state
        .send_window
        .add(DEFAULT_WINDOW, increment)
        .map_err(|Overflow| Fault::Connection(Violation::WindowOverflow))?;
    state.watch_connection_window(now);
    Ok(())
}

fn stream_credit(state: &mut State, now: Instant, id: StreamId, increment: u32) -> Result<(), Fault> {
    let key = match target(state, id) {
        Target::Idle => return Err(Fault::Connection(Violation::IdleStream)),
        // RFC 9113 5.1: may come for a while after the end, and is ignored.
        Target::Closed(_) => return update_is_earned(state, now),
        Target::Live(key) => key,
    };
    update_is_earned(state, now)?;
    let initial = state.peer.initial_window;
    let Some(stream) = state.streams.get_mut(key) else { return Ok(()) };
    stream
        .send
        .window
        .add(initial, increment)
        .map_err(|Overflow| Fault::Stream(id, Violation::WindowOverflow))?;
    state.unblock(key);
    state.call_writer(key);
    Ok(())
}

/// WINDOW_UPDATE that our DATA has earned is free; the rest is counted.
fn update_is_earned(state: &mut State, now: Instant) -> Result<(), Fault> {
    if state.abuse.window_update_is_earned(now) { Ok(()) } else { state.glitch(now) }
}
