//! Tests of whole tunnels: real sockets on loopback, two nodes in one process.

#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

mod callers;
mod captured;
mod common;
mod descriptors;
mod double;
mod drain;
mod limits;
mod pool;
mod post;
mod process;
mod progress;
mod proxies;
mod relay;
mod reverse;
mod siege;
mod tokens;
mod trust;
mod upstream;
mod wire;
