//! Credit beside short messages: held back over a short path, given back when they end, never over a long one.

use std::time::Duration;

use super::pair::Pair;
use super::wire::Chop;
use crate::proto::{Config, Read, StreamKey};

const MS: Duration = Duration::from_millis(1);
const KIB: i64 = 1024;

/// Two tunnels, one of bulk and one of messages, each at both ends.
struct Beside {
    pair: Pair,
    bulk: (StreamKey, StreamKey),
    chat: (StreamKey, StreamKey),
}

impl Beside {
    /// Over a path of that delay, with windows that bulk has already enlarged.
    fn over(delay: Duration) -> Self {
        let config = || Config { keepalive_interval: None, ..Config::default() };
        let mut pair = Pair::strangers(1, config(), config());
        pair.chop(Chop::Whole);
        pair.delay(delay);
        pair.run_for(20 * delay + MS);
        let [bulk, chat] = [(); 2].map(|()| {
            let mut request = Some(crate::proto::Request::connect("10.0.0.1:80"));
            let near = pair.client.engine.open(&mut request, false).unwrap();
            pair.run_for(20 * delay);
            let far = pair.server.incoming().unwrap();
            pair.server.engine.respond(far, crate::proto::Response::new(200), false).unwrap();
            pair.run_for(20 * delay);
            (near, far)
        });
        let mut beside = Self { pair, bulk, chat };
        for _ in 0..10 {
            beside.carry();
        }
        beside
    }

    /// Bulk that fills its window three times and is read; the most that the peer was allowed to send at a time.
    fn carry(&mut self) -> i64 {
        let mut most = 0;
        for _ in 0..3 {
            let room = self.pair.client.engine.capacity(self.bulk.0).unwrap();
            self.pair.client.engine.write(self.bulk.0, vec![7; room].into()).unwrap();
            self.pair.run_for(MS / 5);
            while matches!(self.pair.server.engine.read(self.bulk.1, usize::MAX), Ok(Read::Data(_))) {}
            self.pair.settle();
            most = most.max(self.available());
        }
        most
    }

    /// A message to the server, that is read and not answered.
    fn message(&mut self) {
        self.pair.client.engine.write(self.chat.0, vec![1; 64].into()).unwrap();
        self.carry();
        let _ = self.pair.server.read_all(self.chat.1);
    }

    /// What the client may send of bulk, as the server sees it.
    fn available(&self) -> i64 {
        self.pair.server.engine.state.streams.get(self.bulk.1).unwrap().recv.window.parts().1
    }
}

#[test]
fn beside_short_messages_over_a_short_path_a_stream_has_128_kib_and_then_its_window_again() {
    let mut beside = Beside::over(Duration::from_micros(20));
    assert!(beside.carry() > 300 * KIB, "alone it has all of its window");
    for _ in 0..20 {
        beside.message();
    }
    let before = beside.pair.up.left.charged;
    for _ in 0..20 {
        beside.message();
        assert!(beside.available() <= 128 * KIB, "{}", beside.available());
    }
    assert!(beside.pair.up.left.charged - before > 1000 * KIB, "bulk goes on");
    // Nothing comes any more: the timer gives back what was withheld.
    beside.pair.run_for(50 * MS);
    assert!(beside.available() > 300 * KIB, "given back although nothing comes: {}", beside.available());
    assert!(beside.carry() > 300 * KIB, "the window is whole again");
}

#[test]
fn a_stream_without_others_is_held_back_by_nothing() {
    let mut beside = Beside::over(Duration::from_micros(20));
    for key in [beside.chat.0, beside.chat.1] {
        let end = if key == beside.chat.0 { &mut beside.pair.client } else { &mut beside.pair.server };
        end.engine.finish(key).unwrap();
        end.engine.release(key);
    }
    beside.pair.run_for(50 * MS);
    // Its own short frames are no messages beside others.
    for _ in 0..10 {
        beside.pair.client.engine.write(beside.bulk.0, vec![7; 64].into()).unwrap();
        beside.pair.run_for(MS);
        beside.pair.server.read_all(beside.bulk.1).1.unwrap();
        assert!(!beside.pair.server.engine.state.charge.lively);
    }
    assert!(beside.carry() > 300 * KIB);
}

#[test]
fn over_a_long_path_short_messages_hold_nothing_back() {
    let mut beside = Beside::over(2 * MS);
    for _ in 0..40 {
        beside.message();
        assert!(!beside.pair.server.engine.state.charge.lively);
    }
    assert!(beside.pair.server.engine.state.liveliness.lasts(beside.pair.now), "they were seen");
}
