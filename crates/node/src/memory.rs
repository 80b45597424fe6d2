//! The one budget of memory of the process. Asked by `settings` for every connection's configuration.
//!
//! Its size is decided by the first who asks and holds until the process ends: connections that live through a reload
//! stay charged to it.

use std::sync::{Arc, OnceLock};

use hbone_conn::MemoryBudget;

/// The budget; `octets` is its size if nobody has asked before.
pub(crate) fn budget(octets: usize) -> Arc<MemoryBudget> {
    static BUDGET: OnceLock<Arc<MemoryBudget>> = OnceLock::new();
    Arc::clone(BUDGET.get_or_init(|| Arc::new(MemoryBudget::new(octets))))
}
