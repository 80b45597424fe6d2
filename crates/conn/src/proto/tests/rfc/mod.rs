//! One test for a rule of RFC 9113, 8441 and 9218 that no test of a concern proves already, by section.
//!
//! The names are those that the list of rules in `docs/conformance` refers to. Both roles wherever a rule holds
//! for both.

mod extensions;
mod flow;
mod framing;
mod messages;
mod sending;
mod streams;
mod types;

use super::frames;
use super::script::{self, Script};

use crate::proto::StreamKey;

/// A server and a client that know their peer.
fn both() -> [Script; 2] {
    [Script::server(), Script::client()]
}

/// The same, with an open tunnel on stream 1.
fn tunnels() -> [(Script, StreamKey); 2] {
    both().map(|mut script| {
        let key = script.tunnel(1);
        script.skip();
        (script, key)
    })
}

/// The last stream of the peer in our GOAWAY when stream 1 is open.
fn last(script: &Script) -> u32 {
    if script.engine.side() == hbone_frame::Side::Server { 1 } else { 0 }
}
