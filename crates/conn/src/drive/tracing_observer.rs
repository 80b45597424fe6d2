//! An observer that writes events of `tracing`: connections at DEBUG, streams at TRACE.

use hbone_frame::{ErrorCode, Side, StreamId};

use super::observer::Observer;
use crate::proto::{ConnectionError, Direction, StreamError};

/// Writes each step as an event of `tracing`: of the connection at DEBUG, of streams at TRACE. The values are fields;
/// `cause` is a label such as [`ConnectionError::label`].
#[derive(Clone, Debug)]
pub struct TracingObserver {
    connection: String,
}

impl TracingObserver {
    /// `connection` is the field by which its events are told from those of others.
    pub fn new(connection: impl Into<String>) -> Self {
        Self { connection: connection.into() }
    }
}

/// A stream as a field; 0 where there is none.
fn number(stream: Option<StreamId>) -> u32 {
    stream.map_or(0, StreamId::get)
}

impl Observer for TracingObserver {
    fn connecting(&mut self, side: Side) {
        tracing::debug!(connection = self.connection, ?side, "connecting");
    }

    fn connected(&mut self) {
        tracing::debug!(connection = self.connection, "connected");
    }

    fn settings_received(&mut self) {
        tracing::trace!(connection = self.connection, "SETTINGS received");
    }

    fn settings_acknowledged(&mut self) {
        tracing::trace!(connection = self.connection, "SETTINGS acknowledged");
    }

    fn goaway_sent(&mut self, last: Option<StreamId>, code: ErrorCode) {
        tracing::debug!(connection = self.connection, last = number(last), %code, "GOAWAY sent");
    }

    fn goaway_received(&mut self, last: Option<StreamId>, code: ErrorCode) {
        tracing::debug!(connection = self.connection, last = number(last), %code, "GOAWAY received");
    }

    fn opened(&mut self, stream: StreamId, initiator: Side) {
        tracing::trace!(connection = self.connection, stream = stream.get(), ?initiator, "opened");
    }

    fn head(&mut self, stream: StreamId, direction: Direction, status: Option<u16>) {
        tracing::trace!(connection = self.connection, stream = stream.get(), ?direction, status, "head");
    }

    fn first_octet(&mut self, stream: StreamId, direction: Direction) {
        tracing::trace!(connection = self.connection, stream = stream.get(), ?direction, "first octet");
    }

    fn finished(&mut self, stream: StreamId, direction: Direction) {
        tracing::trace!(connection = self.connection, stream = stream.get(), ?direction, "finished");
    }

    fn reset(&mut self, stream: StreamId, error: &StreamError) {
        let cause = error.label();
        tracing::trace!(connection = self.connection, stream = stream.get(), cause, %error, "reset");
    }

    fn closed(&mut self, error: &ConnectionError) {
        tracing::debug!(connection = self.connection, cause = error.label(), %error, "closed");
    }
}
