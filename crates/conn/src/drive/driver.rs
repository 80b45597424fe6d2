//! The future that owns the socket: reads, lets the engine think, writes, sleeps.
//!
//! One turn is: write what is committed, read once, then one visit under the lock in which the engine takes the
//! input and commits the next flight. So input and output alternate, at most one read lies between two writes,
//! and a connection that is always busy yields to its runtime after [`BUDGET`] octets. Before it sleeps
//! everything that could be sent has been sent.

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hbone_frame::Side;

use super::clock;
use super::handle::Handle;
use super::incoming::Incoming;
use super::observer::{Observer, tell};
use super::park::Park;
use super::shared::{Effects, Shared, State};
use super::timer::Timer;
use super::wire::{Fill, Wire};
use crate::proto::{Config, Connection, ConnectionError, Note, Transmit};

/// Octets in both directions that one poll moves before other tasks of the runtime have their turn.
const BUDGET: usize = 64 * 1024;
/// What a turn costs beside its octets.
const TURN: usize = 1024;
/// Tasks that one input wakes, from which on what the first of them has to send waits for the others once: until the
/// runtime comes to the driver again.
const CROWD: usize = 4;
/// Buffers go after that much silence.
const SILENCE: Duration = Duration::from_secs(1);
/// The last flight may take that long without any progress.
const LAST_FLIGHT: Duration = Duration::from_secs(10);
/// And that long in all, however it progresses.
const LAST_FLIGHT_IN_ALL: Duration = Duration::from_secs(30);
/// Once our direction is shut, the peer may be silent for that long before it shuts its own. What we sent last
/// may still be on its way: a socket that is closed with unread input, or that is gone when the peer's credit
/// arrives, answers with a reset that destroys it.
const LINGER: Duration = Duration::from_secs(30);
/// And that long in all, whatever the peer sends.
const LINGER_IN_ALL: Duration = Duration::from_secs(300);
/// In all, for a peer that broke the protocol, was silent, or has given the connection up itself: enough for our
/// GOAWAY. What else is still on its way to such a peer it may lose.
const LINGER_AT_FAULT: Duration = Duration::from_secs(2);

/// Makes a connection over `wire`. Nothing moves until the [`Driver`] is polled, in a task of a tokio runtime
/// whose time is enabled.
pub fn establish<W: Wire>(side: Side, wire: W, config: Config) -> (Handle, Incoming, Driver<W>) {
    start(Connection::new(side, config, clock::now()), wire, None)
}

/// As [`establish`], watched by `observer`.
pub fn establish_observed<W: Wire>(
    side: Side,
    wire: W,
    config: Config,
    mut observer: impl Observer,
) -> (Handle, Incoming, Driver<W>) {
    let mut conn = Connection::new(side, config, clock::now());
    conn.keep_notes();
    observer.connecting(side);
    start(conn, wire, Some(Box::new(observer)))
}

fn start<W: Wire>(
    conn: Connection,
    wire: W,
    observer: Option<Box<dyn Observer>>,
) -> (Handle, Incoming, Driver<W>) {
    let shared = Arc::new(Shared::new(conn, wire.peer(), 2));
    let driver = Driver {
        wire,
        shared: Arc::clone(&shared),
        out: Transmit::new(),
        effects: Effects::default(),
        observer,
        notes: Vec::new(),
        timer: Timer::default(),
        phase: Phase::Running,
        reading: true,
        listening: true,
        writing: true,
        write_error: None,
        last_read: None,
        woken: 0,
    };
    (Handle::new(Arc::clone(&shared)), Incoming::new(shared), driver)
}

/// The future that runs a connection; spawn it. It resolves once the connection has ended and its socket is
/// shut. Dropped before, it ends the connection at once.
#[must_use = "a connection moves only while its driver is polled"]
pub struct Driver<W> {
    wire: W,
    shared: Arc<Shared>,
    /// Committed to the wire.
    out: Transmit,
    effects: Effects,
    observer: Option<Box<dyn Observer>>,
    /// What the observer is to be told.
    notes: Vec<Note>,
    timer: Timer,
    phase: Phase,
    /// The wire may still bring something.
    reading: bool,
    /// The engine takes input: not while the peer lets replies pile up.
    listening: bool,
    /// The wire still takes something.
    writing: bool,
    /// Why it does not: told to the engine once everything that the wire still brings is read.
    write_error: Option<io::ErrorKind>,
    /// Since when the wire has brought nothing, while it holds buffers.
    last_read: Option<Instant>,
    /// Tasks woken since it last slept.
    woken: usize,
}

enum Phase {
    Running,
    /// The engine is done with this result: what is left goes out until `until`, which moves with every progress
    /// and never past `end`.
    Flushing {
        result: ConnectionError,
        until: Instant,
        end: Instant,
        progress: (usize, u64),
    },
    /// Our direction is shut: waits for the peer's.
    Lingering {
        result: ConnectionError,
        until: Instant,
        end: Instant,
    },
    Done(ConnectionError),
}

/// What a read brought, as the engine hears it.
enum Input {
    Fill(Fill),
    Error(io::ErrorKind),
}

/// How a visit under the lock ended.
enum Visit {
    /// There may be more to do.
    Again,
    /// Nothing to do before that instant.
    Parked(Option<Instant>),
    /// The engine is done.
    Ended(ConnectionError),
}

impl<W: Wire> Future for Driver<W> {
    type Output = ConnectionError;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ConnectionError> {
        let me = self.get_mut();
        loop {
            let next = match &me.phase {
                Phase::Running => me.poll_run(cx),
                Phase::Flushing { .. } => me.poll_last_flight(cx),
                Phase::Lingering { .. } => me.poll_linger(cx),
                Phase::Done(result) => return Poll::Ready(result.clone()),
            };
            match next {
                Poll::Ready(phase) => me.phase = phase,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<W: Wire> Driver<W> {
    /// Turns until there is nothing to do, the budget is spent, or the engine is done.
    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        let crowd = std::mem::take(&mut self.woken) >= CROWD;
        if crowd && self.shared.driver_is_called() {
            // The first of many that were woken together has something to send: the others will have, too.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut budget = BUDGET;
        // When the clock was last looked at in this poll.
        let mut looked = None;
        loop {
            let committed = self.out.len();
            let blocked = self.flush(cx);
            let (input, read) = self.fill(cx);
            let glanced = match looked {
                Some(now) if input.is_none() && !blocked => self.glance(cx, now),
                Some(_) | None => None,
            };
            let visit = match glanced {
                Some(visit) => visit,
                None => {
                    let now = clock::now();
                    // Who comes out of a wire that took nothing looks at the clock again.
                    looked = (!blocked).then_some(now);
                    self.visit(cx, now, input, blocked)
                }
            };
            match visit {
                Visit::Again => {}
                Visit::Parked(due) => {
                    if !blocked && self.flush(cx) {
                        self.shared.driver_blocks();
                    }
                    if self.write_error.is_none() && !self.timer.poll_due(cx, due) {
                        return Poll::Pending;
                    }
                    looked = None;
                }
                Visit::Ended(result) => return Poll::Ready(self.last_flight(result)),
            }
            match budget.checked_sub(committed + read + TURN) {
                Some(rest) => budget = rest,
                None => {
                    self.woken = 0;
                    give_way(cx);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Writes what is committed. True: the wire takes no more for now.
    fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.writing {
            return true;
        }
        if self.out.is_empty() && !self.wire.is_unflushed() {
            return false;
        }
        let flushed = self.wire.poll_flush(cx, &mut self.out);
        match uninterrupted(cx, flushed) {
            Poll::Ready(Ok(())) => false,
            Poll::Pending => true,
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "the wire takes nothing any more");
                self.writing = false;
                self.write_error = Some(error.kind());
                self.out = Transmit::new();
                true
            }
        }
    }

    /// Reads once. Returns what came and its size in octets.
    fn fill(&mut self, cx: &mut Context<'_>) -> (Option<Input>, usize) {
        let result = if self.reading && (self.listening || !self.writing) {
            let filled = self.wire.poll_fill(cx);
            uninterrupted(cx, filled)
        } else {
            Poll::Pending
        };
        match result {
            Poll::Ready(Ok(Fill::Data(data))) => {
                let read = data.len();
                (Some(Input::Fill(Fill::Data(data))), read)
            }
            Poll::Ready(Ok(Fill::Eof)) => {
                self.reading = false;
                (Some(Input::Fill(Fill::Eof)), 0)
            }
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "the wire brings nothing any more");
                self.reading = false;
                (Some(Input::Error(error.kind())), 0)
            }
            Poll::Pending => match self.write_error.take() {
                // Nothing more comes in, nothing goes out.
                Some(kind) => {
                    self.reading = false;
                    (Some(Input::Error(kind)), 0)
                }
                None => (None, 0),
            },
        }
    }

    /// One visit under the lock: the engine takes `input` and commits the next flight.
    fn visit(&mut self, cx: &mut Context<'_>, now: Instant, input: Option<Input>, blocked: bool) -> Visit {
        let silent = input.is_none();
        let Self { shared, out, effects, notes, timer, listening, .. } = self;
        let mut visit = shared.visit(|state| {
            state.driver.parking.runs();
            match input {
                Some(Input::Fill(Fill::Data(data))) => state.conn.handle_bytes(now, data),
                Some(Input::Fill(Fill::Eof)) => state.conn.handle_eof(now),
                Some(Input::Error(kind)) => state.conn.handle_io_error(now, kind),
                None => {}
            }
            if state.conn.poll_timeout().is_some_and(|due| due <= now) {
                state.conn.handle_timeout(now);
            }
            if !blocked {
                state.written(effects);
                if state.conn.poll_transmit(now, out) {
                    state.driver.committed();
                }
            }
            state.settle(effects);
            notes.extend(std::iter::from_fn(|| state.conn.poll_note()));
            // On a wire that takes nothing the last frames wait for their turn in the last flight.
            let ended = if blocked { state.closed.as_ref() } else { state.conn.is_finished() };
            if let Some(result) = ended {
                return Visit::Ended(result.clone());
            }
            let resumed = resumes(state, listening);
            // Who waits for this flight is told in the next turn.
            let told = blocked || out.is_empty() || !state.driver.is_awaited();
            if silent && told && !resumed && (blocked || !state.conn.wants_transmit()) {
                let park = if blocked { Park::Blocked } else { Park::Idle };
                return Visit::Parked(timer.park(state, park, cx, effects));
            }
            Visit::Again
        });
        self.tell();
        self.woken += self.effects.wakers();
        self.effects.run(&self.shared);
        if !silent {
            self.last_read = Some(now);
        } else if let Visit::Parked(due) = &mut visit {
            *due = self.heed_silence(now, *due);
        }
        visit
    }

    /// A visit that goes to rest at once, if nothing has to go out and no deadline has passed: the engine need not be
    /// asked again after each input. `None`: it has to.
    fn glance(&mut self, cx: &mut Context<'_>, now: Instant) -> Option<Visit> {
        let Self { shared, effects, timer, listening, .. } = self;
        if !*listening {
            return None;
        }
        let due = shared.visit(|state| {
            let due = state.conn.poll_timeout().is_some_and(|due| due <= now);
            if due || !state.is_quiet() || !state.conn.wants_read() {
                return None;
            }
            state.driver.parking.runs();
            state.written(effects);
            Some(timer.park(state, Park::Idle, cx, effects))
        })?;
        self.effects.run(&self.shared);
        Some(Visit::Parked(self.heed_silence(now, due)))
    }

    /// Lets buffers go after a silence. Returns when to look again, at the latest.
    fn heed_silence(&mut self, now: Instant, due: Option<Instant>) -> Option<Instant> {
        let Some(last_read) = self.last_read else { return due };
        let silent_at = last_read + SILENCE;
        if silent_at <= now {
            self.rest();
            self.last_read = None;
            return due;
        }
        Some(due.map_or(silent_at, |due| due.min(silent_at)))
    }

    /// Gives back all memory that is kept to be used again.
    fn rest(&mut self) {
        self.wire.release_buffers();
        self.shared.rest();
        self.effects.rest();
        if self.out.is_empty() {
            self.out = Transmit::new();
        }
    }

    fn last_flight(&mut self, result: ConnectionError) -> Phase {
        tracing::debug!(%result, "the connection has ended");
        if !self.writing {
            return Phase::Done(result);
        }
        let now = clock::now();
        Phase::Flushing {
            result,
            until: now + LAST_FLIGHT,
            end: now + LAST_FLIGHT_IN_ALL,
            progress: self.progress(),
        }
    }

    /// What changes with every octet that the transport takes.
    fn progress(&self) -> (usize, u64) {
        (self.out.len(), self.wire.written())
    }

    /// Writes the last flight and shuts our direction.
    fn poll_last_flight(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        let shut = match self.poll_flush_all(cx) {
            Poll::Ready(Ok(())) => {
                let shut = self.wire.poll_shutdown(cx);
                uninterrupted(cx, shut)
            }
            unsent @ (Poll::Ready(_) | Poll::Pending) => unsent,
        };
        let reached = self.progress();
        let Phase::Flushing { result, until, end, progress } = &mut self.phase else {
            return Poll::Ready(Phase::Running);
        };
        let now = clock::now();
        match shut {
            Poll::Ready(Ok(())) if self.reading => {
                let peace = matches!(result, ConnectionError::Closed | ConnectionError::Local(_));
                let (until, end) =
                    if peace { (LINGER, LINGER_IN_ALL) } else { (LINGER_AT_FAULT, LINGER_AT_FAULT) };
                Poll::Ready(Phase::Lingering { result: result.clone(), until: now + until, end: now + end })
            }
            Poll::Ready(_) => Poll::Ready(Phase::Done(result.clone())),
            Poll::Pending => {
                if reached != *progress {
                    *progress = reached;
                    *until = (now + LAST_FLIGHT).min(*end);
                }
                self.timer.poll_until(cx, *until).map(|()| Phase::Done(result.clone()))
            }
        }
    }

    /// Writes until the engine has nothing more.
    fn poll_flush_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let flushed = self.wire.poll_flush(cx, &mut self.out);
            ready!(uninterrupted(cx, flushed))?;
            let now = clock::now();
            let more = self.shared.with(|state, effects| {
                state.written(effects);
                let more = state.conn.poll_transmit(now, &mut self.out);
                if more {
                    state.driver.committed();
                }
                more
            });
            if !more {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Reads and drops what the peer still sends, until it shuts its direction too.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<Phase> {
        let Phase::Lingering { result, until, end } = &mut self.phase else {
            return Poll::Ready(Phase::Running);
        };
        let mut budget = BUDGET;
        loop {
            let filled = self.wire.poll_fill(cx);
            match uninterrupted(cx, filled) {
                Poll::Ready(Ok(Fill::Data(data))) => {
                    let now = clock::now();
                    if now >= *end {
                        return Poll::Ready(Phase::Done(result.clone()));
                    }
                    *until = (now + LINGER).min(*end);
                    let Some(rest) = budget.checked_sub(data.len() + TURN) else {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    };
                    budget = rest;
                }
                Poll::Ready(_) => return Poll::Ready(Phase::Done(result.clone())),
                Poll::Pending => {
                    return self.timer.poll_until(cx, *until).map(|()| Phase::Done(result.clone()));
                }
            }
        }
    }
}

impl<W> Driver<W> {
    /// The observer hears what there is to tell. One that panics is not called again: a second panic, while the
    /// driver is dropped by the first, would end the process.
    fn tell(&mut self) {
        if self.notes.is_empty() {
            return;
        }
        let Some(mut observer) = self.observer.take() else { return };
        for note in self.notes.drain(..) {
            tell(&mut *observer, &note);
        }
        self.observer = Some(observer);
    }
}

impl<W> Drop for Driver<W> {
    fn drop(&mut self) {
        let Self { shared, effects, notes, .. } = self;
        shared.with_effects(effects, |state, effects| {
            state.wire_gone(effects);
            if state.closed.is_none() {
                state.conn.handle_io_error(clock::now(), io::ErrorKind::ConnectionAborted);
            }
            state.driver.parking.runs();
            notes.extend(std::iter::from_fn(|| state.conn.poll_note()));
        });
        // Whoever waits is told first, whatever the observer does.
        self.effects.run(&self.shared);
        // Perhaps another panic drops the driver. There is no connection left for this one to end.
        let _ = catch_unwind(AssertUnwindSafe(|| self.tell()));
    }
}

impl<W> fmt::Debug for Driver<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("unsent", &self.out.len()).finish_non_exhaustive()
    }
}

/// Whether the engine takes input again. A wire that was not asked for input while that was not wanted wakes nobody
/// when it has some.
fn resumes(state: &State, listening: &mut bool) -> bool {
    !std::mem::replace(listening, state.conn.wants_read()) && *listening
}

/// Others have their turn, the runtime's sockets included: who only wakes itself is polled again before it looks at
/// them, and fills its peer's window while the peer on the same thread is not told that there is something to read.
fn give_way(cx: &mut Context<'_>) {
    let turn = pin!(tokio::task::yield_now()).poll(cx);
    debug_assert!(turn.is_pending());
}

/// A call that a signal has interrupted is made again.
fn uninterrupted<R>(cx: &Context<'_>, result: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
    match result {
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        other @ (Poll::Ready(_) | Poll::Pending) => other,
    }
}
