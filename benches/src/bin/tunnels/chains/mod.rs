//! Who carries the octets, each a chain of processes: client → local end → remote end → server.

mod chain;
mod envoy;
mod hbone;
mod identities;
mod kind;
mod openssh;
mod rathole;
mod relay;
mod wstunnel;

pub(crate) use chain::{Chain, Plan};
pub(crate) use kind::Kind;
pub(crate) use relay::relay;
