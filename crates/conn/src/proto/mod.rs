//! The engine, sans-IO: everything HTTP/2 knows about a connection, as a deterministic state machine.
//!
//! From the leaves up: [`error`], [`config`], `flow` (the only owner of window arithmetic), `queue`, `half`
//! (the two half-machines of a stream), `streams`, `schedule`, `state`; above them `recv` (one function per
//! inbound frame), `send` (builds the next flight), and [`connection`], the public contract.

mod abuse;
mod causes;
mod closed;
mod config;
mod connect;
mod connection;
mod deadlines;
mod ending;
mod error;
mod event;
mod events;
mod figures;
mod flow;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod goaway;
mod half;
mod ids;
#[cfg(any(test, fuzzing))]
mod invariants;
mod judge;
mod keepalive;
mod limits;
mod liveliness;
mod memory;
mod notes;
mod prioritised;
mod priority;
mod queue;
mod recv;
mod repeats;
mod schedule;
mod send;
mod settings;
mod shortage;
mod stalls;
mod state;
mod stats;
mod streams;
#[cfg(any(test, fuzzing))]
#[expect(clippy::disallowed_types, reason = "a test may hash; the engine does not")]
mod testing;
#[cfg(test)]
#[expect(clippy::disallowed_types, reason = "a test may hash; the engine does not")]
mod tests;
mod timer;
mod transmit;
mod urgency;
mod violation;

pub use config::Config;
pub use connect::{Request, Response};
pub use connection::Connection;
pub use error::{ConnectionError, Flood, Misuse, OpenError, StreamError, Timeout, Violation};
pub use event::{Event, Read};
pub use limits::{Limits, Rate};
pub use memory::MemoryBudget;
pub use notes::{Direction, Note};
pub use stalls::Stalls;
pub use stats::{Stats, StreamStats};
pub use streams::StreamKey;
pub use transmit::Transmit;
