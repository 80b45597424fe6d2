//! HTTP/2 as a transport: a stream is a connection, bytes both ways.
//!
//! [`Connection`] is the engine: it does no I/O and reads no clock, so that it can be driven by any runtime,
//! tested in virtual time and fuzzed. With the feature `driver` (on by default) a thin tokio driver runs it
//! over a socket ([`establish`]); with the feature `tls` the socket may speak TLS through rustls.
#![forbid(unsafe_code)]

mod proto;

pub use hbone_frame::{ErrorCode, Field, Fields, Side, StreamId};
#[cfg(any(test, fuzzing))]
pub use proto::fuzzing;
pub use proto::{
    Config, Connection, ConnectionError, Event, Flood, Misuse, OpenError, Read, Request, Response, Stats,
    StreamError, StreamKey, Timeout, Transmit, Violation,
};

#[cfg(feature = "driver")]
mod drive;
#[cfg(feature = "driver")]
pub use drive::{Driver, Fill, Handle, Incoming, Plain, ReadHalf, Stream, Wire, WriteHalf, establish};
#[cfg(feature = "tls")]
pub use drive::{Tls, TlsError};
