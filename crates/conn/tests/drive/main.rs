//! The driver over pipes, TCP and TLS: what an application of the transport may rely on.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic, also in its helpers")]

mod deadlines;
mod endings;
mod failures;
mod faults;
mod flushing;
mod lifecycle;
mod observing;
mod panics;
mod server_streams;
mod streams;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod wakes;
mod wires;
