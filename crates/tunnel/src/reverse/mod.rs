//! Reverse tunnels (H2R): a node that nobody can dial, behind a NAT say, dials a gateway and is the HTTP/2 *server* on
//! that connection; the gateway is the client and sends down it what arrives for the node's name.
//!
//! From the leaves up: `name` (what nodes are called), `names` (who may hold which), `serves` (what a node behind the
//! gateway gives away), `registry` (connections by name, of all runtimes of a gateway), `gateway` (the life of one
//! such connection at the gateway), `dialer` (the node's side: dials, serves, and comes back for ever).

mod dialer;
pub(crate) mod gateway;
mod name;
mod names;
mod registry;
mod serves;

pub use dialer::{PreparedReverse, ReverseConfig, ReverseDialer};
pub use gateway::Reception;
pub use name::{ReverseName, ReverseNameError};
pub use names::ReverseNames;
pub(crate) use registry::Answered;
pub use registry::Registry;
pub use serves::Serves;
