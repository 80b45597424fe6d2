//! What a benchmark can ask of whoever carries its octets: the same few things of this engine, of stock `h2` and of
//! a bare socket. `ours`, `stock` and `raw` answer; `script` asks, and so is written once for all of them.
//!
//! Each does what it is asked for in the way that is best for it. Whatever goes wrong is a panic: the run of that
//! contender has failed, and the program says so.

use std::future::Future;

use bytes::Bytes;

/// What the server does with a stream. It is asked for by the stream's authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads to the end, then ends its own direction.
    Sink,
    /// Awaits an octet, sends pieces until the time is over, then ends its own direction.
    Source,
    /// Sends as many octets back as have come, as soon as they have.
    Echo,
    /// Reads to the end, then sends 64 octets and ends its own direction.
    Answer,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sink, Self::Source, Self::Echo, Self::Answer];

    /// The authority to connect to.
    pub const fn authority(self) -> &'static str {
        match self {
            Self::Sink => "sink:1",
            Self::Source => "source:1",
            Self::Echo => "echo:1",
            Self::Answer => "answer:1",
        }
    }

    /// The role that an authority asks for.
    pub fn asked_for(authority: &[u8]) -> Self {
        let asked = Self::ALL.into_iter().find(|role| role.authority().as_bytes() == authority);
        asked.expect("an authority that asks for a role")
    }
}

/// The client's end of a connection. Clones are equal.
pub trait Client: Clone + Send + Sync + 'static {
    /// Its streams.
    type Stream: Stream;

    /// Opens a stream, without awaiting the answer.
    fn open(&self, role: Role) -> impl Future<Output = Self::Stream> + Send;
}

/// The server's end of a connection.
pub trait Server: Send + 'static {
    /// Its streams.
    type Stream: Stream;

    /// The next stream, answered with 200; `None` when the connection has ended.
    fn accept(&mut self) -> impl Future<Output = Option<(Role, Self::Stream)>> + Send;
}

/// A stream of either end.
pub trait Stream: Send + 'static {
    /// On the client's end: waits until the server has answered.
    fn answered(&mut self) -> impl Future<Output = ()> + Send;

    /// Sends a piece as soon as there is room.
    fn send(&mut self, piece: Bytes) -> impl Future<Output = ()> + Send;

    /// Sends a piece, which may be empty, and ends this direction.
    fn send_last(&mut self, piece: Bytes) -> impl Future<Output = ()> + Send;

    /// Takes what has arrived; how many octets, 0 at the end.
    fn receive(&mut self) -> impl Future<Output = usize> + Send;
}
