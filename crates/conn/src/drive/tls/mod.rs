//! TLS below the driver: rustls shakes hands, and the records are ours.
//!
//! From the leaves up: `error` and `fault` (what can go wrong), `record` (its numbers), `keys` (one AEAD key with its
//! sequence number), `source` (where the next keys come from), `message` (handshake messages after the handshake),
//! `seal`, `layer` (a connection's records in both directions, without I/O), `incoming` (the buffer that is read into
//! and opened in), `outgoing` (the one that is written from), `own` (the layer over a socket), `buffered` (the same
//! with rustls' own records), `facts` (what was agreed), `named` and `handshake`, `transport` (the public type), and
//! `connect`, which chooses between the two.

mod buffered;
mod connect;
mod error;
mod facts;
mod fault;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handshake;
mod incoming;
mod keys;
mod layer;
mod message;
mod named;
mod outgoing;
mod own;
mod record;
mod seal;
mod source;
#[cfg(any(test, fuzzing))]
mod testing;
#[cfg(test)]
mod tests;
mod transport;

pub use connect::Records;
pub use error::TlsError;
pub use transport::Tls;
