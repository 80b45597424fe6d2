//! The room for callers that are not authenticated yet: it is small, and a newcomer turns out the oldest.
//!
//! Used by the inbound side. Strangers that open connections and stay silent can thus never keep honest ones
//! out: those are done with their handshake long before it is their turn to go.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The room.
#[derive(Clone, Debug)]
pub(crate) struct Doorway {
    room: Arc<Mutex<Room>>,
    places: usize,
}

#[derive(Debug, Default)]
struct Room {
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
}

/// A caller's place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    doorway: Doorway,
    number: u64,
    turned_out: oneshot::Receiver<()>,
}

impl Doorway {
    /// A room with that many places; at least 1.
    pub(crate) fn new(places: usize) -> Self {
        Self { room: Arc::default(), places: places.max(1) }
    }

    /// A place for a newcomer; turns out who has waited longest when the room is full.
    pub(crate) fn enter(&self) -> Place {
        let mut room = self.room.lock();
        while room.waiting.len() >= self.places {
            // The sender is dropped: its receiver hears of it.
            room.waiting.pop_first();
        }
        let number = room.next;
        room.next += 1;
        let (stay, turned_out) = oneshot::channel();
        room.waiting.insert(number, stay);
        Place { doorway: self.clone(), number, turned_out }
    }

    /// Turns out who has waited longest, for the descriptor that he holds; whether there was anybody.
    pub(crate) fn turn_out(&self) -> bool {
        self.room.lock().waiting.pop_first().is_some()
    }
}

impl Place {
    /// Resolves when the place is lost to a newcomer.
    pub(crate) async fn lost(&mut self) {
        // Nothing is ever sent: the end of the sender is the message.
        let _ = (&mut self.turned_out).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.doorway.room.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn h70_a_full_room_turns_out_the_oldest() {
        let doorway = Doorway::new(2);
        let mut first = doorway.enter();
        let (second, third) = (doorway.enter(), doorway.enter());
        first.lost().await;
        drop(first);
        assert_eq!(doorway.room.lock().waiting.len(), 2);
        drop((second, third));
        assert!(doorway.room.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn h70_a_place_that_is_given_back_turns_out_nobody() {
        let doorway = Doorway::new(2);
        let mut first = doorway.enter();
        drop(doorway.enter());
        let _third = doorway.enter();
        tokio::select! {
            biased;
            () = first.lost() => panic!("turned out"),
            () = std::future::ready(()) => {}
        }
    }
}
