//! Two engines in memory, without a driver: what a stream, a DATA frame and credit cost. Nanoseconds, for looking at
//! one change at a time.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hbone_conn::{Config, Connection, Event, Read, Request, Response, Side, StreamKey, Transmit};

/// Frames in one run.
const FRAMES: usize = 16;
const FRAME: usize = 16 * 1024;

/// Two engines, and time that passes as they speak.
struct Pair {
    client: Connection,
    server: Connection,
    out: Transmit,
    now: Instant,
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let end = |side| Connection::new(side, Config { window_tuning: false, ..Config::default() }, now);
        let mut pair =
            Self { client: end(Side::Client), server: end(Side::Server), out: Transmit::new(), now };
        pair.settle();
        pair
    }

    /// Sends what there is in both directions until there is nothing.
    fn settle(&mut self) {
        let Self { client, server, out, now } = self;
        loop {
            *now += Duration::from_millis(1);
            let (sent, answered) = (carry(client, server, out, *now), carry(server, client, out, *now));
            if !sent && !answered {
                return;
            }
        }
    }

    /// The key of a stream that the client has opened, at the server.
    fn accepted(&mut self) -> StreamKey {
        while let Some(event) = self.server.poll_event() {
            if let Event::Incoming { key, .. } = event {
                return key;
            }
        }
        panic!("nothing came");
    }

    fn open(&mut self) -> (StreamKey, StreamKey) {
        let near = self.client.open(&mut Some(Request::connect("bench:1")), false).expect("a stream");
        self.settle();
        let far = self.accepted();
        self.server.respond(far, Response::new(200), false).expect("the answer");
        self.settle();
        while self.client.poll_event().is_some() {}
        (near, far)
    }

    fn close(&mut self, (near, far): (StreamKey, StreamKey)) {
        self.client.finish(near).expect("open");
        self.settle();
        self.server.finish(far).expect("open");
        self.settle();
        for (engine, key) in [(&mut self.client, near), (&mut self.server, far)] {
            assert!(matches!(engine.read(key, usize::MAX), Ok(Read::End)));
            engine.release(key);
            while engine.poll_event().is_some() {}
        }
    }
}

fn carry(from: &mut Connection, to: &mut Connection, out: &mut Transmit, now: Instant) -> bool {
    if !from.poll_transmit(now, out) {
        return false;
    }
    let mut input = BytesMut::with_capacity(out.len());
    out.pieces().for_each(|piece| input.extend_from_slice(piece));
    out.advance(input.len());
    to.handle_bytes(now, input.freeze());
    true
}

fn streams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine");
    group.sample_size(20);
    let mut pair = Pair::new();
    group.bench_function("stream opened, answered and closed", |bencher| {
        bencher.iter(|| {
            let keys = pair.open();
            pair.close(keys);
        });
    });
}

/// Written, sent, received, read, and its credit announced: with copies into the read buffer, as a socket makes them.
fn data(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine");
    group.sample_size(20).throughput(Throughput::Elements(FRAMES as u64));
    let payload = Bytes::from(vec![7; FRAME]);
    for (name, piece) in
        [("data frame of 16 KiB", payload.clone()), ("data frame of 64 octets", payload.slice(..64))]
    {
        let mut pair = Pair::new();
        let (near, far) = pair.open();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for _ in 0..FRAMES {
                    pair.client.write(near, black_box(&piece).clone()).expect("room");
                    pair.now += Duration::from_millis(1);
                    let Pair { client, server, out, now } = &mut pair;
                    while carry(client, server, out, *now) {}
                    while let Ok(Read::Data(data)) = server.read(far, usize::MAX) {
                        black_box(data);
                    }
                }
                pair.settle();
                while pair.client.poll_event().is_some() || pair.server.poll_event().is_some() {}
            });
        });
    }
}

criterion_group!(benches, streams, data);
criterion_main!(benches);
