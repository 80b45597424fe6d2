//! Sets up the log: one event is one line on standard error, as text or JSON, filtered by `RUST_LOG`.
//!
//! Called by main.rs. Lines go through a bounded queue to a thread of their own: a reader that stalls costs
//! lines, which are counted, and never holds up a tunnel. Never writes to standard output, which belongs to
//! `dial` and the demo.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// The running log.
#[derive(Debug)]
pub struct Log(Queue);

/// Starts logging. `default` is the filter when `RUST_LOG` is not set.
///
/// # Errors
/// When `RUST_LOG` cannot be understood; says why.
pub fn start(format: Format, default: &str) -> Result<Log, String> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| format!("RUST_LOG={text:?}: {error}"))?,
        Err(_) => EnvFilter::new(default),
    };
    let queue = Queue::start(io::stderr(), format);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(queue.clone());
    let done = match format {
        Format::Text => builder.with_ansi(false).with_target(false).try_init(),
        Format::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
    done.map_err(|error| error.to_string())?;
    Ok(Log(queue))
}

impl Log {
    /// Waits until what was logged is written, but not for a reader that stalls.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.0.lines.try_send(Entry::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH);
        }
    }
}

/// The way of a line to the thread that writes it.
#[derive(Debug, Clone)]
struct Queue {
    lines: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl Queue {
    fn start(output: impl Write + Send + 'static, format: Format) -> Self {
        let (lines, entries) = sync_channel(LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        std::thread::spawn(move || write_all(output, &entries, &counted, format));
        Self { lines, lost }
    }
}

impl MakeWriter<'_> for Queue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for Queue {
    /// Takes one whole line: the subscriber writes an event at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Entry::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread: what cannot be written is lost, there is no one to tell.
fn write_all(mut output: impl Write, entries: &Receiver<Entry>, lost: &AtomicU64, format: Format) {
    for entry in entries {
        match entry {
            Entry::Line(line) => {
                let _ = output.write_all(&line);
            }
            Entry::Flush(done) => {
                let _ = output.flush();
                let _ = done.try_send(());
            }
        }
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            let line = match format {
                Format::Text => format!("WARN log lines lost count={count}\n"),
                Format::Json => {
                    format!("{{\"level\":\"WARN\",\"message\":\"log lines lost\",\"count\":{count}}}\n")
                }
            };
            let _ = output.write_all(line.as_bytes());
        }
    }
}

/// Lines that wait for their reader.
const LINES: usize = 4096;
/// How long the end of the process waits for the reader of the log.
const FLUSH: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Gives every write to the test, and waits for its permission.
    struct Gate(Sender<Vec<u8>>, Receiver<()>);

    impl Write for Gate {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(octets.to_vec());
            let _ = self.1.recv();
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn f18_a_stalled_reader_costs_lines_and_no_time_and_the_loss_is_counted() {
        let (send, written) = channel();
        let (open, gate) = channel();
        let mut queue = Queue::start(Gate(send, gate), Format::Text);
        queue.write_all(b"first\n").unwrap();
        assert_eq!(written.recv().unwrap(), b"first\n");
        // The thread now waits in the gate: whatever does not fit into the queue must be lost, not waited for.
        for _ in 0..LINES + 10 {
            queue.write_all(b"more\n").unwrap();
        }
        assert_eq!(queue.lost.load(Ordering::Relaxed), 10);
        drop(open);
        let text: Vec<u8> = written.iter().take(LINES + 1).flatten().collect();
        assert!(String::from_utf8_lossy(&text).contains("count=10"));
    }
}
