//! `hbone connect`: local ports through one peer, in the grammar of ssh, until a signal ends it.

mod command;
mod grammar;

pub use command::run;
pub use grammar::{Door, Forward, GrammarError};
