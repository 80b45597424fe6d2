//! The server behind every tunnel. The client's first octet says what it does with the connection: `e` gives back every
//! octet, that one too; `u` and `d`, followed by a number of octets, take or give so many. Runs in this process, beside
//! the client, and is the same for all contestants.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use hbone_benches::payload::Payload;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Octets that a reader takes at a time, at both ends.
pub(crate) const READ: usize = 256 << 10;
/// Octets that a writer hands over at a time, at both ends.
pub(crate) const WRITE: usize = 64 << 10;
/// Pieces by which the sources of two connections are apart.
pub(crate) const APART: usize = 16;

/// Serves until the runtime ends; gives back the address.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(4096)?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        for number in (0..).step_by(APART) {
            let Ok((socket, _)) = listener.accept().await else { return };
            let payload = Payload::new(WRITE, number);
            // How a connection ends is for its client to judge.
            tokio::spawn(async move { serve(socket, payload).await });
        }
    });
    Ok(address)
}

async fn serve(mut socket: TcpStream, payload: Payload) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut first = [0; 1];
    if socket.read(&mut first).await? == 0 {
        return Ok(());
    }
    match first[0] {
        b'u' => take(socket).await,
        b'd' => give(socket, payload).await,
        _ => {
            socket.write_all(&first).await?;
            echo(socket).await
        }
    }
}

async fn echo(mut socket: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let read = socket.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        socket.write_all(&buffer[..read]).await?;
    }
}

async fn take(mut socket: TcpStream) -> io::Result<()> {
    let mut left = socket.read_u64().await?;
    socket.write_all(b"r").await?;
    let mut buffer = vec![0; READ];
    while left > 0 {
        let read = socket.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        left = left.saturating_sub(read as u64);
    }
    socket.write_all(b".").await?;
    socket.read(&mut buffer).await.map(drop)
}

async fn give(mut socket: TcpStream, mut payload: Payload) -> io::Result<()> {
    let mut left = socket.read_u64().await?;
    socket.write_all(b"r").await?;
    socket.read_u8().await?;
    while left > 0 {
        let piece = payload.piece();
        socket.write_all(&piece).await?;
        left = left.saturating_sub(piece.len() as u64);
    }
    socket.read(&mut [0; 1]).await.map(drop)
}
