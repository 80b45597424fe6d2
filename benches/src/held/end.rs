//! What an end of a connection can be told to do, and what is the same for this engine and for stock `h2`. Says not
//! when: that is `script`.

use std::future::Future;
use std::time::Duration;

/// Streams that are opened before the first of them is awaited.
pub(super) const TOGETHER: usize = 100;
/// A writer who has waited that long for room has filled its stream.
pub(super) const FULL: Duration = Duration::from_millis(500);

/// One end of a connection and the streams that it holds.
pub(super) trait End {
    /// Opens or accepts until there are so many streams, each answered with 200.
    fn grow(&mut self, to: usize) -> impl Future<Output = ()>;
    /// One octet to and fro on every stream.
    fn echo(&mut self) -> impl Future<Output = ()>;
    /// Every stream ends in both directions and is let go of.
    fn leave(&mut self) -> impl Future<Output = ()>;
    /// An upload on a stream of its own.
    fn carry(&mut self, octets: usize) -> impl Future<Output = ()>;
    /// One more stream that the client fills with pieces of that size, and that the server does not read.
    fn stall(&mut self, piece: usize) -> impl Future<Output = ()>;
    /// The last stream is reset.
    fn abandon(&mut self);
}
