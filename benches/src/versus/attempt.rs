//! A run that may fail: the first panic, in whatever thread, is why. Those that follow from it are not told.

use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, Once, PoisonError};

static WHY: Mutex<Option<String>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// Runs `work`; if it panics, what was said first. From the first call on panics are no longer printed.
pub(super) fn attempt<R>(work: impl FnOnce() -> R) -> Result<R, String> {
    HOOK.call_once(|| {
        panic::set_hook(Box::new(|panic| {
            let mut why = WHY.lock().unwrap_or_else(PoisonError::into_inner);
            why.get_or_insert_with(|| panic.to_string().replace('\n', " "));
        }));
    });
    *WHY.lock().unwrap_or_else(PoisonError::into_inner) = None;
    let outcome = catch_unwind(AssertUnwindSafe(work));
    outcome.map_err(|_| WHY.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default())
}
