//! A small HTTP/2 server in the clear, with prior knowledge: a peer for nghttp, h2load and curl.
//!
//! `cargo run -p hbone-conn --example h2c_server -- 127.0.0.1:8080` answers every request with 200 and a short
//! text, and echoes CONNECT streams. Port 0 takes any free port; the address is printed.

mod server;

use std::env;
use std::io::{self, Write};

use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;
    server::serve(listener, server::config()).await
}
