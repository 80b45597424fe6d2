//! What an observer is told, in order: kept only while one is there, else one branch and no memory.
//!
//! Written by the engine wherever something begins or ends, taken by the driver. Nothing here decides anything.

use std::collections::VecDeque;

use hbone_frame::{ErrorCode, Side, StreamId};

use super::error::{ConnectionError, StreamError};

/// A direction of a stream, as this end sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From this end to the peer.
    Sent,
    /// From the peer to this end.
    Received,
}

/// One step in the life of a connection or of one of its streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// SETTINGS of the peer have arrived; with the first ones the connection is established.
    SettingsReceived {
        /// They are the first ones.
        first: bool,
    },
    /// The peer has acknowledged our SETTINGS.
    SettingsAcknowledged,
    /// This end goes away: the frame is in front of the next flight.
    GoawaySent {
        /// The last stream of the peer that is processed; `None`: none.
        last: Option<StreamId>,
        /// Why.
        code: ErrorCode,
    },
    /// The peer goes away.
    GoawayReceived {
        /// The last stream of ours that it processes; `None`: none.
        last: Option<StreamId>,
        /// Why.
        code: ErrorCode,
    },
    /// A stream was opened.
    Opened {
        /// Its identifier.
        stream: StreamId,
        /// By whom.
        by: Side,
    },
    /// The head of a request or a response.
    Head {
        /// The stream.
        stream: StreamId,
        /// From whom.
        direction: Direction,
        /// The status of a response, informational ones included; `None` for a request.
        status: Option<u16>,
    },
    /// The first octet of DATA.
    FirstOctet {
        /// The stream.
        stream: StreamId,
        /// From whom.
        direction: Direction,
    },
    /// END_STREAM: that direction is complete.
    Finished {
        /// The stream.
        stream: StreamId,
        /// Which direction.
        direction: Direction,
    },
    /// The stream has ended before both directions were complete, or was refused and never opened.
    Reset {
        /// The stream.
        stream: StreamId,
        /// By whom and why: `Reset` is the peer, `Cancelled` this end, and so on.
        error: StreamError,
    },
    /// The connection has ended. The last one.
    Closed(ConnectionError),
}

/// Directions of a stream whose first octet has passed while notes were kept, as bits. Each stream has its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Begun(u8);

#[derive(Debug, Default)]
struct Book {
    notes: VecDeque<Note>,
    closed: bool,
}

impl Book {
    fn write(&mut self, note: Note) {
        if !self.closed {
            self.closed = matches!(note, Note::Closed(_));
            self.notes.push_back(note);
        }
    }
}

/// The notes that nobody has taken yet, if somebody takes them.
#[derive(Debug, Default)]
pub(super) struct Notes(Option<Box<Book>>);

impl Notes {
    /// From now on notes are kept.
    pub(super) fn keep(&mut self) {
        self.0.get_or_insert_default();
    }

    pub(super) const fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    #[inline]
    pub(super) fn note(&mut self, note: Note) {
        if let Some(book) = &mut self.0 {
            book.write(note);
        }
    }

    /// Octets of a stream have passed; `begun` are its directions that have had their first octet.
    pub(super) fn octets(&mut self, begun: &mut Begun, stream: StreamId, direction: Direction) {
        let Some(book) = &mut self.0 else { return };
        let bit = 1 << direction as u8;
        if begun.0 & bit == 0 {
            begun.0 |= bit;
            book.notes.push_back(Note::FirstOctet { stream, direction });
        }
    }

    pub(super) fn take(&mut self) -> Option<Note> {
        self.0.as_mut()?.notes.pop_front()
    }

    pub(super) fn are_waiting(&self) -> bool {
        self.0.as_ref().is_some_and(|book| !book.notes.is_empty())
    }
}
