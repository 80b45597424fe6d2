//! Every attack of the project's list on HTTP/2, by a peer without an HTTP/2 library: against the engine in virtual
//! time and against the driver over a socket, with honest neighbours.
//!
//! For each: what the victim holds is bounded, counted by the allocator, and gone afterwards; the work grows no
//! faster than the attack (`linear`); honest tunnels beside it lose no octet; the code and the counter name the
//! cause; tasks and streams return to zero. `row` says what an attack is, `rows` lists them, `virtually` and
//! `really` prove them.
#![cfg(feature = "driver")]
#![expect(clippy::unwrap_used, reason = "a test may fail by panic, also in its helpers")]

mod deadlines;
mod frames;
mod heap;
mod honest;
mod interning;
mod linear;
mod really;
mod row;
mod rows;
mod script;
#[cfg(feature = "tls")]
mod tls;
#[expect(clippy::disallowed_types, reason = "a test may hash; the engine does not")]
mod virtually;

use row::Row;

/// Proves a row in virtual time and over a socket, and prints what it cost.
#[track_caller]
fn prove(row: Row) {
    let (peak, wire) = virtually::prove(&row);
    let really = really::prove(&row);
    let ratio = peak as f64 / wire as f64;
    println!(
        "{:6} sent {wire:>9}  engine held {peak:>8} ({ratio:.2} of it)  process held {really:>8}",
        row.id
    );
}
