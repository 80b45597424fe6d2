//! Two engines and no driver: what streams cost below everything that an application adds.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use hbone_conn::{Config, Connection, Event, Read, Request, Response, Side, StreamKey, Transmit};

use crate::measure::{Account, watch_live};

/// Live octets of two engines, client and server.
#[derive(Clone, Debug, Default)]
pub struct Engines {
    /// What was added by so many open streams.
    pub streams: Vec<(usize, [i64; 2])>,
    /// What all of them have added after one octet went to and fro on each.
    pub used: [i64; 2],
    /// What is left of them after their end.
    pub gone: [i64; 2],
}

/// Measures two engines with so many open streams, rising.
pub fn engines(streams: &[usize]) -> Engines {
    watch_live();
    let mut pair = Pair::new();
    pair.settle();
    let fresh = pair.octets();
    let since = |pair: &Pair| {
        let octets = pair.octets();
        [octets[0] - fresh[0], octets[1] - fresh[1]]
    };
    let mut found = Engines::default();
    for &count in streams {
        pair.grow(count);
        found.streams.push((count, since(&pair)));
    }
    pair.echo();
    found.used = since(&pair);
    pair.leave();
    found.gone = since(&pair);
    found
}

/// One engine and the memory that it holds.
struct Party {
    engine: Connection,
    out: Transmit,
    account: Account,
    keys: Vec<StreamKey>,
}

impl Party {
    fn new(side: Side, now: Instant) -> Self {
        let account = Account::default();
        let config = Config { max_concurrent_streams: 1 << 20, ..Config::default() };
        let engine = account.run(|| Connection::new(side, config, now));
        Self { engine, out: Transmit::new(), account, keys: Vec::new() }
    }

    /// Sends one flight to `other`; `false` when there is none.
    fn transmit(&mut self, other: &mut Self, now: Instant) -> bool {
        let Self { engine, out, account, .. } = self;
        if !account.run(|| engine.poll_transmit(now, out)) {
            return false;
        }
        other.account.run(|| {
            let mut input = BytesMut::with_capacity(out.len());
            out.pieces().for_each(|piece| input.extend_from_slice(piece));
            other.engine.handle_bytes(now, input.freeze());
        });
        let sent = out.len();
        account.run(|| out.advance(sent));
        true
    }

    /// Takes all events; answers what comes in.
    fn events(&mut self) {
        let Self { engine, account, keys, .. } = self;
        while let Some(key) = account.run(|| {
            let event = engine.poll_event()?;
            Some(if let Event::Incoming { key, .. } = event {
                engine.respond(key, Response::new(200), false).expect("the answer");
                Some(key)
            } else {
                None
            })
        }) {
            keys.extend(key);
        }
    }

    fn write(&mut self) {
        let Self { engine, account, keys, .. } = self;
        account
            .run(|| keys.iter().for_each(|key| engine.write(*key, Bytes::from_static(b"e")).expect("room")));
    }

    fn read(&mut self, end: bool) {
        let Self { engine, account, keys, .. } = self;
        account.run(|| {
            for key in keys.iter() {
                match engine.read(*key, usize::MAX).expect("no failure") {
                    Read::Data(data) => assert_eq!(&data[..], b"e"),
                    Read::End => assert!(end),
                    Read::Pending => panic!("nothing came"),
                }
            }
        });
    }

    fn finish(&mut self) {
        let Self { engine, account, keys, .. } = self;
        account.run(|| keys.iter().for_each(|key| engine.finish(*key).expect("open")));
    }

    fn release(&mut self) {
        let Self { engine, account, keys, .. } = self;
        account.run(|| keys.iter().for_each(|key| engine.release(*key)));
        keys.clear();
    }
}

struct Pair {
    client: Party,
    server: Party,
    now: Instant,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        Self { client: Party::new(Side::Client, now), server: Party::new(Side::Server, now), now }
    }

    fn octets(&self) -> [i64; 2] {
        [self.client.account.octets(), self.server.account.octets()]
    }

    /// Until nothing is in flight and both have rested.
    fn settle(&mut self) {
        loop {
            self.now += Duration::from_millis(1);
            let sent = self.client.transmit(&mut self.server, self.now);
            let answered = self.server.transmit(&mut self.client, self.now);
            self.client.events();
            self.server.events();
            let more = self.client.engine.wants_transmit() || self.server.engine.wants_transmit();
            if !sent && !answered && !more {
                break;
            }
        }
        for party in [&mut self.client, &mut self.server] {
            let Party { engine, out, account, .. } = party;
            account.run(|| {
                engine.rest();
                *out = Transmit::new();
            });
        }
    }

    fn grow(&mut self, to: usize) {
        while self.client.keys.len() < to {
            for _ in 0..100.min(to - self.client.keys.len()) {
                let Party { engine, account, keys, .. } = &mut self.client;
                let opened = account.run(|| engine.open(&mut Some(Request::connect("bench:1")), false));
                keys.push(opened.expect("a stream"));
            }
            self.settle();
        }
        assert_eq!(self.server.keys.len(), to);
    }

    fn echo(&mut self) {
        self.client.write();
        self.settle();
        self.server.read(false);
        self.server.write();
        self.settle();
        self.client.read(false);
        self.settle();
    }

    fn leave(&mut self) {
        self.client.finish();
        self.settle();
        self.server.read(true);
        self.server.finish();
        self.settle();
        self.client.read(true);
        self.client.release();
        self.server.release();
        self.settle();
    }
}
