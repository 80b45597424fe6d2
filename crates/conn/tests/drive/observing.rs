//! What an observer is told, in order, for every way in which a stream or a connection ends.

use std::fmt::Write;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use hbone_conn::{
    Config, ConnectionError, Direction, ErrorCode, Fill, Observer, Plain, Side, StreamError, StreamId,
    TracingObserver, Transmit, Wire, establish_observed,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{End, connect, tunnel};

/// Writes everything down, one line a call.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    fn push(&mut self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    /// The lines since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn last(stream: Option<StreamId>) -> u32 {
    stream.map_or(0, StreamId::get)
}

impl Observer for Recorder {
    fn connecting(&mut self, side: Side) {
        self.push(format!("connecting {side:?}"));
    }
    fn connected(&mut self) {
        self.push("connected".into());
    }
    fn settings_received(&mut self) {
        self.push("settings".into());
    }
    fn settings_acknowledged(&mut self) {
        self.push("settings acknowledged".into());
    }
    fn goaway_sent(&mut self, stream: Option<StreamId>, code: ErrorCode) {
        self.push(format!("goaway sent {} {code}", last(stream)));
    }
    fn goaway_received(&mut self, stream: Option<StreamId>, code: ErrorCode) {
        self.push(format!("goaway received {} {code}", last(stream)));
    }
    fn opened(&mut self, stream: StreamId, initiator: Side) {
        self.push(format!("{stream} opened {initiator:?}"));
    }
    fn head(&mut self, stream: StreamId, direction: Direction, status: Option<u16>) {
        self.push(format!("{stream} head {direction:?} {}", status.unwrap_or(0)));
    }
    fn first_octet(&mut self, stream: StreamId, direction: Direction) {
        self.push(format!("{stream} octets {direction:?}"));
    }
    fn finished(&mut self, stream: StreamId, direction: Direction) {
        self.push(format!("{stream} finished {direction:?}"));
    }
    fn reset(&mut self, stream: StreamId, error: &StreamError) {
        self.push(format!("{stream} reset {error:?}"));
    }
    fn closed(&mut self, error: &ConnectionError) {
        self.push(format!("closed {error:?}"));
    }
}

fn start<W: Wire>(side: Side, wire: W, observer: impl Observer) -> End {
    let (handle, incoming, driver) = establish_observed(side, wire, Config::default(), observer);
    End { handle, incoming, driver: tokio::spawn(driver) }
}

/// Two ends that have met, and what their observers are told from then on.
async fn observed() -> (End, End, Recorder, Recorder) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (client_sees, server_sees) = (Recorder::default(), Recorder::default());
    let client = start(Side::Client, Plain::new(near), client_sees.clone());
    let server = start(Side::Server, Plain::new(far), server_sees.clone());
    // An acknowledgement of SETTINGS precedes the answer to a PING that was sent after them.
    client.handle.ping().await.unwrap();
    server.handle.ping().await.unwrap();
    for (recorder, side) in [(&client_sees, Side::Client), (&server_sees, Side::Server)] {
        let first = format!("connecting {side:?}");
        assert_eq!(recorder.take(), [&first, "connected", "settings", "settings acknowledged"]);
    }
    (client, server, client_sees, server_sees)
}

#[tokio::test]
async fn an_honest_stream_is_told_from_its_head_to_its_last_octet() {
    let (client, mut server, client_sees, server_sees) = observed().await;
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    for part in ["a question", "and more of it"] {
        near.write_chunk(part.into()).await.unwrap();
        assert_eq!(far.read_chunk().await.unwrap().unwrap(), part);
    }
    near.finish().unwrap();
    while far.read_chunk().await.unwrap().is_some() {}
    far.write_chunk("an answer".into()).await.unwrap();
    far.finish().unwrap();
    while near.read_chunk().await.unwrap().is_some() {}
    drop((near, far));
    let seen = [
        "1 opened Client",
        "1 head Sent 0",
        "1 head Received 200",
        "1 octets Sent",
        "1 finished Sent",
        "1 octets Received",
        "1 finished Received",
    ];
    assert_eq!(client_sees.take(), seen);
    let seen = [
        "1 opened Client",
        "1 head Received 0",
        "1 head Sent 200",
        "1 octets Received",
        "1 finished Received",
        "1 octets Sent",
        "1 finished Sent",
    ];
    assert_eq!(server_sees.take(), seen);
}

#[tokio::test]
async fn a_reset_is_told_with_its_code_and_by_whom() {
    let (client, mut server, client_sees, server_sees) = observed().await;
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    near.reset(ErrorCode::CONNECT_ERROR);
    assert_eq!(far.reset_by_peer().await, StreamError::Reset(ErrorCode::CONNECT_ERROR));
    client.handle.ping().await.unwrap();
    assert_eq!(client_sees.take().last().unwrap(), "1 reset Cancelled(CONNECT_ERROR)");
    assert_eq!(server_sees.take().last().unwrap(), "1 reset Reset(CONNECT_ERROR)");
}

#[tokio::test]
async fn a_refused_stream_is_told_at_both_ends() {
    let (client, server, client_sees, server_sees) = observed().await;
    drop(server.incoming);
    let mut near = client.handle.open(connect()).await.unwrap();
    let error = near.response().await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let seen = ["1 opened Client", "1 head Sent 0", "1 reset Reset(REFUSED_STREAM)"];
    assert_eq!(client_sees.take(), seen);
    let seen = ["1 opened Client", "1 head Received 0", "1 reset Cancelled(REFUSED_STREAM)"];
    assert_eq!(server_sees.take(), seen);
}

#[tokio::test]
async fn going_away_is_told_in_its_steps_and_by_both_ends() {
    let (client, mut server, client_sees, server_sees) = observed().await;
    let (mut near, mut far) = tunnel(&client, &mut server).await;
    client_sees.take();
    server_sees.take();
    server.handle.drain(std::time::Duration::from_secs(60));
    server.handle.ping().await.unwrap();
    near.finish().unwrap();
    assert_eq!(far.read_chunk().await, Ok(None));
    far.finish().unwrap();
    assert_eq!(near.read_chunk().await, Ok(None));
    assert_eq!(client.driver.await.unwrap(), ConnectionError::Closed);
    assert_eq!(server.driver.await.unwrap(), ConnectionError::Closed);
    let goaway = |sent| [format!("goaway {sent} 2147483647 NO_ERROR"), format!("goaway {sent} 1 NO_ERROR")];
    let [first, second] = goaway("received");
    let end = "goaway sent 0 NO_ERROR";
    let seen = [&first, &second, "1 finished Sent", "1 finished Received", end, "closed Closed"];
    assert_eq!(client_sees.take(), seen);
    let [first, second] = goaway("sent");
    let seen = [&first, &second, "1 finished Received", "1 finished Sent", "closed Closed"];
    assert_eq!(server_sees.take(), seen);
}

/// A wire that fails once it is told to.
struct Fragile {
    wire: Plain<tokio::io::DuplexStream>,
    breaks: tokio::sync::oneshot::Receiver<()>,
}

impl Wire for Fragile {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Fill>> {
        if Future::poll(Pin::new(&mut self.breaks), cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        self.wire.poll_fill(cx)
    }
    fn poll_flush(&mut self, cx: &mut Context<'_>, out: &mut Transmit) -> Poll<io::Result<()>> {
        self.wire.poll_flush(cx, out)
    }
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_shutdown(cx)
    }
}

#[tokio::test]
async fn a_lost_transport_is_told_of_every_stream_and_last_of_the_connection() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (break_it, breaks) = tokio::sync::oneshot::channel();
    let seen = Recorder::default();
    let client = start(Side::Client, Fragile { wire: Plain::new(near), breaks }, seen.clone());
    let mut server = start(Side::Server, Plain::new(far), Recorder::default());
    let (mut near, _far) = tunnel(&client, &mut server).await;
    seen.take();
    break_it.send(()).unwrap();
    let lost = ConnectionError::Io(io::ErrorKind::ConnectionReset);
    assert_eq!(near.read_chunk().await, Err(StreamError::Connection(lost.clone())));
    assert_eq!(client.driver.await.unwrap(), lost);
    assert_eq!(seen.take(), ["1 reset Connection(Io(ConnectionReset))", "closed Io(ConnectionReset)"]);
}

#[tokio::test]
async fn a_driver_that_is_dropped_tells_the_end_too() {
    let (client, mut server, client_sees, _) = observed().await;
    let _tunnel = tunnel(&client, &mut server).await;
    client.driver.abort();
    client.handle.closed().await;
    // Another task may hear of the end before the observer does; the driver's own end comes after.
    assert!(client.driver.await.unwrap_err().is_cancelled());
    let lost = "Io(ConnectionAborted)";
    let seen = client_sees.take();
    assert_eq!(seen[seen.len() - 2..], [format!("1 reset Connection({lost})"), format!("closed {lost}")]);
}

#[tokio::test]
async fn what_happens_while_the_wire_takes_nothing_is_told_at_once() {
    let (near, mut far) = tokio::io::duplex(1024);
    let seen = Recorder::default();
    let client = start(Side::Client, Plain::new(near), seen.clone());
    let mut stream = client.handle.open(connect()).await.unwrap();
    stream.write_chunk(vec![7; 60_000].into()).await.unwrap();
    // Its SETTINGS, then nothing more: the pipe stays full.
    tokio::io::AsyncWriteExt::write_all(&mut far, &[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    client.handle.ready().await.unwrap();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    seen.take();
    stream.reset(ErrorCode::CANCEL);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(seen.take(), ["1 reset Cancelled(CANCEL)"]);
}

/// An observer may use the handle of its own connection: it runs without the lock.
struct Curious(Arc<Mutex<Option<hbone_conn::Handle>>>, Recorder);

impl Observer for Curious {
    fn opened(&mut self, _: StreamId, _: Side) {
        let streams = self.0.lock().unwrap().as_ref().map(|handle| handle.stats().streams_opened);
        self.1.push(format!("{streams:?}"));
    }
}

#[tokio::test]
async fn an_observer_runs_outside_the_lock() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (place, seen) = (Arc::new(Mutex::new(None)), Recorder::default());
    let client = start(Side::Client, Plain::new(near), Curious(Arc::clone(&place), seen.clone()));
    *place.lock().unwrap() = Some(client.handle.clone());
    let mut server = start(Side::Server, Plain::new(far), Recorder::default());
    let _tunnel = tunnel(&client, &mut server).await;
    assert_eq!(seen.take(), ["Some(1)"]);
}

/// Keeps the events of its thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn the_tracing_observer_writes_values_as_fields() {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let mut observer = TracingObserver::new("to example");
        observer.connected();
        observer.reset(StreamId::new(7).unwrap(), &StreamError::Reset(ErrorCode(0xdead)));
        observer.goaway_received(None, ErrorCode::NO_ERROR);
        observer.closed(&ConnectionError::Eof);
    });
    let lines = log.0.lock().unwrap().clone();
    let wanted = [
        vec!["message=connected", "connection=\"to example\""],
        vec!["message=reset", "stream=7", "cause=\"reset\"", "0xdead"],
        vec!["message=GOAWAY received", "last=0", "code=NO_ERROR"],
        vec!["message=closed", "cause=\"eof\""],
    ];
    assert_eq!(lines.len(), wanted.len());
    for (line, parts) in lines.iter().zip(wanted) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
}
