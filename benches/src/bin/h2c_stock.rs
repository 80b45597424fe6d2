//! The engine's example server `h2c_server` once more, on stock `h2`: the same answers, on the same kind of runtime.
//!
//! `h2c_stock 127.0.0.1:8081` prints its address, as that one does. `h2load` compares the two.

use std::env;
use std::io::{self, Write};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use tokio::net::{TcpListener, TcpStream};

const BODY: &[u8] = b"Hello, world!";

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;
    loop {
        let (socket, peer) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(async move {
            if let Err(error) = serve(socket).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn serve(socket: TcpStream) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(socket).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        tokio::spawn(async move {
            let connect = request.method() == Method::CONNECT;
            let outcome = if connect { echo(request, respond).await } else { answer(request, respond).await };
            if let Err(error) = outcome {
                eprintln!("a stream: {error}");
            }
        });
    }
    Ok(())
}

/// Takes the whole request, then answers it.
async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let head_only = request.method() == Method::HEAD;
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data?.len())?;
    }
    let response = Response::builder().header("content-type", "text/plain");
    let response = response.header("content-length", BODY.len()).body(()).expect("a response");
    let mut send = respond.send_response(response, head_only)?;
    if head_only { Ok(()) } else { send.send_data(Bytes::from_static(BODY), true) }
}

/// Sends everything back; the peer's end is answered by ours.
async fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut send = respond.send_response(Response::new(()), false)?;
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        let data = data?;
        let octets = data.len();
        push(&mut send, data).await?;
        body.flow_control().release_capacity(octets)?;
    }
    send.send_data(Bytes::new(), true)
}

async fn push(send: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while !data.is_empty() {
        send.reserve_capacity(data.len());
        let Some(room) = std::future::poll_fn(|cx| send.poll_capacity(cx)).await else { return Ok(()) };
        send.send_data(data.split_to(room?.min(data.len())), false)?;
    }
    Ok(())
}
