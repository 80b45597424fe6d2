//! The report of a run of `versus`: what was measured, and how it is shown.
//!
//! `model` is the data, which the cases fill in and nobody else changes. Measures nothing.

mod model;

pub use model::{Bar, Better, Case, ContenderInfo, Entry, Limit, Machine, Measure, Report, Section, Verdict};
