//! Bodies of the fuzz targets of the engine; tests replay them on random octets and on their corpora.
//!
//! Built for tests and fuzzing only.

use super::testing::world::World;

/// Two engines and their applications, led by `input`: nothing is lost, no credit leaks.
pub fn conn_pair(input: &[u8]) {
    World::led(input).run();
}
