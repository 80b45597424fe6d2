//! The runtime that commands run on. Ends without waiting for a blocked read of standard input.

use std::time::Duration;

use crate::exit::{Exit, Failure};

/// Runs a command to its end.
///
/// # Errors
/// What the command says, or that there is no runtime to be had.
pub fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot start a runtime: {error}")))?;
    let result = runtime.block_on(command);
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}
