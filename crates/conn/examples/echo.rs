//! A server that echoes CONNECT streams and a client that uses one, over plain TCP: the smallest whole use.
//!
//! `cargo run -p hbone-conn --example echo`

use std::io;

use hbone_conn::{Config, Incoming, Plain, Request, Response, Side, Stream, StreamError, establish};
use tokio::net::{TcpListener, TcpStream};

/// Takes streams until the connection has ended.
async fn serve(mut incoming: Incoming) {
    while let Some((request, stream)) = incoming.accept().await {
        println!("asked for {}", String::from_utf8_lossy(request.authority().unwrap_or_default()));
        tokio::spawn(echo(stream));
    }
}

/// A stream is a connection: octets both ways, and each direction ends by itself.
async fn echo(mut stream: Stream) -> Result<(), StreamError> {
    stream.respond(Response::new(200))?;
    while let Some(octets) = stream.read_chunk().await? {
        stream.write_chunk(octets).await?;
    }
    stream.finish()
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await?;
        let (_, incoming, driver) = establish(Side::Server, Plain::tcp(socket)?, Config::default());
        tokio::spawn(driver);
        serve(incoming).await;
        io::Result::Ok(())
    });

    let wire = Plain::tcp(TcpStream::connect(address).await?)?;
    let (handle, _, driver) = establish(Side::Client, wire, Config::default());
    let connection = tokio::spawn(driver);
    let mut stream = handle.open(Request::connect("echo.example:7")).await.map_err(io::Error::other)?;
    println!("answered {}", stream.response().await?.status());
    stream.write_chunk("hello".into()).await?;
    stream.finish()?;
    while let Some(octets) = stream.read_chunk().await? {
        println!("{}", String::from_utf8_lossy(&octets));
    }
    // Nothing holds the connection any more: it says goodbye and ends.
    drop((stream, handle));
    println!("{}", connection.await?);
    Ok(())
}
