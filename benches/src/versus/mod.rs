//! The cases of `versus` in the order of its report, and the rounds in which they run.
//!
//! `job` is one case with its contenders; `cases` lists them all; `rounds` runs one, and `attempt` a run that may
//! fail.

mod attempt;
mod cases;
mod job;
mod rounds;

pub use cases::{Chapter, chapters};
pub use job::{Figure, Job};
pub use rounds::{Failure, Plan, run};
