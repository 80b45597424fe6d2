//! What the benchmarks of this engine and of stock `h2` share, so that both get the same.
//!
//! The same runtimes, sockets, chunk sizes and payload for both; figures are taken from outside by the same
//! clock and the same counters. From the leaves up: [`measure`], [`runtime`], [`payload`], [`identity`],
//! [`calls`], [`delay`], [`path`]; [`carrier`] is what a benchmark asks of [`ours`], [`stock`] and [`raw`];
//! [`script`] asks it, [`contender`] makes a run of it, and [`versus`] is the list of cases and who runs them.
//! [`held`] measures memory, [`counted`] instructions; [`report`] is what a run has found, and how it is shown.
//! [`soak`] is no benchmark: the simulator of the program of that name.

pub mod calls;
pub mod carrier;
pub mod contender;
pub mod counted;
pub mod delay;
pub mod headers;
pub mod held;
pub mod identity;
pub mod measure;
pub mod ours;
pub mod path;
pub mod payload;
pub mod raw;
pub mod report;
pub mod runtime;
pub mod script;
pub mod soak;
pub mod stock;
pub mod versus;
