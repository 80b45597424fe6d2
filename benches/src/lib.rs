//! What the benchmarks of this engine and of stock `h2` share, so that both get the same.
//!
//! The same runtimes, sockets, chunk sizes and payload for both; figures are taken from outside by the same
//! clock and the same counters. From the leaves up: [`measure`], [`runtime`], [`payload`], [`ours`], [`stock`],
//! [`raw`], [`bulk`], [`held`], [`counted`]; [`report`] is what a run has found, and how it is shown. [`soak`] is no
//! benchmark: the simulator of the program of that name.

pub mod bulk;
pub mod counted;
pub mod held;
pub mod measure;
pub mod ours;
pub mod payload;
pub mod raw;
pub mod report;
pub mod runtime;
pub mod soak;
pub mod stock;
