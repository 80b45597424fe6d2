//! GOAWAY in both directions (RFC 9113 6.8): who takes no more streams, and up to which one.

use bytes::Bytes;
use hbone_frame::{ErrorCode, StreamId};

use super::error::ConnectionError;

/// How far our own drain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Not going away.
    Nothing,
    /// The warning, with the highest identifier, has been queued; the final one follows the PING's answer.
    Warning,
    /// The final GOAWAY: the peer's streams above `last` are not processed.
    Final {
        /// The last stream of the peer that is processed; `None`: none was.
        last: Option<StreamId>,
    },
}

/// A GOAWAY raised its last stream identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Raised;

/// What the peer has announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) last: Option<StreamId>,
    pub(super) code: ErrorCode,
    pub(super) debug: Bytes,
}

impl Received {
    /// How a connection ends that the peer has announced to end.
    pub(super) fn error(&self) -> ConnectionError {
        if self.code == ErrorCode::NO_ERROR {
            return ConnectionError::Closed;
        }
        ConnectionError::Goaway { code: self.code, debug: self.debug.clone() }
    }
}

#[derive(Debug)]
pub(super) struct Goaway {
    pub(super) sent: Sent,
    pub(super) received: Option<Received>,
}

impl Goaway {
    pub(super) const fn new() -> Self {
        Self { sent: Sent::Nothing, received: None }
    }

    /// Whether either end has asked for no new streams.
    pub(super) fn is_draining(&self) -> bool {
        self.sent != Sent::Nothing || self.received.is_some()
    }

    /// Takes a GOAWAY of the peer. `Err` when it raises its last stream identifier.
    pub(super) fn receive(
        &mut self,
        last: Option<StreamId>,
        code: ErrorCode,
        debug: Bytes,
    ) -> Result<(), Raised> {
        if self.received.as_ref().is_some_and(|earlier| last > earlier.last) {
            return Err(Raised);
        }
        self.received = Some(Received { last, code, debug });
        Ok(())
    }

    /// Whether a new stream of the peer is beyond what we have announced to process.
    pub(super) fn refuses(&self, id: StreamId) -> bool {
        matches!(self.sent, Sent::Final { last } if Some(id) > last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_identifier_may_only_fall() {
        let mut goaway = Goaway::new();
        let mut receive = |last| goaway.receive(last, ErrorCode::NO_ERROR, Bytes::new());
        assert_eq!(receive(Some(StreamId::MAX)), Ok(()));
        assert_eq!(receive(StreamId::new(7)), Ok(()));
        assert_eq!(receive(StreamId::new(7)), Ok(()));
        assert_eq!(receive(StreamId::new(9)), Err(Raised));
        assert_eq!(receive(None), Ok(()));
        assert!(goaway.is_draining());
    }

    #[test]
    fn streams_above_the_final_goaway_are_refused() {
        let mut goaway = Goaway::new();
        assert!(!goaway.refuses(StreamId::MAX));
        goaway.sent = Sent::Final { last: StreamId::new(5) };
        assert!(!goaway.refuses(StreamId::new(5).unwrap()));
        assert!(goaway.refuses(StreamId::new(7).unwrap()));
    }
}
