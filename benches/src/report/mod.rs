//! The report of a run of `versus` or `tunnels`: what was measured, and how it is shown.
//!
//! `model` is the data, which the cases fill in and nobody else changes. `words` says figures and ratios; `text`,
//! `json` and `html` (with `plot`) show a report to a terminal, a program and a person. Measures nothing.

mod html;
mod json;
#[cfg(test)]
mod made_up;
mod model;
mod plot;
mod text;
mod words;

pub use html::page;
pub use json::json;
pub use model::{
    Bar, Better, Case, ContenderInfo, Entry, ITSELF, Limit, Machine, Measure, Report, Section, Verdict,
};
pub use text::{bars, case, head, heading, section};
