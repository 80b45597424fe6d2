//! All streams of a connection: a slab of slots and a map from identifiers to slots.
//!
//! A [`StreamKey`] names a slot and the stream in it; since identifiers are never used twice, a stale key is
//! always noticed. Knows nothing of frames.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use hbone_frame::{ErrorCode, Side, StreamId};
use slab::Slab;

use super::error::Violation;
use super::half::{RecvHalf, SendHalf};

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

pub(super) struct Stream {
    pub(super) key: StreamKey,
    pub(super) send: SendHalf,
    pub(super) recv: RecvHalf,
    pub(super) failure: Option<Failure>,
    /// After END_STREAM has left, reset with that code: the application did not want the other direction.
    pub(super) reset_after: Option<ErrorCode>,
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
}

impl Stream {
    /// «closed» of RFC 9113 5.1.
    pub(super) fn is_closed(&self) -> bool {
        self.send.is_over() && self.recv.is_over()
    }
}

/// Identifiers are dense and chosen by sequence: one multiplication spreads them well enough, and the number
/// of streams bounds what a peer could gain by choosing them badly.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.write_u32(u32::from(*octet));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.0 = (self.0 ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

#[derive(Default)]
pub(super) struct Streams {
    slots: Slab<Stream>,
    ids: HashMap<u32, u32, BuildHasherDefault<IdHasher>>,
    /// Active streams by initiator: client, server.
    active: [usize; 2],
    /// Slots in use by initiator.
    held: [usize; 2],
}

impl Streams {
    /// Takes a slot for a stream that becomes active at once.
    pub(super) fn insert(&mut self, id: StreamId, recv_window: u32) -> &mut Stream {
        let entry = self.slots.vacant_entry();
        let index = u32::try_from(entry.key()).expect("a connection has fewer than 2^32 streams");
        self.ids.insert(id.get(), index);
        self.active[id.initiator() as usize] += 1;
        self.held[id.initiator() as usize] += 1;
        entry.insert(Stream {
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
        })
    }

    pub(super) fn find(&self, id: StreamId) -> Option<StreamKey> {
        self.ids.get(&id.get()).map(|&index| StreamKey { index, id })
    }

    pub(super) fn get(&self, key: StreamKey) -> Option<&Stream> {
        self.slots.get(key.index()).filter(|stream| stream.key == key)
    }

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
        self.ids.remove(&key.id.get());
        self.held[key.id.initiator() as usize] -= 1;
        let stream = self.slots.remove(key.index());
        if self.slots.is_empty() && self.slots.capacity() > 64 {
            self.slots = Slab::new();
            self.ids = HashMap::default();
        }
        Some(stream)
    }

    /// Slots in use, closed but unreleased streams included.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Slots in use by streams that `side` has opened.
    pub(super) fn held(&self, side: Side) -> usize {
        self.held[side as usize]
    }

    /// Identifiers in the map: as many as slots.
    #[cfg(any(test, fuzzing))]
    pub(super) fn known(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn keys(&self) -> Vec<StreamKey> {
        self.slots.iter().map(|(_, stream)| stream.key).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream> {
        self.slots.iter().map(|(_, stream)| stream)
    }
}
