//! Joins a tunnel to standard input and output: an end of input ends that direction only, and the other way
//! round. Called by command.rs. A reset is an error, never an end.

use std::io::{self, IsTerminal};

use bytes::BytesMut;
use hbone_conn::{ReadHalf, Stream, WriteHalf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::exit::{Exit, Failure};

/// Carries octets until both directions have ended.
pub(super) async fn join(stream: Stream) -> Result<(), Failure> {
    let (read, write) = stream.into_split();
    let mut up = tokio::spawn(upload(write));
    let down = download(read);
    tokio::pin!(down);
    let mut up_done = false;
    loop {
        tokio::select! {
            result = &mut down => {
                result?;
                // A person at a terminal would have to end the input by hand; a program does so by itself.
                if up_done || io::stdin().is_terminal() {
                    return Ok(());
                }
                return up.await.map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
            }
            result = &mut up, if !up_done => {
                result.map_err(|error| Failure::new(Exit::Failure, error.to_string()))??;
                up_done = true;
            }
        }
    }
}

async fn upload(mut write: WriteHalf) -> Result<(), Failure> {
    let mut input = tokio::io::stdin();
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(BUFFER);
        let length = input.read_buf(&mut buffer).await.map_err(|error| local("standard input", &error))?;
        if length == 0 {
            break;
        }
        write.write_chunk(buffer.split().freeze()).await.map_err(|error| broken(&error))?;
    }
    write.finish().map_err(|error| broken(&error))
}

async fn download(mut read: ReadHalf) -> Result<(), Failure> {
    let mut output = tokio::io::stdout();
    while let Some(chunk) = read.read_chunk().await.map_err(|error| broken(&error))? {
        output.write_all(&chunk).await.map_err(|error| local("standard output", &error))?;
        output.flush().await.map_err(|error| local("standard output", &error))?;
    }
    close_output().map_err(|error| local("standard output", &error))
}

/// Who reads our output must see its end now, even while the input is still open.
fn close_output() -> io::Result<()> {
    let nothing = std::fs::File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(nothing)?;
    Ok(())
}

fn local(what: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Failure, format!("{what}: {error}"))
}

fn broken(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Failure, format!("the tunnel broke: {error}")).remedy("octets may be missing")
}

const BUFFER: usize = 64 << 10;
