//! Allocations of both ends together, on one thread over a pipe: how many, not how long. The same on every run, but
//! for a few of the runtime's own.

use hbone_benches::counted::{Scene, Who, Work};
use hbone_benches::measure::{Counting, count_allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// For a MiB of DATA where the transport holds a MiB, as sockets on loopback do; stock `h2` takes 176.
const PER_MIB: f64 = 0.5;
/// … where it holds 64 KiB and every read ends there; stock `h2` takes 208.
const PER_MIB_OF_SMALL_READS: f64 = 6.0;
/// For a stream that is opened, answered and closed, 100 at a time, the application's own lists included: none but for
/// lists that grow once; stock `h2` takes 2.
const PER_STREAM: f64 = 0.1;

/// DATA frames of 16 KiB.
const FRAMES_PER_MIB: usize = 64;

fn per_one(scene: &mut Scene, work: Work, units: usize, times: usize) -> f64 {
    scene.run(work, times);
    let before = count_allocations(true);
    scene.run(work, times);
    (count_allocations(false) - before) as f64 / units as f64
}

fn per_mib(who: Who, pipe: usize) -> f64 {
    per_one(&mut Scene::over(who, pipe), Work::Frames, 64, 64 * FRAMES_PER_MIB)
}

fn per_stream(who: Who) -> f64 {
    per_one(&mut Scene::new(who), Work::Streams(100), 2000, 2000)
}

/// One test: allocations of tests at the same time would be counted too.
#[test]
fn octets_and_streams_take_few_allocations() {
    let found = |who| [per_mib(who, 1 << 20), per_mib(who, 64 << 10), per_stream(who)];
    println!("stock h2 per MiB, per MiB of small reads, per stream: {:.2?}", found(Who::Stock));
    let ours = found(Who::Ours);
    println!("ours: {ours:.2?}");
    let bounds = [PER_MIB, PER_MIB_OF_SMALL_READS, PER_STREAM];
    assert!(ours.iter().zip(bounds).all(|(found, bound)| *found <= bound), "{ours:.2?}, at most {bounds:?}");
}
