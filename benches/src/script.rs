//! What the two ends of a connection do in each case, written once for all carriers.
//!
//! Everything runs for a time, not for a number of octets: whoever is slow does not take longer. Measured is from
//! after the connection is made, and its long-lived streams answered, until the last octet has been read.

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::{JoinError, JoinHandle, JoinSet};

use crate::carrier::{Client, Role, Server, Stream};
use crate::measure::{Meter, Reading};
use crate::payload::Payload;

/// Octets that a writer of bulk hands over at a time.
pub const PIECE: usize = 64 * 1024;
/// Octets of a message.
pub const MESSAGE: usize = 64;
/// Octets of a request and of its answer in [`Work::Blocking`], and of a piece in [`Work::Pieces`].
pub const REQUEST: usize = 1024;
/// Streams that [`Work::Open`] keeps open before they are ended.
const OPEN: usize = 100;
/// How often a message is due beside bulk.
const PACE: Duration = Duration::from_millis(1);
/// Streams that take turns with these messages.
const IN_TURN: usize = 64;
/// A run that takes that long beyond its time has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Sends pieces of 64 KiB on so many streams.
    Up(usize),
    /// Receives pieces of 64 KiB on so many streams.
    Down(usize),
    /// Opens, sends 64 octets, receives 64, closes, so many at a time.
    Churn(usize),
    /// Sends 64 octets and awaits 64, every millisecond, beside so many streams that send pieces of 64 KiB; beside
    /// none on one stream, as soon as the answer is there.
    RoundTrip(usize),
    /// Opens and awaits the answer, one after the other; 100 stay open at a time.
    Open,
    /// Opens, ends without data, awaits the server's end, one after the other.
    OpenClose,
    /// Sends 1 KiB on one stream and awaits 1 KiB.
    Blocking,
    /// Sends pieces of 1 KiB on one stream.
    Pieces,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Octets of bulk carried.
    pub octets: u64,
    /// Streams or messages that were completed.
    pub done: u64,
    /// What each took, in nanoseconds.
    pub samples: Vec<u64>,
    /// Time, CPU and counts of both ends together.
    pub taken: Reading,
}

/// How long, and what is counted.
#[derive(Clone, Debug)]
pub struct Span {
    /// Streams are opened and pieces sent for that long.
    pub time: Duration,
    /// What is counted on the way.
    pub meter: Meter,
}

/// The client's end, from the connection to its end.
pub async fn play<C: Client>(
    connecting: impl Future<Output = (C, Option<JoinHandle<()>>)>,
    work: Work,
    span: Span,
) -> Outcome {
    let all = async {
        let (client, connection) = connecting.await;
        let outcome = match work {
            Work::Up(streams) => up(&client, streams, PIECE, &span).await,
            Work::Pieces => up(&client, 1, REQUEST, &span).await,
            Work::Down(streams) => down(&client, streams, &span).await,
            Work::Churn(together) => churn(&client, together, &span).await,
            Work::RoundTrip(beside) => round_trips(&client, MESSAGE, beside, &span).await,
            Work::Blocking => round_trips(&client, REQUEST, 0, &span).await,
            Work::Open => open(&client, &span).await,
            Work::OpenClose => open_close(&client, &span).await,
        };
        drop(client);
        if let Some(connection) = connection {
            connection.await.expect("the connection's task ends in peace");
        }
        outcome
    };
    tokio::time::timeout(span.time + PATIENCE, all).await.expect("it has stalled")
}

/// The server's end, until the connection ends.
pub async fn serve<S: Server>(accepting: impl Future<Output = S>, time: Duration) {
    let mut server = accepting.await;
    let mut last = None;
    while let Some((role, stream)) = server.accept().await {
        last = Some(tokio::spawn(act(role, stream, time)));
    }
    if let Some(last) = last {
        // What went wrong there, the client sees.
        let _ = last.await;
    }
}

async fn act<S: Stream>(role: Role, mut stream: S, time: Duration) {
    match role {
        Role::Sink => {
            while stream.receive().await > 0 {}
            stream.send_last(Bytes::new()).await;
        }
        Role::Source => {
            stream.receive().await;
            push(&mut stream, Payload::new(PIECE, 0), Instant::now() + time).await;
            drain(&mut stream).await;
        }
        Role::Echo => {
            let mut payload = Payload::new(REQUEST, 0);
            loop {
                match stream.receive().await {
                    0 => break,
                    octets => stream.send(payload.piece().slice(..octets)).await,
                }
            }
            stream.send_last(Bytes::new()).await;
        }
        Role::Answer => {
            while stream.receive().await > 0 {}
            stream.send_last(Payload::new(MESSAGE, 0).piece()).await;
        }
    }
}

/// Sends pieces until the time is over, then ends the direction; how many octets.
async fn push<S: Stream>(stream: &mut S, mut payload: Payload, until: Instant) -> u64 {
    let mut octets = 0;
    while Instant::now() < until {
        let piece = payload.piece();
        octets += piece.len() as u64;
        stream.send(piece).await;
    }
    stream.send_last(Bytes::new()).await;
    octets
}

async fn drain<S: Stream>(stream: &mut S) -> u64 {
    let mut octets = 0;
    loop {
        match stream.receive().await {
            0 => return octets,
            more => octets += more as u64,
        }
    }
}

/// Opens streams and waits until all are answered.
async fn opened<C: Client>(client: &C, role: Role, count: usize) -> Vec<C::Stream> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        streams.push(client.open(role).await);
    }
    for stream in &mut streams {
        stream.answered().await;
    }
    streams
}

/// The sum of what the tasks return.
async fn sum(mut tasks: JoinSet<u64>) -> u64 {
    let mut all = 0;
    while let Some(one) = tasks.join_next().await {
        all += one.expect("a stream's task ends in peace");
    }
    all
}

async fn up<C: Client>(client: &C, streams: usize, piece: usize, span: &Span) -> Outcome {
    let streams = opened(client, Role::Sink, streams).await;
    let running = span.meter.start();
    let octets = sum(uploads(streams, piece, Instant::now() + span.time)).await;
    Outcome { octets, taken: running.reading(), ..Outcome::default() }
}

fn uploads<S: Stream>(streams: Vec<S>, piece: usize, until: Instant) -> JoinSet<u64> {
    let mut tasks = JoinSet::new();
    for (number, mut stream) in streams.into_iter().enumerate() {
        tasks.spawn(async move {
            let octets = push(&mut stream, Payload::new(piece, number), until).await;
            assert_eq!(drain(&mut stream).await, 0);
            octets
        });
    }
    tasks
}

async fn down<C: Client>(client: &C, streams: usize, span: &Span) -> Outcome {
    let streams = opened(client, Role::Source, streams).await;
    let running = span.meter.start();
    let mut tasks = JoinSet::new();
    for mut stream in streams {
        tasks.spawn(async move {
            stream.send(Bytes::from_static(&[1])).await;
            let octets = drain(&mut stream).await;
            stream.send_last(Bytes::new()).await;
            octets
        });
    }
    let octets = sum(tasks).await;
    Outcome { octets, taken: running.reading(), ..Outcome::default() }
}

async fn churn<C: Client>(client: &C, together: usize, span: &Span) -> Outcome {
    let running = span.meter.start();
    let until = Instant::now() + span.time;
    let mut tasks = JoinSet::new();
    for number in 0..together {
        let client = client.clone();
        tasks.spawn(async move {
            let mut payload = Payload::new(MESSAGE, number);
            let mut done = 0;
            while Instant::now() < until {
                let mut stream = client.open(Role::Answer).await;
                stream.send_last(payload.piece()).await;
                assert_eq!(drain(&mut stream).await, MESSAGE as u64);
                done += 1;
            }
            done
        });
    }
    let done = sum(tasks).await;
    Outcome { done, taken: running.reading(), ..Outcome::default() }
}

async fn round_trips<C: Client>(client: &C, size: usize, beside: usize, span: &Span) -> Outcome {
    let mut payload = Payload::new(size, 0);
    let bulk = opened(client, Role::Sink, beside).await;
    let mut streams = opened(client, Role::Echo, if beside == 0 { 1 } else { IN_TURN }).await;
    for stream in &mut streams {
        exchange(stream, payload.piece()).await;
    }
    let running = span.meter.start();
    let until = Instant::now() + span.time;
    let uploads = uploads(bulk, PIECE, until);
    // Bulk fills the path first.
    tokio::time::sleep_until((until - span.time * 9 / 10).into()).await;
    let samples = if beside == 0 {
        one_by_one(&mut streams[0], payload, until).await
    } else {
        paced(&mut streams, payload, until).await
    };
    let octets = sum(uploads).await;
    let taken = running.reading();
    end(streams.drain(..)).await;
    Outcome { octets, done: samples.len() as u64, samples, taken }
}

/// Each message as soon as the answer to the one before is there.
async fn one_by_one<S: Stream>(stream: &mut S, mut payload: Payload, until: Instant) -> Vec<u64> {
    let mut samples = Vec::new();
    while Instant::now() < until {
        let sent = Instant::now();
        exchange(stream, payload.piece()).await;
        samples.push(sent.elapsed().as_nanos() as u64);
    }
    samples
}

/// A message every millisecond on a stream that awaits nothing, whether or not those before are answered: else a stall
/// would be one sample and the quiet before it a thousand. With all streams awaiting, it counts from when it was due.
async fn paced<S: Stream>(idle: &mut Vec<S>, mut payload: Payload, until: Instant) -> Vec<u64> {
    let (mut samples, mut busy) = (Vec::new(), JoinSet::new());
    let mut due = Instant::now();
    while due < until {
        tokio::time::sleep_until(due.into()).await;
        let mut from = Instant::now();
        while let Some(done) = busy.try_join_next() {
            answered(done, idle, &mut samples);
        }
        if idle.is_empty() {
            from = due;
            busy.join_next().await.into_iter().for_each(|done| answered(done, idle, &mut samples));
        }
        let (mut stream, message) = (idle.pop().expect("one has just come back"), payload.piece());
        busy.spawn(async move {
            exchange(&mut stream, message).await;
            (stream, from.elapsed())
        });
        due += PACE;
    }
    while let Some(done) = busy.join_next().await {
        answered(done, idle, &mut samples);
    }
    samples
}

fn answered<S>(done: Result<(S, Duration), JoinError>, idle: &mut Vec<S>, samples: &mut Vec<u64>) {
    let (stream, took) = done.expect("a message's task ends in peace");
    idle.push(stream);
    samples.push(took.as_nanos() as u64);
}

async fn exchange<S: Stream>(stream: &mut S, message: Bytes) {
    let mut left = message.len();
    stream.send(message).await;
    while left > 0 {
        let octets = stream.receive().await;
        assert!(octets > 0, "the stream ends early");
        left -= octets;
    }
}

async fn open<C: Client>(client: &C, span: &Span) -> Outcome {
    let (mut samples, mut streams) = (Vec::new(), Vec::with_capacity(OPEN));
    let running = span.meter.start();
    let until = Instant::now() + span.time;
    while Instant::now() < until {
        let asked = Instant::now();
        let mut stream = client.open(Role::Sink).await;
        stream.answered().await;
        samples.push(asked.elapsed().as_nanos() as u64);
        streams.push(stream);
        if streams.len() == OPEN {
            end(streams.drain(..)).await;
        }
    }
    let taken = running.reading();
    end(streams.drain(..)).await;
    Outcome { done: samples.len() as u64, samples, taken, ..Outcome::default() }
}

async fn end<S: Stream>(streams: impl Iterator<Item = S>) {
    for mut stream in streams {
        stream.send_last(Bytes::new()).await;
        drain(&mut stream).await;
    }
}

async fn open_close<C: Client>(client: &C, span: &Span) -> Outcome {
    let mut samples = Vec::new();
    let running = span.meter.start();
    let until = Instant::now() + span.time;
    while Instant::now() < until {
        let asked = Instant::now();
        let mut stream = client.open(Role::Sink).await;
        stream.send_last(Bytes::new()).await;
        drain(&mut stream).await;
        samples.push(asked.elapsed().as_nanos() as u64);
    }
    let taken = running.reading();
    Outcome { done: samples.len() as u64, samples, taken, ..Outcome::default() }
}
