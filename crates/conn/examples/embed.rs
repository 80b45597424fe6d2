//! What an application beside the octets asks for: a deadline, figures, and to be told what happens.
//!
//! `cargo run -p hbone-conn --example embed`

use std::io;
use std::time::Duration;

use hbone_conn::{
    Config, ConnectionError, Observer, Plain, Request, Response, Side, StreamError, StreamId, establish,
    establish_observed,
};
use tokio::net::{TcpListener, TcpStream};

/// Tells of failures, by names that are fit for metrics.
struct Failures;

impl Observer for Failures {
    fn reset(&mut self, stream: StreamId, error: &StreamError) {
        println!("stream {stream} failed: {}", error.label());
    }

    fn closed(&mut self, error: &ConnectionError) {
        println!("connection ended: {}", error.label());
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let socket = TcpStream::connect(listener.local_addr()?).await?;

    // The server accepts a stream, sends a greeting and never an end.
    let (_server, mut incoming, driver) =
        establish(Side::Server, Plain::tcp(listener.accept().await?.0)?, Config::default());
    tokio::spawn(driver);
    tokio::spawn(async move {
        let (_, mut stream) = incoming.accept().await.ok_or(StreamError::Finished)?;
        stream.respond(Response::new(200))?;
        stream.write_chunk("hello".into()).await?;
        Err::<(), _>(stream.reset_by_peer().await)
    });

    let config = Config { max_age: Some(Duration::from_secs(3600)), ..Config::default() };
    let (handle, _, driver) = establish_observed(Side::Client, Plain::tcp(socket)?, config, Failures);
    let connection = tokio::spawn(driver);
    let request = Request::connect("greeter.example:7");
    let mut stream =
        handle.open_within(request, Duration::from_millis(200)).await.map_err(io::Error::other)?;
    println!("connected to {:?}", stream.peer().remote);
    let failure = loop {
        match stream.read_chunk().await {
            Ok(Some(octets)) => println!("{}", String::from_utf8_lossy(&octets)),
            Ok(None) => return Ok(()),
            Err(error) => break error,
        }
    };
    println!("not in time: {failure}; to be sent again without harm: {}", failure.is_retryable());
    let stats = handle.stats();
    println!(
        "{} octets in {} frames, round trip {:?}",
        stats.octets_received, stats.frames_received, stats.smoothed_rtt
    );
    drop((stream, handle));
    connection.await?;
    Ok(())
}
