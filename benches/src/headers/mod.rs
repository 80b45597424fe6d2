//! Header lists and what it takes to make frames of them and back: ours, stock `h2`, and the `hpack` crate.
//!
//! `lists` is what is compressed, `ours`, `stock` and `other` do it, `section` measures them in turns. Called by
//! `versus`; the lists by the Criterion benches too.

mod lists;
mod other;
mod ours;
mod section;
mod stock;

pub use lists::{connect, request, stories};
pub use section::hpack;
