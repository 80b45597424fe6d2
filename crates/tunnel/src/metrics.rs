//! Counters of all tunnels of this process, by side and listener.
//!
//! Moved by the records, read as OpenMetrics by whoever asks with [`metrics`]. Labels are words of the
//! configuration and of this crate, never what a peer sent: their number is bounded. Costs a tunnel that is silent
//! nothing. Decides nothing.

use std::sync::{Arc, LazyLock};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::outcome::Break;

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    live: Family<Place, Gauge>,
    opened: Family<Place, Counter>,
    whole: Family<Place, Counter>,
    broken: Family<Broken, Counter>,
    refused: Family<Refused, Counter>,
    octets: Family<Octets, Counter>,
}

/// Where a tunnel came in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Place {
    pub(crate) side: &'static str,
    pub(crate) listener: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Broken {
    side: &'static str,
    listener: Arc<str>,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    side: &'static str,
    listener: Arc<str>,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Octets {
    side: &'static str,
    listener: Arc<str>,
    direction: &'static str,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

/// The counters of this process as text in the format of OpenMetrics 1.0.
pub fn metrics() -> String {
    METRICS.text()
}

impl Metrics {
    /// Those of this process.
    pub(crate) fn here() -> &'static Self {
        &METRICS
    }

    pub(crate) fn opened(&self, place: &Place) {
        self.opened.get_or_create(place).inc();
        self.live.get_or_create(place).inc();
    }

    /// It is live no longer, however it ended.
    pub(crate) fn closed(&self, place: &Place) {
        self.live.get_or_create(place).dec();
    }

    pub(crate) fn ended(&self, place: Place, (up, down): (u64, u64), broken: Option<&Break>) {
        let Place { side, listener } = place.clone();
        for (direction, octets) in [("up", up), ("down", down)] {
            self.octets
                .get_or_create(&Octets { side, listener: Arc::clone(&listener), direction })
                .inc_by(octets);
        }
        match broken {
            None => drop(self.whole.get_or_create(&place).inc()),
            Some(broken) => self.broken(place, cause(broken)),
        }
    }

    /// It stood, and whoever carried it went away without a word.
    pub(crate) fn abandoned(&self, place: Place) {
        self.broken(place, "abandoned");
    }

    fn broken(&self, Place { side, listener }: Place, cause: &'static str) {
        self.broken.get_or_create(&Broken { side, listener, cause }).inc();
    }

    pub(crate) fn refused(&self, Place { side, listener }: Place, class: &'static str) {
        self.refused.get_or_create(&Refused { side, listener, class }).inc();
    }

    fn text(&self) -> String {
        let mut all = Registry::with_prefix("hbone");
        all.register("tunnels_live", "Tunnels that stand now", self.live.clone());
        all.register("tunnels_opened", "Tunnels that stood", self.opened.clone());
        all.register("tunnels_whole", "Tunnels whose directions both ended with a FIN", self.whole.clone());
        all.register("tunnels_broken", "Tunnels that stood and were cut, by cause", self.broken.clone());
        all.register("tunnels_refused", "Tunnels that never stood, by class", self.refused.clone());
        all.register("tunnel_octets", "Octets handed on by tunnels that have ended", self.octets.clone());
        let mut out = String::new();
        // Writing to memory never fails.
        let _ = text::encode(&mut out, &all);
        out
    }
}

const fn cause(broken: &Break) -> &'static str {
    match broken {
        Break::Tcp(_) => "tcp",
        Break::Stream(_) => "stream",
        Break::Inner(_) => "inner_tls",
        Break::Idle(_) => "idle",
        Break::Revoked => "revoked",
        Break::Http => "http",
        Break::Drained => "drained",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tunnel_is_counted_once_where_it_ended() {
        let metrics = Metrics::default();
        let place = || Place { side: "outbound", listener: "web".into() };
        metrics.opened(&place());
        metrics.opened(&place());
        metrics.closed(&place());
        metrics.ended(place(), (3, 5), None);
        metrics.closed(&place());
        metrics.ended(place(), (10, 0), Some(&Break::Revoked));
        metrics.refused(place(), "denied");
        let text = metrics.text();
        let at = "side=\"outbound\",listener=\"web\"";
        for line in [
            format!("hbone_tunnels_live{{{at}}} 0\n"),
            format!("hbone_tunnels_opened_total{{{at}}} 2\n"),
            format!("hbone_tunnels_whole_total{{{at}}} 1\n"),
            format!("hbone_tunnels_broken_total{{{at},cause=\"revoked\"}} 1\n"),
            format!("hbone_tunnels_refused_total{{{at},class=\"denied\"}} 1\n"),
            format!("hbone_tunnel_octets_total{{{at},direction=\"up\"}} 13\n"),
            format!("hbone_tunnel_octets_total{{{at},direction=\"down\"}} 5\n"),
        ] {
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
