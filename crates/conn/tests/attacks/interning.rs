//! H17: names, authorities and values that never come twice leave nothing behind: what is kept of them is bounded by
//! the table of HPACK and by the streams that are open.

use std::time::Instant;

use bytes::Bytes;
use hbone_conn::{Config, Connection, Event, Response, Side, Transmit};

use crate::frames::*;
use crate::heap::Mark;
use crate::virtually::epoch;

/// Unique names in a request; its authority and its baggage are unique too.
const NAMES: u32 = 20;
/// The error code CANCEL (RFC 9113 7).
const CANCEL: u32 = 8;

/// The block of request `n`; every text in it is its own.
fn request(n: u32, block: &mut Vec<u8>) {
    block.clear();
    // :method GET, :scheme https, :path / of the static table.
    block.extend_from_slice(&[0x82, 0x87, 0x84]);
    indexed_field(block, b":authority", format!("a{n}.example").as_bytes());
    indexed_field(block, b"baggage", format!("key{n}=value{n}").as_bytes());
    for name in 0..NAMES {
        indexed_field(block, format!("x-{n}-{name}").as_bytes(), n.to_string().as_bytes());
    }
}

/// A server, and what is used again for each request.
struct Victim {
    engine: Connection,
    now: Instant,
    flight: Transmit,
    block: Vec<u8>,
    wire: Vec<u8>,
}

impl Victim {
    fn new() -> Self {
        let now = epoch();
        let engine = Connection::new(Side::Server, Config::default(), now);
        let mut wire = PREFACE.to_vec();
        settings(&mut wire, &[]);
        settings_ack(&mut wire);
        let mut victim = Self { engine, now, flight: Transmit::new(), block: Vec::new(), wire };
        victim.hear();
        victim
    }

    /// What is on the wire arrives, and is answered.
    fn hear(&mut self) {
        self.engine.poll_transmit(self.now, &mut Transmit::new());
        self.engine.handle_bytes(self.now, Bytes::copy_from_slice(&self.wire));
        self.wire.clear();
        loop {
            let sent = self.engine.poll_transmit(self.now, &mut self.flight);
            self.flight = Transmit::new();
            let event = self.engine.poll_event();
            match event {
                Some(Event::Incoming { key, .. }) => {
                    if self.engine.respond(key, Response::new(200), true).is_err() {
                        assert!(
                            self.engine.stream_error(key).is_some(),
                            "only a reset stream takes no answer"
                        );
                    }
                    self.engine.release(key);
                }
                Some(Event::Closed(error)) => panic!("{error}"),
                Some(_) => {}
                None if !sent => return,
                None => {}
            }
        }
    }

    /// Requests from `first` on; every second one is reset at once, or answered.
    fn serve(&mut self, first: u32, count: u32, resets: bool) {
        for n in first..first + count {
            request(n, &mut self.block);
            frame(&mut self.wire, HEADERS, END_HEADERS | END_STREAM, nth(n), &self.block);
            if resets && n.is_multiple_of(2) {
                reset(&mut self.wire, nth(n), CANCEL);
            }
            self.hear();
            // Slowly enough that the rate of resets is no flood.
            self.now += std::time::Duration::from_millis(100);
        }
    }
}

#[test]
fn h17_a_million_unique_names_authorities_and_values_leave_a_flat_heap() {
    for resets in [false, true] {
        let mut victim = Victim::new();
        victim.serve(0, 500, resets);
        let mark = Mark::now();
        // With the values, a million texts.
        victim.serve(500, 25_000, resets);
        assert!(mark.held().abs() < 2048, "{} octets are kept", mark.held());
        assert!(mark.peak() < 64 << 10, "{} octets at the most", mark.peak());
        assert_eq!(victim.engine.held_streams(), 0);
    }
}
