//! Ends the demo with the name of the step that hangs rather than hanging itself. Used by mod.rs.
//! A step that is slow gives an error; a runtime that no longer runs anything ends the process from a thread.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use crate::exit::{Exit, Failure};

/// Watches over the steps of one demo; watching ends when it is dropped.
#[derive(Debug)]
pub(super) struct Watchdog {
    step: Arc<Mutex<&'static str>>,
    _alive: mpsc::Sender<()>,
}

impl Watchdog {
    /// Starts the watch over the whole.
    pub(super) fn start() -> Self {
        let step = Arc::new(Mutex::new("start"));
        let (alive, dropped) = mpsc::channel::<()>();
        let watched = Arc::clone(&step);
        std::thread::spawn(move || {
            if dropped.recv_timeout(WHOLE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let step = *watched.lock().unwrap_or_else(PoisonError::into_inner);
                crate::report::complain(&format!(
                    "demo: nothing moves at the step `{step}` after {} s",
                    WHOLE.as_secs()
                ));
                std::process::exit(i32::from(Exit::Failure.code()));
            }
        });
        Self { step, _alive: alive }
    }

    /// Carries out one step within its time.
    pub(super) async fn step<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = io::Result<T>>,
    ) -> Result<T, Failure> {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = name;
        match tokio::time::timeout(STEP, work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failure::new(Exit::Failure, format!("demo, step `{name}`: {error}"))),
            Err(_) => {
                let what = format!("demo, step `{name}`: not done after {} s", STEP.as_secs());
                Err(Failure::new(Exit::Failure, what).remedy("run it again with RUST_LOG=debug"))
            }
        }
    }
}

/// No step takes longer on the slowest machine that is of use.
const STEP: Duration = Duration::from_secs(60);
/// The whole, with all steps.
const WHOLE: Duration = Duration::from_secs(180);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_that_hangs_is_named() {
        let watchdog = Watchdog::start();
        let failure = watchdog.step("never", std::future::pending::<io::Result<()>>()).await.unwrap_err();
        assert!(failure.what.contains("`never`"), "{failure}");
        assert_eq!(failure.exit, Exit::Failure);
    }
}
