//! The rows, by what they abuse.

mod floods;
mod flow;
mod heads;
mod heads_blocks;
mod heads_fields;
mod heads_hpack;
mod streams;

use crate::row::Row;

/// Every row that is a repetition, for what is asked of all of them.
pub(crate) fn all() -> Vec<Row> {
    let heads = [heads_blocks::all(), heads_hpack::all(), heads_fields::all()].concat();
    [floods::all(), flow::all(), streams::all(), heads].concat()
}
