//! All streams of a connection: a table of slots, and where each identifier stands in it.
//!
//! A [`StreamKey`] names a slot and the stream in it; since identifiers are never used twice, a stale key is
//! always noticed. Knows nothing of frames.

use hbone_frame::{ErrorCode, Side, StreamId};

use super::error::Violation;
use super::half::{RecvHalf, SendHalf};
use super::ids::Ids;
use super::notes::Begun;
use crate::slots::Slots;

/// Names one stream of one connection. Cheap to copy; outlives its stream harmlessly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamKey {
    index: u32,
    id: StreamId,
}

impl StreamKey {
    /// The slot's number: small, dense, and used again after `release`; for tables beside the engine's.
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// The stream's identifier on the wire.
    pub const fn id(self) -> StreamId {
        self.id
    }
}

/// Why the halves of a stream have failed; the connection's own end is kept once, not in every stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Reset(ErrorCode),
    Cancelled(ErrorCode),
    Protocol(Violation),
    Goaway,
    Deadline,
    Connection,
}

/// How the peer's direction is reset once ours has ended: the application did not want the rest of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// The response was complete (RFC 9113 8.1): NO_ERROR.
    Answered,
    /// CANCEL.
    Cut,
}

impl Parting {
    pub(super) const fn code(self) -> ErrorCode {
        match self {
            Self::Answered => ErrorCode::NO_ERROR,
            Self::Cut => ErrorCode::CANCEL,
        }
    }
}

/// Some of its fields are narrow for the sake of idle streams, of which there may be very many.
pub(super) struct Stream {
    pub(super) key: StreamKey,
    pub(super) send: SendHalf,
    pub(super) recv: RecvHalf,
    pub(super) failure: Option<Failure>,
    /// After END_STREAM has left, reset with that code: the application did not want the other direction.
    pub(super) reset_after: Option<Parting>,
    /// A plain CONNECT: a tunnel once it is answered.
    pub(super) is_connect: bool,
    /// A HEAD request: its response has no content whatever content-length says.
    pub(super) is_head: bool,
    /// The final response has been given (by us) or has come (from the peer).
    pub(super) answered: bool,
    /// The application has let go of it.
    pub(super) released: bool,
    /// Counts as active (RFC 9113 5.1.2) on the side that opened it.
    pub(super) active: bool,
    /// What the observer knows of its octets.
    pub(super) begun: Begun,
}

const _: () = assert!(size_of::<Option<Stream>>() <= 112);

impl Stream {
    /// «closed» of RFC 9113 5.1.
    pub(super) fn is_closed(&self) -> bool {
        self.send.is_over() && self.recv.is_over()
    }
}

#[derive(Default)]
pub(super) struct Streams {
    slots: Slots<Stream>,
    /// By initiator: client, server.
    ids: [Ids; 2],
    /// Active streams by initiator: client, server.
    active: [usize; 2],
    /// Slots in use by initiator.
    held: [usize; 2],
}

impl Streams {
    /// Takes a slot for a stream that becomes active at once.
    pub(super) fn insert(&mut self, id: StreamId, recv_window: u32) -> &mut Stream {
        let slot = self.slots.vacancy();
        let index = u32::try_from(slot).expect("a connection has fewer than 2^32 streams");
        self.ids[id.initiator() as usize].push(id, index);
        self.active[id.initiator() as usize] += 1;
        self.held[id.initiator() as usize] += 1;
        let stream = Stream {
            key: StreamKey { index, id },
            send: SendHalf::new(),
            recv: RecvHalf::new(recv_window),
            failure: None,
            reset_after: None,
            is_connect: false,
            is_head: false,
            answered: false,
            released: false,
            active: true,
            begun: Begun::default(),
        };
        self.slots.put(slot, stream)
    }

    #[inline]
    pub(super) fn find(&self, id: StreamId) -> Option<StreamKey> {
        self.ids[id.initiator() as usize].find(id).map(|index| StreamKey { index, id })
    }

    #[inline]
    pub(super) fn get(&self, key: StreamKey) -> Option<&Stream> {
        self.slots.get(key.index()).filter(|stream| stream.key == key)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.slots.get_mut(key.index()).filter(|stream| stream.key == key)
    }

    /// Streams that are open or half-closed and were opened by `side` (RFC 9113 5.1.2).
    pub(super) fn active(&self, side: Side) -> usize {
        self.active[side as usize]
    }

    /// Streams that are open or half-closed.
    pub(super) fn active_in_all(&self) -> usize {
        self.active.iter().sum()
    }

    /// The stream has closed: it no longer counts as active. `true` when it did until now.
    pub(super) fn deactivate(&mut self, key: StreamKey) -> bool {
        let Some(stream) = self.get_mut(key) else { return false };
        let was_active = std::mem::replace(&mut stream.active, false);
        if was_active {
            self.active[key.id.initiator() as usize] -= 1;
        }
        was_active
    }

    /// Frees the slot.
    pub(super) fn remove(&mut self, key: StreamKey) -> Option<Stream> {
        self.deactivate(key);
        self.get(key)?;
        self.ids[key.id.initiator() as usize].remove(key.id);
        self.held[key.id.initiator() as usize] -= 1;
        self.slots.remove(key.index())
    }

    /// Gives back what is kept to be used again.
    pub(super) fn rest(&mut self) {
        self.slots.rest();
        self.ids.iter_mut().for_each(Ids::rest);
    }

    /// Slots in use, closed but unreleased streams included.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Slots in use by streams that `side` has opened.
    pub(super) fn held(&self, side: Side) -> usize {
        self.held[side as usize]
    }

    /// Identifiers that are known: as many as slots.
    #[cfg(any(test, fuzzing))]
    pub(super) fn known(&self) -> usize {
        self.ids.iter().map(Ids::len).sum()
    }

    pub(super) fn keys(&self) -> Vec<StreamKey> {
        self.slots.iter().map(|stream| stream.key).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.slots.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.slots.iter_mut()
    }
}
