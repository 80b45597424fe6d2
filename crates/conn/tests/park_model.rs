//! Every order of the steps by which a driver goes to sleep and others wake it: no wake is lost.
//!
//! Run by `RUSTFLAGS="--cfg loom" cargo test -p hbone-conn --no-default-features --test park_model`. The steps
//! are those of `drive/driver.rs` and `drive/shared.rs`; what is tried is `drive/park.rs` itself.

#![cfg(loom)]
#![expect(clippy::unwrap_used, reason = "a test may fail by panic, also in its helpers")]

#[path = "../src/drive/park.rs"]
mod park;

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Instant;

use loom::future::{AtomicWaker, block_on};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;
use park::{Park, Parking};

/// What the lock guards.
struct State {
    parking: Parking,
    queued: usize,
    due: Option<Instant>,
    ended: bool,
}

struct Model {
    state: Mutex<State>,
    /// The wire takes octets.
    room: AtomicBool,
    writable: AtomicWaker,
}

impl Model {
    fn new(room: bool) -> Arc<Self> {
        let state = State { parking: Parking::new(), queued: 0, due: None, ended: false };
        Arc::new(Self { state: Mutex::new(state), room: AtomicBool::new(room), writable: AtomicWaker::new() })
    }

    /// Somebody brings work.
    fn with(&self, bring: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap();
        bring(&mut state);
        let State { parking, queued, due, ended } = &mut *state;
        let waker = parking.call(|| *due, *ended, || *queued > 0);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn make_room(&self) {
        self.room.store(true, Ordering::Release);
        self.writable.wake();
    }
}

#[derive(Default)]
struct Driver {
    out: usize,
    written: usize,
}

impl Driver {
    /// False: the wire takes no more.
    fn flush(&mut self, model: &Model, cx: &Context<'_>) -> bool {
        if self.out > 0 && !model.room.load(Ordering::Acquire) {
            model.writable.register_by_ref(cx.waker());
            if !model.room.load(Ordering::Acquire) {
                return false;
            }
        }
        self.written += std::mem::take(&mut self.out);
        true
    }

    /// Turns until there is nothing to do. Ready: the driver has seen all that `enough` asks for.
    fn poll(&mut self, model: &Model, cx: &Context<'_>, enough: impl Fn(&Self, &State) -> bool) -> Poll<()> {
        loop {
            let blocked = !self.flush(model, cx);
            let mut state = model.state.lock().unwrap();
            state.parking.runs();
            if enough(self, &state) {
                return Poll::Ready(());
            }
            if !blocked && state.queued > 0 {
                self.out += std::mem::take(&mut state.queued);
                if self.out == 1 {
                    // As a turn that has also read something.
                    continue;
                }
            }
            let park = if blocked { Park::Blocked } else { Park::Idle };
            let due = state.due;
            let retired = state.parking.rest(park, due, cx);
            drop(state);
            drop(retired);
            if !blocked {
                let left = self.out;
                if !self.flush(model, cx) {
                    model.state.lock().unwrap().parking.blocks();
                } else if left > 0 && enough(self, &model.state.lock().unwrap()) {
                    return Poll::Ready(());
                }
            }
            return Poll::Pending;
        }
    }

    fn run(model: &Model, enough: impl Fn(&Self, &State) -> bool) {
        let mut driver = Self::default();
        block_on(poll_fn(|cx| driver.poll(model, cx, &enough)));
    }
}

/// Tries every order with at most four preemptions: more than any of these steps needs to go wrong.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(model);
}

#[test]
fn what_others_queue_is_sent() {
    explore(|| {
        let model = Model::new(true);
        let others: Vec<_> = (0..2)
            .map(|_| {
                let model = Arc::clone(&model);
                thread::spawn(move || model.with(|state| state.queued += 1))
            })
            .collect();
        Driver::run(&model, |driver, _| driver.written == 2);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn what_is_queued_while_the_wire_is_full_is_sent_once_it_is_not() {
    explore(|| {
        let model = Model::new(false);
        let other = thread::spawn({
            let model = Arc::clone(&model);
            move || {
                model.with(|state| state.queued += 2);
                model.make_room();
                model.with(|state| state.queued += 2);
            }
        });
        Driver::run(&model, |driver, _| driver.written == 4);
        other.join().unwrap();
    });
}

#[test]
fn an_end_and_a_deadline_are_heard_on_a_full_wire() {
    for deadline in [false, true] {
        explore(move || {
            let model = Model::new(false);
            let other = thread::spawn({
                let model = Arc::clone(&model);
                move || {
                    model.with(|state| state.queued += 2);
                    model.with(|state| {
                        if deadline {
                            state.due = Some(Instant::now());
                        } else {
                            state.ended = true;
                        }
                    });
                }
            });
            Driver::run(&model, |_, state| state.ended || state.due.is_some());
            other.join().unwrap();
        });
    }
}
