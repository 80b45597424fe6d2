//! The two half-machines of a stream (RFC 9113 5.1): one sends, one receives.
//!
//! The seven states of the RFC's diagram are computed from the two halves and stored nowhere. A half owns its
//! queue and its window. It does not know its stream's identifier and emits nothing.

use super::flow::{Increment, ReceiveWindow, SendWindow};
use super::liveliness;
use super::memory::Charge;
use super::queue::{ByteQueue, Chunks};
use super::urgency;

/// Where the sending direction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendState {
    /// No head was given yet (the answerer before it answers).
    Head,
    /// The head is given; octets may follow.
    Open,
    /// The application has finished; END_STREAM leaves with the last octet.
    Finishing,
    /// END_STREAM was emitted.
    Finished,
    /// Reset by either end, or the connection is gone.
    Failed,
}

/// Where the receiving direction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecvState {
    /// The peer's head has not come (the asker before the answer).
    Head,
    /// The head came; octets may follow.
    Open,
    /// END_STREAM came.
    Finished,
    /// Reset by either end, or the connection is gone.
    Failed,
}

/// Where a sending half stands in the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has nothing to send, or may not send.
    Nowhere,
    /// It has nothing but its END_STREAM.
    Ending,
    /// It was idle and has a first flight: before the busy ones.
    Fresh,
    /// It takes turns with the other busy ones.
    Busy,
    /// It has octets and no credit of its own.
    Blocked,
}

pub(super) struct SendHalf {
    pub(super) state: SendState,
    pub(super) place: Place,
    /// The writer found no room and waits for it.
    pub(super) wants_room: bool,
    /// The head has left: the peer knows the stream.
    pub(super) head_sent: bool,
    /// 0 to 7, the lowest first (RFC 9218 4.1).
    pub(super) urgency: u8,
    pub(super) window: SendWindow,
    pub(super) queue: ByteQueue,
}

impl SendHalf {
    pub(super) fn new() -> Self {
        Self {
            state: SendState::Head,
            place: Place::Nowhere,
            wants_room: false,
            head_sent: false,
            urgency: urgency::USUAL,
            window: SendWindow::default(),
            queue: ByteQueue::default(),
        }
    }

    /// Nothing more will be emitted in this direction.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, SendState::Finished | SendState::Failed)
    }

    /// There are octets or an END_STREAM to emit.
    pub(super) fn has_work(&self) -> bool {
        match self.state {
            SendState::Open => !self.queue.is_empty(),
            SendState::Finishing => true,
            SendState::Head | SendState::Finished | SendState::Failed => false,
        }
    }

    /// Everything that the application has handed over has been emitted.
    pub(super) fn is_flushed(&self) -> bool {
        self.is_over() || (self.head_sent && self.state == SendState::Open && self.queue.is_empty())
    }

    /// Octets that may leave now by the stream's own window. A lone END_STREAM needs no credit.
    pub(super) fn sendable(&self, initial: u32) -> usize {
        let credit = usize::try_from(self.window.available(initial)).unwrap_or(0);
        credit.min(self.queue.len())
    }

    /// Octets that the queue may hold as things stand. What it held before a window shrank stays.
    pub(super) fn limit(&self, bounds: Bounds) -> usize {
        let credit = self.window.available(bounds.initial).min(bounds.connection);
        let credit = usize::try_from(credit).unwrap_or(0);
        credit.saturating_add(bounds.stalled.max(1)).min(bounds.queue.max(1))
    }

    /// The writer of a stream takes up again when half of what the queue may hold is free.
    pub(super) fn has_room(&self, bounds: Bounds) -> bool {
        self.queue.len() <= self.limit(bounds) / 2
    }

    /// Drops what is queued; returns how many octets that were.
    #[must_use = "the connection counts them"]
    pub(super) fn fail(&mut self, chunks: &mut Chunks) -> usize {
        self.state = SendState::Failed;
        self.queue.clear(chunks)
    }
}

/// What bounds the queues of a connection's streams now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Of any queue.
    pub(super) queue: usize,
    /// Of what a queue holds beyond its credit.
    pub(super) stalled: usize,
    /// The peer's initial window.
    pub(super) initial: u32,
    /// Credit of the connection.
    pub(super) connection: i64,
}

/// Stands for «no content-length» in [`RecvHalf::expected`].
pub(super) const ANY_LENGTH: u64 = u64::MAX;

pub(super) struct RecvHalf {
    pub(super) state: RecvState,
    /// The reader found nothing and waits.
    pub(super) wants_data: bool,
    /// The stream stands in the list of those with credit to announce.
    pub(super) credit_listed: bool,
    /// The stream stands in the list of those whose queues hold slices of inputs.
    pub(super) holds_slices: bool,
    /// The last frame of DATA was short, or there was none.
    pub(super) short: bool,
    /// Informational responses so far.
    pub(super) informational: u8,
    pub(super) window: ReceiveWindow,
    pub(super) queue: ByteQueue,
    /// Octets that content-length still promises, or [`ANY_LENGTH`].
    pub(super) expected: u64,
}

impl RecvHalf {
    pub(super) fn new(window: u32) -> Self {
        Self {
            state: RecvState::Head,
            wants_data: false,
            credit_listed: false,
            holds_slices: false,
            short: true,
            informational: 0,
            window: ReceiveWindow::new(window),
            queue: ByteQueue::default(),
            expected: ANY_LENGTH,
        }
    }

    /// Whether credit is due that is worth a WINDOW_UPDATE and that nobody has listed yet; the caller lists it. What
    /// is only held back is noted there.
    #[must_use = "credit that is not listed is lost to the peer"]
    #[inline]
    pub(super) fn joins_credit(&mut self, memory: &mut Charge) -> bool {
        let joins = self.credit_due(memory) && !self.credit_listed;
        self.credit_listed |= joins;
        self.note_withheld(memory);
        joins
    }

    #[inline]
    fn note_withheld(&self, memory: &mut Charge) {
        if memory.holds_back() {
            memory.withheld |= !self.credit_listed && self.is_worth_telling();
        }
    }

    /// Whether credit is due that is worth a WINDOW_UPDATE.
    #[inline]
    pub(super) fn credit_due(&self, memory: &Charge) -> bool {
        self.state == RecvState::Open
            && match self.window_under(memory) {
                None => self.window.update_due(),
                Some(most) => self.window.update_due_within(most),
            }
    }

    /// The same, if nothing held it back.
    #[inline]
    pub(super) fn is_worth_telling(&self) -> bool {
        self.state == RecvState::Open && self.window.update_due()
    }

    /// The largest window, in octets, that the peer may have now; `None`: its own.
    fn window_under(&self, memory: &Charge) -> Option<u32> {
        memory.window(!self.queue.is_empty())
    }

    /// Takes note of a frame that charges so much; whether it is a message and no part of bulk: of that a short frame
    /// may be left now and then, but not two in a row.
    #[inline]
    pub(super) const fn is_message(&mut self, charge: u32) -> bool {
        let before = self.short;
        self.short = charge <= liveliness::SHORT;
        before && self.short && charge > 0
    }

    /// Takes the credit that is due, as far as that is not held back; the caller announces it.
    pub(super) fn announce(&mut self, memory: &mut Charge) -> Option<Increment> {
        self.credit_listed = false;
        if self.state != RecvState::Open {
            return None;
        }
        let increment = match self.window_under(memory) {
            None => self.window.announce(),
            Some(most) => self.window.announce_within(most),
        };
        self.note_withheld(memory);
        increment
    }

    /// The peer will add nothing in this direction.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, RecvState::Finished | RecvState::Failed)
    }

    /// Counts octets against content-length; `false` when there are more than promised (RFC 9113 8.1.1).
    pub(super) fn count(&mut self, n: usize) -> bool {
        if self.expected == ANY_LENGTH {
            return true;
        }
        match self.expected.checked_sub(n as u64) {
            Some(rest) => {
                self.expected = rest;
                true
            }
            None => false,
        }
    }

    /// Whether END_STREAM may come now (RFC 9113 8.1.1).
    pub(super) fn may_end(&self) -> bool {
        matches!(self.expected, 0 | ANY_LENGTH)
    }

    /// Drops what is unread; returns how many octets that were.
    #[must_use = "the connection counts them"]
    pub(super) fn fail(&mut self, chunks: &mut Chunks) -> usize {
        self.state = RecvState::Failed;
        self.queue.clear(chunks)
    }
}
