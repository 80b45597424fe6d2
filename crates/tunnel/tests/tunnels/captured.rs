//! The log of a test: every event as one text, for what runs on the test's own thread.
//!
//! One subscriber serves the whole process: one for each thread would lose events whose call site was first met
//! on a thread without.

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

static INSTALLED: Once = Once::new();

/// Starts capturing, in the whole process.
pub(crate) fn install() {
    INSTALLED.call_once(|| tracing::subscriber::set_global_default(Collector).unwrap());
}

/// Events of that message on this thread, waited for: tasks write them when they end.
pub(crate) async fn events(message: &str, count: usize) -> Vec<String> {
    let wanted = format!("message={message} ");
    loop {
        let found: Vec<_> =
            LOG.with_borrow(|log| log.iter().filter(|event| event.contains(&wanted)).cloned().collect());
        if found.len() >= count {
            return found;
        }
        tokio::task::yield_now().await;
    }
}

struct Collector;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, "{}={value} ", field.name()).unwrap();
    }
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("hbone")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(format!("{} ", event.metadata().level()));
        event.record(&mut text);
        LOG.with_borrow_mut(|log| log.push(text.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
