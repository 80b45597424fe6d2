//! A small HTTP/2 server in the clear, with prior knowledge: a peer for nghttp, h2load and curl.
//!
//! `cargo run -p hbone-conn --example h2c_server -- 127.0.0.1:8080` answers every request with 200 and a short
//! text, and echoes CONNECT streams. Port 0 takes any free port; the address is printed.

use std::env;
use std::io::{self, Write};

use hbone_conn::{Config, Incoming, Plain, Request, Response, Side, Stream, StreamError, establish};
use tokio::net::TcpListener;

const BODY: &[u8] = b"Hello, world!";

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;
    loop {
        let (socket, peer) = listener.accept().await?;
        // Frames of the size that every peer has to allow for: some test tools count on it.
        let config = Config { max_frame_size: 16 * 1024, ..Config::default() };
        let (_, incoming, driver) = establish(Side::Server, Plain::tcp(socket)?, config);
        tokio::spawn(serve(incoming));
        tokio::spawn(async move {
            let end = driver.await;
            eprintln!("{peer}: {end}");
        });
    }
}

async fn serve(mut incoming: Incoming) {
    while let Some((request, stream)) = incoming.accept().await {
        tokio::spawn(async move {
            let id = stream.id();
            let outcome =
                if request.is_connect() { echo(stream).await } else { answer(&request, stream).await };
            if let Err(error) = outcome {
                eprintln!("stream {id}: {error}");
            }
        });
    }
}

/// Takes the whole request, then answers it.
async fn answer(request: &Request, mut stream: Stream) -> Result<(), StreamError> {
    while stream.read_chunk().await?.is_some() {}
    let mut response = Response::new(200);
    response.push("content-type", "text/plain");
    response.push("content-length", &BODY.len().to_string());
    if request.method() == b"HEAD" {
        return stream.respond_and_finish(response);
    }
    stream.respond(response)?;
    stream.send_chunk(BODY.into())?;
    stream.finish()
}

/// Sends everything back; the peer's end is answered by ours.
async fn echo(mut stream: Stream) -> Result<(), StreamError> {
    stream.respond(Response::new(200))?;
    while let Some(data) = stream.read_chunk().await? {
        stream.write_chunk(data).await?;
    }
    stream.finish()
}
