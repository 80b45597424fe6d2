//! Who watches a connection, and how the engine's notes reach it. Changes nothing about the connection.

use hbone_frame::{ErrorCode, Side, StreamId};

use crate::proto::{ConnectionError, Direction, Note, StreamError};

/// Told of the steps in the life of one connection: for logs, metrics and traces. All methods do nothing unless
/// they are written.
///
/// Calls come in the order of what happened, outside the connection's lock: a method may use the connection's handle,
/// and while it runs the connection stands still. They come from the task that polls the
/// [`Driver`](super::Driver); but [`connecting`](Observer::connecting) comes from whoever calls
/// [`establish_observed`](super::establish_observed), and where the driver is dropped before it has resolved, the
/// last ones come from whoever drops it. A panic ends the connection, and no further call comes. Without an observer
/// none of this costs anything.
///
/// ```
/// use hbone_conn::{Config, ConnectionError, Observer, Plain, Side, StreamError, StreamId, establish_observed};
///
/// /// Counts streams that failed, by the name of the cause.
/// #[derive(Default)]
/// struct Failures(std::collections::HashMap<&'static str, u64>);
///
/// impl Observer for Failures {
///     fn reset(&mut self, _: StreamId, error: &StreamError) {
///         *self.0.entry(error.label()).or_default() += 1;
///     }
///
///     fn closed(&mut self, error: &ConnectionError) {
///         println!("closed by {}, streams that failed: {:?}", error.label(), self.0);
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (wire, _peer) = tokio::io::duplex(1024);
/// let (handle, incoming, driver) =
///     establish_observed(Side::Client, Plain::new(wire), Config::default(), Failures::default());
/// # drop((handle, incoming, driver));
/// # });
/// ```
pub trait Observer: Send + 'static {
    /// The connection begins: the transport stands, nothing of HTTP/2 was exchanged. Called within
    /// [`establish_observed`](super::establish_observed).
    fn connecting(&mut self, side: Side) {
        let _ = side;
    }

    /// The peer's first SETTINGS have arrived: it speaks HTTP/2.
    fn connected(&mut self) {}

    /// SETTINGS of the peer have arrived, the first ones included.
    fn settings_received(&mut self) {}

    /// The peer has acknowledged our SETTINGS.
    fn settings_acknowledged(&mut self) {}

    /// This end goes away; streams of the peer above `last` are not processed (RFC 9113 6.8).
    fn goaway_sent(&mut self, last: Option<StreamId>, code: ErrorCode) {
        let _ = (last, code);
    }

    /// The peer goes away; streams of ours above `last` are not processed.
    fn goaway_received(&mut self, last: Option<StreamId>, code: ErrorCode) {
        let _ = (last, code);
    }

    /// A stream was opened by `initiator`.
    fn opened(&mut self, stream: StreamId, initiator: Side) {
        let _ = (stream, initiator);
    }

    /// The head of a request (`status` is `None`) or a response has passed, informational ones included.
    fn head(&mut self, stream: StreamId, direction: Direction, status: Option<u16>) {
        let _ = (stream, direction, status);
    }

    /// The first octet of a direction has passed.
    fn first_octet(&mut self, stream: StreamId, direction: Direction) {
        let _ = (stream, direction);
    }

    /// A direction is complete: END_STREAM has passed.
    fn finished(&mut self, stream: StreamId, direction: Direction) {
        let _ = (stream, direction);
    }

    /// The stream has ended before both directions were complete. By whom, the error tells: `Reset` is the peer,
    /// `Cancelled` this end, `Protocol` this end for a fault of the peer, `Connection` the loss of the connection.
    /// Told of streams too that a limit has refused and that were never opened.
    fn reset(&mut self, stream: StreamId, error: &StreamError) {
        let _ = (stream, error);
    }

    /// The connection has ended. The last call.
    fn closed(&mut self, error: &ConnectionError) {
        let _ = error;
    }
}

/// Passes one note on.
pub(super) fn tell(observer: &mut dyn Observer, note: &Note) {
    match note {
        Note::SettingsReceived { first } => {
            if *first {
                observer.connected();
            }
            observer.settings_received();
        }
        Note::SettingsAcknowledged => observer.settings_acknowledged(),
        Note::GoawaySent { last, code } => observer.goaway_sent(*last, *code),
        Note::GoawayReceived { last, code } => observer.goaway_received(*last, *code),
        Note::Opened { stream, by } => observer.opened(*stream, *by),
        Note::Head { stream, direction, status } => observer.head(*stream, *direction, *status),
        Note::FirstOctet { stream, direction } => observer.first_octet(*stream, *direction),
        Note::Finished { stream, direction } => observer.finished(*stream, *direction),
        Note::Reset { stream, error } => observer.reset(*stream, error),
        Note::Closed(error) => observer.closed(error),
    }
}
