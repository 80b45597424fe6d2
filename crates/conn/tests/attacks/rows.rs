//! The rows, by what they abuse.

mod floods;
mod flow;
mod streams;

use crate::row::Row;

/// Every row that is a repetition, for what is asked of all of them.
pub(crate) fn all() -> Vec<Row> {
    [floods::all(), flow::all(), streams::all()].concat()
}
