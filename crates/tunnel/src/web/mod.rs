//! HTTP/1.1 at the edge: requests of clients go by their host and path to a workload, each over a tunnel of its own.
//!
//! Called by the outbound side for listeners of kind `http` and `https`, in the task of the client's connection. HTTP/1.1
//! is spoken here and nowhere else, by hyper. A response goes through only as a whole: what is cut off on one side is cut
//! off on the other.

mod answer;
mod client;
mod content;
mod exchange;
mod fields;
mod path;
mod table;

pub(crate) use client::{Connection, serve};
pub use path::PathPrefix;
pub use table::{WebFront, WebRoute};

#[cfg(test)]
mod tests;
