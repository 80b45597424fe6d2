//! Time, CPU time, allocations and live octets, from outside of what is measured.
//!
//! Allocations are counted by [`Counting`], which a binary installs as its global allocator; counting is off
//! unless asked for, so that timed runs pay one relaxed load per allocation, both sides alike. Live octets are
//! counted for each thread, and an [`Account`] tells the two ends of one thread apart.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// What is counted: [`ALLOCATED`], [`HELD`].
static COUNTING: AtomicU8 = AtomicU8::new(0);
const ALLOCATED: u8 = 1;
const HELD: u8 = 2;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Octets that this thread has allocated and not freed since they are counted.
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator, with a count of allocations, reallocations and live octets.
#[derive(Debug)]
pub struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if COUNTING.load(Relaxed) & HELD != 0 {
            add_live(-(layout.size() as i64));
        }
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn count(octets: i64) {
    let counting = COUNTING.load(Relaxed);
    if counting & ALLOCATED != 0 {
        ALLOCATIONS.fetch_add(1, Relaxed);
    }
    if counting & HELD != 0 {
        add_live(octets);
    }
}

fn add_live(octets: i64) {
    // A thread that is being taken down counts no longer.
    let _ = LIVE.try_with(|live| live.set(live.get() + octets));
}

/// Octets that this thread has allocated and not freed since [`watch_live`].
pub fn live() -> i64 {
    LIVE.with(Cell::get)
}

/// The live octets of one of several parties in a thread: what was allocated less what was freed while that
/// party ran. Clones are the same account.
#[derive(Clone, Debug, Default)]
pub struct Account {
    octets: Rc<Cell<i64>>,
}

impl Account {
    /// Runs `work` at this account's expense.
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        let before = live();
        let result = work();
        self.octets.set(self.octets.get() + live() - before);
        result
    }

    /// Makes a future whose polls and whose end are at this account's expense.
    pub fn charge<F: Future>(&self, future: F) -> Charged<F> {
        Charged { account: self.clone(), future: Some(Box::pin(future)) }
    }

    /// The account's live octets.
    pub fn octets(&self) -> i64 {
        self.octets.get()
    }
}

/// A future that runs at an account's expense. Its own memory is its task's and not counted.
#[derive(Debug)]
pub struct Charged<F> {
    account: Account,
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for Charged<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { account, future } = &mut *self;
        let Some(running) = future else { return Poll::Pending };
        let outcome = account.run(|| running.as_mut().poll(cx));
        if outcome.is_ready() {
            account.run(|| *future = None);
        }
        outcome
    }
}

/// Starts or stops counting allocations; returns the count so far.
pub fn count_allocations(on: bool) -> u64 {
    if on {
        COUNTING.fetch_or(ALLOCATED, Relaxed);
    } else {
        COUNTING.fetch_and(!ALLOCATED, Relaxed);
    }
    ALLOCATIONS.load(Relaxed)
}

/// Counts live octets from now on, for good.
pub fn watch_live() {
    COUNTING.fetch_or(HELD, Relaxed);
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Wall-clock time.
    pub time: Duration,
    /// User and system time of the whole process, both ends.
    pub cpu: Duration,
}

/// Measures from now on.
#[derive(Debug)]
pub struct Watch {
    wall: Instant,
    cpu: Duration,
}

impl Watch {
    /// Begins.
    pub fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    /// What it has taken since.
    pub fn taken(&self) -> Taken {
        Taken { time: self.wall.elapsed(), cpu: cpu().saturating_sub(self.cpu) }
    }
}

fn cpu() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec.try_into().unwrap_or(0), spent.tv_nsec.try_into().unwrap_or(0))
}

/// The median of some figures, with the smallest and the largest.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The smallest.
    pub least: f64,
    /// The middle one.
    pub median: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Of at least one figure.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(f64::NAN);
        Self { least: at(0), median: at(figures.len() / 2), most: at(figures.len().saturating_sub(1)) }
    }
}
