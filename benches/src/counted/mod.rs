//! Work whose instructions are counted: the same for this engine and for stock `h2`.
//!
//! Both ends stand on one current-thread runtime and speak over tokio's duplex pipe, with frames of 16 KiB. `scene`
//! says what there is to do, `ours` and `stock` do it; `callgrind` runs a program under callgrind and reads what it
//! counted. Called by the program `instructions` and by a test that counts allocations. Measures no time.

mod callgrind;
mod ours;
mod scene;
mod stock;

pub use callgrind::{Instructions, count, is_there, measured};
pub use scene::{Scene, Who, Work};
