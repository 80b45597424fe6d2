//! Observers that panic: the process lives on, and whoever waits for the connection hears of its end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hbone_conn::{
    Config, ConnectionError, Observer, Plain, Side, StreamError, StreamId, establish, establish_observed,
};

use crate::support::{End, connect, tunnel};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(10);

/// What the end of a connection whose driver has gone is.
fn lost() -> ConnectionError {
    ConnectionError::Io(std::io::ErrorKind::ConnectionAborted)
}

/// A client that is observed, and a server.
fn ends(observer: impl Observer) -> (End, End) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (handle, incoming, driver) =
        establish_observed(Side::Client, Plain::new(near), Config::default(), observer);
    let client = End { handle, incoming, driver: tokio::spawn(driver) };
    let (handle, incoming, driver) = establish(Side::Server, Plain::new(far), Config::default());
    (client, End { handle, incoming, driver: tokio::spawn(driver) })
}

/// Panics with its lock held, so that every later call finds the lock poisoned and panics as well.
#[derive(Clone, Default)]
struct Poisoned(Arc<Mutex<Vec<String>>>);

impl Observer for Poisoned {
    fn opened(&mut self, stream: StreamId, _: Side) {
        let seen = self.0.lock().unwrap();
        assert!(seen.len() > 1, "stream {stream} was not expected");
    }
    fn reset(&mut self, _: StreamId, error: &StreamError) {
        self.0.lock().unwrap().push(error.to_string());
    }
    fn closed(&mut self, error: &ConnectionError) {
        self.0.lock().unwrap().push(error.to_string());
    }
}

#[tokio::test]
async fn an_observer_that_panics_ends_its_connection_and_nothing_else() {
    let (client, _server) = ends(Poisoned::default());
    let mut stream = client.handle.open(connect()).await.unwrap();
    let failed = tokio::time::timeout(LONG, stream.response()).await.unwrap();
    assert_eq!(failed.unwrap_err(), StreamError::Connection(lost()));
    assert!(client.driver.await.unwrap_err().is_panic());
    assert_eq!(client.handle.closed().await, lost());
}

/// Panics at the end only.
struct AtTheEnd;

impl Observer for AtTheEnd {
    fn closed(&mut self, error: &ConnectionError) {
        panic!("the connection has ended: {error}");
    }
}

#[tokio::test]
async fn whoever_waits_hears_of_the_end_when_the_observer_panics_at_it() {
    let (client, mut server) = ends(AtTheEnd);
    let (mut near, _far) = tunnel(&client, &mut server).await;
    let reader = tokio::spawn(async move { near.read_chunk().await });
    let handle = client.handle.clone();
    let waiter = tokio::spawn(async move { handle.closed().await });
    client.handle.ping().await.unwrap();
    client.driver.abort();
    let read = tokio::time::timeout(LONG, reader).await.unwrap().unwrap();
    assert_eq!(read, Err(StreamError::Connection(lost())));
    assert_eq!(tokio::time::timeout(LONG, waiter).await.unwrap().unwrap(), lost());
    assert!(client.driver.await.unwrap_err().is_cancelled(), "nobody is left to hear of that panic");
}

#[tokio::test]
async fn a_driver_that_is_dropped_by_a_panic_tells_an_observer_that_panics_too() {
    let (near, _far) = tokio::io::duplex(1024);
    let (handle, incoming, driver) =
        establish_observed(Side::Client, Plain::new(near), Config::default(), AtTheEnd);
    let task = tokio::spawn(async move {
        let _kept = (driver, incoming);
        panic!("for another reason");
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(handle.closed().await, lost());
}
