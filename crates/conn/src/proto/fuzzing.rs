//! Bodies of the fuzz targets of the engine; tests replay them on random octets and on their corpora.
//!
//! Every input means something: `hostile` reads it as what a peer and an application do to one engine, `conn_pair`
//! as the choices of two applications and the wire between their engines. Built for tests and fuzzing only.

use hbone_frame::Side;

use super::testing::world::World;

mod actions;
mod hostile;
#[cfg(test)]
mod tests;

/// A server against any peer.
///
/// # Panics
/// If the engine breaks one of its promises: see `hostile`.
pub fn conn_server(input: &[u8]) {
    hostile::run(Side::Server, input);
}

/// A client against any peer.
///
/// # Panics
/// If the engine breaks one of its promises: see `hostile`.
pub fn conn_client(input: &[u8]) {
    hostile::run(Side::Client, input);
}

/// Two engines, their applications, and a wire that cuts octets into pieces, stalls and ends, led by `input`.
///
/// # Panics
/// If an octet is lost or invented, credit leaks, or an end is seen that nobody has sent.
pub fn conn_pair(input: &[u8]) {
    World::led(input).run();
}
