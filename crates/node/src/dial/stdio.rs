//! Joins a tunnel to standard input and output: an end of input ends that direction only, and the other way
//! round. Called by command.rs. A reset is an error, never an end, and octets that never left are one too.

use std::io::{self, IsTerminal};
use std::time::Duration;

use bytes::BytesMut;
use hbone_conn::{ConnectionError, ReadHalf, Stream, WriteHalf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::exit::{Exit, Failure};

/// Carries octets until both directions have ended, then waits until `connection` has handed everything over.
pub(super) async fn join(
    stream: Stream,
    connection: JoinHandle<ConnectionError>,
    farewell: Duration,
) -> Result<(), Failure> {
    let joined = directions(stream).await;
    // Without streams it drains by itself. After a failure there is only the reset to be told.
    let limit = if joined.is_ok() { farewell } else { farewell.min(RESET) };
    let ended = timeout(limit, connection).await;
    joined?;
    match ended {
        Ok(Ok(ConnectionError::Closed)) => Ok(()),
        Ok(Ok(error)) => Err(broken(&error)),
        Ok(Err(error)) => Err(broken(&error)),
        Err(late) => Err(broken(&late)),
    }
}

/// Both halves of the stream are gone when this returns, or soon after.
async fn directions(stream: Stream) -> Result<(), Failure> {
    let (read, write) = stream.into_split();
    // Aborted when it is dropped: nobody can end a read of standard input from outside.
    let mut up = JoinSet::new();
    up.spawn(upload(write));
    let down = download(read);
    tokio::pin!(down);
    let (mut up_done, mut down_done) = (false, false);
    while !(up_done && down_done) {
        tokio::select! {
            result = &mut down, if !down_done => {
                result?;
                // A person at a terminal would have to end the input by hand; a program does so by itself.
                if io::stdin().is_terminal() {
                    return Ok(());
                }
                down_done = true;
            }
            Some(result) = up.join_next(), if !up_done => {
                result.map_err(|error| Failure::new(Exit::Failure, error.to_string()))??;
                up_done = true;
            }
        }
    }
    Ok(())
}

/// Ends well only when everything has left, END_STREAM included.
async fn upload(mut write: WriteHalf) -> Result<(), Failure> {
    let mut input = tokio::io::stdin();
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(BUFFER);
        let read = tokio::select! {
            read = input.read_buf(&mut buffer) => read,
            // The other direction may have ended already: then nobody else hears it.
            error = write.reset_by_peer() => return Err(broken(&error)),
        };
        if read.map_err(|error| local("standard input", &error))? == 0 {
            break;
        }
        write.write_chunk(buffer.split().freeze()).await.map_err(|error| broken(&error))?;
    }
    write.finish().map_err(|error| broken(&error))?;
    write.flushed().await.map_err(|error| broken(&error))
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
pub(super) fn close_output() -> io::Result<()> {
    let nothing = std::fs::File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(nothing)?;
    Ok(())
}

fn local(what: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Failure, format!("{what}: {error}"))
}

pub(super) fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Failure, format!("the tunnel broke: {error}")).remedy("octets may be missing")
}

const BUFFER: usize = 64 << 10;
/// For the reset of a failed tunnel to leave.
const RESET: Duration = Duration::from_secs(2);
