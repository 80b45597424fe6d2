//! The three ways in which two ends share the processors: results differ tenfold, so every figure names its own.

use std::future::Future;
use std::thread;

use tokio::runtime::{Builder, Runtime};

/// Where the two ends run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Both on one current-thread runtime.
    Ct,
    /// Each on a current-thread runtime of its own thread.
    TwoCt,
    /// Both on a multi-thread runtime with two workers.
    Mt,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ct, Self::TwoCt, Self::Mt];

    /// The short name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ct => "ct",
            Self::TwoCt => "2ct",
            Self::Mt => "mt",
        }
    }

    /// Runs both ends until both have ended; returns what `client` returned.
    pub fn run<C, S>(self, server: S, client: C) -> C::Output
    where
        S: Future<Output = ()> + Send + 'static,
        C: Future + Send + 'static,
        C::Output: Send + 'static,
    {
        if self == Self::TwoCt {
            let other = thread::spawn(move || current().block_on(server));
            let output = current().block_on(client);
            other.join().expect("the server's end panicked");
            return output;
        }
        let runtime = if self == Self::Ct { current() } else { workers() };
        runtime.block_on(async {
            let server = tokio::spawn(server);
            let output = tokio::spawn(client).await.expect("the client's end panicked");
            server.await.expect("the server's end panicked");
            output
        })
    }
}

fn current() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}
