//! The hbone node: everything behind the binary `hbone`, as a library so that tests can reach it.
//!
//! `cli` says what can be asked; `config` and `certs` read and check; `node` is a running node; `run`, `check`,
//! `ca`, `dial` and `demo` are the commands. Never decides how tunnels behave: that is hbone-tunnel's part.

#![forbid(unsafe_code)]

mod admin;
pub mod bound;
pub mod ca;
pub mod capture;
pub mod certs;
pub mod check;
pub mod cli;
pub mod config;
pub mod connect;
pub mod demo;
pub mod descriptors;
pub mod dial;
pub mod exit;
pub mod explain;
mod flags;
pub mod log;
mod memory;
pub mod node;
pub mod report;
mod reverse;
pub mod run;
pub mod runtime;
mod settings;
mod shard;
pub mod signal;
pub mod watch;
