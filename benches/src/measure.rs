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
use std::sync::Arc;
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

/// What is counted beside time. Both cost, so they are asked for.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    /// Allocations of the whole process.
    pub allocations: bool,
    /// Calls to sockets, as `calls` counts them.
    pub calls: Option<Arc<AtomicU64>>,
}

/// A measurement that has begun.
#[derive(Debug)]
pub struct Running {
    wall: Instant,
    cpu: Duration,
    allocations: u64,
    calls: u64,
    meter: Meter,
}

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Wall-clock time.
    pub time: Duration,
    /// User and system time of the whole process, both ends.
    pub cpu: Duration,
    /// Allocations of the whole process, if they were counted.
    pub allocations: u64,
    /// Calls to sockets, if they were counted.
    pub calls: u64,
}

impl Meter {
    /// Begins.
    pub fn start(&self) -> Running {
        let allocations = count_allocations(self.allocations);
        Running { wall: Instant::now(), cpu: cpu(), allocations, calls: self.calls(), meter: self.clone() }
    }

    fn calls(&self) -> u64 {
        self.calls.as_ref().map_or(0, |calls| calls.load(Relaxed))
    }
}

impl Running {
    /// What it has taken since; allocations are no longer counted.
    pub fn reading(self) -> Reading {
        let (time, cpu) = (self.wall.elapsed(), cpu().saturating_sub(self.cpu));
        let allocations = count_allocations(false) - self.allocations;
        Reading { time, cpu, allocations, calls: self.meter.calls() - self.calls }
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

/// The figure that so many of a hundred are not above, by the nearest rank; not a number when there are none.
pub fn percentile(sorted: &[u64], percent: f64) -> f64 {
    let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(f64::NAN, |figure| *figure as f64)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_figures_that_were_measured() {
        let figures: Vec<u64> = (1..=1000).collect();
        assert_eq!(percentile(&figures, 50.0), 500.0);
        assert_eq!(percentile(&figures, 99.0), 990.0);
        assert_eq!(percentile(&figures, 99.9), 999.0);
        assert_eq!(percentile(&figures, 100.0), 1000.0);
        assert_eq!(percentile(&[7], 99.9), 7.0);
        assert!(percentile(&[], 50.0).is_nan());
    }
}
