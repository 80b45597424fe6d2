//! What a connection holds: live octets at each end in the states that last, for this engine and stock `h2`.
//!
//! `end` is what an end can be told to do; `script` says when, and when they are measured; `ours` and `stock` do it
//! over any transport, of which `pipe` is one that costs nothing; `engine` does it with two engines and no driver;
//! `section` is what `versus` shows of it. Called by the programs `memory` and `versus` and by a test with bounds.

mod end;
mod engine;
mod ours;
mod pipe;
mod script;
mod section;
mod stock;

pub use engine::{Engines, engines};
pub use script::{Held, Plan, Who, churn, over_pipe, over_tcp};
pub use section::memory;
