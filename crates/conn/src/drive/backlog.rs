//! A look at what a stream has not sent yet, for those who watch over it beside its writer.
//!
//! Given out by `WriteHalf`. Owns nothing: it neither keeps the stream open nor is told of anything.

use std::fmt;
use std::sync::Arc;

use super::shared::Shared;
use crate::proto::StreamKey;

/// What one stream has queued and not given to the wire.
pub struct Backlog {
    shared: Arc<Shared>,
    key: StreamKey,
}

impl Backlog {
    pub(super) const fn new(shared: Arc<Shared>, key: StreamKey) -> Self {
        Self { shared, key }
    }

    /// Octets that wait for the peer's windows or for the transport; 0 once the stream has ended or failed.
    pub fn octets(&self) -> usize {
        self.shared.look(|state| state.conn.queued(self.key))
    }
}

impl fmt::Debug for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Backlog").field(&self.key.id()).finish()
    }
}
