//! One record for each tunnel: who, where, how much, how long, and how it ended.
//!
//! Written once, by the side that ends the tunnel, and counted in the metrics. Values that a peer chose are escaped.
//! Measures nothing itself and decides nothing.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Instant;

use crate::escape::Escaped;
use crate::front::Origin;
use crate::identity::SpiffeId;
use crate::metadata::Told;
use crate::metrics::{Metrics, Place};
use crate::outcome::{Direction, Relayed};
use crate::refusal::Refused;

/// What is known of a tunnel, filled in as it grows.
#[derive(Debug)]
pub(crate) struct Record {
    side: Side,
    /// It is counted as live.
    stands: bool,
    listener: Arc<str>,
    source: Option<SpiffeId>,
    peer: Option<SpiffeId>,
    client: Origin,
    destination: String,
    status: Option<u16>,
    told: Option<Box<Told>>,
    start: Instant,
}

/// Which side writes the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The caller's node: its TCP leg is the client's.
    Outbound,
    /// The destination's node: its TCP leg is the service's.
    Inbound,
}

impl Record {
    /// A record that starts now. `destination` may be anything that a peer sent.
    pub(crate) fn start(side: Side, listener: &Arc<str>, client: Origin, destination: &[u8]) -> Self {
        Self {
            side,
            stands: false,
            listener: Arc::clone(listener),
            source: None,
            peer: None,
            client,
            destination: Escaped::new(destination).to_string(),
            status: None,
            told: None,
            start: Instant::now(),
        }
    }

    pub(crate) fn source(&mut self, source: &SpiffeId) {
        self.source = Some(source.clone());
    }

    /// Where to, once it is known; anything that a peer sent.
    pub(crate) fn destination(&mut self, destination: &[u8]) {
        self.destination = Escaped::new(destination).to_string();
    }

    /// Who really calls, by the word of a proxy that is believed.
    pub(crate) const fn client(&mut self, client: Origin) {
        self.client = client;
    }

    /// The node at the far end, on the outbound side.
    pub(crate) fn peer(&mut self, peer: &SpiffeId) {
        self.peer = Some(peer.clone());
    }

    /// What is told of the tunnel beside where it goes.
    pub(crate) fn told(&mut self, told: Option<Box<Told>>) {
        self.told = told;
    }

    pub(crate) const fn status(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// The tunnel stands, with that status.
    pub(crate) fn stands(&mut self, status: u16) {
        self.status = Some(status);
        if !std::mem::replace(&mut self.stands, true) {
            Metrics::here().opened(&self.place());
        }
    }

    /// The tunnel stood and has ended.
    pub(crate) fn ended(mut self, relayed: &Relayed) {
        let octets = (relayed.up.octets, relayed.down.octets);
        let (metrics, place) = (Metrics::here(), self.place());
        if std::mem::take(&mut self.stands) {
            metrics.closed(&place);
        }
        metrics.ended(place, octets, relayed.broken.as_ref());
        self.write(relayed.up, relayed.down, relayed.broken.as_ref());
    }

    /// The tunnel never stood.
    pub(crate) fn failed(self, cause: &dyn Refused) {
        Metrics::here().refused(self.place(), cause.word());
        let source = Optional(self.source.as_ref());
        tracing::warn!(
            target: TARGET,
            side = self.side.name(),
            listener = %self.listener,
            source = %source,
            client = %self.client,
            destination = self.destination,
            status = self.status,
            baggage = self.baggage(),
            forwarded = self.forwarded(),
            trace = self.trace(),
            milliseconds = milliseconds(self.start),
            cause = %Escaped::sentence(cause.to_string().as_bytes()),
            "no tunnel"
        );
    }

    fn place(&self) -> Place {
        Place { side: self.side.name(), listener: Arc::clone(&self.listener) }
    }

    fn baggage(&self) -> Option<&str> {
        self.told.as_ref()?.baggage.as_deref()
    }

    fn forwarded(&self) -> Option<&str> {
        self.told.as_ref()?.forwarded.as_deref()
    }

    fn trace(&self) -> Option<String> {
        Some(self.told.as_ref()?.trace?.to_string())
    }

    fn write(self, up: Direction, down: Direction, cause: Option<&impl Display>) {
        let cause = cause.map(ToString::to_string);
        tracing::info!(
            target: TARGET,
            side = self.side.name(),
            listener = %self.listener,
            source = %Optional(self.source.as_ref()),
            peer = %Optional(self.peer.as_ref()),
            client = %self.client,
            destination = self.destination,
            status = self.status,
            baggage = self.baggage(),
            forwarded = self.forwarded(),
            trace = self.trace(),
            milliseconds = milliseconds(self.start),
            up = up.octets,
            down = down.octets,
            up_end = end(up),
            down_end = end(down),
            cause,
            "tunnel"
        );
    }
}

/// A tunnel that stood and of which nobody wrote the end, as when its task is gone.
impl Drop for Record {
    fn drop(&mut self) {
        if self.stands {
            let place = self.place();
            Metrics::here().closed(&place);
            Metrics::here().abandoned(place);
        }
    }
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
        }
    }
}

/// A value or a hyphen.
struct Optional<T>(Option<T>);

impl<T: Display> Display for Optional<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

const fn end(direction: Direction) -> &'static str {
    if direction.finished { "fin" } else { "reset" }
}

fn milliseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Subscribers choose records by this target.
const TARGET: &str = "hbone::tunnel";
