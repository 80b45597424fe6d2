//! The thin tokio driver over the engine: sockets, wakers and one lock; every protocol decision is below it.
//!
//! From the leaves up: `clock`, `buffer`, `wire` (the seam to the socket), `plain` and `tls` (its two
//! implementations), `park` (when the driver sleeps), `shared` (the one lock), `stream_ref`, `halves` and `stream`,
//! `handle`, `timer`, and `driver`, the future that owns the socket.

mod backlog;
mod buffer;
mod clock;
mod driver;
mod halves;
mod handle;
mod incoming;
mod observer;
mod opening;
mod park;
mod peer;
mod plain;
mod shared;
mod stream;
mod stream_ref;
mod timer;
#[cfg(feature = "tls")]
mod tls;
mod tracing_observer;
mod wire;

pub use backlog::Backlog;
pub use driver::{Driver, establish, establish_observed};
pub use halves::{ReadHalf, WriteHalf};
pub use handle::Handle;
pub use incoming::Incoming;
pub use observer::Observer;
pub use peer::Peer;
pub use plain::Plain;
pub use stream::Stream;
#[cfg(all(feature = "tls", any(test, fuzzing)))]
pub use tls::fuzzing as tls_fuzzing;
#[cfg(feature = "tls")]
pub use tls::{Records, Tls, TlsError};
pub use tracing_observer::TracingObserver;
pub use wire::{Fill, Wire};
