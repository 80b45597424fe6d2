//! A TCP connection and a stream of HTTP/2, tied together: octets both ways, FIN as FIN, RST as RST.
//!
//! Called by the outbound and the inbound side once a tunnel stands. A FIN becomes END_STREAM and the other
//! way round, each direction for itself. Every other end of either leg, silence over the limit, and every
//! order to stop reset *both* legs: TCP with a real RST, the stream with CONNECT_ERROR (a peer may take
//! CANCEL or NO_ERROR for a clean end). So does a relay that is dropped or panics, and the end of the process.
//! Never turns the loss of octets into an end-of-file.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use hbone_conn::{Backlog, ErrorCode, ReadHalf, Stream, StreamError, WriteHalf};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::intake::Intake;
use crate::progress::{Look, MINUTE, Progress};
use crate::sockets;

/// How long a tunnel may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayLimits {
    /// Without an octet in either direction; `None` for ever.
    pub idle: Option<Duration>,
    /// The same once one direction has ended and nothing waits in the other; `None` for ever. While octets wait, the
    /// longer of the two limits holds: credit for them comes in batches, and a slow reader takes long for one.
    pub half_closed_idle: Option<Duration>,
    /// Octets, at least 1, that have to leave in a minute for a direction to count as moving while more of them
    /// wait for its reader: windows that are opened octet by octet prolong nothing.
    pub min_progress: u64,
}

impl Default for RelayLimits {
    /// One hour; five minutes once one direction has ended; 1024 octets in a minute.
    fn default() -> Self {
        Self {
            idle: Some(Duration::from_secs(3600)),
            half_closed_idle: Some(Duration::from_secs(300)),
            min_progress: 1024,
        }
    }
}

impl RelayLimits {
    /// The limit of a tunnel of which one direction has ended, and in which octets wait.
    fn limit(&self, half_closed: bool, backlogged: bool) -> Option<Duration> {
        match (half_closed, backlogged) {
            (false, _) => self.idle,
            (true, false) => self.half_closed_idle,
            (true, true) => Some(self.idle?.max(self.half_closed_idle?)),
        }
    }
}

/// Why a tunnel was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Break {
    /// The TCP connection failed.
    Tcp(io::ErrorKind),
    /// The stream failed.
    Stream(StreamError),
    /// No octet moved for that long.
    Idle(Duration),
    /// The policy does not allow it any longer.
    Revoked,
    /// The node shuts down, and the time for finishing is over.
    Drained,
}

impl std::fmt::Display for Break {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(kind) => write!(f, "the TCP connection failed: {kind}"),
            Self::Stream(error) => write!(f, "the far leg failed: {error}"),
            Self::Idle(limit) => write!(f, "no octet moved for {limit:?}"),
            Self::Revoked => f.write_str("the policy does not allow it any longer"),
            Self::Drained => f.write_str("the node shut down before it had finished"),
        }
    }
}

/// What went through a tunnel and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// From the TCP connection to the stream.
    pub to_stream: Direction,
    /// From the stream to the TCP connection.
    pub to_tcp: Direction,
    /// Why it was broken; `None` when both directions ended with a FIN.
    pub broken: Option<Break>,
}

/// One direction of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Octets handed on.
    pub octets: u64,
    /// It ended with a FIN; else with a reset.
    pub finished: bool,
}

/// Relays until both directions have ended, the stream's last octet has left, or the tunnel is broken; `stop`
/// breaks it.
pub async fn relay(
    tcp: TcpStream,
    stream: Stream,
    limits: RelayLimits,
    stop: impl Future<Output = Break>,
) -> Relayed {
    sockets::guard(&tcp);
    let (mut read, write) = stream.into_split();
    let backlog = write.backlog();
    let mut far = Far { write, whole: false };
    let flow = Flow::new(&tcp, limits);
    let broken = tokio::select! {
        biased;
        both = async { tokio::try_join!(flow.to_stream(&mut far.write), flow.to_tcp(&mut read)) } => both.err(),
        error = sockets::failure(&tcp) => Some(Break::Tcp(error.kind())),
        broken = flow.silence(&backlog) => Some(broken),
        broken = stop => Some(broken),
    };
    let (to_stream, to_tcp) = (flow.up.ended(), flow.down.ended());
    if broken.is_none() {
        far.whole = true;
        sockets::release(tcp);
    }
    Relayed { to_stream, to_tcp, broken }
}

/// The stream's leg: reset when it goes before the tunnel has ended whole, whatever makes it go.
struct Far {
    write: WriteHalf,
    whole: bool,
}

impl Drop for Far {
    fn drop(&mut self) {
        if !self.whole {
            self.write.reset(ErrorCode::CONNECT_ERROR);
        }
    }
}

/// What the two directions and the watch over them share. All of it runs in one task; the atomics are there
/// because the task may move between threads.
struct Flow<'a> {
    tcp: &'a TcpStream,
    limits: RelayLimits,
    up: Counter,
    down: Counter,
    start: Instant,
    /// A direction has ended, or moves after a silence.
    changed: Notify,
}

#[derive(Default)]
struct Counter {
    octets: AtomicU64,
    finished: AtomicBool,
    /// Milliseconds since the tunnel began at which an octet moved last.
    moved: AtomicU64,
    /// Octets wait for TCP to take them.
    stuck: AtomicBool,
}

impl Counter {
    fn ended(&self) -> Direction {
        Direction { octets: self.octets.load(Ordering::Relaxed), finished: self.is_finished() }
    }

    fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed)
    }

    /// As it stands while `waiting` octets of those that were counted have not left.
    fn look(&self, waiting: u64) -> Look {
        Look {
            moved: Duration::from_millis(self.moved.load(Ordering::Relaxed)),
            left: self.octets.load(Ordering::Relaxed).saturating_sub(waiting),
            backlogged: waiting > 0 || self.stuck.load(Ordering::Relaxed),
        }
    }
}

impl<'a> Flow<'a> {
    fn new(tcp: &'a TcpStream, limits: RelayLimits) -> Self {
        let (up, down) = (Counter::default(), Counter::default());
        Self { tcp, limits, up, down, start: Instant::now(), changed: Notify::new() }
    }

    fn moved(&self, counter: &Counter, octets: usize) {
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        counter.octets.fetch_add(octets, Ordering::Relaxed);
        let now = self.now();
        // Who watches may sleep up to the limit: from here on it has to look.
        if now.saturating_sub(counter.moved.swap(now, Ordering::Relaxed)) >= MINUTE_MILLIS {
            self.changed.notify_waiters();
        }
    }

    fn finished(&self, counter: &Counter) {
        counter.finished.store(true, Ordering::Relaxed);
        // The half-closed limit counts from here.
        counter.moved.store(self.now(), Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// TCP to stream, until the FIN. This direction also listens for resets of the stream, at every moment and
    /// to the end of the other one: that may be stuck in a write to TCP.
    async fn to_stream(&self, write: &mut WriteHalf) -> Result<(), Break> {
        let mut intake = Intake::new();
        loop {
            let room = poll_fn(|cx| write.poll_write_ready(cx)).await.map_err(Break::Stream)?;
            match intake.read(self.tcp, room) {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => {
                    self.moved(&self.up, chunk.len());
                    write.send_chunk(chunk).map_err(Break::Stream)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    intake.rest();
                    tokio::select! {
                        ready = self.tcp.readable() => ready.map_err(|error| Break::Tcp(error.kind()))?,
                        error = write.reset_by_peer() => return Err(Break::Stream(error)),
                    }
                }
                Err(error) => return Err(Break::Tcp(error.kind())),
            }
        }
        drop(intake);
        write.finish().map_err(Break::Stream)?;
        // What only waits for the peer's windows is not sent: the tunnel must not count as ended before.
        write.flushed().await.map_err(Break::Stream)?;
        self.finished(&self.up);
        while !self.down.is_finished() {
            tokio::select! {
                () = self.changed.notified() => {}
                error = write.reset_by_peer() => return Err(Break::Stream(error)),
            }
        }
        Ok(())
    }

    /// Stream to TCP, until END_STREAM.
    async fn to_tcp(&self, read: &mut ReadHalf) -> Result<(), Break> {
        let mut pieces = Vec::new();
        loop {
            let more = poll_fn(|cx| read.poll_read_chunks(cx, &mut pieces, BATCH)).await;
            self.write_all(&mut pieces).await?;
            if !more.map_err(Break::Stream)? {
                let shut = SockRef::from(self.tcp).shutdown(Shutdown::Write);
                shut.map_err(|error| Break::Tcp(error.kind()))?;
                self.finished(&self.down);
                return Ok(());
            }
        }
    }

    /// Writes all pieces, many in one call, and leaves the list empty.
    async fn write_all(&self, pieces: &mut Vec<Bytes>) -> Result<(), Break> {
        let mut at = 0;
        while let Some(rest) = pieces.get(at..).filter(|rest| !rest.is_empty()) {
            let mut slices = [IoSlice::new(&[]); GATHER];
            let count = rest.len().min(GATHER);
            for (slice, piece) in slices.iter_mut().zip(rest) {
                *slice = IoSlice::new(piece);
            }
            match self.tcp.try_write_vectored(&slices[..count]) {
                Ok(mut written) => {
                    self.moved(&self.down, written);
                    while let Some(piece) = pieces.get_mut(at) {
                        let taken = written.min(piece.len());
                        piece.advance(taken);
                        written -= taken;
                        if !piece.is_empty() {
                            break;
                        }
                        // Gives the memory back at once, and skips empty pieces.
                        *piece = Bytes::new();
                        at += 1;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.down.stuck.store(true, Ordering::Relaxed);
                    self.tcp.writable().await.map_err(|error| Break::Tcp(error.kind()))?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Break::Tcp(error.kind())),
            }
        }
        self.down.stuck.store(false, Ordering::Relaxed);
        pieces.clear();
        Ok(())
    }

    /// Resolves once nothing has moved for as long as the limit that holds now: no octet, or in a direction with
    /// `backlog` fewer than the least.
    async fn silence(&self, backlog: &Backlog) -> Break {
        let mut progress = Progress::new(self.limits.min_progress);
        loop {
            let now = Duration::from_millis(self.now());
            let waiting = u64::try_from(backlog.octets()).unwrap_or(u64::MAX);
            let active = progress.look(now, [self.up.look(waiting), self.down.look(0)]);
            let half_closed = self.up.is_finished() || self.down.is_finished();
            let Some(limit) = self.limits.limit(half_closed, progress.is_judging()) else {
                self.changed.notified().await;
                continue;
            };
            let silent = now.saturating_sub(active);
            let Some(left) = limit.checked_sub(silent).filter(|left| !left.is_zero()) else {
                return Break::Idle(limit);
            };
            // While anything moves or waits, a look a minute; a tunnel at rest is left alone.
            let next = if progress.is_judging() || silent < MINUTE { left.min(MINUTE) } else { left };
            tokio::select! {
                () = sleep(next) => {}
                () = self.changed.notified() => {}
            }
        }
    }
}

/// Octets taken from the stream in one go.
const BATCH: usize = 256 * 1024;
/// Pieces given to one `writev`.
const GATHER: usize = 64;
const MINUTE_MILLIS: u64 = MINUTE.as_secs() * 1000;
