//! Builds the next flight: the only place where frames are formed and windows are spent.
//!
//! Control frames first, then credit, heads, and DATA: streams that were idle before busy ones, those in turn.
//! A DATA frame is formed here and nowhere else, of what is queued, both windows, the peer's frame size and the
//! quantum, whichever is least; what stands in the flight is committed, so no credit ever has to be returned.

use std::time::Instant;

use hbone_frame::{DEFAULT_WINDOW, ErrorCode, Fields, PREFACE, StreamId, encode};

use super::error::ConnectionError;
use super::flow::Increment;
use super::half::{Place, SendState};
use super::keepalive::Purpose;
use super::liveliness;
use super::notes::{Direction, Note};
use super::queue::Chunks;
use super::settings;
use super::state::{Control, HeadOut, Phase, State, relax};
use super::streams::{Failure, Parting, Stream, StreamKey};
use super::timer::Timer;
use super::transmit::Transmit;

/// A flight of less than this of a stream that has more, in octets, is a dribble.
const DRIBBLE: usize = 16;

/// Appends what is to be sent now. `false` when that is nothing.
pub(super) fn flight(state: &mut State, now: Instant, out: &mut Transmit) -> bool {
    if !out.is_empty() || matches!(state.phase, Phase::Ended(_)) {
        return false;
    }
    state.last_flight = now;
    state.replies = 0;
    state.unsent_resets = 0;
    if !is_due(state) {
        // A connection that was drained and has nothing else to send has its end to send.
        state.end_if_drained();
        if state.is_open() {
            state.watch_connection_window(now);
            return closing(state, now, out);
        }
    }
    if std::mem::take(&mut state.preface_due) {
        out.scratch().extend_from_slice(PREFACE);
    }
    while let Some(frame) = state.control.pop_front() {
        control(state, now, frame, out);
    }
    if state.is_open() {
        credit(state, out);
        heads(state, out);
        out.commit();
        data(state, now, out);
        state.end_if_drained();
        while let Some(frame) = state.control.pop_front() {
            control(state, now, frame, out);
        }
    }
    out.commit();
    if let Phase::Ending(error) = &state.phase {
        state.phase = Phase::Ended(error.clone());
    }
    closing(state, now, out)
}

/// What follows on every flight, also on one of nothing; whether there is something to write.
fn closing(state: &mut State, now: Instant, out: &Transmit) -> bool {
    state.charge_memory();
    state.rest_if_idle(now);
    state.stats.octets_sent += out.len() as u64;
    !out.is_empty()
}

/// Whether `flight` would find something, as far as that can be told cheaply.
pub(super) fn is_due(state: &State) -> bool {
    match state.phase {
        Phase::Ended(_) => false,
        Phase::Ending(_) => true,
        Phase::Open => {
            state.preface_due
                || !state.control.is_empty()
                || !state.heads.is_empty()
                || !state.credit.is_empty()
                || state.recv_window.is_overdue()
                || state.schedule.is_ready(state.send_window.available(DEFAULT_WINDOW) > 0)
        }
    }
}

fn control(state: &mut State, now: Instant, frame: Control, out: &mut Transmit) {
    // The head of a 431 counts itself.
    state.stats.frames_sent += u64::from(!matches!(frame, Control::TooLarge { ended: true, .. }));
    match frame {
        Control::Settings => {
            encode::settings(&settings::announcement(&state.config, state.side), out.scratch());
            state.settings_sent = Some(now);
            if state.is_open() {
                state.timers.set_after(Timer::SettingsAck, now, state.config.handshake_timeout);
            }
        }
        Control::SettingsAck => encode::settings_ack(out.scratch()),
        Control::Ping(id) => {
            encode::ping(false, id.to_be_bytes(), out.scratch());
            if state.pings.emitted(id, now) == Some(Purpose::Sample) {
                state.path.sample_leaves(now);
            }
        }
        Control::Pong(payload) => encode::ping(true, payload, out.scratch()),
        Control::Reset(id, code) => encode::reset(id, code, out.scratch()),
        Control::TooLarge { id, ended } => {
            let fields: Fields = [(":status", "431")].into_iter().collect();
            head(state, id, &fields, true, out);
            if !ended {
                encode::reset(id, ErrorCode::NO_ERROR, out.scratch());
            }
        }
        Control::Goaway { last, code, debug } => {
            encode::goaway(last, code, debug.as_bytes(), out.scratch());
        }
    }
}

/// Credit rides in front of what is sent anyway; alone it leaves once half a window is due, the connection's a little
/// later than that of streams.
fn credit(state: &mut State, out: &mut Transmit) {
    if state.recv_window.update_due()
        && let Some(Increment(octets)) = state.recv_window.announce()
    {
        encode::window_update(None, octets, out.scratch());
        state.stats.frames_sent += 1;
    }
    while let Some(key) = state.credit.pop_front() {
        let Some(stream) = state.streams.get_mut(key) else { continue };
        if let Some(Increment(octets)) = stream.recv.announce(&mut state.charge) {
            encode::window_update(Some(key.id()), octets, out.scratch());
            state.stats.frames_sent += 1;
        }
    }
}

fn heads(state: &mut State, out: &mut Transmit) {
    while let Some(HeadOut { key, fields, end }) = state.heads.pop_front() {
        let Some(stream) = state.streams.get_mut(key) else { continue };
        if stream.send.state == SendState::Failed {
            continue;
        }
        stream.send.head_sent = true;
        if end {
            stream.send.state = SendState::Finished;
        }
        let told = stream.send.is_flushed() && std::mem::take(&mut stream.send.wants_room);
        head(state, key.id(), &fields, end, out);
        if state.notes.are_kept() {
            let status = fields.iter().find(|field| field.name == b":status");
            let status = status.and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok());
            state.notes.note(Note::Head { stream: key.id(), direction: Direction::Sent, status });
        }
        if told {
            state.events.writable(key);
        }
        if end {
            after_end(state, key);
        } else {
            state.enlist(key);
        }
    }
    relax(&mut state.heads);
}

fn head(state: &mut State, id: StreamId, fields: &Fields, end: bool, out: &mut Transmit) {
    let mut block = std::mem::take(&mut state.block);
    block.clear();
    state.sent.encode(&mut state.hpack_out, fields, &mut block);
    state.stats.frames_sent += 1;
    encode::headers(id, end, &block, state.peer.max_frame_size, out.scratch());
    state.block = block;
}

fn data(state: &mut State, now: Instant, out: &mut Transmit) {
    let mut any = false;
    let others = state.streams.active_in_all() > 1;
    let most = if state.liveliness.lasts(now) { liveliness::FLIGHT } else { usize::MAX };
    let most = most.min(state.config.flight);
    while out.len() < most {
        let credit = state.send_window.available(DEFAULT_WINDOW);
        let alone = state.schedule.is_alone();
        let room = most.saturating_sub(out.len());
        // A turn that the flight cuts short would always be the same stream's.
        if any && !alone && room < state.config.quantum {
            break;
        }
        let Some(key) = state.schedule.next(credit > 0) else { break };
        let Some(stream) = state.streams.get_mut(key) else { continue };
        if !stream.send.has_work() {
            stream.send.place = Place::Nowhere;
            continue;
        }
        let fresh = stream.send.place == Place::Fresh;
        let turn = if alone { room } else { state.config.quantum.min(room) };
        let turn = turn.min(usize::try_from(credit).unwrap_or(0));
        let initial = state.peer.initial_window;
        let (sent, frames) =
            stream_data(stream, &mut state.chunks, turn, initial, state.peer.max_frame_size, out);
        state.send_window.spend(sent);
        if sent > 0 {
            state.notes.octets(&mut stream.begun, key.id(), Direction::Sent);
        }
        state.stats.queued -= sent;
        state.stats.data_sent += sent as u64;
        state.stats.data_frames_sent += u64::from(frames);
        state.stats.frames_sent += u64::from(frames);
        any |= frames > 0;
        let short = fresh && sent <= state.config.quantum && stream.send.queue.is_empty();
        if short && others {
            state.liveliness.message(now);
        }
        // CVE-2019-9511: frames that the peer's windows make tiny earn it no updates.
        if sent >= DRIBBLE || stream.send.queue.is_empty() {
            state.abuse.data_sent(frames, sent);
        }
        after_turn(state, now, key, initial);
    }
    state.watch_connection_window(now);
}

/// One stream's turn: at most `turn` octets in frames of the peer's size. Returns octets and frames.
fn stream_data(
    stream: &mut Stream,
    chunks: &mut Chunks,
    turn: usize,
    initial: u32,
    max_frame_size: u32,
    out: &mut Transmit,
) -> (usize, u32) {
    let id = stream.key.id();
    let mut left = turn.min(stream.send.sendable(initial));
    let (mut sent, mut frames) = (0, 0);
    loop {
        let length = left.min(max_frame_size as usize);
        let end = stream.send.state == SendState::Finishing && stream.send.queue.len() == length;
        if length == 0 && !end {
            break;
        }
        encode::data_head(id, length as u32, end, out.scratch());
        out.commit();
        let mut missing = length;
        while let Some(piece) = stream.send.queue.pop(chunks, missing) {
            missing -= piece.len();
            out.payload(piece);
        }
        stream.send.window.spend(length);
        sent += length;
        left -= length;
        frames += 1;
        if end {
            stream.send.state = SendState::Finished;
        }
        if left == 0 {
            break;
        }
    }
    (sent, frames)
}

/// After a turn: back into the schedule, or waiting for credit, or over.
fn after_turn(state: &mut State, now: Instant, key: StreamKey, initial: u32) {
    let bounds = state.bounds();
    let Some(stream) = state.streams.get_mut(key) else { return };
    stream.send.place = Place::Nowhere;
    if stream.send.wants_room && stream.send.has_room(bounds) {
        stream.send.wants_room = false;
        state.events.writable(key);
    }
    if stream.send.state == SendState::Finished {
        return after_end(state, key);
    }
    if !stream.send.has_work() {
        return;
    }
    if stream.send.sendable(initial) == 0 && !stream.send.queue.is_empty() {
        stream.send.place = Place::Blocked;
        state.stream_stalls.begin(now);
    } else {
        state.schedule.again(stream);
    }
}

/// END_STREAM has left: the other direction is reset if the application did not want it.
fn after_end(state: &mut State, key: StreamKey) {
    state.notes.note(Note::Finished { stream: key.id(), direction: Direction::Sent });
    let unwanted = state.streams.get(key).and_then(|stream| stream.reset_after);
    if let Some(code) = unwanted.map(Parting::code) {
        state.reset(key, code, Failure::Cancelled(code));
    }
    state.settle(key);
}

/// The end of a connection for which no frame has to be sent any more.
pub(super) fn is_finished(state: &State) -> Option<&ConnectionError> {
    match &state.phase {
        Phase::Ended(error) => Some(error),
        Phase::Open | Phase::Ending(_) => None,
    }
}
