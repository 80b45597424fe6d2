//! The rows, by what they abuse.

mod floods;

use crate::row::Row;

/// Every row that is a repetition, for what is asked of all of them.
pub(crate) fn all() -> Vec<Row> {
    floods::all()
}
