//! Sets up the log: one event is one line on standard error, as text or JSON, filtered by `RUST_LOG`.
//! Called once by main.rs. Never writes to standard output, which belongs to `dial` and the demo.

use tracing_subscriber::EnvFilter;

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// Starts logging. `default` is the filter when `RUST_LOG` is not set.
///
/// # Errors
/// When `RUST_LOG` cannot be understood; says why.
pub fn start(format: Format, default: &str) -> Result<(), String> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| format!("RUST_LOG={text:?}: {error}"))?,
        Err(_) => EnvFilter::new(default),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let done = match format {
        Format::Text => builder.with_ansi(false).with_target(false).try_init(),
        Format::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
    done.map_err(|error| error.to_string())
}
