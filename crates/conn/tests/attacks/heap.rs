//! An allocator that counts live octets for each thread alone: what the victim holds, not what the attacker does.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(octets: isize) {
    LIVE.set(LIVE.get() + octets);
    PEAK.set(PEAK.get().max(LIVE.get()));
}

// SAFETY: every call is passed on as it came; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that the system allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Live octets of this thread at a moment; the peak is counted from there on.
pub(crate) struct Mark(isize);

impl Mark {
    pub(crate) fn now() -> Self {
        PEAK.set(LIVE.get());
        Self(LIVE.get())
    }

    /// The most octets that were held since, beyond those before.
    pub(crate) fn peak(&self) -> usize {
        usize::try_from(PEAK.get() - self.0).unwrap_or(0)
    }

    /// Octets that are held now beyond those before.
    pub(crate) fn held(&self) -> isize {
        LIVE.get() - self.0
    }
}
