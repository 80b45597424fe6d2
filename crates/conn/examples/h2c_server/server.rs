//! What the example server does with connections and streams. The tests with foreign peers run it too.

use std::io;

use hbone_conn::{Config, Incoming, Plain, Request, Response, Side, Stream, StreamError, establish};
use tokio::net::TcpListener;

const BODY: &[u8] = b"Hello, world!";

/// Frames of the size that every peer has to allow for: a case of httpwg counts on no larger ones.
pub(crate) fn config() -> Config {
    Config { max_frame_size: 16 * 1024, ..Config::default() }
}

/// Serves every connection of `listener`, for ever.
pub(crate) async fn serve(listener: TcpListener, config: Config) -> io::Result<()> {
    loop {
        let (socket, peer) = listener.accept().await?;
        let (_, incoming, driver) = establish(Side::Server, Plain::tcp(socket)?, config.clone());
        tokio::spawn(accept(incoming));
        tokio::spawn(async move {
            let end = driver.await;
            eprintln!("{peer}: {end}");
        });
    }
}

async fn accept(mut incoming: Incoming) {
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
