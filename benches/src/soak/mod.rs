//! A simulator of two engines through the public interface alone, for runs of any length.
//!
//! [`World`] plays two applications at random against a model of what each direction of each stream has been
//! given. `wire` writes short, cuts, stalls and ends; `referee` reads what passes and keeps both ends to
//! their windows. A broken promise is a panic; everything follows from the seed. Used by the program `soak`.

mod chance;
mod referee;
mod stream;
mod wire;
mod world;

pub use world::{Summary, World};
