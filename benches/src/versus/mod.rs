//! The cases of `versus` in the order of its report, and the rounds in which they run.
//!
//! `job` is one case with its contenders; `cases` lists them all; `rounds` runs one, and `attempt` a run that may
//! fail; `bars` says what is demanded of ours.

mod attempt;
mod bars;
mod cases;
mod job;
mod rounds;

pub use cases::{Chapter, chapters};
pub use job::{Figure, Job};
pub use rounds::{Failure, Plan, run};
