//! HTTP/2 as a transport: a stream is a connection, bytes both ways.
//!
//! [`Connection`] is the engine: it does no I/O and reads no clock, so that it can be driven by any runtime,
//! tested in virtual time and fuzzed. With the feature `driver` (on by default) a thin tokio driver runs it
//! over a socket ([`establish`]); with the feature `tls` the socket may speak TLS through rustls.
//!
//! # Errors
//!
//! Four ends are told apart at both levels, and none of them looks like a clean end of a stream. A stream's own
//! error is a [`StreamError`], the connection's a [`ConnectionError`], which its streams carry inside
//! [`StreamError::Connection`].
//!
//! | what happened | `read`, `write`, `response`, … of the stream | `closed`, `ready`, `ping` | safe to send again |
//! |---|---|---|---|
//! | the peer finished the stream | the end (`None`, 0 octets), no error | | |
//! | the peer reset the stream | `Reset(code)` | | only with REFUSED_STREAM |
//! | this end reset it, or its handle | `Cancelled(code)` | | no |
//! | it was not done by its deadline | `Deadline` | | no |
//! | the peer broke a rule on it | `Protocol(violation)` | | no |
//! | the peer's GOAWAY left it out | `Goaway` | goes on until its streams are done | yes |
//! | the connection ended before the request had left | `Goaway` | as below | yes |
//! | the peer closed the transport | `Connection(Eof)` | `Eof` | no |
//! | the transport failed | `Connection(Io(kind))` | `Io(kind)` | no |
//! | GOAWAY with an error, then the end | `Connection(Goaway { code, .. })` | `Goaway { code, .. }` | no |
//! | the peer broke a rule of the connection | `Connection(Protocol(violation))` | `Protocol(violation)` | no |
//! | the peer was silent | `Connection(Timeout(timeout))` | `Timeout(timeout)` | no |
//! | this end closed the connection | `Connection(Local(code))` | `Local(code)` | no |
//! | drained, no stream lost | | `Closed` | |
//!
//! «No» means: nobody can know what the peer has done with it ([`StreamError::is_retryable`]). A stream that could
//! not be opened ([`OpenError`]) was never sent: [`OpenError::is_retryable`] says whether another connection may
//! help. As an [`std::io::Error`] an error keeps itself as the source. For metrics every error has a `label()`: one
//! of a finite set of names in snake case that no peer has a part in, with [`ErrorCode::label`] beside it.
#![forbid(unsafe_code)]

mod proto;
mod slots;

pub use hbone_frame::{ErrorCode, Field, Fields, Side, StreamId};
#[cfg(any(test, fuzzing))]
pub use proto::fuzzing;
pub use proto::{
    Config, Connection, ConnectionError, Direction, Event, Flood, Limits, MemoryBudget, Misuse, Note,
    OpenError, Rate, Read, Request, Response, Stalls, Stats, StreamError, StreamKey, StreamStats, Timeout,
    Transmit, Violation,
};

#[cfg(feature = "driver")]
mod drive;
#[cfg(all(feature = "tls", any(test, fuzzing)))]
pub use drive::tls_fuzzing;
#[cfg(feature = "driver")]
pub use drive::{
    Backlog, Driver, Fill, Handle, Incoming, Observer, Peer, Plain, ReadHalf, Stream, TracingObserver, Wire,
    WriteHalf, establish, establish_observed,
};
#[cfg(feature = "tls")]
pub use drive::{Records, Tls, TlsError};
