//! The model of a stream: what each direction was given, and what its reader has seen of it.

use hbone_conn::{StreamError, StreamKey};

/// One direction; which one is the index of its sender.
#[derive(Default)]
pub(super) struct Direction {
    pub(super) written: u64,
    pub(super) finished: bool,
    pub(super) read: u64,
    /// The reader has seen its end, clean or not.
    pub(super) outcome: Option<Result<(), StreamError>>,
    /// Somebody did what allows it to fail.
    pub(super) disturbed: bool,
}

/// One end.
#[derive(Clone, Copy, Default)]
pub(super) struct End {
    pub(super) key: Option<StreamKey>,
    pub(super) released: bool,
    /// An event has told that there is something to do, or nobody has asked yet.
    pub(super) may_read: bool,
    pub(super) may_write: bool,
}

impl End {
    pub(super) const fn new(key: StreamKey) -> Self {
        Self { key: Some(key), released: false, may_read: true, may_write: true }
    }

    /// The key, as long as the application holds it.
    pub(super) const fn held(&self) -> Option<StreamKey> {
        if self.released { None } else { self.key }
    }
}

#[derive(Default)]
pub(super) struct Stream {
    /// The side that opened it.
    pub(super) opener: usize,
    pub(super) ends: [End; 2],
    pub(super) directions: [Direction; 2],
    pub(super) answered: bool,
}

impl Stream {
    pub(super) fn by(opener: usize) -> Self {
        Self { opener, ..Self::default() }
    }

    /// The side that is asked.
    pub(super) const fn acceptor(&self) -> usize {
        1 - self.opener
    }

    /// It has come to the application that is asked.
    pub(super) const fn has_arrived(&self) -> bool {
        self.ends[self.acceptor()].key.is_some()
    }

    /// Takes octets that were read, which must be those that were written (N1, N5).
    pub(super) fn receive(&mut self, id: u32, sender: usize, octets: &[u8]) {
        let direction = &mut self.directions[sender];
        assert!(direction.outcome.is_none(), "N1: octets after the end of stream {id}");
        for (found, at) in octets.iter().zip(direction.read..) {
            assert_eq!(*found, octet(id, sender, at), "N1, N5: stream {id} from {sender}, octet {at}");
        }
        direction.read += octets.len() as u64;
        assert!(direction.read <= direction.written, "N1: stream {id} has octets that nobody wrote");
    }

    /// Takes a clean end (N2).
    pub(super) fn receive_end(&mut self, id: u32, sender: usize) {
        let direction = &mut self.directions[sender];
        assert!(direction.finished, "N2: stream {id} ends although nobody has finished it");
        assert_eq!(direction.read, direction.written, "N2: stream {id} ends before its last octet");
        direction.outcome = Some(Ok(()));
    }

    /// Whether the end at `side` has nothing left to do with it.
    pub(super) fn is_done(&self, side: usize) -> bool {
        match &self.directions[1 - side].outcome {
            Some(Ok(())) => self.directions[side].finished,
            Some(Err(_)) => true,
            None => false,
        }
    }

    /// Nobody holds it, and the peer can no longer come to hold it.
    pub(super) fn is_gone(&self) -> bool {
        self.ends.iter().all(|end| end.released)
    }
}

/// The octet at a place of a direction of a stream.
pub(super) fn octet(stream: u32, sender: usize, at: u64) -> u8 {
    let mixed =
        u64::from(stream).wrapping_mul(31) + sender as u64 * 101 + at.wrapping_mul(7) + (at >> 8) * 13;
    (mixed & 0xff) as u8
}
