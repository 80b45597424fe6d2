//! The one lock: the engine, what its streams wait for, and whom to wake.
//!
//! Everyone who owns a piece of the connection (driver, handles, streams) comes through [`Shared::with`]. What
//! an operation causes is collected in [`Effects`] under the lock and carried out after it: wakers run, and are
//! dropped, unlocked. The lock is never held across a system call or a cipher.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};

use super::park::Parking;
use super::peer::Peer;
use crate::proto::{Connection, ConnectionError, Event, Request, Response, StreamError, StreamKey};
use crate::slots::Slots;
use hbone_frame::ErrorCode;

/// Octets of request heads, as RFC 7541 4.1 counts them, that may wait for `accept`; a few octets of HPACK stand for
/// a long list. Streams beyond are refused, safe to retry.
const MOST_WAITING: usize = 512 * 1024;

/// The state that all owners of a connection share.
pub(super) struct Shared {
    guarded: Mutex<Guarded>,
    peer: Arc<Peer>,
    /// Told when `established` or `closed` changes.
    pub(super) changed: Notify,
}

/// What the lock guards.
struct Guarded {
    state: State,
    /// Of the visit that is going on. Few visits have any.
    effects: Effects,
}

/// The engine and its owners.
pub(super) struct State {
    pub(super) conn: Connection,
    /// By `StreamKey::index`: the streams that have owners.
    slots: Slots<Slot>,
    /// Responses that were not taken yet: few, and their room is used again.
    responses: Slots<Response>,
    pub(super) driver: DriverState,
    incoming: VecDeque<(StreamKey, Request)>,
    /// Octets of the heads in `incoming`.
    waiting: usize,
    pub(super) acceptor: Option<Waker>,
    /// Whether `Incoming` is still there.
    pub(super) accepting: bool,
    pub(super) openers: VecDeque<Opener>,
    pub(super) next_ticket: u64,
    pub(super) pings: Vec<(u64, oneshot::Sender<Duration>)>,
    pub(super) last_ping: u64,
    /// Handles, `Incoming` and streams. With the last one the connection drains.
    pub(super) owners: usize,
    pub(super) established: bool,
    pub(super) closed: Option<ConnectionError>,
}

/// What the driver is doing: whether it sleeps, and what has become of the last flight.
pub(super) struct DriverState {
    pub(super) parking: Parking,
    /// Number of the last flight that was committed, from 1 on; wraps past 0.
    flight: u32,
    wire: WireState,
    /// Streams whose owners wait for that flight to be written.
    flushing: Vec<StreamKey>,
}

/// What has become of the last flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WireState {
    /// The wire has taken all of it, as far as is known.
    Written,
    /// It may have more to take.
    Unwritten,
    /// It will never take the rest.
    Lost,
}

impl DriverState {
    const fn new() -> Self {
        Self { parking: Parking::new(), flight: 0, wire: WireState::Written, flushing: Vec::new() }
    }

    /// A flight was committed.
    pub(super) fn committed(&mut self) {
        self.flight = self.flight.checked_add(1).unwrap_or(1);
        self.wire = WireState::Unwritten;
    }

    /// Somebody waits for the flight to be written.
    pub(super) const fn is_awaited(&self) -> bool {
        !self.flushing.is_empty()
    }
}

/// One who waits in `open`.
pub(super) struct Opener {
    pub(super) ticket: u64,
    pub(super) waker: Option<Waker>,
}

/// What a stream waits for: 48 octets.
#[derive(Default)]
struct Slot {
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Its place in `State::responses`, and 1.
    response: Option<NonZeroU32>,
    /// Owners of the stream: 1, or 2 after a split.
    owners: u8,
    answered: bool,
    /// The flight with which everything that was queued has left the engine; 0 while that is not known.
    flight: u32,
}

const _: () = assert!(size_of::<Option<Slot>>() <= 48);

/// What to do once the lock is released.
#[derive(Default)]
pub(super) struct Effects {
    driver: Option<Waker>,
    wakers: Vec<Waker>,
    /// A waker that was replaced: dropping one may run foreign code.
    retired: Option<Waker>,
    /// What most operations have nothing of.
    rare: Option<Box<Rare>>,
    /// Whether there is any.
    any: bool,
}

/// Effects that few operations have.
#[derive(Default)]
struct Rare {
    pongs: Vec<(oneshot::Sender<Duration>, Duration)>,
    /// No PONG comes for them any more: dropping them wakes who waits.
    unanswered: Vec<(u64, oneshot::Sender<Duration>)>,
    /// `established`, `closed`, or whether the connection drains has changed.
    changed: bool,
}

impl Effects {
    /// Wakes `waker` after unlocking.
    #[inline]
    pub(super) fn wake(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.wakers.push(waker);
            self.any = true;
        }
    }

    /// Drops `waker` after unlocking.
    pub(super) fn retire(&mut self, waker: Option<Waker>) {
        match (waker, &self.retired) {
            (None, _) => {}
            (waker, None) => {
                self.retired = waker;
                self.any = true;
            }
            // Woken in vain, which is harmless, and dropped by that.
            (waker, Some(_)) => self.wake(waker),
        }
    }

    /// Wakes who waits for the connection as such.
    pub(super) fn changed(&mut self) {
        self.rare().changed = true;
    }

    fn rare(&mut self) -> &mut Rare {
        self.any = true;
        self.rare.get_or_insert_default()
    }

    /// Puts the task of `cx` into `place`.
    pub(super) fn register(&mut self, place: &mut Option<Waker>, cx: &Context<'_>) {
        if !place.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.retire(place.replace(cx.waker().clone()));
        }
    }

    /// How many tasks are to be woken, the driver aside.
    pub(super) const fn wakers(&self) -> usize {
        self.wakers.len()
    }

    /// Gives back the lists' memory.
    pub(super) fn rest(&mut self) {
        self.wakers.shrink_to_fit();
    }

    /// Carries everything out; the lists keep their memory for the next time.
    #[inline]
    pub(super) fn run(&mut self, shared: &Shared) {
        self.any = false;
        if !self.wakers.is_empty() {
            for waker in self.wakers.drain(..) {
                waker.wake();
            }
        }
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
        self.retired = None;
        if let Some(rare) = self.rare.take() {
            rare.run(shared);
        }
    }
}

impl Rare {
    #[cold]
    fn run(self, shared: &Shared) {
        for (sender, rtt) in self.pongs {
            // One who no longer waits for the answer is no error.
            let _ = sender.send(rtt);
        }
        drop(self.unanswered);
        if self.changed {
            shared.changed.notify_waiters();
        }
    }
}

impl Shared {
    pub(super) fn new(conn: Connection, peer: Peer, owners: usize) -> Self {
        let state = State {
            conn,
            slots: Slots::default(),
            responses: Slots::default(),
            driver: DriverState::new(),
            incoming: VecDeque::new(),
            waiting: 0,
            acceptor: None,
            accepting: true,
            openers: VecDeque::new(),
            next_ticket: 0,
            pings: Vec::new(),
            last_ping: 0,
            owners,
            established: false,
            closed: None,
        };
        let guarded = Guarded { state, effects: Effects::default() };
        Self { guarded: Mutex::new(guarded), peer: Arc::new(peer), changed: Notify::new() }
    }

    /// Runs `operation` under the lock, then what it and the engine ask for without the lock.
    pub(super) fn with<R>(&self, operation: impl FnOnce(&mut State, &mut Effects) -> R) -> R {
        let mut guarded = self.guarded.lock();
        let Guarded { state, effects } = &mut *guarded;
        let result = operation(state, effects);
        // Most visits cause no event, or find the driver awake.
        if state.conn.has_events() || !state.driver.parking.is_running() {
            state.settle(effects);
        }
        if effects.any {
            self.run_unlocked(guarded);
        }
        result
    }

    #[inline(never)]
    fn run_unlocked(&self, mut guarded: MutexGuard<'_, Guarded>) {
        let mut effects = std::mem::take(&mut guarded.effects);
        drop(guarded);
        effects.run(self);
    }

    /// As [`Shared::with`], with lists that are used again, and run by the caller.
    pub(super) fn with_effects<R>(
        &self,
        effects: &mut Effects,
        operation: impl FnOnce(&mut State, &mut Effects) -> R,
    ) -> R {
        let state = &mut self.guarded.lock().state;
        let result = operation(state, effects);
        if state.conn.has_events() {
            state.settle(effects);
        }
        result
    }

    /// The driver's own visit, which settles by itself what there is to settle.
    pub(super) fn visit<R>(&self, visit: impl FnOnce(&mut State) -> R) -> R {
        visit(&mut self.guarded.lock().state)
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> Arc<Peer> {
        Arc::clone(&self.peer)
    }

    /// Whether somebody has called the driver since it went to rest.
    pub(super) fn driver_is_called(&self) -> bool {
        self.guarded.lock().state.driver.parking.is_running()
    }

    /// After it went to rest the driver found its wire full.
    pub(super) fn driver_blocks(&self) {
        self.guarded.lock().state.driver.parking.blocks();
    }

    /// After a silence: gives back the memory that is kept to be used again.
    pub(super) fn rest(&self) {
        self.guarded.lock().state.rest();
    }

    /// A look at the state that changes nothing.
    pub(super) fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.guarded.lock().state)
    }
}

impl State {
    /// Takes what the engine has to say and wakes the driver if it has become needed.
    pub(super) fn settle(&mut self, effects: &mut Effects) {
        while let Some(event) = self.conn.poll_event() {
            self.dispatch(event, effects);
        }
        let Self { conn, driver, .. } = self;
        let DriverState { parking, flushing, .. } = driver;
        let sends = || conn.wants_transmit() || !flushing.is_empty();
        let urgent = self.closed.is_some() || conn.has_notes();
        if let Some(waker) = parking.call(|| conn.poll_timeout(), urgent, sends) {
            effects.driver = Some(waker);
            effects.any = true;
        }
    }

    /// Whether there is nothing for the driver but what its wire or the time brings: no call would wake it.
    pub(super) fn is_quiet(&self) -> bool {
        let Self { conn, driver, .. } = self;
        self.closed.is_none() && !conn.has_notes() && !conn.wants_transmit() && driver.flushing.is_empty()
    }

    fn dispatch(&mut self, event: Event, effects: &mut Effects) {
        match event {
            Event::Readable(key) => effects.wake(self.slot(key).and_then(|slot| slot.reader.take())),
            Event::Writable(key) => effects.wake(self.slot(key).and_then(|slot| slot.writer.take())),
            Event::Response { key, response, .. } => {
                self.keep_response(key, response);
                effects.wake(self.slot(key).and_then(|slot| slot.reader.take()));
            }
            Event::Incoming { key, request, .. } => {
                let size = request.fields().size();
                if self.accepting && (self.waiting == 0 || self.waiting + size <= MOST_WAITING) {
                    self.waiting += size;
                    self.incoming.push_back((key, request));
                    effects.wake(self.acceptor.take());
                } else {
                    self.refuse(key);
                }
            }
            Event::Openable => self.call_next_opener(effects),
            Event::Pong { id, rtt } => {
                // The answer to a later one serves for those that the peer has passed over.
                let answered = self.pings.extract_if(.., |(ping, _)| *ping <= id);
                effects.rare().pongs.extend(answered.map(|(_, sender)| (sender, rtt)));
            }
            Event::Established => {
                self.established = true;
                effects.changed();
                self.call_next_opener(effects);
            }
            Event::Goaway { code, debug } => {
                let words = debug.escape_ascii();
                tracing::debug!(%code, %words, "the peer is going away");
                self.call_next_opener(effects);
                effects.changed();
            }
            Event::Closed(error) => self.close(error, effects),
        }
    }

    /// Forgets the PINGs for whose answer nobody waits any longer.
    pub(super) fn forget_pings(&mut self, effects: &mut Effects) {
        effects.rare().unanswered.extend(self.pings.extract_if(.., |(_, waiting)| waiting.is_closed()));
    }

    /// The connection has ended: nobody waits any longer.
    fn close(&mut self, error: ConnectionError, effects: &mut Effects) {
        self.closed = Some(error);
        effects.changed();
        for slot in self.slots.iter_mut() {
            effects.wake(slot.reader.take());
            effects.wake(slot.writer.take());
        }
        for opener in &mut self.openers {
            effects.wake(opener.waker.take());
        }
        effects.wake(self.acceptor.take());
        effects.rare().unanswered.append(&mut self.pings);
    }

    /// Wakes the first of those who wait in `open`.
    pub(super) fn call_next_opener(&mut self, effects: &mut Effects) {
        if let Some(first) = self.openers.front_mut() {
            effects.wake(first.waker.take());
        }
    }

    /// The first of those who wait for `accept`.
    pub(super) fn next_incoming(&mut self) -> Option<(StreamKey, Request)> {
        let (key, request) = self.incoming.pop_front()?;
        self.waiting -= request.fields().size();
        Some((key, request))
    }

    /// How many wait for `accept`.
    pub(super) fn incoming(&self) -> usize {
        self.incoming.len()
    }

    /// Gives back a stream that nobody will accept.
    pub(super) fn refuse(&mut self, key: StreamKey) {
        self.conn.reset(key, ErrorCode::REFUSED_STREAM);
        self.conn.release(key);
    }

    /// A stream gets its first owner.
    pub(super) fn adopt(&mut self, key: StreamKey) {
        self.slots.put(key.index(), Slot { owners: 1, ..Slot::default() });
        self.owners += 1;
    }

    /// A stream is split: both halves own it.
    pub(super) fn share(&mut self, key: StreamKey) {
        if let Some(slot) = self.slot(key) {
            slot.owners += 1;
            self.owners += 1;
        }
    }

    /// An owner of a stream goes; with the last one, the stream.
    pub(super) fn disown(&mut self, key: StreamKey, effects: &mut Effects) {
        let Some(slot) = self.slot(key) else { return };
        slot.owners -= 1;
        if slot.owners == 0
            && let Some(gone) = self.slots.remove(key.index())
        {
            effects.retire(gone.reader);
            effects.retire(gone.writer);
            self.pick_response(gone.response);
            self.conn.release(key);
        }
        self.leave();
    }

    /// One owner of the connection goes; with the last one it drains.
    pub(super) fn leave(&mut self) {
        self.owners -= 1;
        if self.owners == 0 && self.closed.is_none() {
            self.conn.drain(super::clock::now(), None);
        }
    }

    /// The task of `cx` will be woken when the stream has something to read, or has failed.
    pub(super) fn await_readable(&mut self, key: StreamKey, cx: &Context<'_>, effects: &mut Effects) {
        if let Some(slot) = self.slot(key) {
            effects.register(&mut slot.reader, cx);
        }
    }

    /// The task of `cx` will be woken when the stream takes octets again, or has failed.
    pub(super) fn await_writable(&mut self, key: StreamKey, cx: &Context<'_>, effects: &mut Effects) {
        if let Some(slot) = self.slot(key) {
            effects.register(&mut slot.writer, cx);
        }
    }

    /// Waits until everything that the stream has queued is written, END_STREAM included if it is finished.
    pub(super) fn poll_flushed(
        &mut self,
        key: StreamKey,
        cx: &Context<'_>,
        effects: &mut Effects,
    ) -> Poll<Result<(), StreamError>> {
        if let Some(error) = self.conn.stream_error(key) {
            return Poll::Ready(Err(error));
        }
        let left = self.conn.is_flushed(key);
        let (flight, wire) = (self.driver.flight, self.driver.wire);
        let Some(slot) = self.slot(key) else { return Poll::Ready(Ok(())) };
        if !left {
            slot.flight = 0;
            effects.register(&mut slot.writer, cx);
            return Poll::Pending;
        }
        if slot.flight == 0 {
            slot.flight = flight;
        }
        if slot.flight != flight || wire == WireState::Written {
            slot.flight = 0;
            return Poll::Ready(Ok(()));
        }
        if wire == WireState::Lost {
            let error = self.closed.clone().unwrap_or(ConnectionError::Eof);
            return Poll::Ready(Err(StreamError::Connection(error)));
        }
        effects.register(&mut slot.writer, cx);
        if !self.driver.flushing.contains(&key) {
            self.driver.flushing.push(key);
        }
        Poll::Pending
    }

    /// The stream has queued something: what was known of its last flight no longer holds.
    pub(super) fn queued(&mut self, key: StreamKey) {
        if let Some(slot) = self.slot(key) {
            slot.flight = 0;
        }
    }

    /// The wire has taken everything that was committed.
    pub(super) fn written(&mut self, effects: &mut Effects) {
        if self.driver.wire == WireState::Unwritten {
            self.driver.wire = WireState::Written;
        }
        self.wake_flushing(effects);
    }

    /// The wire will take nothing more. What it has not taken is lost.
    pub(super) fn wire_gone(&mut self, effects: &mut Effects) {
        if self.driver.wire == WireState::Unwritten {
            self.driver.wire = WireState::Lost;
        }
        self.wake_flushing(effects);
    }

    fn wake_flushing(&mut self, effects: &mut Effects) {
        while let Some(key) = self.driver.flushing.pop() {
            effects.wake(self.slot(key).and_then(|slot| slot.writer.take()));
        }
    }

    /// The final response, once. `Ok(None)` while it is to come.
    pub(super) fn take_response(&mut self, key: StreamKey) -> Result<Option<Response>, StreamError> {
        let place = match self.slot(key) {
            Some(slot) if !slot.answered => {
                let place = slot.response.take();
                slot.answered = place.is_some();
                place
            }
            Some(_) | None => return Err(StreamError::Finished),
        };
        if let Some(response) = self.pick_response(place) {
            return Ok(Some(response));
        }
        match self.conn.stream_error(key) {
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    /// Keeps the response of a stream that has an owner.
    fn keep_response(&mut self, key: StreamKey, response: Response) {
        let Self { slots, responses, .. } = self;
        let Some(slot) = slots.get_mut(key.index()) else { return };
        let place = u32::try_from(responses.insert(response) + 1).ok().and_then(NonZeroU32::new);
        let before = std::mem::replace(&mut slot.response, place);
        self.pick_response(before);
    }

    #[inline]
    fn pick_response(&mut self, place: Option<NonZeroU32>) -> Option<Response> {
        self.responses.remove(place?.get() as usize - 1)
    }

    /// What a stream with an owner waits for.
    fn slot(&mut self, key: StreamKey) -> Option<&mut Slot> {
        self.slots.get_mut(key.index())
    }

    /// After a silence: gives back what is kept to be used again.
    fn rest(&mut self) {
        self.conn.rest();
        self.slots.rest();
        self.responses.rest();
        self.incoming.shrink_to_fit();
        self.openers.shrink_to_fit();
        self.pings.shrink_to_fit();
        self.driver.flushing.shrink_to_fit();
    }
}
