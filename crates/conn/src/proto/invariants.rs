//! What holds between any two calls, checked by tests and fuzz targets after every step. Compiled for those
//! only.

use std::collections::BTreeMap;

use hbone_frame::{DEFAULT_WINDOW, Side};

use super::half::{Bounds, Place, RecvState};
use super::memory::STEP;
use super::state::State;
use super::streams::{Stream, StreamKey};
use super::timer::Timer;

impl State {
    /// Panics when a counter, a list, a queue or a window contradicts another.
    pub(super) fn check(&self) {
        self.check_counters();
        self.check_sums();
        self.check_roles();
        self.check_deadlines();
        for stream in self.streams.iter() {
            check_windows(stream);
        }
        self.check_queues();
        if self.is_open() {
            self.check_places();
            self.check_credit();
            self.check_memory();
            self.check_waiters();
        }
        assert!(
            self.control.len() <= self.config.limits.replies_end + 500,
            "{} frames of control wait",
            self.control.len()
        );
    }

    /// Panics when something could have been sent and was not: `poll_transmit` has just returned `false`.
    pub(super) fn check_flushed(&self) {
        if !self.is_open() {
            return;
        }
        assert!(self.control.is_empty() && self.heads.is_empty(), "frames wait in a flushed connection");
        let credit = self.send_window.available(DEFAULT_WINDOW) > 0;
        for stream in self.streams.iter().filter(|stream| !stream.send.is_over() && stream.send.has_work()) {
            let key = stream.key;
            let starved = !stream.send.queue.is_empty()
                && (!credit || stream.send.sendable(self.peer.initial_window) == 0);
            assert!(starved || !stream.send.head_sent, "{key:?} waits although it may send");
        }
    }

    /// Every chunk of the table is in one queue, and every octet of a queue in one chunk.
    fn check_queues(&self) {
        let mut count = 0;
        for stream in self.streams.iter() {
            for queue in [&stream.send.queue, &stream.recv.queue] {
                let (octets, chunks) = queue.recount(&self.chunks);
                assert_eq!(queue.len(), octets, "a queue of {:?}", stream.key);
                count += chunks;
            }
        }
        assert_eq!(self.chunks.count(), count, "chunks that no queue holds");
    }

    fn check_counters(&self) {
        assert_eq!(self.streams.known(), self.streams.len(), "identifiers outlive their slots");
        for side in [Side::Client, Side::Server] {
            let counted = |stream: &&Stream| stream.active && stream.key.id().initiator() == side;
            assert_eq!(self.streams.active(side), self.streams.iter().filter(counted).count());
            let opened = |stream: &&Stream| stream.key.id().initiator() == side;
            assert_eq!(self.streams.held(side), self.streams.iter().filter(opened).count());
        }
        for stream in self.streams.iter() {
            assert_eq!(stream.active, !stream.is_closed(), "{:?} counts wrongly", stream.key);
            assert!(!(stream.released && stream.is_closed()), "{:?} still holds its slot", stream.key);
            assert_eq!(self.streams.find(stream.key.id()), Some(stream.key));
        }
    }

    /// What is kept as a sum is the sum.
    fn check_sums(&self) {
        if let Some(charged) = self.charge.charged() {
            let held = self.stats.unread + self.stats.queued;
            assert!(held < charged + STEP && charged < held + STEP, "{charged} charged for {held}");
        }
        let unread: usize = self.streams.iter().map(|stream| stream.recv.queue.len()).sum();
        assert_eq!(self.stats.unread, unread, "octets unread in all");
        let queued: usize = self.streams.iter().map(|stream| stream.send.queue.len()).sum();
        assert_eq!(self.stats.queued, queued, "octets queued in all");
        self.events.check();
        let stalled = |stream: &&Stream| stream.send.place == Place::Blocked && !stream.send.is_over();
        let stalled = self.streams.iter().filter(stalled).count();
        assert_eq!(self.stream_stalls.held() as usize, stalled, "streams that their windows hold up");
    }

    /// Deadlines are of active streams only.
    fn check_deadlines(&self) {
        let (with_deadline, times) = self.deadlines.kept();
        let with_deadline: Vec<_> = with_deadline.collect();
        assert_eq!(with_deadline.len(), times, "deadlines and their order");
        for key in with_deadline {
            assert!(self.streams.get(key).is_some_and(|stream| stream.active), "a deadline outlives {key:?}");
        }
    }

    fn check_places(&self) {
        let mut listed: BTreeMap<StreamKey, Place> = BTreeMap::new();
        for (place, key) in self.schedule.listed() {
            let Some(stream) = self.streams.get(key) else { continue };
            assert_eq!(stream.send.place, place, "{key:?} stands in another list than it believes");
            assert_eq!(listed.insert(key, place), None, "{key:?} stands in two lists");
        }
        for stream in self.streams.iter() {
            let Stream { key, send, .. } = stream;
            if !matches!(send.place, Place::Nowhere | Place::Blocked) {
                assert!(listed.contains_key(key), "{key:?} believes to stand in {:?}", send.place);
            }
            if send.is_over() {
                continue;
            }
            if send.place == Place::Blocked {
                assert_eq!(send.sendable(self.peer.initial_window), 0, "{key:?} is blocked with credit");
                assert!(send.has_work(), "{key:?} is blocked with nothing to send");
            }
            let idle = send.place == Place::Nowhere && send.head_sent && send.has_work();
            assert!(!idle || self.heads.iter().any(|head| head.key == *key), "{key:?} is in no list");
        }
    }

    /// Credit that is due stands in the list of what is to be announced, once.
    fn check_credit(&self) {
        for stream in self.streams.iter() {
            let times = self.credit.iter().filter(|key| **key == stream.key).count();
            assert_eq!(times, usize::from(stream.recv.credit_listed), "{:?} credit list", stream.key);
            if stream.recv.credit_due(&self.charge) {
                assert_eq!(times, 1, "{:?} has credit that nobody announces", stream.key);
            } else if times == 0 && stream.recv.is_worth_telling() {
                assert!(self.charge.withheld, "{:?} has credit that nobody looks after", stream.key);
            }
        }
        if self.charge.withheld && self.is_open() {
            assert!(self.timers.is_set(Timer::Memory), "nobody looks after what is withheld");
        }
    }

    /// What the windows have grown by and who holds slices of inputs is known as a whole.
    fn check_memory(&self) {
        let grown: u32 = self.streams.iter().map(|stream| stream.recv.window.grown()).sum();
        assert_eq!(self.window_growth, grown, "growth of the windows");
        for stream in self.streams.iter().filter(|stream| stream.recv.holds_slices) {
            let times = self.holders.iter().filter(|key| **key == stream.key).count();
            assert_eq!(times, 1, "{:?} holds slices", stream.key);
        }
    }

    /// The server's streams are there only by agreement, and nobody opens below what it has opened.
    fn check_roles(&self) {
        let by_server = self.streams.held(Side::Server);
        assert!(
            by_server == 0 || self.peer.server_streams,
            "{by_server} streams of a server without agreement"
        );
        assert!(!self.peer.server_streams || self.config.server_streams, "an agreement takes two");
        for key in self.streams.keys() {
            assert!(!self.is_idle(key.id()), "{key:?} is open and idle");
        }
    }

    /// Whoever waits has a reason to.
    fn check_waiters(&self) {
        // A writer without credit is not called because others have emptied their queues.
        let bounds = Bounds { stalled: self.config.stalled_queue, ..self.bounds() };
        for Stream { key, send, recv, .. } in self.streams.iter() {
            // One whose turn will come is called then.
            let turn = matches!(send.place, Place::Fresh | Place::Busy) || !send.head_sent;
            if send.wants_room && !send.is_over() && !turn {
                assert!(!send.has_room(bounds), "the writer of {key:?} waits for room");
            }
            if recv.wants_data && !recv.is_over() {
                assert!(recv.queue.is_empty(), "the reader of {key:?} waits before octets");
            }
        }
        if self.wants_slot && !self.goaway.is_draining() {
            assert_eq!(self.open_slots(), 0, "an opener waits for a slot that is free");
        }
    }
}

fn check_windows(stream: &Stream) {
    let (size, available, due) = stream.recv.window.parts();
    let outstanding = size - available - due;
    assert!(
        outstanding >= 0,
        "{:?}: credit for octets that never came: {size} {available} {due}",
        stream.key
    );
    if !stream.released && stream.recv.state != RecvState::Failed {
        let unread = stream.recv.queue.len() as i64;
        assert!(outstanding >= unread, "{:?}: {unread} unread, {outstanding} charged", stream.key);
    }
}
