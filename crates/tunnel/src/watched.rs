//! A wire that remembers why TLS failed.
//!
//! Put by `connect` between the driver and TLS: the driver tells the kind of a failed transport only, but a
//! server that refuses our certificate says why in an alert, and people want to read that.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use hbone_conn::{Fill, Peer, Transmit, Wire};
use parking_lot::Mutex;

/// What was remembered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict(Arc<Mutex<Option<rustls::Error>>>);

impl Verdict {
    /// The error of TLS that ended the wire, if it was one.
    pub(crate) fn get(&self) -> Option<rustls::Error> {
        self.0.lock().clone()
    }

    fn remember(&self, error: &io::Error) {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            self.0.lock().get_or_insert_with(|| tls.clone());
        }
    }
}

/// The wire; everything passes through unchanged.
pub(crate) struct Watched<W> {
    inner: W,
    verdict: Verdict,
}

impl<W> Watched<W> {
    pub(crate) fn new(inner: W) -> (Self, Verdict) {
        let verdict = Verdict::default();
        (Self { inner, verdict: verdict.clone() }, verdict)
    }
}

impl<W: Wire> Wire for Watched<W> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Fill>> {
        self.inner.poll_fill(cx).map_err(|error| {
            self.verdict.remember(&error);
            error
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, out: &mut Transmit) -> Poll<io::Result<()>> {
        self.inner.poll_flush(cx, out)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_shutdown(cx)
    }

    fn written(&self) -> u64 {
        self.inner.written()
    }

    fn peer(&self) -> Peer {
        self.inner.peer()
    }

    fn release_buffers(&mut self) {
        self.inner.release_buffers();
    }
}
